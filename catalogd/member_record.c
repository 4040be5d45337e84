/*
 * member_record.c - what the catalog should have of a member (contract: member_record.h; facts: behaviour.md 10, wire-rpc.md 10; caller: reconcile.c)
 */
#include "member_record.h"

#include <stdio.h>
#include <string.h>

#include "frame.h"
#include "mem.h"
#include "nodes.h"
#include "structs.h"
#include "version.h"

#define CHECK_ID "serfHealth"
#define CHECK_NAME "Serf Health Status"
#define SERVICE "consul"

/* ---- the service consul ---- */

/* What differs between servers. */
struct server_meta {
	const char *version, *raft_version;
	int64_t grpc_port, grpc_tls_port; /* up to 0: none */
	bool read_replica;
};

static void
meta_pair(struct buf *b, uint32_t *count, const char *key, const char *value)
{
	mp_put_kv_cstr(b, key, value);
	(*count)++;
}

static void
meta_port(struct buf *b, uint32_t *count, const char *key, int64_t port)
{
	char text[24];

	if (port <= 0)
		return;
	snprintf(text, sizeof text, "%lld", (long long)port);
	meta_pair(b, count, key, text);
}

static struct bytes
meta_put(struct region *r, const struct server_meta *m)
{
	struct buf b = BUF_INIT(4096);
	uint32_t count = 0;
	size_t place = mp_open_map(&b);
	struct bytes meta;

	/* In the order of the keys: that is how maps are stored. */
	meta_port(&b, &count, "grpc_port", m->grpc_port);
	meta_port(&b, &count, "grpc_tls_port", m->grpc_tls_port);
	meta_pair(&b, &count, "non_voter", m->read_replica ? "true" : "false");
	meta_pair(&b, &count, "raft_version", m->raft_version);
	meta_pair(&b, &count, "read_replica", m->read_replica ? "true" : "false");
	meta_pair(&b, &count, "serf_protocol_current", "2");
	meta_pair(&b, &count, "serf_protocol_max", "5");
	meta_pair(&b, &count, "serf_protocol_min", "1");
	meta_pair(&b, &count, "version", m->version);
	mp_close(&b, place, count);
	meta = region_copy(r, buf_bytes(&b));
	buf_free(&b);
	return meta;
}

static int64_t
tag_port(struct bytes tags, const char *name)
{
	uint64_t port;

	return bytes_to_u64(mp_find_str(tags, name), &port) == 0 && port <= UINT16_MAX ? (int64_t)port : 0;
}

bool
member_record_is_due(const struct lan_member *m)
{
	return m->local && (m->server || bytes_is(mp_find_str(m->tags, "role"), "node"));
}

struct member_record
member_record_of(const struct lan_member *m, struct region *r)
{
	struct server_meta meta = {.version = m->build,
	    .raft_version = m->raft_version[0] == '\0' ? "0" : m->raft_version,
	    .grpc_port = tag_port(m->tags, "grpc_port"),
	    .grpc_tls_port = tag_port(m->tags, "grpc_tls_port"),
	    .read_replica = m->read_replica};

	return (struct member_record){.name = bytes_str(m->name),
	    .id = bytes_str(m->id),
	    .address = bytes_str(m->address),
	    .server = m->server,
	    .port = m->rpc_port,
	    .meta = m->server ? meta_put(r, &meta) : bytes_of(NULL, 0)};
}

struct member_record
member_record_own(const struct catalogd *c, struct region *r)
{
	const struct conf *conf = daemon_conf(c->daemon);
	struct server_meta meta = {.version = conf_str(conf, "consuld.version", CONSULD_COMPAT_VERSION),
	    .raft_version = "3",
	    .grpc_port = conf_int(conf, "ports.grpc", -1),
	    .grpc_tls_port = conf_int(conf, "ports.grpc_tls", -1),
	    .read_replica = conf_bool(conf, "read_replica", false)};

	return (struct member_record){.name = bytes_str(c->node_name),
	    .id = bytes_str(conf_str(conf, "node_id", "")),
	    .address = bytes_str(conf_str(conf, "advertise_addr", "127.0.0.1")),
	    .server = true,
	    .port = conf_int(conf, "ports.server", 8300),
	    .meta = meta_put(r, &meta)};
}

/* ---- judging ---- */

static bool
maps_equal(struct bytes a, struct bytes b)
{
	struct mp in = mp_of(a), other = mp_of(b), value;
	uint32_t count = a.size == 0 ? 0 : mp_map(&in);
	char key[64];

	if (count != (b.size == 0 ? 0 : mp_map(&other)))
		return false;
	for (uint32_t i = 0; i < count; i++) {
		if (bytes_to_str(mp_str(&in), key, sizeof key) == -1 || !mp_find(mp_of(b), key, &value) ||
		    !bytes_equal(mp_str(&in), mp_str(&value)))
			return false;
	}
	return mp_ok(&in);
}

