/*
 * schema_input.c - JSON to msgpack by the struct tables (contract: schema.h)
 *
 * A text is parsed to a tape (json_parse.h), then the tape is walked once, in the order of the text, so that the first
 * mistake in the text is the one that is reported. Each value is written as it is met; when an object ends,
 * its values are put in table order, and the fields that were absent are filled in.
 *
 * Error texts are Go's. They name the innermost struct and the path from the outermost one; a SCHEMA_ALIAS
 * struct begins a new path, which starts with "Alias".
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "duration.h"
#include "json.h"
#include "json_parse.h"
#include "log.h"
#include "mem.h"
#include "schema.h"

#define PATH_MAX_BYTES 256

struct input {
	struct buf *out;
	struct json_error *error;
	const char *struct_name;   /* innermost; "" for those that Go gives no name */
	char path[PATH_MAX_BYTES]; /* "Alias.Weights.Passing" */
	bool open;                 /* unknown keys are passed over */
};

static int put_struct(struct input *in, struct mp *tape, const struct schema *s);

/* ---- errors ---- */

static const char *
value_name(const struct mp *tape)
{
	switch (mp_peek(tape)) {
	case MP_BOOL:
		return "bool";
	case MP_STR:
		return json_tape_number(tape) ? "number" : "string";
	case MP_ARRAY:
		return "array";
	default:
		return "object";
	}
}

/* value: what the text has, go_type: what the table wants. */
static int
type_error(struct input *in, const char *value, const char *go_type)
{
	if (in->path[0] == '\0')
		snprintf(in->error->text, sizeof in->error->text, "json: cannot unmarshal %s into Go value of type %s",
		    value, go_type);
	else
		snprintf(in->error->text, sizeof in->error->text,
		    "json: cannot unmarshal %s into Go struct field %s.%s of type %s", value, in->struct_name, in->path,
		    go_type);
	return -1;
}

/* A number that does not fit is part of the text. */
static int
number_error(struct input *in, struct bytes number, const char *go_type)
{
	char value[128];

	snprintf(value, sizeof value, "number %.*s", (int)MIN(number.size, 100), (const char *)number.data);
	return type_error(in, value, go_type);
}

static const char *
go_struct_type(const struct schema *s, char *out, size_t size)
{
	if (s->flags & SCHEMA_ALIAS)
		snprintf(out, size, "struct { *structs.Alias }");
	else
		snprintf(out, size, "%s%s", strchr(s->name, '.') == NULL ? "structs." : "", s->name);
	return out;
}

static const char *
go_type(const struct field *f, char *out, size_t size)
{
	static const char *const fixed[] = {
	    [FIELD_STR] = "string",
	    [FIELD_BOOL] = "bool",
	    [FIELD_INT] = "int",
	    [FIELD_UINT] = "uint64",
	    [FIELD_FLOAT] = "float64",
	    [FIELD_DURATION] = "time.Duration",
	    [FIELD_TIME] = "time.Time",
	    [FIELD_BYTES] = "[]uint8",
	    [FIELD_ANY] = "interface {}",
	    [FIELD_STRLIST] = "[]string",
	    [FIELD_STRMAP] = "map[string]string",
	    [FIELD_STRLISTMAP] = "map[string][]string",
	};
	char sub[64];

	if (f->kind < FIELD_STRUCT || out == NULL)
		return f->kind < FIELD_STRUCT ? fixed[f->kind] : "struct";
	go_struct_type(f->of, sub, sizeof sub);
	snprintf(out, size, "%s%s", f->kind == FIELD_LIST ? "[]" : f->kind == FIELD_MAP ? "map[string]" : "", sub);
	return out;
}

static int
wrong_type(struct input *in, const struct mp *tape, const struct field *f)
{
	char text[96];

	return type_error(in, value_name(tape), go_type(f, text, sizeof text));
}

/* ---- scalars ---- */

static int
put_text(struct input *in, struct mp *tape)
{
	if (mp_nil(tape)) {
		mp_put_str(in->out, "", 0);
		return 0;
	}
	if (mp_peek(tape) != MP_STR || json_tape_number(tape))
		return type_error(in, value_name(tape), "string");
	mp_put_bytes(in->out, mp_str(tape));
	return 0;
}

