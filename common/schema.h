/*
 * schema.h - structs that cross a boundary, described once in a table
 *
 * A struct is a list of F(KIND, Name, member, flags, sub, aliases, doc) lines in the documented order of its
 * JSON keys (structs.h). From that one list come the C struct, the msgpack codec, JSON in both directions,
 * the selectors of the filter language and the reference manual.
 *
 * C form: scalars are C scalars; text, bytes and everything nested are struct bytes pointing into the message
 * (text: the characters; nested: the raw msgpack of the value, to be walked or decoded with its own schema;
 * size 0: absent, written as the kind's empty value). Nothing is copied and nothing is to be freed.
 *
 * msgpack form: a map with all fields in table order, keys being Name. Readers accept any order, missing
 * keys (zero value) and unknown keys (skipped).
 */
#ifndef COMMON_SCHEMA_H
#define COMMON_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "cdefs.h"
#include "mp.h"

enum field_kind {
	FIELD_STR, /* text */
	FIELD_BOOL,
	FIELD_INT,  /* int64_t */
	FIELD_UINT, /* uint64_t */
	FIELD_FLOAT,
	FIELD_DURATION,   /* int64_t ns; JSON: integer, or text with FIELD_TEXT */
	FIELD_TIME,       /* the 15 raw bytes of wire-rpc.md 5.4; JSON: RFC 3339 */
	FIELD_BYTES,      /* JSON: base64 or null */
	FIELD_ANY,        /* free-form value */
	FIELD_STRLIST,    /* [text] */
	FIELD_STRMAP,     /* {text: text} */
	FIELD_STRLISTMAP, /* {text: [text]} */
	FIELD_STRUCT,     /* sub, always there */
	FIELD_PTR,        /* sub or nil */
	FIELD_LIST,       /* [sub] */
	FIELD_MAP,        /* {text: sub} */
};

#define FIELD_OMIT (1u << 0)    /* left out of JSON when zero, empty or nil */
#define FIELD_NONNULL (1u << 1) /* a nil list or map is shown as [] or {} in JSON, not null */
#define FIELD_REQUIRED (1u << 2)
#define FIELD_TEXT (1u << 3)      /* a duration is text in JSON output ("10s"); input always takes both */
#define FIELD_HIDDEN (1u << 4)    /* on the wire only: never in JSON output */
#define FIELD_NOINPUT (1u << 5)   /* never taken from JSON: an unknown field there */
#define FIELD_IGNORED (1u << 6)   /* JSON input: accepted whatever its type, and dropped */
#define FIELD_NOFILTER (1u << 7)  /* not a selector of the filter language */
#define FIELD_WIREOMIT (1u << 11) /* left out of the msgpack map too when it is zero or empty */
/* For the filter language, which checks values: */
#define FIELD_BITS8 (1u << 8)  /* an unsigned number up to 255 */
#define FIELD_BITS16 (1u << 9) /* up to 65535 */
#define FIELD_IP (1u << 10)    /* text that is an IP address: seen as the list of its bytes */

#define SCHEMA_FIELDS_MAX 64

struct schema;

struct field {
	const char *name;
	enum field_kind kind;
	unsigned flags;
	const struct schema *of;
	const char *aliases; /* further JSON input spellings, blank separated; NULL: none */
	size_t offset;       /* of the member in the C form */
	const char *doc;
	size_t name_size; /* strlen(name) */
};

#define SCHEMA_OPEN (1u << 0) /* unknown JSON keys are ignored here and below, not errors */
/*
 * Go decodes it in a method of its own, through a nameless struct with *Alias embedded: error texts say
 * ".Alias.Port", and what leads to it from the outermost struct is not part of them.
 */
#define SCHEMA_ALIAS (1u << 1)

struct schema {
	/*
	 * Go's name of the struct, for error texts and the manual: "RegisterRequest". With a package in front
	 * ("agent.checkUpdate") if that is not structs.
	 */
	const char *name;
	const struct field *fields;
	size_t count;
	size_t size; /* of the C form */
	unsigned flags;
};

/* Types of the members, by kind. */
#define SCHEMA_CTYPE_STR struct bytes
#define SCHEMA_CTYPE_BOOL bool
#define SCHEMA_CTYPE_INT int64_t
#define SCHEMA_CTYPE_UINT uint64_t
#define SCHEMA_CTYPE_FLOAT double
#define SCHEMA_CTYPE_DURATION int64_t
#define SCHEMA_CTYPE_TIME struct bytes
#define SCHEMA_CTYPE_BYTES struct bytes
#define SCHEMA_CTYPE_ANY struct bytes
#define SCHEMA_CTYPE_STRLIST struct bytes
#define SCHEMA_CTYPE_STRMAP struct bytes
#define SCHEMA_CTYPE_STRLISTMAP struct bytes
#define SCHEMA_CTYPE_STRUCT struct bytes
#define SCHEMA_CTYPE_PTR struct bytes
#define SCHEMA_CTYPE_LIST struct bytes
#define SCHEMA_CTYPE_MAP struct bytes

