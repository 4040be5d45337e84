/*
 * check_text.c - error texts (contract: check_text.h; callers: check_net.c, check_exec.c, check_http.c)
 */
#include "check_text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

char *
check_text_errno(int error, char *out, size_t size)
{
	snprintf(out, size, "%s", strerror(error));
	if (isupper((unsigned char)out[0]) && !isupper((unsigned char)out[1]))
		out[0] = (char)tolower((unsigned char)out[0]);
	return out;
}
