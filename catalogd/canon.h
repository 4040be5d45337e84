/*
 * canon.h - one form for equal values: what is stored can be compared byte by byte
 *
 * All fields in table order, maps sorted by key without duplicates (the last one counts), a nested struct that is all zero as nil
 * (readers take it for zero, it costs one byte), everything else as schema.h says. nil and empty lists and maps stay different.
 */
#ifndef CATALOGD_CANON_H
#define CATALOGD_CANON_H

#include "buf.h"
#include "cdefs.h"
#include "mem.h"
#include "schema.h"

/*
 * Appends the struct that message begins with in canonical form. Scratch memory is taken from r. -1: a field is of the wrong type or
 * nested too deep; *error says which (static).
 */
MUST_USE int canon_struct(
    const struct schema *s, struct bytes message, struct region *r, struct buf *out, const char **error);
/* The same for all nested values of the C form *in, which is encoded. */
MUST_USE int canon_encode(
    const struct schema *s, const void *in, struct region *r, struct buf *out, const char **error);

#endif
