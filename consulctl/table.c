/*
 * table.c - tables (contract: table.h)
 */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TAB_PADDING 6
#define COLUMN_GAP 2

struct row {
	struct bytes *cells;
	size_t count;
	size_t size;
};

struct table {
	struct region *region;
	struct row *rows;
	size_t count; /* complete rows; rows[count] is the current one */
	size_t size;
};

struct table *
table_new(struct region *region)
{
	struct table *t = region_alloc(region, sizeof *t);

	*t = (struct table){.region = region, .size = 16};
	t->rows = region_alloc(region, t->size * sizeof *t->rows);
	t->rows[0] = (struct row){NULL, 0, 0};
	return t;
}

void
table_cell_bytes(struct table *t, struct bytes text)
{
	struct row *row = &t->rows[t->count];
	struct bytes *bigger;

	if (row->count == row->size) {
		row->size = row->size == 0 ? 10 : 2 * row->size;
		bigger = region_alloc(t->region, row->size * sizeof *bigger);
		if (row->count > 0)
			memcpy(bigger, row->cells, row->count * sizeof *bigger);
		row->cells = bigger;
	}
	row->cells[row->count++] = region_copy(t->region, text);
}

void
table_cell(struct table *t, const char *fmt, ...)
{
	va_list args;
	char *text = NULL;
	int size;

	va_start(args, fmt);
	size = vasprintf(&text, fmt, args);
	va_end(args);
	table_cell_bytes(t, bytes_of(text, size < 0 ? 0 : (size_t)size));
	free(text);
}

void
table_end_row(struct table *t)
{
	struct row *bigger;

	if (t->count + 1 == t->size) {
		bigger = region_alloc(t->region, 2 * t->size * sizeof *bigger);
		memcpy(bigger, t->rows, t->size * sizeof *bigger);
		t->rows = bigger;
		t->size *= 2;
	}
	t->rows[++t->count] = (struct row){NULL, 0, 0};
}

size_t
table_rows(const struct table *t)
{
	return t->count;
}

static int
compare_rows(const void *left, const void *right)
{
	const struct row *a = left, *b = right;
	int order = 0;

	for (size_t i = 0; order == 0 && i < a->count && i < b->count; i++)
		order = bytes_compare(a->cells[i], b->cells[i]);
	return order;
}

void
table_sort(struct table *t, size_t first)
{
	if (t->count > first)
		qsort(t->rows + first, t->count - first, sizeof *t->rows, compare_rows);
}

static struct bytes
trimmed(struct bytes a)
{
	while (a.size > 0 && strchr(" \t\r\n", a.data[a.size - 1]) != NULL)
		a.size--;
	while (a.size > 0 && strchr(" \t\r\n", a.data[0]) != NULL)
		a.data++, a.size--;
	return a;
}

static void
put_padded(struct buf *out, struct bytes text, size_t shown, size_t width)
{
	buf_put_bytes(out, text);
	for (; shown < width; shown++)
		buf_put_u8(out, ' ');
}

/* A zero for every column of the widest row. */
static size_t *
widths_new(const struct table *t)
{
	size_t most = 1;

	for (size_t i = 0; i < t->count; i++)
		most = MAX(most, t->rows[i].count);
	return xcalloc(most, sizeof(size_t));
}

void
table_columns(const struct table *t, struct buf *out)
{
	size_t *widths = widths_new(t);

	for (size_t i = 0; i < t->count; i++)
		for (size_t column = 0; column < t->rows[i].count; column++)
			widths[column] = MAX(widths[column], trimmed(t->rows[i].cells[column]).size);
	for (size_t i = 0; i < t->count; i++) {
		const struct row *row = &t->rows[i];

		for (size_t column = 0; column < row->count; column++) {
			struct bytes cell = trimmed(row->cells[column]);

			if (column + 1 == row->count)
				buf_put_bytes(out, cell);
			else
				put_padded(out, cell, cell.size, widths[column] + COLUMN_GAP);
		}
		buf_put_u8(out, '\n');
	}
	free(widths);
}

static size_t
characters(struct bytes a)
{
	size_t n = 0;

	for (size_t i = 0; i < a.size; i++)
		n += (a.data[i] & 0xc0) != 0x80;
	return n;
}

/* Has row i a cell behind this column, so that the column has a width there? */
static bool
has_column(const struct table *t, size_t i, size_t column)
{
	return t->rows[i].count > column + 1;
}

/* Width of the contiguous rows from first on that have this column. */
static size_t
block_width(const struct table *t, size_t first, size_t column)
{
	size_t width = 0;

	for (; first < t->count && has_column(t, first, column); first++)
		width = MAX(width, characters(t->rows[first].cells[column]));
	return width;
}

void
table_tabs(const struct table *t, size_t width_min, struct buf *out)
{
	size_t *widths = widths_new(t); /* of the blocks that row i is in */

	for (size_t i = 0; i < t->count; i++) {
		const struct row *row = &t->rows[i];

		for (size_t column = 0; has_column(t, i, column); column++) {
			if (i == 0 || !has_column(t, i - 1, column))
				widths[column] = MAX(block_width(t, i, column) + TAB_PADDING, width_min);
			put_padded(out, row->cells[column], characters(row->cells[column]), widths[column]);
		}
		if (row->count > 0)
			buf_put_bytes(out, row->cells[row->count - 1]);
		buf_put_u8(out, '\n');
	}
	free(widths);
}