static bool
has_id(const struct node *node, const struct member_record *w)
{
	return w->id.size > 0 && bytes_equal_fold(node->id, w->id);
}

static bool
service_is_so(struct store_txn *t, const struct member_record *w)
{
	struct node_service service;

	return !w->server || (nodes_find_service(t, w->name, bytes_str(SERVICE), &service) && service.port == w->port &&
				 maps_equal(service.meta, w->meta));
}

enum member_action
member_record_judge(struct store_txn *t, const struct member_record *w, enum member_status status)
{
	struct health_check check = {0};
	struct node node = {0};
	bool known = nodes_find(t, w->name, &node);
	bool checked = known && nodes_find_check(t, w->name, bytes_str(CHECK_ID), &check);

	switch (status) {
	case MEMBER_ALIVE:
		return known && bytes_equal(node.address, w->address) && (w->id.size == 0 || has_id(&node, w)) &&
			       checked && bytes_is(check.status, "passing") && service_is_so(t, w)
			   ? MEMBER_IS_SO
			   : MEMBER_TO_PASSING;
	case MEMBER_FAILED:
		if (!known)
			return MEMBER_UNKNOWN;
		return checked && bytes_is(check.status, "critical") ? MEMBER_IS_SO : MEMBER_TO_CRITICAL;
	case MEMBER_NONE:
	case MEMBER_LEFT:
		return known && (checked || has_id(&node, w)) ? MEMBER_TO_REMOVE : MEMBER_IS_SO;
	case MEMBER_LEAVING:
		break;
	}
	return MEMBER_IS_SO;
}

bool
member_record_is_orphan(struct store_txn *t, const struct members *members, struct bytes node)
{
	struct health_check check;

	return members_find(members, node) == NULL && nodes_find_check(t, node, bytes_str(CHECK_ID), &check);
}

/* ---- the entries ---- */

static struct bytes
encoded(struct region *r, const struct schema *s, const void *value)
{
	struct buf b = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	struct bytes copy;

	schema_encode(s, value, &b);
	copy = region_copy(r, buf_bytes(&b));
	buf_free(&b);
	return copy;
}

static struct bytes
service_put(const struct member_record *w, struct region *r)
{
	static const uint8_t no_tags[] = {0x90};
	struct weights weights = {.passing = 1, .warning = 1};
	struct node_service service = {.id = bytes_str(SERVICE),
	    .service = bytes_str(SERVICE),
	    .tags = bytes_of(no_tags, 1),
	    .meta = w->meta,
	    .port = w->port,
	    .weights = encoded(r, &weights_schema, &weights)};

	return encoded(r, &node_service_schema, &service);
}

static void
registration_put(struct store_txn *t, const struct member_record *w, bool alive, const char *datacenter,
    struct region *r, struct buf *body)
{
	struct health_check check = {.node = w->name,
	    .check_id = bytes_str(CHECK_ID),
	    .name = bytes_str(CHECK_NAME),
	    .status = bytes_str(alive ? "passing" : "critical"),
	    .output = bytes_str(alive ? "Agent alive and reachable" : "Agent not live or unreachable")};
	struct register_request request = {.datacenter = bytes_str(datacenter), .node = w->name};
	struct buf checks = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	struct node node = {0};

	mp_put_array(&checks, 1);
	schema_encode(&health_check_schema, &check, &checks);
	request.checks = buf_bytes(&checks);
	request.skip_node_update = !alive;
	if (alive) {
		if (!nodes_find(t, w->name, &node))
			node = (struct node){0};
		request.id = w->id;
		request.address = w->address;
		request.tagged_addresses = node.tagged_addresses;
		request.node_meta = node.meta;
		if (w->server)
			request.service = service_put(w, r);
	}
	schema_encode(&register_request_schema, &request, body);
	buf_free(&checks);
}

enum apply_type
member_record_entry(struct store_txn *t, const struct member_record *w, enum member_action action,
    const char *datacenter, struct region *r, struct buf *body)
{
	struct deregister_request removal = {.datacenter = bytes_str(datacenter), .node = w->name};

	if (action == MEMBER_TO_REMOVE) {
		schema_encode(&deregister_request_schema, &removal, body);
		return APPLY_TYPE_DEREGISTER;
	}
	registration_put(t, w, action == MEMBER_TO_PASSING, datacenter, r, body);
	return APPLY_TYPE_REGISTER;
}
