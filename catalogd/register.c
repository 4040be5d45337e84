/*
 * register.c - Catalog.Register and Catalog.Deregister before the log (contract: query.h; texts: http-api.md 12.1, 12.2)
 *
 * What is malformed is refused here, defaults are filled in, and the entry's body becomes canonical (canon.h), so that applying
 * it is a matter of comparing and putting (nodes_apply.c).
 */
#include <string.h>

#include "canon.h"
#include "catalog.h"
#include "query.h"
#include "service_rules.h"

#define TEXT(run) (int)(run).size, (const char *)(run).data
#define NODE_ID_BYTES 36
/* A service's tags are copied into each of its checks: what one request may make of them. */
#define TAGS_SPREAD_BYTES_MAX (64u * 1024 * 1024)

/* An identifier as the reference reads one; its words for what is wrong. */
static int
judge_node_id(struct write *w, struct bytes id)
{
	if (id.size != NODE_ID_BYTES)
		return write_fail(w, 0, "Bad node ID: uuid string is wrong length");
	if (id.data[8] != '-' || id.data[13] != '-' || id.data[18] != '-' || id.data[23] != '-')
		return write_fail(w, 0, "Bad node ID: uuid is improperly formatted");
	for (size_t i = 0; i < id.size; i++) {
		uint8_t b = id.data[i];

		if (i == 8 || i == 13 || i == 18 || i == 23 || (b >= '0' && b <= '9') || (b >= 'a' && b <= 'f') ||
		    (b >= 'A' && b <= 'F'))
			continue;
		if (b >= 0x20 && b < 0x7f)
			return write_fail(w, 0, "Bad node ID: encoding/hex: invalid byte: U+%04X '%c'", b, b);
		return write_fail(w, 0, "Bad node ID: encoding/hex: invalid byte: U+%04X", b);
	}
	return 0;
}

static bool
is_any_address(struct bytes address)
{
	return bytes_is(address, "0.0.0.0") || bytes_is(address, "::") || bytes_is(address, "[::]");
}

/* Weights that DNS can not express count as none given. */
static bool
weights_are_good(struct bytes raw)
{
	struct weights weights;
	const char *error;

	return raw.size > 0 && schema_decode(&weights_schema, raw, &weights, &error) == 0 && weights.passing >= 1 &&
	       weights.warning >= 0 && weights.passing <= 65535 && weights.warning <= 65535;
}

static int
judge_service(struct write *w, struct node_service *s)
{
	static const struct weights ones = {.passing = 1, .warning = 1};
	static uint8_t memory[64];
	static struct bytes default_weights;
	struct buf text = BUF_INIT(QUERY_ERROR_MAX - 1);
	int result = 0;

	if (service_rules_judge(s, &text) == -1)
		result = write_fail(w, 0, "%.*s", (int)text.used, (const char *)text.data);
	buf_free(&text);
	if (result == -1)
		return -1;
	if (s->id.size == 0 && s->service.size == 0)
		return write_fail(w, 0, "Must provide service name (Service.Service)");
	if (s->service.size == 0)
		return write_fail(w, 0, "Must provide service name (Service.Service) when service ID is provided");
	if (is_any_address(s->address))
		return write_fail(w, 0, "Invalid service address");
	if (s->id.size == 0)
		s->id = s->service;
	if (!weights_are_good(s->weights)) {
		if (default_weights.size == 0) {
			struct buf out = {.data = memory, .size = sizeof memory, .max = sizeof memory};

			schema_encode(&weights_schema, &ones, &out);
			default_weights = buf_bytes(&out);
		}
		s->weights = default_weights;
	}
	s->create_index = s->modify_index = 0;
	return 0;
}

/* Kind of a check by what its definition has; the first that fits (behaviour.md 1.1). */
static struct bytes
derived_type(struct bytes definition)
{
	struct check_definition d;
	const char *error, *type = "";
	struct mp script;
	bool scripted, periodic;

	if (definition.size == 0 || schema_decode(&check_definition_schema, definition, &d, &error) == -1)
		return bytes_str("");
	script = mp_of(d.script_args);
	scripted = d.script_args.size > 0 && mp_array(&script) > 0;
	periodic = d.interval > 0;
	if (d.grpc.size > 0 && periodic)
		type = "grpc";
	else if (d.http.size > 0 && periodic)
		type = "http";
	else if (d.ttl > 0)
		type = "ttl";
	else if (d.tcp.size > 0 && periodic)
		type = "tcp";
	else if (d.udp.size > 0 && periodic)
		type = "udp";
	else if (d.alias_node.size > 0 || d.alias_service.size > 0)
		type = "alias";
	else if (scripted && d.docker_container_id.size > 0 && periodic)
		type = "docker";
	else if (scripted && periodic)
		type = "script";
	else if (d.h2ping.size > 0 && periodic)
		type = "h2ping";
	else if (d.os_service.size > 0 && periodic)
		type = "os_service";
	return bytes_str(type);
}

