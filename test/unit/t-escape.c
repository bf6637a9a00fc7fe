/* SPDX-License-Identifier: MIT */
/* base/escape.h and base/caps.h */
#include <errno.h>
#include <string.h>

#include "base/caps.h"
#include "base/escape.h"
#include "tap.h"

static void gives(const char *text, size_t n, const char *wanted)
{
	auto_buf out = { 0 };

	escape_add(&out, text, n);
	if (out.len != strlen(wanted) || memcmp(out.p, wanted, out.len))
		fprintf(stderr, "wanted '%s', got '%.*s'\n", wanted, (int)out.len, out.p);
	CU_ASSERT(out.len == strlen(wanted) && !memcmp(out.p, wanted, out.len));
	CU_ASSERT(escape_is_plain(text, n) == (n == strlen(wanted) && !memcmp(text, wanted, n)));
}
#define GIVES(text, wanted) gives(text, sizeof(text) - 1, wanted)

static void plain(void)
{
	GIVES("/tmp/a b~", "/tmp/a b~");
	GIVES("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
}

static void control(void)
{
	GIVES("a\x1b[2J\n\x7f", "a\\033[2J\\012\\177");
	GIVES("a\0b", "a\\000b");
	GIVES("a\\b", "a\\\\b");
	GIVES("\xc2\x9b", "\\302\\233");
}

static void direction(void)
{
	GIVES("\xe2\x80\xae"
	      "fdp",
	      "\\342\\200\\256fdp");
	GIVES("\xe2\x81\xa6", "\\342\\201\\246");
}

static void not_utf8(void)
{
	GIVES("\xff", "\\377");
	GIVES("\xc3", "\\303");
	GIVES("\xc0\xaf", "\\300\\257");
	GIVES("\xe0\x80\xaf", "\\340\\200\\257");
	GIVES("\xed\xa0\x80", "\\355\\240\\200");
	GIVES("\xf4\x90\x80\x80", "\\364\\220\\200\\200");
	GIVES("\xe2\x82", "\\342\\202");
}

static void names_of_capabilities(void)
{
	char name[64];

	CU_ASSERT_STRING_EQUAL(caps_name(CAP_SYS_ADMIN, name, sizeof(name)), "CAP_SYS_ADMIN");
	CU_ASSERT_STRING_EQUAL(caps_name(63, name, sizeof(name)), "capability 63");
}

static void missing_capability(void)
{
	struct error e = { 0 };

	CU_ASSERT(!caps_have(63));
	CU_ASSERT(CAPS_NEED("flying", &e, 63, 62) == -EPERM);
	CU_ASSERT(!strncmp(e.text, "flying needs capability 63 or capability 62", 43));
}

int main(void)
{
	CU_TestInfo tests[] = {
		{ "plain text stays", plain },
		{ "control characters", control },
		{ "direction of writing", direction },
		{ "what is not UTF-8", not_utf8 },
		{ "names of capabilities", names_of_capabilities },
		{ "a missing capability", missing_capability },
		CU_TEST_INFO_NULL,
	};
	CU_SuiteInfo suites[] = { { "escape", NULL, NULL, NULL, NULL, tests }, CU_SUITE_INFO_NULL };

	return tap_run(suites);
}
