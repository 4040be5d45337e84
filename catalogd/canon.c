/*
 * canon.c - one form for equal values (contract: canon.h; callers: register.c, nodes_apply.c)
 */
#include "canon.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 64

struct canon {
	struct region *region;
	struct buf *out;
	const char *error;
	unsigned depth;
};

/* One pair of a map that is being sorted. */
struct pair {
	struct bytes key;
	struct bytes value;
	uint32_t place;
};

static int encode_fields(struct canon *c, const struct schema *s, const void *in);

static int
fail(struct canon *c, const struct schema *s, const struct field *f)
{
	static char text[160];

	snprintf(text, sizeof text, "%s: bad value of %s", s->name, f->name);
	c->error = text;
	return -1;
}

static int
pair_order(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	int order = bytes_compare(x->key, y->key);

	if (order != 0)
		return order;
	return x->place < y->place ? -1 : x->place > y->place;
}

/* The pairs of the map at in, sorted; of equal keys only the last. */
static struct pair *
sorted_pairs(struct canon *c, struct mp *in, uint32_t *count)
{
	uint32_t pairs = mp_map(in), kept = 0;
	struct pair *list = region_alloc(c->region, (size_t)pairs * sizeof *list + 1);

	for (uint32_t i = 0; i < pairs; i++) {
		list[i].key = mp_str(in);
		list[i].value = mp_raw(in);
		list[i].place = i;
	}
	if (!mp_ok(in))
		pairs = 0;
	for (uint32_t i = 1; i < pairs; i++)
		if (bytes_compare(list[i - 1].key, list[i].key) >= 0) {
			qsort(list, pairs, sizeof *list, pair_order);
			break;
		}
	for (uint32_t i = 0; i < pairs; i++) {
		if (i + 1 < pairs && bytes_equal(list[i].key, list[i + 1].key))
			continue;
		list[kept++] = list[i];
	}
	*count = kept;
	return list;
}

static int
put_any(struct canon *c, struct bytes raw)
{
	struct mp in = mp_of(raw);
	uint32_t count;

	if (c->depth >= DEPTH_MAX)
		return -1;
	switch (mp_peek(&in)) {
	case MP_ARRAY:
		c->depth++;
		count = mp_array(&in);
		mp_put_array(c->out, count);
		for (; count > 0; count--)
			if (put_any(c, mp_raw(&in)) == -1)
				return -1;
		c->depth--;
		return mp_ok(&in) ? 0 : -1;
	case MP_MAP: {
		struct pair *list = sorted_pairs(c, &in, &count);

		if (!mp_ok(&in))
			return -1;
		c->depth++;
		mp_put_map(c->out, count);
		for (uint32_t i = 0; i < count; i++) {
			mp_put_bytes(c->out, list[i].key);
			if (put_any(c, list[i].value) == -1)
				return -1;
		}
		c->depth--;
		return 0;
	}
	case MP_STR:
		mp_put_bytes(c->out, mp_str(&in));
		return 0;
	case MP_UINT:
		mp_put_uint(c->out, mp_uint(&in));
		return 0;
	case MP_INT:
		mp_put_int(c->out, mp_int(&in));
		return 0;
	case MP_INVALID:
	case MP_END:
		return -1;
	default:
		buf_put_bytes(c->out, raw);
		return 0;
	}
}

static int
put_strlist(struct canon *c, struct mp *in)
{
	uint32_t count = mp_array(in);

	mp_put_array(c->out, count);
	for (; count > 0 && mp_ok(in); count--)
		mp_put_bytes(c->out, mp_str(in));
	return mp_ok(in) ? 0 : -1;
}

static int
put_struct(struct canon *c, const struct schema *s, struct bytes raw)
{
	void *form = region_alloc(c->region, s->size);

	if (schema_decode(s, raw, form, &c->error) == -1)
		return -1;
	return encode_fields(c, s, form);
}

/* All members zero, and all that is nested in canonical form: then its encoding is nil everywhere. */
static bool
is_all_zero(struct bytes canonical)
{
	struct mp in = mp_of(canonical);
	uint32_t pairs = mp_map(&in);

	for (; pairs > 0; pairs--) {
		mp_skip(&in);
		switch (mp_peek(&in)) {
		case MP_NIL:
			mp_nil(&in);
			break;
		case MP_BOOL:
			if (mp_bool(&in))
				return false;
			break;
		case MP_UINT:
			if (mp_uint(&in) != 0)
				return false;
			break;
		case MP_FLOAT:
			if (mp_float(&in) != 0)
				return false;
			break;
		case MP_STR:
			if (mp_str(&in).size != 0)
				return false;
			break;
		default:
			return false;
		}
	}
	return true;
}

