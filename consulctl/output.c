/*
 * output.c - output and input (contract: output.h)
 */
#include "output.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
output_line(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

void
output_bytes(struct bytes text)
{
	if (text.size > 0)
		fwrite(text.data, 1, text.size, stdout);
}

void
output_bytes_line(struct bytes text)
{
	output_bytes(text);
	putchar('\n');
}

void
output_columns(const struct table *t)
{
	struct buf text = BUF_INIT(OUTPUT_MAX);

	table_columns(t, &text);
	output_bytes(buf_bytes(&text));
	buf_free(&text);
}

void
output_tabs(const struct table *t)
{
	struct buf text = BUF_INIT(OUTPUT_MAX);

	table_tabs(t, 0, &text);
	while (text.used > 0 && isspace(text.data[text.used - 1]))
		text.used--;
	output_bytes_line(buf_bytes(&text));
	buf_free(&text);
}

const char *
input_strerror(int error)
{
	static char text[128];

	snprintf(text, sizeof text, "%s", strerror(error));
	text[0] = (char)tolower((unsigned char)text[0]);
	return text;
}

static int
read_all(FILE *file, struct buf *out)
{
	size_t n;

	do {
		uint8_t *space = buf_space(out, 65536);

		if (space == NULL) {
			errno = EFBIG;
			return -1;
		}
		n = fread(space, 1, 65536, file);
		buf_commit(out, n);
	} while (n > 0);
	return ferror(file) ? -1 : 0;
}

int
input_file(const char *path, struct buf *out, char *error, size_t size)
{
	FILE *file;
	int result;

	if (strcmp(path, "-") == 0) {
		result = read_all(stdin, out);
		if (result == -1)
			snprintf(error, size, "read stdin: %s", input_strerror(errno));
		return result;
	}
	file = fopen(path, "r");
	if (file == NULL) {
		snprintf(error, size, "open %s: %s", path, input_strerror(errno));
		return -1;
	}
	result = read_all(file, out);
	if (result == -1)
		snprintf(error, size, "read %s: %s", path, input_strerror(errno));
	fclose(file);
	return result;
}

int
input_argument(const char *argument, struct buf *out, char *error, size_t size)
{
	if (strcmp(argument, "-") == 0)
		return input_file("-", out, error, size);
	if (argument[0] == '@')
		return input_file(argument + 1, out, error, size);
	buf_put_str(out, argument);
	return 0;
}