static int
judge_check(struct write *w, const struct register_request *q, const struct node_service *s, struct health_check *c)
{
	struct node_service known;

	if (c->peer_name.size > 0)
		return write_fail(w, 0, "cannot register requests with PeerName in them");
	if (c->node.size == 0)
		c->node = q->node;
	if (c->check_id.size == 0)
		c->check_id = c->name;
	if (c->type.size == 0)
		c->type = derived_type(c->definition);
	c->create_index = c->modify_index = 0;
	if (!bytes_equal_fold(c->node, q->node))
		return write_fail(w, 0, "Node '%.*s' for check '%.*s' doesn't match register request node '%.*s'",
		    TEXT(c->node), TEXT(c->check_id), TEXT(q->node));
	if (c->service_id.size == 0 || (s != NULL && bytes_equal_fold(c->service_id, s->id)))
		return 0;
	if (!nodes_find_service(w->txn, q->node, c->service_id, &known))
		return write_fail(
		    w, 0, "Unknown service ID '%.*s' for check ID '%.*s'", TEXT(c->service_id), TEXT(c->check_id));
	return 0;
}

/* All checks of the request as one list: those of Checks, then Check. out gets the list, encoded. */
static int
gather_checks(struct write *w, const struct register_request *q, const struct node_service *s, struct buf *out)
{
	struct mp list = mp_of(q->checks);
	uint32_t given = q->checks.size > 0 ? mp_array(&list) : 0, count = 0;
	size_t place = mp_open_array(out);
	size_t spread = 0;

	for (uint32_t i = 0; i <= given; i++) {
		struct bytes raw = i < given ? mp_raw(&list) : q->check;
		struct health_check c;
		const char *error;

		if (raw.size == 0 || (raw.size == 1 && raw.data[0] == 0xc0))
			continue; /* a null among Checks counts as absent */
		if (schema_decode(&health_check_schema, raw, &c, &error) == -1)
			return write_fail(w, 400, "rpc: bad arguments: %s", error);
		if (judge_check(w, q, s, &c) == -1)
			return -1;
		if (s != NULL && c.service_id.size > 0)
			spread += s->tags.size;
		schema_encode(&health_check_schema, &c, out);
		count++;
	}
	if (spread > TAGS_SPREAD_BYTES_MAX)
		return write_fail(w, 413, "Too many checks for so many tags");
	mp_close(out, place, count);
	return 0;
}

static int
judge_request(struct write *w, struct register_request *q)
{
	if (q->peer_name.size > 0)
		return write_fail(w, 0, "cannot register requests with PeerName in them");
	if (q->node.size == 0)
		return write_fail(w, 0, "Must provide node");
	if (q->id.size > 0 && judge_node_id(w, q->id) == -1)
		return -1;
	if (q->address.size == 0 && !q->skip_node_update)
		return write_fail(w, 0, "Must provide address if SkipNodeUpdate is not set");
	if (q->datacenter.size == 0)
		q->datacenter = bytes_str(w->datacenter);
	q->token = bytes_of(NULL, 0);
	q->create_index = q->modify_index = 0;
	return 0;
}

int
nodes_register_write(struct write *w)
{
	struct buf service = BUF_INIT(CATALOG_RECORD_BYTES_MAX), checks = BUF_INIT(CATALOG_RECORD_BYTES_MAX);
	struct register_request q;
	struct node_service s;
	const char *error = NULL;
	int result = -1;

	if (write_args(w, &register_request_schema, &q) == -1 || judge_request(w, &q) == -1)
		goto out;
	if (q.service.size > 0) {
		if (schema_decode(&node_service_schema, q.service, &s, &error) == -1) {
			write_fail(w, 400, "rpc: bad arguments: %s", error);
			goto out;
		}
		if (s.peer_name.size > 0) {
			write_fail(w, 0, "cannot register requests with PeerName in them");
			goto out;
		}
		if (judge_service(w, &s) == -1)
			goto out;
		schema_encode(&node_service_schema, &s, &service);
	}
	if (gather_checks(w, &q, q.service.size > 0 ? &s : NULL, &checks) == -1)
		goto out;
	q.service = buf_bytes(&service);
	q.checks = buf_bytes(&checks);
	q.check = bytes_of(NULL, 0);
	w->type = APPLY_TYPE_REGISTER;
	if (service.overflow || checks.overflow)
		write_fail(w, 413, "Registration is too large");
	else if (canon_encode(&register_request_schema, &q, w->region, w->body, &error) == -1)
		write_fail(w, 400, "rpc: bad arguments: %s", error);
	else
		result = 0;
out:
	buf_free(&service);
	buf_free(&checks);
	return result;
}

int
nodes_deregister_write(struct write *w)
{
	struct deregister_request q;

	if (write_args(w, &deregister_request_schema, &q) == -1)
		return -1;
	if (q.node.size == 0)
		return write_fail(w, 0, "Must provide node");
	if (q.peer_name.size > 0) {
		/* Nothing is imported from peers, so nothing of theirs can be removed. */
		w->answered = true;
		mp_put_nil(w->body);
		return 0;
	}
	q.token = bytes_of(NULL, 0);
	w->type = APPLY_TYPE_DEREGISTER;
	schema_encode(&deregister_request_schema, &q, w->body);
	return 0;
}
