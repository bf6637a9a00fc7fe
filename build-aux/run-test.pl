#!/usr/bin/perl
# SPDX-License-Identifier: MIT
# run-test.pl COMMAND...: runs one test of `make check`, tells how long it took, and ends one that hangs, so
# that it fails by its name and the others still run. What hangs is shown first: every process that the test
# has started, also those that were restored meanwhile, is known by CR_TEST_RUN in its environment.
# CR_TEST_TIMEOUT: seconds, 900 unless set.
# It is the subreaper of the test, since many tests wait until the numbers of orphans are free again, and the
# first process of a container may take half a second to see each.
use strict;
use warnings;
use Time::HiRes qw(time);

my $limit = $ENV{CR_TEST_TIMEOUT} // 900;
my $run = $ENV{CR_TEST_RUN} = "$$-" . int(time);
my $begin = time;

sub content {
	my ($file) = @_;
	local $/;
	open(my $in, '<', $file) or return '';
	return readline($in) // '';
}

sub of_this_test {
	my @all = map { m{^/proc/(\d+)$} ? $1 : () } glob('/proc/[0-9]*');
	return grep { $_ != $$ && content("/proc/$_/environ") =~ /(^|\0)CR_TEST_RUN=\Q$run\E(\0|$)/ } @all;
}

sub show {
	for my $pid (@_) {
		my ($ppid) = content("/proc/$pid/status") =~ /^PPid:\s*(\d+)/m;
		print "# process $pid, parent ", $ppid // '?', ': ',
			join(' ', split(/\0/, content("/proc/$pid/cmdline"))), "\n";
		for my $task (glob("/proc/$pid/task/[0-9]*")) {
			my ($name) = $task =~ m{(\d+)$};
			my ($state) = content("$task/stat") =~ /\) (\S)/;
			print "#   task $name ", $state // '?', ' wchan ', content("$task/wchan"), ' syscall ',
				content("$task/syscall") =~ s/\n//r, "\n";
			print map { "#     $_\n" } split(/\n/, content("$task/stack"));
			print map { "#     $_\n" } grep { /^(Sig|Shd)/ } split(/\n/, content("$task/status"));
		}
	}
}

use constant { SYS_prctl => 157, PR_SET_CHILD_SUBREAPER => 36 };    # x86_64

$| = 1;
syscall(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 or die "PR_SET_CHILD_SUBREAPER: $!";
my $status;
my $test = fork() // die "fork: $!";
if (!$test) {
	exec(@ARGV) or die "$ARGV[0]: $!";
}
# has_ended SECONDS: perl's waitpid goes on after a signal, unless the handler dies
sub has_ended {
	my ($seconds) = @_;
	return eval {
		local $SIG{ALRM} = sub { die "late\n" };
		alarm($seconds);
		1 while waitpid(-1, 0) != $test;
		$status = $?;
		alarm(0);
		1;
	};
}
if (!has_ended($limit)) {
	print "not ok - the test did not end within $limit s\n";
	show(of_this_test());
	kill('TERM', $test);
	has_ended(5);
	kill('KILL', $test, of_this_test());
	exit(99);
}
my (undef, undef, $user, $system) = times;
printf "# it took %.1f s, %.1f s of processor time\n", time - $begin, $user + $system;
exit($status & 127 ? 128 + ($status & 127) : $status >> 8);
