/* SPDX-License-Identifier: MIT */
/* main: finds the command, runs it, prints the one error. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/escape.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/options.h"

static const struct command *const commands[] = {
	&command_dump, &command_restore, &command_show, &command_check, &command_verify,
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	}
	return NULL;
}

static int help(FILE *out)
{
	fputs("usage: cr [OPTION]... COMMAND [OPTION]... [OPERAND]...\n"
	      "Saves a running process and its descendants to a folder, and brings them back.\n\n",
	      out);
	for (size_t i = 0; i < N_COMMANDS; i++) {
		char head[40];

		snprintf(head, sizeof(head), "%s %s", commands[i]->name, commands[i]->synopsis);
		fprintf(out, "  %-20s %s\n", head, commands[i]->summary);
	}
	fputs("  help [COMMAND]       show the help of a command, as COMMAND --help does\n\n", out);
	options_help_common(out);
	fputs("  --version            show the version\n\n"
	      "Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 see cr-dump(1).\n"
	      "See cr(1).\n",
	      out);
	return STATUS_DONE;
}

static int version(void)
{
	puts("cr " PACKAGE_VERSION);
	return STATUS_DONE;
}

static int help_command(int argc, char **argv, struct error *e)
{
	const struct command *c;

	if (argc < 2 || !strcmp(argv[1], "--help"))
		return help(stdout);
	if (argc > 2)
		return usage_error(NULL, e, "'%s' is one operand too many", argv[2]);
	c = find_command(argv[1]);
	if (!c)
		return usage_error(NULL, e, "'%s' is not a command", argv[1]);
	options_help(c, stdout);
	return STATUS_DONE;
}

static int dispatch(int argc, char **argv, const struct command **c, struct error *e)
{
	struct common common = { 0 };
	bool is_version = false;
	int first = options_parse_common(argc, argv, &common, &is_version, e);

	if (first < 0)
		return first;
	if (is_version)
		return version();
	if (common.help)
		return help(stdout);
	if (first == argc)
		return usage_error(NULL, e, "a command is missing");
	if (!strcmp(argv[first], "help"))
		return help_command(argc - first, argv + first, e);
	*c = find_command(argv[first]);
	if (!*c)
		return usage_error(NULL, e, "'%s' is not a command", argv[first]);
	return (*c)->run(argc - first, argv + first, &common, e);
}

/* A file opened under number 0, 1 or 2 would get what is meant for the terminal. */
static void fill_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)!open("/dev/null", O_RDWR);
	}
}

/* As the root task of a restored tree did, or as a signal for cr wants it; without a core file. */
static int end_by_signal(int sig)
{
	sigset_t set;

	(void)setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(sig);
	return 128 + sig;
}

static int print_error(const struct command *c, const struct error *e)
{
	int status = e->exit_status ? e->exit_status : STATUS_FAILED;
	auto_buf line = { 0 };

	buf_printf(&line, "cr%s%s: ", status == STATUS_USAGE && c ? " " : "",
		   status == STATUS_USAGE && c ? c->name : "");
	escape_add(&line, e->text, strlen(e->text));
	buf_add(&line, "\n", 1);
	fwrite(line.p, 1, line.len, stderr);
	return status;
}

int main(int argc, char **argv)
{
	const struct command *c = NULL;
	struct error e = { 0 };
	int rc;

	fill_standard_descriptors();
	rc = dispatch(argc, argv, &c, &e);
	if (rc >= 0 && (fflush(stdout) || ferror(stdout)))
		rc = fail(&e, errno, "standard output");
	if (rc < 0)
		rc = print_error(c, &e);
	return rc >= EXIT_BY_SIGNAL(0) ? end_by_signal(rc - EXIT_BY_SIGNAL(0)) : rc;
}
