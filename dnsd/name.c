/*
 * name.c - domain names in wire form, zones, and the grammar of the names that we answer (contract: name.h)
 */
#include "name.h"

#include <stdio.h>
#include <string.h>

#include "log.h"
#include "mem.h"

static uint8_t
fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

size_t
name_read(struct bytes message, size_t at, struct name *out)
{
	size_t behind = 0, used = 0, bound = at;

	for (;;) {
		uint8_t length;

		if (at >= message.size)
			return 0;
		length = message.data[at];
		if ((length & 0xc0) == 0xc0) {
			size_t target;

			if (at + 1 >= message.size)
				return 0;
			target = (size_t)(length & 0x3f) << 8 | message.data[at + 1];
			if (behind == 0)
				behind = at + 2;
			/* strictly backwards: every jump lowers the bound, so there is no loop */
			if (target >= bound)
				return 0;
			bound = at = target;
			continue;
		}
		if (length > NAME_LABEL_MAX || at + 1 + length > message.size || used + 1 + length > NAME_WIRE_MAX)
			return 0;
		memcpy(out->wire + used, message.data + at, (size_t)length + 1);
		used += (size_t)length + 1;
		at += (size_t)length + 1;
		if (length == 0)
			break;
	}
	out->size = (uint8_t)used;
	return behind == 0 ? at : behind;
}

int
name_from_text(struct bytes text, struct name *out)
{
	size_t used = 0, label = 0;

	if (text.size > 0 && text.data[text.size - 1] == '.')
		text.size--;
	while (text.size > 0) {
		size_t length = 0, i;

		for (i = 0; i < text.size && text.data[i] != '.'; i++) {
			if (text.data[i] == '\\')
				continue;
			if (++length > NAME_LABEL_MAX || used + 1 + length >= NAME_WIRE_MAX)
				return -1;
			out->wire[label + length] = text.data[i];
		}
		if (length == 0)
			return -1;
		out->wire[label] = (uint8_t)length;
		used += length + 1;
		label = used;
		text.data += i;
		text.size -= i;
		if (text.size > 0) { /* the dot */
			text.data++;
			text.size--;
			if (text.size == 0)
				return -1; /* "a..": the last label is empty */
		}
	}
	out->wire[used] = 0;
	out->size = (uint8_t)(used + 1);
	return 0;
}

int
name_join(const struct name *prefix, const struct name *suffix, struct name *out)
{
	size_t head = (size_t)prefix->size - 1;

	if (head + suffix->size > NAME_WIRE_MAX)
		return -1;
	memcpy(out->wire, prefix->wire, head);
	memcpy(out->wire + head, suffix->wire, suffix->size);
	out->size = (uint8_t)(head + suffix->size);
	return 0;
}

bool
name_equal_exact(const struct name *a, const struct name *b)
{
	return a->size == b->size && memcmp(a->wire, b->wire, a->size) == 0;
}

bool
name_equal(const struct name *a, const struct name *b)
{
	/* length octets are below 'A', folding leaves them alone */
	return bytes_equal_fold(bytes_of(a->wire, a->size), bytes_of(b->wire, b->size));
}

void
name_lower(struct name *n)
{
	for (size_t i = 0; i < n->size; i++)
		n->wire[i] = fold(n->wire[i]);
}

unsigned
name_label_count(const struct name *n)
{
	unsigned count = 0;

	for (size_t at = 0; n->wire[at] != 0; at += (size_t)n->wire[at] + 1)
		count++;
	return count;
}

size_t
name_label_offset(const struct name *n, unsigned i)
{
	size_t at = 0;

	while (i-- > 0)
		at += (size_t)n->wire[at] + 1;
	return at;
}

struct bytes
name_label(const struct name *n, unsigned i)
{
	size_t at = name_label_offset(n, i);

	return bytes_of(n->wire + at + 1, n->wire[at]);
}

