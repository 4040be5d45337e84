/*
 * json_value.c - JSON values (contract: json_value.h)
 */
#include "json_value.h"

#include "json.h"

struct mp
json_member(struct mp object, const char *name)
{
	struct mp value = {NULL, NULL, false};

	if (mp_peek(&object) != MP_MAP || !mp_find(object, name, &value))
		return (struct mp){NULL, NULL, false};
	return value;
}

bool
json_is_null(struct mp value)
{
	enum mp_type type = mp_peek(&value);

	return type == MP_NIL || type == MP_END;
}

struct bytes
json_text(struct mp value)
{
	return mp_peek(&value) == MP_STR ? mp_str(&value) : bytes_of(NULL, 0);
}

uint64_t
json_uint(struct mp value)
{
	uint64_t number = 0;

	if (!json_tape_number(&value) || json_number_uint(mp_str(&value), &number) == -1)
		return 0;
	return number;
}

bool
json_bool(struct mp value)
{
	return mp_peek(&value) == MP_BOOL && mp_bool(&value);
}

uint32_t
json_elements(struct mp value, struct mp *at)
{
	*at = value;
	return mp_peek(&value) == MP_ARRAY ? mp_array(at) : 0;
}

uint32_t
json_members(struct mp value, struct mp *at)
{
	*at = value;
	return mp_peek(&value) == MP_MAP ? mp_map(at) : 0;
}

struct bytes
json_member_text(struct mp object, const char *name)
{
	return json_text(json_member(object, name));
}

uint64_t
json_member_uint(struct mp object, const char *name)
{
	return json_uint(json_member(object, name));
}

bool
json_member_bool(struct mp object, const char *name)
{
	return json_bool(json_member(object, name));
}

/* ---- rendering ---- */

static void
new_line(const char *indent, unsigned depth, struct buf *out)
{
	if (*indent == '\0')
		return;
	buf_put_u8(out, '\n');
	while (depth-- > 0)
		buf_put_str(out, indent);
}

static void
render(struct mp *value, const char *indent, unsigned depth, struct buf *out)
{
	enum mp_type type = mp_peek(value);
	uint32_t n;

	if (json_tape_number(value)) {
		buf_put_bytes(out, mp_str(value));
	} else if (type == MP_STR) {
		json_put_str(out, mp_str(value));
	} else if (type == MP_BOOL) {
		buf_put_str(out, mp_bool(value) ? "true" : "false");
	} else if (type == MP_ARRAY || type == MP_MAP) {
		n = type == MP_MAP ? mp_map(value) : mp_array(value);
		buf_put_u8(out, type == MP_MAP ? '{' : '[');
		for (uint32_t i = 0; i < n; i++) {
			if (i > 0)
				buf_put_u8(out, ',');
			new_line(indent, depth + 1, out);
			if (type == MP_MAP) {
				json_put_str(out, mp_str(value));
				buf_put_str(out, *indent == '\0' ? ":" : ": ");
			}
			render(value, indent, depth + 1, out);
		}
		if (n > 0)
			new_line(indent, depth, out);
		buf_put_u8(out, type == MP_MAP ? '}' : ']');
	} else {
		mp_skip(value);
		buf_put_str(out, "null");
	}
}

void
json_render(struct mp value, const char *indent, struct buf *out)
{
	render(&value, indent, 0, out);
}