static int
put_map(struct canon *c, const struct field *f, struct mp *in)
{
	uint32_t count;
	struct pair *list = sorted_pairs(c, in, &count);

	if (!mp_ok(in))
		return -1;
	mp_put_map(c->out, count);
	for (uint32_t i = 0; i < count; i++) {
		struct mp value = mp_of(list[i].value);

		mp_put_bytes(c->out, list[i].key);
		if (f->kind == FIELD_MAP) {
			if (put_struct(c, f->of, list[i].value) == -1)
				return -1;
		} else if (f->kind == FIELD_STRLISTMAP) {
			if (mp_nil(&value))
				mp_put_nil(c->out);
			else if (put_strlist(c, &value) == -1)
				return -1;
		} else {
			mp_put_bytes(c->out, mp_str(&value));
		}
		if (!mp_ok(&value))
			return -1;
	}
	return 0;
}

static int
put_nested(struct canon *c, const struct field *f, struct bytes raw)
{
	struct mp in = mp_of(raw);
	size_t before = c->out->used;
	uint32_t count;

	switch (f->kind) {
	case FIELD_STRLIST:
		return put_strlist(c, &in);
	case FIELD_STRMAP:
	case FIELD_STRLISTMAP:
	case FIELD_MAP:
		return put_map(c, f, &in);
	case FIELD_STRUCT:
		if (put_struct(c, f->of, raw) == -1)
			return -1;
		if (!c->out->overflow && is_all_zero(bytes_of(c->out->data + before, c->out->used - before))) {
			c->out->used = before;
			mp_put_nil(c->out);
		}
		return 0;
	case FIELD_PTR:
		return put_struct(c, f->of, raw);
	case FIELD_LIST:
		count = mp_array(&in);
		mp_put_array(c->out, count);
		for (; count > 0; count--)
			if (put_struct(c, f->of, mp_raw(&in)) == -1)
				return -1;
		return mp_ok(&in) ? 0 : -1;
	default:
		return put_any(c, raw);
	}
}

static int
put_field(struct canon *c, const struct field *f, const void *member)
{
	const struct bytes *run = member;

	switch (f->kind) {
	case FIELD_BOOL:
		mp_put_bool(c->out, *(const bool *)member);
		return 0;
	case FIELD_INT:
	case FIELD_DURATION:
		mp_put_int(c->out, *(const int64_t *)member);
		return 0;
	case FIELD_UINT:
		mp_put_uint(c->out, *(const uint64_t *)member);
		return 0;
	case FIELD_FLOAT:
		mp_put_float(c->out, *(const double *)member);
		return 0;
	case FIELD_STR:
	case FIELD_TIME:
		mp_put_bytes(c->out, *run);
		return 0;
	default:
		break;
	}
	if (run->size == 0) {
		mp_put_nil(c->out);
		return 0;
	}
	if (f->kind == FIELD_BYTES) {
		mp_put_bytes(c->out, *run);
		return 0;
	}
	return put_nested(c, f, *run);
}

static int
encode_fields(struct canon *c, const struct schema *s, const void *in)
{
	c->depth++;
	if (c->depth > DEPTH_MAX)
		return fail(c, s, &s->fields[0]);
	mp_put_map(c->out, (uint32_t)s->count);
	for (size_t i = 0; i < s->count; i++) {
		const struct field *f = &s->fields[i];

		mp_put_str(c->out, f->name, f->name_size);
		if (put_field(c, f, (const char *)in + f->offset) == -1)
			return c->error != NULL ? -1 : fail(c, s, f);
	}
	c->depth--;
	return 0;
}

int
canon_encode(const struct schema *s, const void *in, struct region *r, struct buf *out, const char **error)
{
	struct canon c = {.region = r, .out = out};
	int result = encode_fields(&c, s, in);

	*error = c.error;
	return result;
}

int
canon_struct(const struct schema *s, struct bytes message, struct region *r, struct buf *out, const char **error)
{
	struct canon c = {.region = r, .out = out};
	int result = put_struct(&c, s, message);

	*error = c.error;
	return result;
}
