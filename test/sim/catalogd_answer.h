/*
 * catalogd_answer.h - answers of catalogd as the text in which the model (catalogd_model.h) writes its own
 */
#ifndef TEST_CATALOGD_ANSWER_H
#define TEST_CATALOGD_ANSWER_H

#include "catalogd_model.h"

#define TEXT(run) (int)(run).size, (const char *)(run).data

static void
decode_record(const char *first, struct bytes second, struct bytes r, uint64_t text, struct buf *out)
{
	buf_printf(out, "%s %.*s %llu %llu %llu\n", first, TEXT(second), (unsigned long long)text,
	    (unsigned long long)mp_find_uint(r, "CreateIndex"), (unsigned long long)mp_find_uint(r, "ModifyIndex"));
}

static uint64_t
digit_of(struct bytes text)
{
	return text.size == 1 ? (uint64_t)text.data[0] - '0' : UINT64_MAX;
}

static void
decode_node(struct bytes r, struct buf *out)
{
	struct bytes address = mp_find_str(r, "Address");

	if (address.size == 0)
		address = bytes_str("?");
	decode_record("node", mp_find_str(r, "Node"), r, digit_of(bytes_of(address.data + address.size - 1, 1)), out);
}

static void
decode_service(struct bytes r, struct buf *out)
{
	decode_record("service", mp_find_str(r, "ID"), r, mp_find_uint(r, "Port"), out);
}

static void
decode_check(struct bytes r, struct buf *out)
{
	struct bytes service = mp_find_str(r, "ServiceID"), name = mp_find_str(r, "ServiceName");
	struct bytes output = mp_find_str(r, "Output");

	if (service.size == 0)
		service = name = bytes_str("-");
	buf_printf(out, "%.*s %.*s %.*s %.*s %.*s ", TEXT(mp_find_str(r, "Node")), TEXT(mp_find_str(r, "CheckID")),
	    TEXT(mp_find_str(r, "Status")), TEXT(service), TEXT(name));
	decode_record("check", bytes_str(""), r, digit_of(output), out);
}

static void
decode_element(enum question_kind kind, struct bytes r, struct buf *out)
{
	struct bytes value;
	struct mp checks;

	switch (kind) {
	case ASK_KEY:
	case ASK_LIST:
		value = mp_find_str(r, "Value");
		buf_printf(out, "%.*s=%.*s %llu %llu %.*s %llu %llu\n", TEXT(mp_find_str(r, "Key")), TEXT(value),
		    (unsigned long long)mp_find_uint(r, "Flags"), (unsigned long long)mp_find_uint(r, "LockIndex"),
		    TEXT(mp_find_str(r, "Session")), (unsigned long long)mp_find_uint(r, "CreateIndex"),
		    (unsigned long long)mp_find_uint(r, "ModifyIndex"));
		return;
	case ASK_SESSION:
	case ASK_SESSIONS:
	case ASK_NODE_SESSIONS:
		buf_printf(out, "%.*s %.*s %.*s %lld %llu\n", TEXT(mp_find_str(r, "ID")), TEXT(mp_find_str(r, "Node")),
		    TEXT(mp_find_str(r, "Behavior")), (long long)mp_find_int(r, "LockDelay"),
		    (unsigned long long)mp_find_uint(r, "CreateIndex"));
		return;
	case ASK_NODES:
		decode_node(r, out);
		return;
	case ASK_SERVICE:
		buf_printf(out, "%.*s %.*s ", TEXT(mp_find_str(r, "Node")), TEXT(mp_find_str(r, "Address")));
		decode_record("service", mp_find_str(r, "ServiceID"), r, mp_find_uint(r, "ServicePort"), out);
		return;
	case ASK_HEALTH:
		decode_node(mp_find_raw(r, "Node"), out);
		decode_service(mp_find_raw(r, "Service"), out);
		checks = mp_of(mp_find_raw(r, "Checks"));
		for (uint32_t n = mp_array(&checks); n > 0; n--)
			decode_check(mp_raw(&checks), out);
		return;
	default:
		decode_check(r, out);
		return;
	}
}

static const char *const members[QUESTION_KINDS] = {"Entries", "Entries", "Keys", "Sessions", "Sessions", "Sessions",
    "Nodes", "Services", "ServiceNodes", "NodeServices", "Nodes", "HealthChecks", "HealthChecks", "HealthChecks"};

static void
decode(enum question_kind kind, struct bytes body, struct buf *out)
{
	struct mp data = mp_of(mp_find_raw(body, members[kind]));
	struct bytes whole = mp_find_raw(body, members[kind]);
	uint32_t n;

	if (mp_peek(&data) == MP_NIL || mp_peek(&data) == MP_END)
		return;
	if (kind == ASK_NODE) {
		decode_node(mp_find_raw(whole, "Node"), out);
		data = mp_of(mp_find_raw(whole, "Services"));
		for (n = mp_map(&data); n > 0; n--) {
			mp_skip(&data);
			decode_service(mp_raw(&data), out);
		}
		return;
	}
	if (kind == ASK_SERVICES) {
		for (n = mp_map(&data); n > 0; n--) {
			struct bytes name = mp_str(&data);

			buf_printf(out, "%.*s\n", TEXT(name));
			mp_skip(&data);
		}
		return;
	}
	for (n = mp_array(&data); n > 0; n--) {
		struct bytes element = mp_raw(&data);

		if (kind == ASK_KEYS) {
			struct mp name = mp_of(element);
			struct bytes text = mp_str(&name);

			buf_printf(out, "%.*s\n", TEXT(text));
		} else {
			decode_element(kind, element, out);
		}
	}
}

#endif