void
name_suffix(const struct name *n, unsigned i, struct name *out)
{
	size_t at = name_label_offset(n, i);

	out->size = (uint8_t)(n->size - at);
	memmove(out->wire, n->wire + at, out->size);
}

int
name_in_zone(const struct name *n, const struct name *zone)
{
	unsigned count = name_label_count(n), zone_count = name_label_count(zone);
	struct name tail;

	if (zone_count > count)
		return -1;
	name_suffix(n, count - zone_count, &tail);
	return name_equal(&tail, zone) ? (int)(count - zone_count) : -1;
}

/* RFC 1035 5.1 escapes; extra: characters that get a backslash. */
static size_t
escape(struct bytes label, const char *extra, bool lower, char *out, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < label.size; i++) {
		uint8_t c = lower ? fold(label.data[i]) : label.data[i];

		if (used + 5 > size)
			panic("dnsd: a label's text needs more than %zu bytes", size);
		if (strchr(extra, c) != NULL && c != 0) {
			out[used++] = '\\';
			out[used++] = (char)c;
		} else if (c < 0x21 || c > 0x7e) {
			used += (size_t)snprintf(out + used, size - used, "\\%03u", c);
		} else {
			out[used++] = (char)c;
		}
	}
	out[used] = '\0';
	return used;
}

#define ESCAPED " .\"\\();@'"

char *
name_text(const struct name *n, char out[NAME_TEXT_MAX])
{
	size_t used = 0;
	unsigned count = name_label_count(n);

	for (unsigned i = 0; i < count; i++) {
		used += escape(name_label(n, i), ESCAPED, false, out + used, NAME_TEXT_MAX - used);
		out[used++] = '.';
	}
	if (count == 0)
		out[used++] = '.';
	out[used] = '\0';
	return out;
}

/* Labels [from, to) in lower-case escaped form, joined by dots. -1: longer than any registered name could be. */
static int
join_labels(const struct name *n, unsigned from, unsigned to, char out[QUESTION_TEXT_MAX])
{
	size_t used = 0;

	out[0] = '\0';
	for (unsigned i = from; i < to; i++) {
		char text[NAME_LABEL_MAX * 4 + 8];
		size_t length = escape(name_label(n, i), ESCAPED, true, text, sizeof text);

		if (used + length + 2 > QUESTION_TEXT_MAX)
			return -1;
		if (i > from)
			out[used++] = '.';
		memcpy(out + used, text, length + 1);
		used += length;
	}
	return 0;
}

static const struct {
	const char *label;
	enum question_kind kind;
} keywords[] = {
    {"service", QUESTION_SERVICE},
    {"connect", QUESTION_CONNECT},
    {"ingress", QUESTION_INGRESS},
    {"virtual", QUESTION_VIRTUAL},
    {"node", QUESTION_NODE},
    {"query", QUESTION_QUERY},
    {"addr", QUESTION_ADDRESS},
};

static enum question_kind
keyword(struct bytes label)
{
	for (size_t i = 0; i < COUNTOF(keywords); i++)
		if (bytes_equal_fold(label, bytes_str(keywords[i].label)))
			return keywords[i].kind;
	return QUESTION_INVALID;
}

/* What stands between the keyword and the zone: nothing, a datacenter, DC.dc, PEER.peer. false: anything else. */
static bool
parse_suffix(const struct name *n, unsigned from, unsigned zone, struct question *q)
{
	bool pair;

	if (q->kind == QUESTION_ADDRESS)
		return true; /* never looked at */
	pair = zone - from == 2 && q->kind != QUESTION_QUERY;
	if (zone - from == 0)
		return true;
	if (zone - from == 1)
		return join_labels(n, from, zone, q->kind == QUESTION_VIRTUAL ? q->peer : q->datacenter) == 0;
	if (pair && bytes_equal_fold(name_label(n, from + 1), bytes_str("peer")))
		return join_labels(n, from, from + 1, q->peer) == 0;
	if (pair && bytes_equal_fold(name_label(n, from + 1), bytes_str("dc"))) {
		char ignored[QUESTION_TEXT_MAX];

		return join_labels(n, from, from + 1, q->kind == QUESTION_VIRTUAL ? ignored : q->datacenter) == 0;
	}
	return false;
}