static int
put_number(struct input *in, struct mp *tape, const struct field *f)
{
	struct bytes text;
	int64_t integer;
	uint64_t natural;
	double real;

	if (!json_tape_number(tape))
		return wrong_type(in, tape, f);
	text = mp_str(tape);
	if (f->kind == FIELD_INT && json_number_int(text, &integer) == 0)
		mp_put_int(in->out, integer);
	else if (f->kind == FIELD_UINT && json_number_uint(text, &natural) == 0)
		mp_put_uint(in->out, natural);
	else if (f->kind == FIELD_FLOAT && json_number_float(text, &real) == 0)
		mp_put_float(in->out, real);
	else
		return number_error(in, text, go_type(f, NULL, 0));
	return 0;
}

/* Text ("10s") or nanoseconds; anything else counts as 0, as in the reference. */
static int
put_duration(struct input *in, struct mp *tape)
{
	enum duration_error error;
	struct bytes text;
	int64_t ns = 0;
	double real;

	if (mp_peek(tape) != MP_STR) {
		mp_skip(tape);
	} else if (json_tape_number(tape)) {
		text = mp_str(tape);
		if (json_number_int(text, &ns) == -1) {
			if (json_number_float(text, &real) == -1 || fabs(real) >= 0x1p63)
				return number_error(in, text, "time.Duration");
			ns = (int64_t)real;
		}
	} else {
		text = mp_str(tape);
		error = duration_parse(text, &ns);
		if (error != DURATION_OK) {
			duration_error_text(error, text, in->error->text, sizeof in->error->text);
			return -1;
		}
	}
	mp_put_int(in->out, ns);
	return 0;
}

static int
put_base64(struct input *in, struct mp *tape, const struct field *f)
{
	struct buf data = BUF_INIT(in->out->max);
	int result = 0;

	if (mp_peek(tape) != MP_STR || json_tape_number(tape))
		return wrong_type(in, tape, f);
	if (base64_decode(mp_str(tape), &data) == -1) {
		snprintf(in->error->text, sizeof in->error->text, "illegal base64 data at input byte %zu",
		    data.used / 3 * 4);
		result = -1;
	} else if (data.used == 0) {
		mp_put_nil(in->out);
	} else {
		mp_put_bytes(in->out, buf_bytes(&data));
	}
	buf_free(&data);
	return result;
}

static int
put_time(struct input *in, struct mp *tape, const struct field *f)
{
	uint8_t wire[TIME_WIRE_BYTES];
	struct bytes text;
	char quoted[128];

	if (mp_peek(tape) != MP_STR || json_tape_number(tape))
		return wrong_type(in, tape, f);
	text = mp_str(tape);
	if (json_parse_time(text, wire) == -1) {
		json_go_quote(text, quoted, sizeof quoted);
		snprintf(in->error->text, sizeof in->error->text,
		    "parsing time %s as \"2006-01-02T15:04:05Z07:00\": cannot parse it", quoted);
		return -1;
	}
	mp_put_str(in->out, wire, sizeof wire);
	return 0;
}

/* ---- containers ---- */

static int
put_text_list(struct input *in, struct mp *tape)
{
	uint32_t left;

	if (mp_nil(tape)) {
		mp_put_nil(in->out);
		return 0;
	}
	if (mp_peek(tape) != MP_ARRAY)
		return type_error(in, value_name(tape), "[]string");
	left = mp_array(tape);
	mp_put_array(in->out, left);
	for (; left > 0; left--) {
		if (put_text(in, tape) == -1)
			return -1;
	}
	return 0;
}

static int
put_list(struct input *in, struct mp *tape, const struct field *f)
{
	uint32_t left;

	if (mp_peek(tape) != MP_ARRAY)
		return wrong_type(in, tape, f);
	left = mp_array(tape);
	mp_put_array(in->out, left);
	for (; left > 0; left--) {
		if (put_struct(in, tape, f->of) == -1)
			return -1;
	}
	return 0;
}

