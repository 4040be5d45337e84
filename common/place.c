/*
 * place.c - files beside our own program (contract: place.h)
 */
#include "place.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
place_beside(const char *relative, char *out, size_t size)
{
	char self[PATH_MAX], *slash;
	ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
	int n;

	if (length == -1)
		return -1;
	self[length] = '\0';
	slash = strrchr(self, '/');
	n = snprintf(out, size, "%.*s/%s", slash == NULL ? 0 : (int)(slash - self), self, relative);
	if (n < 0 || (size_t)n >= size) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return 0;
}
