# SPDX-License-Identifier: MIT
# Reads what the guest printed: one line for each test, every failed case in full, a sum at the end. The table of
# the ways to the exe link is shown as it is.
# Exits with 1 unless every test began, ended with 0 and gave exactly the cases of its plan.

{ sub(/\r$/, "") }

# The console may put a line of the kernel before a mark, never into it.
match($0, /@@ (kernel|begin|end|done)/) {
	split(substr($0, RSTART), word, " ")
	if (word[2] == "kernel")
		kernel = word[3]
	else if (word[2] == "begin")
		begin(word[3])
	else if (word[2] == "end")
		end(word[3], word[4])
	else
		done = 1
	next
}

test == "" { next }

# Comment lines belong to the case that follows them.
/^# exe link: / { print "  " substr($0, 3); next }
/^# left out: / { why = why "    " $0 "\n"; next }
/^ok / { passed++; text = ""; if ($0 ~ /# *[Ss][Kk][Ii][Pp]/) { skipped++; passed--; why = why "    " $0 "\n" } next }
/^not ok / { failed++; why = why text "    " $0 "\n"; text = ""; next }
/^1\.\.[0-9]+/ { plan = substr($1, 4) + 0; if ($0 ~ /# *[Ss][Kk][Ii][Pp]/) why = why "    " $0 "\n"; next }
/^Bail out!/ { failed++; why = why text "    " $0 "\n"; text = ""; next }
{ text = text "    " $0 "\n" }

function begin(name) {
	test = name
	passed = failed = skipped = 0
	plan = -1
	why = text = ""
}

function end(name, status) {
	if (status != 0 && !(status == 77 && failed == 0) || plan != passed + failed + skipped || failed) {
		bad++
		if (!failed)
			why = why text sprintf("    exit status %d, %d cases of %d\n", status, passed + skipped, plan)
		printf("FAIL %-24s %d passed, %d failed, %d skipped\n%s", name, passed, failed, skipped, why)
	} else
		printf("PASS %-24s %d passed, %d skipped\n%s", name, passed, skipped, why)
	all_passed += passed
	all_failed += failed
	all_skipped += skipped
	tests++
	test = ""
}

END {
	if (test != "") {
		bad++
		printf("FAIL %-24s did not end\n%s%s", test, why, text)
	}
	if (!done)
		print "FAIL the guest did not come to its end"
	if (tests != wanted)
		printf("FAIL %d of %d tests ran\n", tests, wanted)
	printf("Linux %s: %d passed, %d failed, %d skipped; %d of %d tests failed\n",
		kernel == "" ? "(not booted)" : kernel, all_passed, all_failed, all_skipped, bad, wanted)
	exit !(done && !bad && tests == wanted && wanted > 0)
}
