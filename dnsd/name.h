/*
 * name.h - domain names in wire form, zones, and the grammar of the names that we answer
 *
 * A name is kept uncompressed as on the wire (RFC 1035 3.1), in the letter case it came with. Comparison folds ASCII case.
 */
#ifndef DNSD_NAME_H
#define DNSD_NAME_H

#include <stdbool.h>

#include "cdefs.h"

#define NAME_WIRE_MAX 255
#define NAME_LABEL_MAX 63
#define NAME_LABELS_MAX 127

struct name {
	uint8_t size; /* with the root's zero */
	uint8_t wire[NAME_WIRE_MAX];
};

/*
 * Reads the name at offset at of a message. Returns the offset behind it, or 0: cut short, over 255 octets, a label type that
 * does not exist, or compression that does not lead strictly backwards.
 */
MUST_USE size_t name_read(struct bytes message, size_t at, struct name *out);
/*
 * From text: dots separate labels, a trailing dot changes nothing, nothing is unescaped; "" is the root. A backslash is left out (a label made of an
 * escaped name loses it, as the reference does). -1: an empty label, a label over 63 or a name over 255 octets.
 */
MUST_USE int name_from_text(struct bytes text, struct name *out);
/* Appends prefix's labels (without its root) before suffix. -1: too long. */
MUST_USE int name_join(const struct name *prefix, const struct name *suffix, struct name *out);
bool name_equal(const struct name *a, const struct name *b); /* case folded */
bool name_equal_exact(const struct name *a, const struct name *b);
void name_lower(struct name *n);
unsigned name_label_count(const struct name *n);
/* Label i from the left, without its length octet. */
struct bytes name_label(const struct name *n, unsigned i);
/* Offset in wire of label i; of the root for i == name_label_count. */
size_t name_label_offset(const struct name *n, unsigned i);
/* The labels from i on as a name of their own. */
void name_suffix(const struct name *n, unsigned i, struct name *out);
/* zone's labels stand at the end of n: their first index; else -1. The root zone matches everything. */
int name_in_zone(const struct name *n, const struct name *zone);
#define NAME_TEXT_MAX (NAME_WIRE_MAX * 4 + 1)
/* Presentation form with trailing dot and escapes, for logs. Returns out. */
char *name_text(const struct name *n, char out[NAME_TEXT_MAX]);

enum question_kind {
	QUESTION_INVALID, /* NXDOMAIN */
	QUESTION_EMPTY,   /* empty RFC 2782 name: SERVFAIL */
	QUESTION_SERVICE,
	QUESTION_CONNECT,
	QUESTION_INGRESS,
	QUESTION_VIRTUAL,
	QUESTION_NODE,
	QUESTION_QUERY,
	QUESTION_ADDRESS,
};

#define QUESTION_TEXT_MAX 512 /* labels in escaped form */

struct question {
	enum question_kind kind;
	char name[QUESTION_TEXT_MAX]; /* service, node, prepared query, or the hex digits; lower case, octets escaped */
	char tag[QUESTION_TEXT_MAX];  /* "" none */
	char datacenter[QUESTION_TEXT_MAX]; /* "" the own one */
	char peer[QUESTION_TEXT_MAX];
};

/*
 * What is asked by name (inside a zone whose first label is zone_label): dns.md section 4. srv: the type asked is SRV.
 */
void question_parse(const struct name *name, unsigned zone_label, bool srv, struct question *out);

#endif
