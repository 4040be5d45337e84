/*
 * compare.c - do two messages say the same? (contract: compare.h; caller: sync.c)
 */
#include "compare.h"

#include <string.h>

#include "mem.h"

static uint32_t
pairs_of(struct bytes value, struct mp *in)
{
	*in = mp_of(value);
	return value.size == 0 || mp_peek(in) != MP_MAP ? 0 : mp_map(in);
}

static uint32_t
elements_of(struct bytes value, struct mp *in)
{
	*in = mp_of(value);
	return value.size == 0 || mp_peek(in) != MP_ARRAY ? 0 : mp_array(in);
}

/* The value under key, compared without the C string that mp_find wants. */
static struct bytes
value_under(struct bytes map, struct bytes key)
{
	struct mp in;

	for (uint32_t pairs = pairs_of(map, &in); pairs > 0; pairs--) {
		struct bytes other = mp_str(&in), value = mp_raw(&in);
		if (bytes_equal(other, key))
			return value;
	}
	return (struct bytes){NULL, 0};
}

static bool any_equal(struct bytes a, struct bytes b, int depth);
static bool values_equal(const struct field *f, struct bytes a, struct bytes b);

static bool
any_maps_equal(struct bytes a, struct bytes b, int depth)
{
	struct mp in, other;
	uint32_t pairs = pairs_of(a, &in);

	if (pairs != pairs_of(b, &other))
		return false;
	for (; pairs > 0; pairs--) {
		struct bytes key = mp_str(&in), value = mp_raw(&in), found = value_under(b, key);
		if (found.size == 0 || !any_equal(value, found, depth + 1))
			return false;
	}
	return mp_ok(&in);
}

static bool
any_lists_equal(struct bytes a, struct bytes b, int depth)
{
	struct mp x, y;
	uint32_t count = elements_of(a, &x);

	if (count != elements_of(b, &y))
		return false;
	for (; count > 0; count--)
		if (!any_equal(mp_raw(&x), mp_raw(&y), depth + 1))
			return false;
	return mp_ok(&x) && mp_ok(&y);
}

static bool
is_nothing(struct bytes value)
{
	struct mp in = mp_of(value);

	switch (value.size == 0 ? MP_NIL : mp_peek(&in)) {
	case MP_NIL:
		return true;
	case MP_MAP:
		return mp_map(&in) == 0;
	case MP_ARRAY:
		return mp_array(&in) == 0;
	default:
		return false;
	}
}

static bool
any_equal(struct bytes a, struct bytes b, int depth)
{
	struct mp x = mp_of(a), y = mp_of(b);
	enum mp_type type = mp_peek(&x), other = mp_peek(&y);

	if (is_nothing(a) || is_nothing(b))
		return is_nothing(a) && is_nothing(b);
	if (depth > MP_DEPTH_MAX || type != other)
		return false;
	switch (type) {
	case MP_MAP:
		return any_maps_equal(a, b, depth);
	case MP_ARRAY:
		return any_lists_equal(a, b, depth);
	case MP_BOOL:
		return mp_bool(&x) == mp_bool(&y);
	case MP_UINT:
		return mp_uint(&x) == mp_uint(&y);
	case MP_INT:
		return mp_int(&x) == mp_int(&y);
	case MP_FLOAT:
		return mp_float(&x) == mp_float(&y);
	default:
		return bytes_equal(mp_str(&x), mp_str(&y));
	}
}

static bool
lists_equal(const struct field *f, struct bytes a, struct bytes b)
{
	struct mp x, y;
	uint32_t count = elements_of(a, &x);

	if (count != elements_of(b, &y))
		return false;
	for (; count > 0; count--)
		if (!compare_forms(f->of, mp_raw(&x), mp_raw(&y)))
			return false;
	return mp_ok(&x) && mp_ok(&y);
}

static bool
maps_equal(const struct field *f, struct bytes a, struct bytes b)
{
	struct mp in, other;
	uint32_t pairs = pairs_of(a, &in);

	if (pairs != pairs_of(b, &other))
		return false;
	for (; pairs > 0; pairs--) {
		struct bytes key = mp_str(&in), value = mp_raw(&in), found = value_under(b, key);
		if (found.size == 0 || !compare_forms(f->of, value, found))
			return false;
	}
	return mp_ok(&in);
}

static bool
values_equal(const struct field *f, struct bytes a, struct bytes b)
{
	struct mp x = mp_of(a), y = mp_of(b);

	switch (f->kind) {
	case FIELD_STRUCT:
	case FIELD_PTR:
		return compare_forms(f->of, a, b);
	case FIELD_LIST:
		return lists_equal(f, a, b);
	case FIELD_MAP:
		return maps_equal(f, a, b);
	case FIELD_ANY:
	case FIELD_STRLIST:
	case FIELD_STRMAP:
	case FIELD_STRLISTMAP:
		return any_equal(a, b, 0);
	case FIELD_BOOL:
		return (a.size != 0 && mp_bool(&x)) == (b.size != 0 && mp_bool(&y));
	case FIELD_INT:
	case FIELD_DURATION:
		return (a.size != 0 ? mp_int(&x) : 0) == (b.size != 0 ? mp_int(&y) : 0);
	case FIELD_UINT:
		return (a.size != 0 ? mp_uint(&x) : 0) == (b.size != 0 ? mp_uint(&y) : 0);
	case FIELD_FLOAT:
		return (a.size != 0 ? mp_float(&x) : 0.) == (b.size != 0 ? mp_float(&y) : 0.);
	default:
		return bytes_equal(a.size != 0 ? mp_str(&x) : a, b.size != 0 ? mp_str(&y) : b);
	}
}

static bool
is_form(struct bytes value)
{
	struct mp in = mp_of(value);
	enum mp_type type = value.size == 0 ? MP_NIL : mp_peek(&in);

	return type == MP_MAP || type == MP_NIL;
}

bool
compare_field(const struct schema *s, const char *name, struct bytes a, struct bytes b)
{
	const struct field *f = schema_field(s, name);

	return values_equal(f, value_under(a, bytes_str(name)), value_under(b, bytes_str(name)));
}

bool
compare_forms(const struct schema *s, struct bytes a, struct bytes b)
{
	if (!is_form(a) || !is_form(b))
		return false;
	for (size_t i = 0; i < s->count; i++) {
		const struct field *f = &s->fields[i];
		if (strcmp(f->name, "CreateIndex") == 0 || strcmp(f->name, "ModifyIndex") == 0)
			continue;
		if (!values_equal(f, value_under(a, bytes_str(f->name)), value_under(b, bytes_str(f->name))))
			return false;
	}
	return true;
}

bool
compare_strmap(struct bytes a, struct bytes b)
{
	return any_equal(a, b, 0);
}
