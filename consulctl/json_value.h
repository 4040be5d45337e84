/*
 * json_value.h - reading JSON answers
 *
 * A value is a cursor (struct mp) on the tape that json_parse (common/json_parse.h) makes: maps keep the order of the text and a
 * number is its text. Reading something of another type gives the zero value; an absent member is a cursor at its end.
 */
#ifndef CONSULCTL_JSON_VALUE_H
#define CONSULCTL_JSON_VALUE_H

#include "buf.h"
#include "cdefs.h"
#include "json_parse.h"
#include "mp.h"

/* Member of an object. */
struct mp json_member(struct mp object, const char *name);
bool json_is_null(struct mp value); /* null or absent */
struct bytes json_text(struct mp value);
uint64_t json_uint(struct mp value);
bool json_bool(struct mp value);
/* Elements of an array (0 if it is none); *at is then on the first, mp_skip takes it to the next. */
uint32_t json_elements(struct mp value, struct mp *at);
/* Pairs of an object; *at is on the first key: mp_str, then the value, mp_skip. */
uint32_t json_members(struct mp value, struct mp *at);

struct bytes json_member_text(struct mp object, const char *name);
uint64_t json_member_uint(struct mp object, const char *name);
bool json_member_bool(struct mp object, const char *name);

/* As JSON text, every level indented by indent ("": all on one line). No final newline. */
void json_render(struct mp value, const char *indent, struct buf *out);

#endif
