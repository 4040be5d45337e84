/*
 * member.c - this node as a member of its pools (contract: member.h; callers: main.c, serve.c)
 */
#include "member.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "version.h"

/* What the reference's 1.21 announces, and we speak. */
#define PROTOCOL_MIN 1
#define PROTOCOL_MAX 5
#define PROTOCOL_CUR 2
#define DELEGATE_MIN 2
#define DELEGATE_MAX 5
#define DELEGATE_CUR 4
#define CONSUL_PROTOCOL_MIN "2"
#define CONSUL_PROTOCOL_MAX "3"

/* A node that has measured nothing: as far as the model may err, at a height of 10 microseconds. */
#define COORDINATE_DIMENSIONS 8
#define COORDINATE_ERROR 1.5
#define COORDINATE_HEIGHT 10e-6

/* To be called in the order of the names. */
static void PRINTF_LIKE(3, 4) add_tag(struct self *s, const char *name, const char *fmt, ...)
{
	struct self_tag *tag;
	va_list args;

	if (s->tag_count == MEMBER_TAGS_MAX || (s->tag_count > 0 && strcmp(s->tags[s->tag_count - 1].name, name) >= 0))
		panic("member: tag out of order: %s", name);
	tag = &s->tags[s->tag_count++];
	tag->name = name;
	va_start(args, fmt);
	vsnprintf(tag->value, sizeof tag->value, fmt, args);
	va_end(args);
}

static void
server_tags(struct self *s, const struct conf *c)
{
	int64_t expect = conf_int(c, "bootstrap_expect", 0);

	add_tag(s, "acls", "%d", conf_bool(c, "acl.enabled", false));
	/* A development server elects itself without being told to, and does not say so. */
	if (conf_bool(c, "bootstrap", false) && !conf_bool(c, "consuld.dev", false))
		add_tag(s, "bootstrap", "1");
	add_tag(s, "build", "%s:%s", conf_str(c, "consuld.version", CONSULD_COMPAT_VERSION),
	    conf_str(c, "consuld.revision", ""));
	add_tag(s, "dc", "%s", conf_str(c, "datacenter", "dc1"));
	if (expect > 1)
		add_tag(s, "expect", "%" PRId64, expect);
	add_tag(s, "ft_fs", "1");
	add_tag(s, "ft_si", "1");
	add_tag(s, "id", "%s", conf_str(c, "node_id", ""));
	add_tag(s, "port", "%" PRId64, conf_int(c, "ports.server", 8300));
	add_tag(s, "raft_vsn", "%" PRId64, conf_int(c, "raft_protocol", 3));
	if (conf_bool(c, "read_replica", false))
		add_tag(s, "read_replica", "1");
	add_tag(s, "role", "consul");
	add_tag(s, "segment", "%s", "");
	add_tag(s, "vsn", "%" PRId64, conf_int(c, "protocol", 2));
	add_tag(s, "vsn_max", CONSUL_PROTOCOL_MAX);
	add_tag(s, "vsn_min", CONSUL_PROTOCOL_MIN);
	if (!s->wan && conf_int(c, "ports.serf_wan", 8302) > 0)
		add_tag(s, "wan_join_port", "%" PRId64, conf_int(c, "ports.serf_wan", 8302));
}

static void
client_tags(struct self *s, const struct conf *c)
{
	add_tag(s, "build", "%s:%s", conf_str(c, "consuld.version", CONSULD_COMPAT_VERSION),
	    conf_str(c, "consuld.revision", ""));
	add_tag(s, "dc", "%s", conf_str(c, "datacenter", "dc1"));
	add_tag(s, "id", "%s", conf_str(c, "node_id", ""));
	add_tag(s, "role", "node");
	add_tag(s, "segment", "%s", "");
	add_tag(s, "vsn", "%" PRId64, conf_int(c, "protocol", 2));
	add_tag(s, "vsn_max", CONSUL_PROTOCOL_MAX);
	add_tag(s, "vsn_min", CONSUL_PROTOCOL_MIN);
}

void
self_init(struct self *s, const struct conf *c, bool wan)
{
	const char *lan_address = conf_str(c, "advertise_addr", "127.0.0.1"),
		   *wan_address = conf_str(c, "advertise_addr_wan", "");

	*s = (struct self){.wan = wan, .status = MEMBER_ALIVE};
	if (wan)
		snprintf(
		    s->name, sizeof s->name, "%s.%s", conf_str(c, "node_name", ""), conf_str(c, "datacenter", "dc1"));
	else
		snprintf(s->name, sizeof s->name, "%s", conf_str(c, "node_name", ""));
	snprintf(s->address, sizeof s->address, "%s", wan && wan_address[0] != '\0' ? wan_address : lan_address);
	s->port = (uint16_t)(wan ? conf_int(c, "ports.serf_wan", 8302) : conf_int(c, "ports.serf_lan", 8301));
	if (conf_bool(c, "server", false))
		server_tags(s, c);
	else
		client_tags(s, c);
}

void
self_encode(const struct self *s, struct buf *out)
{
	struct buf tags = BUF_INIT(MEMBER_TAGS_MAX * (MEMBER_TAG_VALUE_MAX + 64));
	struct member m = {
	    .name = bytes_str(s->name),
	    .addr = bytes_str(s->address),
	    .port = s->port,
	    .status = s->status,
	    .protocol_min = PROTOCOL_MIN,
	    .protocol_max = PROTOCOL_MAX,
	    .protocol_cur = PROTOCOL_CUR,
	    .delegate_min = DELEGATE_MIN,
	    .delegate_max = DELEGATE_MAX,
	    .delegate_cur = DELEGATE_CUR,
	};

	mp_put_map(&tags, (uint32_t)s->tag_count);
	for (size_t i = 0; i < s->tag_count; i++)
		mp_put_kv_cstr(&tags, s->tags[i].name, s->tags[i].value);
	m.tags = buf_bytes(&tags);
	schema_encode(&member_schema, &m, out);
	buf_free(&tags);
}

void
coordinate_encode_origin(struct buf *out)
{
	struct buf vec = BUF_INIT(256);
	struct coordinate c = {.error = COORDINATE_ERROR, .height = COORDINATE_HEIGHT};

	mp_put_array(&vec, COORDINATE_DIMENSIONS);
	for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
		mp_put_float(&vec, 0.);
	c.vec = buf_bytes(&vec);
	schema_encode(&coordinate_schema, &c, out);
	buf_free(&vec);
}
