/*
 * consuld.c - execution of consuld (contract: consuld.h)
 */
#include "consuld.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem.h"
#include "place.h"

static const struct flag no_flags[] = {{NULL}};

const struct command agent_commands[] = {
    {"agent", "Runs a Consul agent", "[options]", NULL, 0, no_flags, consuld_run},
    {"validate", "Validate config files/directories", "[options] FILE_OR_DIRECTORY...", NULL, 0, no_flags, consuld_run},
    {"configtest", "Validate fragments of a configuration", "[options] FILE_OR_DIRECTORY...", NULL, 0, no_flags,
	consuld_run},
    {NULL},
};

/* Build tree, DESTDIR and installation look the same. */
static char *
consuld_path(void)
{
	char path[4096];

	return place_beside("../sbin/consuld", path, sizeof path) == -1 ? NULL : xstrdup(path);
}

int
consuld_exec(char **argv)
{
	char *path = consuld_path();

	if (path == NULL)
		return command_fail("consulctl: where this program lies: %s", strerror(errno));
	execv(path, argv);
	command_fail("consulctl: %s: %s", path, strerror(errno));
	free(path);
	return 1;
}

int
consuld_run(struct invocation *in)
{
	return command_fail("consulctl: %s is executed, not run", in->command->path); /* command_main executes it */
}

/* The child's end: standard output and error into the pipes, then consuld. */
static void NORETURN
become_definitions(char *path, const char *file, const int out[2], const int errors[2])
{
	char command[] = "definitions";
	char *argv[] = {path, command, (char *)file, NULL};

	if (dup2(out[1], STDOUT_FILENO) != -1 && dup2(errors[1], STDERR_FILENO) != -1) {
		close(out[0]);
		close(out[1]);
		close(errors[0]);
		close(errors[1]);
		execv(path, argv);
	}
	_exit(127);
}

/* Everything a pipe brings, up to the buffer's maximum. */
static void
drain(int fd, struct buf *out)
{
	char piece[4096];
	ssize_t n;

	while ((n = read(fd, piece, sizeof piece)) > 0 || (n == -1 && errno == EINTR))
		if (n > 0)
			buf_put(out, piece, (size_t)n);
}

int
consuld_definitions(const char *path, struct buf *out, char *error, size_t size)
{
	struct buf text = BUF_INIT(65536);
	char *program = consuld_path();
	int answers[2] = {-1, -1}, errors[2] = {-1, -1}, status = -1;
	pid_t child = -1;

	if (program == NULL || pipe(answers) == -1 || pipe(errors) == -1 || (child = fork()) == -1) {
		snprintf(error, size, "consulctl: consuld: %s", strerror(errno));
		goto out;
	}
	if (child == 0)
		become_definitions(program, path, answers, errors);
	close(answers[1]);
	close(errors[1]);
	answers[1] = errors[1] = -1;
	drain(answers[0], out);
	drain(errors[0], &text); /* warnings or one error: less than a pipe holds */
	while (waitpid(child, &status, 0) == -1 && errno == EINTR)
		;
	while (text.used > 0 && text.data[text.used - 1] == '\n')
		text.used--;
	if (text.used == 0)
		buf_put_str(&text, status == 0 ? "" : "consuld ended without a word");
	if (status != 0)
		snprintf(error, size, "%.*s", (int)text.used, (const char *)text.data);
	else if (text.used > 0)
		command_fail("%.*s", (int)text.used, (const char *)text.data);
out:
	for (int i = 0; i < 2; i++) {
		if (answers[i] != -1)
			close(answers[i]);
		if (errors[i] != -1)
			close(errors[i]);
	}
	buf_free(&text);
	free(program);
	return status == 0 ? 0 : -1;
}
