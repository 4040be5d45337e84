/*
 * compare.h - do two messages say the same?
 */
#ifndef CHECKD_COMPARE_H
#define CHECKD_COMPARE_H

#include <stdbool.h>

#include "schema.h"

/*
 * By the table, without its raft indexes: absent, nil and empty are the same, maps have no order, integers no width.
 * Not a message of this table: equal to nothing.
 */
bool compare_forms(const struct schema *s, struct bytes a, struct bytes b);
bool compare_field(const struct schema *s, const char *name, struct bytes a, struct bytes b);
/* A map of text to text. */
bool compare_strmap(struct bytes a, struct bytes b);

#endif
