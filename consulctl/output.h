/*
 * output.h - what commands write and read besides the API
 */
#ifndef CONSULCTL_OUTPUT_H
#define CONSULCTL_OUTPUT_H

#include "buf.h"
#include "cdefs.h"
#include "table.h"

#define OUTPUT_MAX (512u << 20)
#define INPUT_MAX (256u << 20)

/* One line on stdout. */
void output_line(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Text as it is, and text with a newline behind it. */
void output_bytes(struct bytes text);
void output_bytes_line(struct bytes text);
void output_columns(const struct table *t);
/* Without the trailing blanks of the last line. */
void output_tabs(const struct table *t);

/* A file, or standard input for "-". -1: error (size bytes) is "open x: no such file or directory". */
MUST_USE int input_file(const char *path, struct buf *out, char *error, size_t size);
/* "-" stands for standard input, "@path" for a file, anything else for itself. */
MUST_USE int input_argument(const char *argument, struct buf *out, char *error, size_t size);
/* strerror in the spelling of Go. */
const char *input_strerror(int error);

#endif
