/* SPDX-License-Identifier: MIT */
/* A program for the 32-bit half of the kernel, without libc: says "ready PID", and then a dot for each round. */
static int call(int nr, int a, const void *b, int c)
{
	int ret;

	asm volatile("int $0x80" : "=a"(ret) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return ret;
}
void _start(void)
{
	char text[] = "ready 0000000000\n";
	int pid = call(20, 0, 0, 0);
	int nap[2] = { 0, 10000000 };

	for (int i = 15; i > 5; i--, pid /= 10)
		text[i] = (char)('0' + pid % 10);
	for (int i = 3; i < 64; i++)
		call(6, i, 0, 0);
	call(4, 1, text, 17);
	for (;;) {
		call(162, (int)(long)nap, 0, 0);
		call(4, 1, ".", 1);
	}
}
