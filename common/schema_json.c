/*
 * schema_json.c - msgpack to JSON by the struct tables (contract: schema.h; input: schema_input.c)
 *
 * One forward pass: our messages have their fields in table order. Only where a peer wrote another order, or left
 * something out, is a row's key searched for from the map's start. Nothing is allocated here.
 *
 * A field that is absent is read from a nil, which every reader takes for the zero value.
 */
#include <string.h>

#include "duration.h"
#include "json.h"
#include "mem.h"
#include "schema.h"

static void put_struct(struct json_writer *w, struct mp *in, const struct schema *s);

static const uint8_t nil_byte = 0xc0;

/* The fields of one map, as the rows ask for them. */
struct walk {
	struct mp *in; /* behind the map's head; left there */
	uint32_t pairs;
	struct mp next; /* before the pair that is due */
	uint32_t left;  /* pairs from next on */
	bool jumped;    /* next is not where reading every pair once would be */
	struct mp nil;
};

static void
walk_start(struct walk *walk, struct mp *in)
{
	walk->pairs = mp_map(in);
	walk->in = in;
	walk->next = *in;
	walk->left = walk->pairs;
	walk->jumped = false;
}

/*
 * One byte that is the zero value of any kind that can be written so: nil, false, 0, "", []. Not {}: a pointer to an
 * empty struct is something.
 */
static bool
is_zero_byte(const struct mp *in)
{
	static const bool zeros[256] = {[0x00] = true, [0x90] = true, [0xa0] = true, [0xc0] = true, [0xc2] = true};

	return in->at < in->end && zeros[*in->at];
}

/* The value of f: a cursor to be read once, before the next call. */
static struct mp *
walk_to(struct walk *walk, const struct field *f)
{
	struct mp at;

	if (walk->left > 0 && schema_key_is(&walk->next, f)) {
		walk->left--;
		return &walk->next;
	}
	at = *walk->in;
	for (uint32_t left = walk->pairs; left > 0 && mp_ok(&at); left--) {
		if (schema_key_is(&at, f)) {
			walk->next = at;
			walk->left = left - 1;
			walk->jumped = true;
			return &walk->next;
		}
		mp_skip(&at);
		mp_skip(&at);
	}
	walk->nil = (struct mp){&nil_byte, &nil_byte + 1, false};
	return &walk->nil;
}

/* Moves the message's cursor behind the map. */
static void
walk_end(struct walk *walk)
{
	if (!mp_ok(&walk->next)) {
		*walk->in = walk->next;
		return;
	}
	if (!walk->jumped) {
		*walk->in = walk->next;
		walk->pairs = walk->left;
	}
	for (; walk->pairs > 0 && mp_ok(walk->in); walk->pairs--) {
		mp_skip(walk->in);
		mp_skip(walk->in);
	}
}

static bool is_zero(const struct field *f, struct mp in);

static bool
is_zero_struct(const struct schema *s, struct mp in)
{
	struct walk walk;

	walk_start(&walk, &in);
	for (size_t i = 0; i < s->count; i++) {
		struct mp *value = walk_to(&walk, &s->fields[i]);
		if (is_zero_byte(value))
			value->at++;
		else if (is_zero(&s->fields[i], *value))
			mp_skip(value);
		else
			return false;
	}
	return true;
}

/* What FIELD_OMIT leaves out. */
static bool
is_zero(const struct field *f, struct mp in)
{
	switch (f->kind) {
	case FIELD_STR:
	case FIELD_BYTES:
		return mp_str(&in).size == 0;
	case FIELD_BOOL:
		return !mp_bool(&in);
	case FIELD_INT:
	case FIELD_DURATION:
		return mp_int(&in) == 0;
	case FIELD_UINT:
		return mp_uint(&in) == 0;
	case FIELD_FLOAT:
		return mp_float(&in) == 0;
	case FIELD_STRLIST:
	case FIELD_LIST:
		return mp_array(&in) == 0;
	case FIELD_STRMAP:
	case FIELD_STRLISTMAP:
	case FIELD_MAP:
		return mp_map(&in) == 0;
	case FIELD_STRUCT:
		return is_zero_struct(f->of, in);
	case FIELD_ANY:
		return mp_peek(&in) == MP_NIL || (mp_peek(&in) == MP_MAP && mp_map(&in) == 0);
	case FIELD_TIME:
	case FIELD_PTR:
		return mp_peek(&in) == MP_NIL;
	}
	return false;
}

/* nil where the table does not forbid it: null. */
static bool
put_null(struct json_writer *w, struct mp *in, const struct field *f)
{
	if (mp_peek(in) != MP_NIL || (f->flags & FIELD_NONNULL))
		return false;
	(void)mp_nil(in);
	buf_put(w->out, "null", 4);
	return true;
}

