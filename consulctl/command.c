/*
 * command.c - the table of commands (contract: command.h)
 *
 * `agent`, `validate` and `configtest` are consuld's: it owns the configuration. They are executed in place, so that the process that
 * the operator started is the supervisor itself.
 */
#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem.h"

/* ../sbin/consuld beside our own place: build tree, DESTDIR and installation look the same. */
static int
exec_consuld(char **argv)
{
	char self[4096], *slash, *path;
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n == -1) {
		perror("consulctl: /proc/self/exe");
		return 1;
	}
	self[n] = '\0';
	slash = strrchr(self, '/');
	*slash = '\0';
	path = xasprintf("%s/../sbin/consuld", self);
	execv(path, argv);
	fprintf(stderr, "consulctl: %s: %s\n", path, strerror(errno));
	free(path);
	return 1;
}

int
command_main(int argc, char **argv)
{
	if (argc >= 2 && (strcmp(argv[1], "agent") == 0 || strcmp(argv[1], "validate") == 0 || strcmp(argv[1], "configtest") == 0))
		return exec_consuld(argv);
	fprintf(stderr, "usage: consulctl agent|validate|configtest ...\n");
	return 1;
}