static int
put_map(struct input *in, struct mp *tape, const struct field *f)
{
	struct json_pairs pairs;

	if (mp_peek(tape) != MP_MAP)
		return wrong_type(in, tape, f);
	json_pairs_init(&pairs, in->out);
	for (uint32_t left = mp_map(tape); left > 0; left--) {
		int result;

		json_pairs_add(&pairs, mp_str(tape), in->out);
		if (f->kind == FIELD_STRMAP)
			result = put_text(in, tape);
		else if (f->kind == FIELD_STRLISTMAP)
			result = put_text_list(in, tape);
		else
			result = put_struct(in, tape, f->of);
		if (result == -1) {
			json_pairs_free(&pairs);
			return -1;
		}
	}
	json_pairs_finish(&pairs, in->out);
	return 0;
}

static int
put_value(struct input *in, struct mp *tape, const struct field *f)
{
	if (f->flags & FIELD_IGNORED) {
		mp_skip(tape);
		schema_put_zero(f, in->out);
		return 0;
	}
	if (mp_nil(tape)) {
		schema_put_zero(f, in->out);
		return 0;
	}
	switch (f->kind) {
	case FIELD_STR:
		return put_text(in, tape);
	case FIELD_BOOL:
		if (mp_peek(tape) != MP_BOOL)
			return wrong_type(in, tape, f);
		mp_put_bool(in->out, mp_bool(tape));
		return 0;
	case FIELD_INT:
	case FIELD_UINT:
	case FIELD_FLOAT:
		return put_number(in, tape, f);
	case FIELD_DURATION:
		return put_duration(in, tape);
	case FIELD_TIME:
		return put_time(in, tape, f);
	case FIELD_BYTES:
		return put_base64(in, tape, f);
	case FIELD_ANY:
		return json_tape_to_mp(tape, in->out, in->error);
	case FIELD_STRLIST:
		return put_text_list(in, tape);
	case FIELD_STRMAP:
	case FIELD_STRLISTMAP:
	case FIELD_MAP:
		return put_map(in, tape, f);
	case FIELD_STRUCT:
	case FIELD_PTR:
		return put_struct(in, tape, f->of);
	case FIELD_LIST:
		return put_list(in, tape, f);
	}
	return -1;
}

/* ---- structs ---- */

static bool
is_alias(const struct field *f, struct bytes key)
{
	const char *at = f->aliases;

	while (at != NULL && *at != '\0') {
		size_t size = strcspn(at, " ");
		if (bytes_equal_fold(bytes_of(at, size), key))
			return true;
		at += size + strspn(at + size, " ");
	}
	return false;
}

/* Exact, then in any case, then the aliases. */
static const struct field *
field_for_key(const struct schema *s, struct bytes key)
{
	const struct field *folded = NULL, *alias = NULL;

	for (size_t i = 0; i < s->count; i++) {
		const struct field *f = &s->fields[i];
		struct bytes name = {(const uint8_t *)f->name, f->name_size};

		if (f->flags & FIELD_NOINPUT)
			continue;
		if (bytes_equal(name, key))
			return f;
		if (folded == NULL && bytes_equal_fold(name, key))
			folded = f;
		if (alias == NULL && is_alias(f, key))
			alias = f;
	}
	return folded != NULL ? folded : alias;
}

/* Where a field's value lies in the output; size 0: absent. */
struct place {
	size_t at;
	size_t size;
};

/* Reads the pairs of an object, writing the values one after the other. */
static int
put_fields(struct input *in, struct mp *tape, const struct schema *s, struct place *places)
{
	size_t path_size = strlen(in->path);

	for (uint32_t left = mp_map(tape); left > 0; left--) {
		struct bytes key = mp_str(tape);
		const struct field *f = field_for_key(s, key);
		size_t at = in->out->used;
		char quoted[256];

		if (f == NULL && in->open) {
			mp_skip(tape);
			continue;
		}
		if (f == NULL) {
			json_go_quote(key, quoted, sizeof quoted);
			snprintf(in->error->text, sizeof in->error->text, "json: unknown field %s", quoted);
			return -1;
		}
		snprintf(in->path + path_size, sizeof in->path - path_size, "%s%s", path_size > 0 ? "." : "", f->name);
		if (put_value(in, tape, f) == -1)
			return -1;
		in->path[path_size] = '\0';
		places[f - s->fields] = (struct place){at, in->out->used - at};
	}
	return 0;
}

