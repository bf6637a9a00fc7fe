/* SPDX-License-Identifier: MIT */
/*
 * CUnit's results as TAP, so that the build counts single cases. A unit test's main is
 *
 *	CU_TestInfo tests[] = { { "what it shows", function }, CU_TEST_INFO_NULL };
 *	CU_SuiteInfo suites[] = { { "room", NULL, NULL, NULL, NULL, tests }, CU_SUITE_INFO_NULL };
 *	return tap_run(suites);
 */
#ifndef TAP_H
#define TAP_H

#include <CUnit/CUnit.h>
#include <CUnit/TestDB.h>
#include <CUnit/TestRun.h>

/* Runs all tests; the value is main's: 0 if every one passed. */
int tap_run(CU_SuiteInfo *suites);

#endif
