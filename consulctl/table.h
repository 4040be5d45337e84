/*
 * table.h - the two kinds of table that commands print (cli.md 5)
 */
#ifndef CONSULCTL_TABLE_H
#define CONSULCTL_TABLE_H

#include "buf.h"
#include "cdefs.h"
#include "mem.h"

struct table;

/* Memory is the region's. */
MUST_USE struct table *table_new(struct region *region);
/* The next cell of the current row. */
void table_cell(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void table_cell_bytes(struct table *t, struct bytes text);
void table_end_row(struct table *t);
size_t table_rows(const struct table *t);
/* Sorts the rows from first on by bytes of the cells, the first cell first. */
void table_sort(struct table *t, size_t first);

/*
 * Column table: cells are trimmed, a column is as wide as its longest cell in bytes, two blanks between columns, the last cell is
 * not padded (an empty one leaves the blanks before it). Every row ends in a newline.
 */
void table_columns(const struct table *t, struct buf *out);
/*
 * Tab table: the width of a cell is that of the longest in the contiguous rows that have this column, at least width_min, plus 6;
 * the last cell of a row has no width.
 */
void table_tabs(const struct table *t, size_t width_min, struct buf *out);

#endif