static void
put_strlist(struct json_writer *w, struct mp *in)
{
	json_open(w, '[');
	for (uint32_t left = mp_array(in); left > 0 && mp_ok(in); left--) {
		json_item(w);
		json_put_str(w->out, mp_str(in));
	}
	json_close(w, ']');
}

static void
put_map_value(struct json_writer *w, struct mp *value, const void *context)
{
	const struct field *f = context;

	if (f->kind == FIELD_STRMAP)
		json_put_str(w->out, mp_str(value));
	else if (f->kind == FIELD_MAP)
		put_struct(w, value, f->of);
	else if (!put_null(w, value, f))
		put_strlist(w, value);
}

static void
put_list(struct json_writer *w, struct mp *in, const struct schema *s)
{
	json_open(w, '[');
	for (uint32_t left = mp_array(in); left > 0 && mp_ok(in); left--) {
		json_item(w);
		put_struct(w, in, s);
	}
	json_close(w, ']');
}

static void
put_duration(struct json_writer *w, struct mp *in, const struct field *f)
{
	char text[DURATION_TEXT_MAX];
	int64_t ns = mp_int(in);

	if (f->flags & FIELD_TEXT)
		json_put_cstr(w->out, duration_format(ns, text));
	else
		json_put_int(w->out, ns);
}

static void
put_value(struct json_writer *w, struct mp *in, const struct field *f)
{
	switch (f->kind) {
	case FIELD_STR:
		json_put_str(w->out, mp_str(in));
		break;
	case FIELD_BOOL:
		buf_put_str(w->out, mp_bool(in) ? "true" : "false");
		break;
	case FIELD_INT:
		json_put_int(w->out, mp_int(in));
		break;
	case FIELD_UINT:
		json_put_uint(w->out, mp_uint(in));
		break;
	case FIELD_FLOAT:
		json_put_float(w->out, mp_float(in));
		break;
	case FIELD_DURATION:
		put_duration(w, in, f);
		break;
	case FIELD_TIME:
		json_put_time(w->out, mp_str(in));
		break;
	case FIELD_BYTES:
		json_put_base64(w->out, mp_str(in));
		break;
	case FIELD_ANY:
		json_put_any(w, in);
		break;
	case FIELD_STRUCT:
		put_struct(w, in, f->of);
		break;
	case FIELD_PTR:
		if (!put_null(w, in, f))
			put_struct(w, in, f->of);
		break;
	case FIELD_STRLIST:
		if (!put_null(w, in, f))
			put_strlist(w, in);
		break;
	case FIELD_LIST:
		if (!put_null(w, in, f))
			put_list(w, in, f->of);
		break;
	case FIELD_STRMAP:
	case FIELD_STRLISTMAP:
	case FIELD_MAP:
		if (!put_null(w, in, f))
			json_put_map(w, in, put_map_value, f);
		break;
	}
}

static void
put_struct(struct json_writer *w, struct mp *in, const struct schema *s)
{
	struct walk walk;

	if (w->depth > MP_DEPTH_MAX) { /* structs that contain themselves */
		in->bad = true;
		in->at = in->end;
		return;
	}
	walk_start(&walk, in);
	json_open(w, '{');
	for (size_t i = 0; i < s->count && mp_ok(&walk.next); i++) {
		const struct field *f = &s->fields[i];
		struct mp *value = walk_to(&walk, f);

		if ((f->flags & FIELD_OMIT) && is_zero_byte(value)) {
			value->at++;
		} else if ((f->flags & FIELD_HIDDEN) || ((f->flags & FIELD_OMIT) && is_zero(f, *value))) {
			mp_skip(value);
		} else {
			json_plain_key(w, f->name, f->name_size);
			put_value(w, value, f);
		}
	}
	json_close(w, '}');
	walk_end(&walk);
}

int
schema_to_json(const struct schema *s, struct mp *in, struct buf *out, unsigned flags)
{
	struct json_writer w;

	json_begin(&w, out, flags);
	put_struct(&w, in, s);
	return mp_ok(in) ? 0 : -1;
}

int
schema_list_to_json(const struct schema *s, struct mp *in, struct buf *out, unsigned flags)
{
	struct json_writer w;

	json_begin(&w, out, flags);
	put_list(&w, in, s);
	return mp_ok(in) ? 0 : -1;
}

int
schema_map_to_json(const struct schema *s, struct mp *in, struct buf *out, unsigned flags)
{
	const struct field f = {.kind = FIELD_MAP, .of = s};
	struct json_writer w;

	json_begin(&w, out, flags);
	json_put_map(&w, in, put_map_value, &f);
	return mp_ok(in) ? 0 : -1;
}