static bool
is_underscored(const struct name *n, unsigned i)
{
	struct bytes label = name_label(n, i);

	return label.size > 0 && label.data[0] == '_';
}

/* Takes the leading underscore off a text. */
static void
strip_underscore(char *text)
{
	memmove(text, text + 1, strlen(text));
}

/* Service parts [0, to): NAME, TAG.NAME, or RFC 2782's _NAME._TAG. */
static int
parse_service(const struct name *n, unsigned to, struct question *q)
{
	if (to == 2 && is_underscored(n, 0) && is_underscored(n, 1)) {
		if (join_labels(n, 0, 1, q->name) == -1 || join_labels(n, 1, 2, q->tag) == -1)
			return -1;
		strip_underscore(q->name);
		strip_underscore(q->tag);
		if (strcmp(q->tag, "tcp") == 0)
			q->tag[0] = '\0';
		if (q->name[0] == '\0')
			q->kind = QUESTION_EMPTY;
		return 0;
	}
	return join_labels(n, to - 1, to, q->name) == -1 || join_labels(n, 0, to - 1, q->tag) == -1 ? -1 : 0;
}

static int
parse_query(const struct name *n, unsigned to, struct question *q)
{
	char first[QUESTION_TEXT_MAX];
	size_t length;

	if (to < 2 || !is_underscored(n, 0) || !is_underscored(n, to - 1))
		return join_labels(n, 0, to, q->name);
	if (join_labels(n, 0, 1, first) == -1 || join_labels(n, 1, to - 1, q->name) == -1)
		return -1;
	strip_underscore(first);
	length = strlen(first);
	if (to == 2) {
		memcpy(q->name, first, length + 1);
		if (length == 0)
			q->kind = QUESTION_EMPTY;
		return 0;
	}
	if (length + strlen(q->name) + 2 > QUESTION_TEXT_MAX)
		return -1;
	memmove(q->name + length + 1, q->name, strlen(q->name) + 1);
	memcpy(q->name, first, length);
	q->name[length] = '.';
	return 0;
}

/* Parts [0, to) by kind. */
static int
parse_parts(const struct name *n, unsigned to, struct question *q)
{
	switch (q->kind) {
	case QUESTION_SERVICE:
		return parse_service(n, to, q);
	case QUESTION_CONNECT:
	case QUESTION_INGRESS:
	case QUESTION_VIRTUAL:
		return join_labels(n, to - 1, to, q->name);
	case QUESTION_NODE:
		return join_labels(n, 0, to, q->name);
	case QUESTION_QUERY:
		return parse_query(n, to, q);
	case QUESTION_ADDRESS:
		return to == 1 ? join_labels(n, 0, 1, q->name) : -1;
	case QUESTION_INVALID:
	case QUESTION_EMPTY:
		break;
	}
	return -1;
}

void
question_parse(const struct name *name, unsigned zone_label, bool srv, struct question *out)
{
	memset(out, 0, sizeof *out);
	for (unsigned i = zone_label; i-- > 0;) {
		unsigned parts = i, suffix = i + 1;

		out->kind = keyword(name_label(name, i));
		if (out->kind == QUESTION_INVALID && srv && is_underscored(name, i)) {
			out->kind = QUESTION_SERVICE;
			parts = i + 1;
		}
		if (out->kind == QUESTION_INVALID)
			continue;
		/* a name of a peer's cluster is not answered with instances of another one */
		if (parts == 0 || !parse_suffix(name, suffix, zone_label, out) || parse_parts(name, parts, out) == -1)
			out->kind = QUESTION_INVALID;
		return;
	}
}
