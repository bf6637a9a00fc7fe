/* SPDX-License-Identifier: MIT */
#include "tap.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* CUnit's listeners carry no argument: the running number has to live here. */
static unsigned int number;

static const char *base_name(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path ? path : "?";
}

static void tell(bool good, const char *suite, const char *test)
{
	printf("%sok %u - %s: %s\n", good ? "" : "not ", ++number, suite, test);
}

static void tell_assertions(const CU_FailureRecord *f)
{
	for (; f; f = f->pNext)
		printf("# %s:%u: %s\n", base_name(f->strFileName), f->uiLineNumber,
		       f->strCondition ? f->strCondition : "");
}

static void test_done(const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord failures)
{
	tell(!failures, suite->pName, test->pName);
	tell_assertions(failures);
	fflush(stdout);
}

/* None of the suite's tests is run then, but all are in the plan. */
static void suite_init_failed(const CU_pSuite suite)
{
	for (const CU_Test *t = suite->pTest; t; t = t->pNext)
		tell(false, suite->pName, t->pName);
	printf("# the suite's initialisation failed\n");
}

static void suite_cleanup_failed(const CU_pSuite suite)
{
	printf("Bail out! the clean-up of suite %s failed\n", suite->pName);
}

static unsigned int count(const CU_SuiteInfo *suites)
{
	unsigned int n = 0;

	for (; suites->pName; suites++)
		for (const CU_TestInfo *t = suites->pTests; t->pName; t++)
			n++;
	return n;
}

int tap_run(CU_SuiteInfo *suites)
{
	if (CU_initialize_registry() != CUE_SUCCESS || CU_register_suites(suites) != CUE_SUCCESS) {
		printf("Bail out! %s\n", CU_get_error_msg());
		return 1;
	}
	printf("1..%u\n", count(suites));
	CU_set_test_complete_handler(test_done);
	CU_set_suite_init_failure_handler(suite_init_failed);
	CU_set_suite_cleanup_failure_handler(suite_cleanup_failed);
	CU_set_error_action(CUEA_IGNORE);

	CU_ErrorCode code = CU_run_all_tests();
	bool good = code == CUE_SUCCESS && CU_get_number_of_tests_failed() == 0 &&
		    CU_get_number_of_suites_failed() == 0;

	CU_cleanup_registry();
	return good ? 0 : 1;
}
