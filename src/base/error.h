/* SPDX-License-Identifier: MIT */
/*
 * Errors are values: 0 or a positive count is success, -errno is failure, and the text travels
 * beside the number in a fixed-size object, so that an error needs no memory and can lie in a page
 * shared between processes. Only main prints one.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#define must_check __attribute__((warn_unused_result))
#define format_printf(f, a) __attribute__((format(printf, f, a)))

/* Above all exit statuses: main ends the program by this signal. */
#define EXIT_BY_SIGNAL(signal) (0x100 + (signal))

struct error {
	int code;        /* errno value, 0 = no error */
	int exit_status; /* for main; 0 = the usual 1, or EXIT_BY_SIGNAL */
	char text[1016];
};

/*
 * At the call that failed: code is an errno value (taken on the line after the call), 0 for a
 * failure that has none (a refusal); its strerror text is appended when it is not 0. Sets all of *e,
 * which may hold anything before; who wants another exit status sets it afterwards. Gives -code, or
 * -EINVAL for code 0.
 */
int fail(struct error *e, int code, const char *fmt, ...) must_check format_printf(3, 4);

/* On the way up, only where a loop variable is known: puts "FMT: " in front of the text when
 * rc < 0. Gives rc. */
int within(struct error *e, int rc, const char *fmt, ...) must_check format_printf(3, 4);

#endif
