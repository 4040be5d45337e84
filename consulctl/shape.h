/*
 * shape.h - answers in the form in which watch gives them to handlers
 *
 * The reference decodes answers into structures and prints those: fields in a fixed order, absent ones with their zero value. A shape
 * names the fields of such a structure.
 */
#ifndef CONSULCTL_SHAPE_H
#define CONSULCTL_SHAPE_H

#include "buf.h"
#include "cdefs.h"
#include "mp.h"

struct shape;

extern const struct shape shape_key, shape_key_list, shape_node_list, shape_check_list, shape_service_list,
    shape_event_list;

/* Compact JSON. value: null gives null. */
void shape_write(const struct shape *s, struct mp value, struct buf *out);

#endif
