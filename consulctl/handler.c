/*
 * handler.c - starting children (contract: handler.h)
 *
 * A pipe that is closed by exec tells whether the program could be executed at all.
 */
#include "handler.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem.h"
#include "output.h"

/* Words joined by blanks; the caller frees. */
static char *
joined(const struct handler *h)
{
	struct buf text = BUF_INIT(1 << 20);
	char *out;

	for (int i = 0; i < h->argc; i++) {
		if (i > 0)
			buf_put_u8(&text, ' ');
		buf_put_str(&text, h->argv[i]);
	}
	out = xstrndup(text.data == NULL ? (const void *)"" : text.data, text.used);
	buf_free(&text);
	return out;
}

/* In the child: never returns; errno goes into the pipe. */
static void NORETURN
become(const struct handler *h, char *const *argv, int told)
{
	int input = h->input, error;
	sigset_t none;
	ssize_t n;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (input == -1)
		input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (input == -1 || dup2(input, STDIN_FILENO) == -1)
		goto failed;
	if (h->variable != NULL && putenv((char *)h->variable) != 0)
		goto failed;
	execvp(argv[0], argv);
failed:
	error = errno;
	n = write(told, &error, sizeof error);
	(void)n;
	_exit(127);
}

pid_t
handler_start(const struct handler *h, char *why, size_t size)
{
	const char *shell = getenv("SHELL");
	char *words = joined(h), option[] = "-c", *shell_argv[4], *const *argv = h->argv;
	char *program = xstrdup(shell == NULL || *shell == '\0' ? "/bin/sh" : shell);
	int told[2] = {-1, -1}, error = 0;
	pid_t child = -1;

	if (h->shell) {
		shell_argv[0] = program;
		shell_argv[1] = option;
		shell_argv[2] = words;
		shell_argv[3] = NULL;
		argv = shell_argv;
	}
	if (pipe2(told, O_CLOEXEC) == -1 || (child = fork()) == -1) {
		snprintf(why, size, "fork/exec %s: %s", argv[0], input_strerror(errno));
		goto out;
	}
	if (child == 0)
		become(h, argv, told[1]);
	close(told[1]);
	told[1] = -1;
	if (read(told[0], &error, sizeof error) == (ssize_t)sizeof error) {
		snprintf(why, size, "fork/exec %s: %s", argv[0], input_strerror(error));
		while (waitpid(child, NULL, 0) == -1 && errno == EINTR)
			;
		child = -1;
	}
out:
	for (int i = 0; i < 2; i++)
		if (told[i] != -1)
			close(told[i]);
	free(program);
	free(words);
	return child;
}

void
handler_outcome(int status, char *text, size_t size)
{
	int n;

	*text = '\0';
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		snprintf(text, size, "exit status %d", WEXITSTATUS(status));
	if (WIFSIGNALED(status)) {
		n = snprintf(text, size, "signal: %s", strsignal(WTERMSIG(status)));
		for (int i = 0; i < n && (size_t)i < size; i++)
			text[i] = (char)tolower((unsigned char)text[i]);
	}
}
