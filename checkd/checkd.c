/*
 * checkd.c - refusals and statuses (contract: checkd.h)
 */
#include "checkd.h"

#include <stdarg.h>
#include <stdio.h>

#include "mem.h"

int
checkd_refuse(struct checkd_error *e, unsigned code, const char *fmt, ...)
{
	va_list args;

	e->code = code;
	va_start(args, fmt);
	vsnprintf(e->text, sizeof e->text, fmt, args);
	va_end(args);
	return -1;
}

static const char *const names[] = {"passing", "warning", "critical"};

const char *
status_text(enum status s)
{
	return names[s];
}

int
status_parse(struct bytes text, enum status *out)
{
	for (size_t i = 0; i < COUNTOF(names); i++)
		if (bytes_is(text, names[i])) {
			*out = (enum status)i;
			return 0;
		}
	return -1;
}