#define SCHEMA_MEMBER(kind, wire, member, flags, of, aliases, doc) SCHEMA_CTYPE_##kind member;

/* In a header: the C struct and the table's declaration. */
#define SCHEMA_DECLARE(tag, FIELDS)                                                                                    \
	struct tag {                                                                                                   \
		FIELDS(SCHEMA_MEMBER)                                                                                  \
	};                                                                                                             \
	extern const struct schema tag##_schema;

/*
 * In one source file: the table, e.g. SCHEMA_DEFINE(dir_entry, "DirEntry", DIR_ENTRY_FIELDS, 0). Each F( of
 * FIELDS becomes "{.offset = (size_t) & ((struct dir_entry *)0)->" and what SCHEMA_ROW makes of the arguments:
 * that is how a row learns its struct. (offsetof cannot be split in this way.)
 */
#define SCHEMA_DEFINE(tag, go_name, FIELDS, schema_flags)                                                              \
	static const struct field tag##_rows[] = {FIELDS({.offset = (size_t) & ((struct tag *)0)->SCHEMA_ROW)};        \
	_Static_assert(COUNTOF(tag##_rows) <= SCHEMA_FIELDS_MAX, "too many fields");                                   \
	const struct schema tag##_schema = {                                                                           \
	    .name = go_name,                                                                                           \
	    .fields = tag##_rows,                                                                                      \
	    .count = COUNTOF(tag##_rows),                                                                              \
	    .size = sizeof(struct tag),                                                                                \
	    .flags = schema_flags,                                                                                     \
	};
/* clang-format off */
#define SCHEMA_ROW(row_kind, wire, member, row_flags, sub, row_aliases, row_doc)                                       \
	member, .name = wire, .name_size = sizeof(wire) - 1, .kind = FIELD_##row_kind, .flags = row_flags, .of = sub,  \
	.aliases = row_aliases, .doc = row_doc},
/* clang-format on */

/* Decodes one message into the C form (all members are set). -1: not a map, or a field of the wrong type; *error names it (static or in a per-process buffer). */
MUST_USE int schema_decode(const struct schema *s, struct bytes message, void *out, const char **error);
/* The same from a cursor that stands before the map. */
MUST_USE int schema_decode_at(const struct schema *s, struct mp *in, void *out, const char **error);
/* Appends the C form as a map with all fields in table order (those with FIELD_WIREOMIT only when set). */
void schema_encode(const struct schema *s, const void *in, struct buf *out);

#define JSON_ERROR_MAX 512
/* What went wrong with a JSON text; the text is Go's ("json: unknown field \"Foo\""), without the "Request decode failed: ". */
struct json_error {
	char text[JSON_ERROR_MAX];
};

/*
 * One JSON value (what follows it is ignored) -> msgpack in table order, all fields. Field names match
 * exactly, else case-insensitively, else by alias; the last of duplicate keys wins; `null` leaves the zero value.
 * Depth, sizes and numbers are checked. -1: *error says what and where (http-api.md 2.3).
 */
MUST_USE int schema_from_json(const struct schema *s, struct bytes json, struct buf *out, struct json_error *error);
/* The same for an array of s (`null`: an empty one). */
MUST_USE int schema_list_from_json(
    const struct schema *s, struct bytes json, struct buf *out, struct json_error *error);

#define JSON_PRETTY (1u << 0) /* indented by 4 blanks */

/*
 * msgpack -> JSON in table order, as http-api.md 3.3 says. Fields found in another order are looked up.
 * -1: the message is not what the table says (our bug or a bad peer), out holds rubbish.
 */
MUST_USE int schema_to_json(const struct schema *s, struct mp *in, struct buf *out, unsigned flags);
/* An array of s (nil: written as [] ), and a map of text to s (sorted by key). */
MUST_USE int schema_list_to_json(const struct schema *s, struct mp *in, struct buf *out, unsigned flags);
MUST_USE int schema_map_to_json(const struct schema *s, struct mp *in, struct buf *out, unsigned flags);

/* The string at the cursor is f's name: then the cursor moves behind it. */
bool schema_key_is(struct mp *at, const struct field *f);
/* What schema_encode writes for a member that was never set. */
void schema_put_zero(const struct field *f, struct buf *out);
/* The row called name (exact), or NULL. */
const struct field *schema_field(const struct schema *s, const char *name);

#endif