/* The values written from start on become one map in table order. */
static void
order_fields(struct buf *out, const struct schema *s, const struct place *places, size_t start)
{
	size_t end = out->used, size;

	mp_put_map(out, (uint32_t)s->count);
	for (size_t i = 0; i < s->count; i++) {
		mp_put_str(out, s->fields[i].name, s->fields[i].name_size);
		if (places[i].size == 0)
			schema_put_zero(&s->fields[i], out);
		else if (buf_reserve(out, places[i].size) == 0)
			buf_put(out, out->data + places[i].at, places[i].size);
	}
	if (out->overflow)
		return;
	size = out->used - end;
	memmove(out->data + start, out->data + end, size);
	out->used = start + size;
}

static int
put_struct(struct input *in, struct mp *tape, const struct schema *s)
{
	struct place places[SCHEMA_FIELDS_MAX] = {{0, 0}};
	struct input outer;
	size_t start = in->out->used;
	char text[64];

	if (mp_nil(tape)) {
		mp_put_nil(in->out);
		return 0;
	}
	if (in->out->overflow) /* no need to go on */
		return 0;
	outer = *in;
	if (s->flags & SCHEMA_ALIAS)
		in->path[0] = '\0';
	if (mp_peek(tape) != MP_MAP)
		return type_error(in, value_name(tape), go_struct_type(s, text, sizeof text));
	if (s->flags & SCHEMA_ALIAS) {
		snprintf(in->path, sizeof in->path, "Alias");
		in->struct_name = "";
	} else {
		in->struct_name = strchr(s->name, '.') == NULL ? s->name : strchr(s->name, '.') + 1;
	}
	in->open = in->open || (s->flags & SCHEMA_OPEN);
	if (put_fields(in, tape, s, places) == -1)
		return -1;
	*in = outer;
	order_fields(in->out, s, places, start);
	return 0;
}

typedef int put_top(struct input *in, struct mp *tape, const struct field *f);

static int
put_top_struct(struct input *in, struct mp *tape, const struct field *f)
{
	static const uint8_t empty_map = 0x80;
	struct mp nothing = mp_of(bytes_of(&empty_map, 1));

	return put_struct(in, mp_nil(tape) ? &nothing : tape, f->of);
}

static int
put_top_list(struct input *in, struct mp *tape, const struct field *f)
{
	if (!mp_nil(tape))
		return put_list(in, tape, f);
	mp_put_array(in->out, 0);
	return 0;
}

static int
from_json(struct field f, put_top *put, struct bytes json, struct buf *out, struct json_error *error)
{
	struct buf tape = BUF_INIT(JSON_TAPE_FACTOR * json.size + 64), scratch = BUF_INIT(2 * out->max);
	struct input in = {.out = &scratch, .error = error, .struct_name = ""};
	struct mp at;
	int result = -1;

	if (json_parse(json, &tape, error) == -1)
		goto done;
	at = mp_of(buf_bytes(&tape));
	if (put(&in, &at, &f) == -1)
		goto done;
	if (!mp_ok(&at))
		panic("schema_from_json: bad tape");
	buf_put_bytes(out, buf_bytes(&scratch));
	if (scratch.overflow || out->overflow) {
		snprintf(error->text, sizeof error->text, "body too large");
		goto done;
	}
	result = 0;
done:
	buf_free(&scratch);
	buf_free(&tape);
	return result;
}

int
schema_from_json(const struct schema *s, struct bytes json, struct buf *out, struct json_error *error)
{
	return from_json((struct field){.kind = FIELD_STRUCT, .of = s}, put_top_struct, json, out, error);
}

int
schema_list_from_json(const struct schema *s, struct bytes json, struct buf *out, struct json_error *error)
{
	return from_json((struct field){.kind = FIELD_LIST, .of = s}, put_top_list, json, out, error);
}
