/*
 * schema.c - the msgpack side of the struct tables (contract: schema.h; JSON: schema_json.c)
 *
 * Our own messages have their fields in table order, so each key is first compared with the row that is
 * due; only a key out of order is searched for.
 */
#include "schema.h"

#include <stdio.h>
#include <string.h>

#include "mem.h"

/* A time that was never set: 0001-01-01T00:00:00Z. */
static const uint8_t time_zero[15] = {1, [13] = 0xff, [14] = 0xff};

static const struct field *
row_called(const struct schema *s, struct bytes name)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct field *f = &s->fields[i];
		if (f->name_size == name.size && memcmp(f->name, name.data, name.size) == 0)
			return f;
	}
	return NULL;
}

const struct field *
schema_field(const struct schema *s, const char *name)
{
	return row_called(s, bytes_str(name));
}

bool
schema_key_is(struct mp *at, const struct field *f)
{
	struct mp in = *at;
	struct bytes key;

	/* Nearly all keys: a short string whose one head byte has the size. */
	if (f->name_size < 32 && (size_t)(in.end - in.at) > f->name_size && *in.at == (0xa0 | f->name_size)) {
		if (memcmp(in.at + 1, f->name, f->name_size) != 0)
			return false;
		at->at += 1 + f->name_size;
		return true;
	}
	key = mp_str(&in);
	if (key.size != f->name_size || memcmp(key.data, f->name, key.size) != 0)
		return false;
	*at = in;
	return true;
}

static bool
nested_type_fits(const struct field *f, enum mp_type type)
{
	switch (f->kind) {
	case FIELD_STRLIST:
	case FIELD_LIST:
		return type == MP_ARRAY;
	case FIELD_STRMAP:
	case FIELD_STRLISTMAP:
	case FIELD_STRUCT:
	case FIELD_PTR:
	case FIELD_MAP:
		return type == MP_MAP;
	default:
		return true;
	}
}

static void
decode_value(const struct field *f, struct mp *in, void *member)
{
	switch (f->kind) {
	case FIELD_BOOL:
		*(bool *)member = mp_bool(in);
		break;
	case FIELD_INT:
	case FIELD_DURATION:
		*(int64_t *)member = mp_int(in);
		break;
	case FIELD_UINT:
		*(uint64_t *)member = mp_uint(in);
		break;
	case FIELD_FLOAT:
		*(double *)member = mp_float(in);
		break;
	case FIELD_STR:
	case FIELD_BYTES:
		*(struct bytes *)member = mp_str(in);
		break;
	case FIELD_TIME:
		*(struct bytes *)member = mp_str(in);
		if (((struct bytes *)member)->size != 0 && ((struct bytes *)member)->size != sizeof time_zero)
			in->bad = true;
		break;
	default:
		if (mp_nil(in))
			*(struct bytes *)member = (struct bytes){NULL, 0};
		else if (nested_type_fits(f, mp_peek(in)))
			*(struct bytes *)member = mp_raw(in);
		else
			in->bad = true;
		break;
	}
}

static void
set_error(const char **error, const struct schema *s, const struct field *f)
{
	static char text[128];

	if (f == NULL)
		snprintf(text, sizeof text, "%s: not a map", s->name);
	else
		snprintf(text, sizeof text, "%s: bad value of %s", s->name, f->name);
	*error = text;
}

int
schema_decode_at(const struct schema *s, struct mp *in, void *out, const char **error)
{
	size_t due = 0;
	uint32_t pairs;
	enum mp_type type = mp_peek(in);

	memset(out, 0, s->size);
	*error = NULL;
	if (type != MP_MAP && type != MP_NIL) {
		set_error(error, s, NULL);
		return -1;
	}
	pairs = mp_map(in);
	if (!mp_ok(in)) { /* a map that promises more than there is */
		set_error(error, s, NULL);
		return -1;
	}
	for (; pairs > 0; pairs--) {
		const struct field *f =
		    due < s->count && schema_key_is(in, &s->fields[due]) ? &s->fields[due] : row_called(s, mp_str(in));

		if (f != NULL) {
			decode_value(f, in, (char *)out + f->offset);
			due = (size_t)(f - s->fields) + 1;
		} else {
			mp_skip(in);
		}
		if (!mp_ok(in)) {
			set_error(error, s, f);
			return -1;
		}
	}
	return 0;
}

int
schema_decode(const struct schema *s, struct bytes message, void *out, const char **error)
{
	struct mp in = mp_of(message);

	return schema_decode_at(s, &in, out, error);
}

static void
encode_value(const struct field *f, const void *member, struct buf *out)
{
	const struct bytes *run = member;

	switch (f->kind) {
	case FIELD_BOOL:
		mp_put_bool(out, *(const bool *)member);
		break;
	case FIELD_INT:
	case FIELD_DURATION:
		mp_put_int(out, *(const int64_t *)member);
		break;
	case FIELD_UINT:
		mp_put_uint(out, *(const uint64_t *)member);
		break;
	case FIELD_FLOAT:
		mp_put_float(out, *(const double *)member);
		break;
	case FIELD_STR:
		mp_put_bytes(out, *run);
		break;
	case FIELD_BYTES:
		if (run->size == 0)
			mp_put_nil(out);
		else
			mp_put_bytes(out, *run);
		break;
	case FIELD_TIME:
		if (run->size != sizeof time_zero)
			mp_put_str(out, time_zero, sizeof time_zero);
		else
			mp_put_bytes(out, *run);
		break;
	default:
		if (run->size == 0)
			mp_put_nil(out);
		else
			buf_put_bytes(out, *run);
		break;
	}
}

static bool
is_left_out(const struct field *f, const void *member)
{
	if (!(f->flags & FIELD_WIREOMIT))
		return false;
	switch (f->kind) {
	case FIELD_BOOL:
		return !*(const bool *)member;
	case FIELD_INT:
	case FIELD_DURATION:
		return *(const int64_t *)member == 0;
	case FIELD_UINT:
		return *(const uint64_t *)member == 0;
	case FIELD_FLOAT:
		return *(const double *)member == 0;
	default:
		return ((const struct bytes *)member)->size == 0;
	}
}

void
schema_encode(const struct schema *s, const void *in, struct buf *out)
{
	uint32_t pairs = 0;

	for (size_t i = 0; i < s->count; i++)
		pairs += !is_left_out(&s->fields[i], (const char *)in + s->fields[i].offset);
	mp_put_map(out, pairs);
	for (size_t i = 0; i < s->count; i++) {
		const struct field *f = &s->fields[i];

		if (is_left_out(f, (const char *)in + f->offset))
			continue;
		mp_put_str(out, f->name, f->name_size);
		encode_value(f, (const char *)in + f->offset, out);
	}
}

void
schema_put_zero(const struct field *f, struct buf *out)
{
	static const struct bytes zero; /* as large as any member */

	encode_value(f, &zero, out);
}
