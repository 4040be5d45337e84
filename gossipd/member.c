/*
 * member.c - this node as a member of its pools (contract: member.h; callers: pool.c, serve.c)
 */
#include "member.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "admit.h"
#include "duration.h"
#include "log.h"
#include "mem.h"
#include "net.h"
#include "version.h"

/* What the reference's 1.21 announces, and we speak: protocol from, to, spoken; the same of serf's layer. */
const uint8_t self_vsn[GOSSIP_VSN_BYTES] = {1, 5, 2, 2, 5, 4};

#define CONSUL_PROTOCOL_MIN "2"
#define CONSUL_PROTOCOL_MAX "3"

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
	add_tag(s, ADMIT_OWN_TAG, "1");
	add_tag(s, "dc", "%s", conf_str(c, "datacenter", "dc1"));
	if (expect > 1)
		add_tag(s, "expect", "%" PRId64, expect);
	add_tag(s, "ft_fs", "1");
	add_tag(s, "ft_si", "1");
	if (conf_int(c, "ports.grpc", -1) > 0)
		add_tag(s, "grpc_port", "%" PRId64, conf_int(c, "ports.grpc", -1));
	if (conf_int(c, "ports.grpc_tls", -1) > 0)
		add_tag(s, "grpc_tls_port", "%" PRId64, conf_int(c, "ports.grpc_tls", -1));
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
	int64_t forgotten_after = conf_duration(c, "advertise_reconnect_timeout", 0);
	char text[DURATION_TEXT_MAX];

	add_tag(s, "build", "%s:%s", conf_str(c, "consuld.version", CONSULD_COMPAT_VERSION),
	    conf_str(c, "consuld.revision", ""));
	add_tag(s, "dc", "%s", conf_str(c, "datacenter", "dc1"));
	add_tag(s, "id", "%s", conf_str(c, "node_id", ""));
	if (forgotten_after > 0)
		add_tag(s, "rc_tm", "%s", duration_format(forgotten_after, text));
	add_tag(s, "role", "node");
	add_tag(s, "segment", "%s", "");
	add_tag(s, "vsn", "%" PRId64, conf_int(c, "protocol", 2));
	add_tag(s, "vsn_max", CONSUL_PROTOCOL_MAX);
	add_tag(s, "vsn_min", CONSUL_PROTOCOL_MIN);
}

static int
address_parse(const char *text, uint16_t port, struct swim_address *out)
{
	union net_addr a;

	if (net_addr_parse(text, port, &a) == -1)
		return -1;
	if (a.sa.sa_family == AF_INET)
		swim_address_of(bytes_of(&a.in.sin_addr, 4), port, port, out);
	else
		swim_address_of(bytes_of(&a.in6.sin6_addr, 16), port, port, out);
	return 0;
}

int
self_init(struct self *s, const struct conf *c, bool wan, const char **why)
{
	const char *lan_address = conf_str(c, "advertise_addr", "127.0.0.1"),
		   *wan_address = conf_str(c, "advertise_addr_wan", "");
	uint16_t port = (uint16_t)(wan ? conf_int(c, "ports.serf_wan", 8302) : conf_int(c, "ports.serf_lan", 8301));
	int length;

	*s = (struct self){.wan = wan};
	length = snprintf(s->name, sizeof s->name, "%s%s%s", conf_str(c, "node_name", ""), wan ? "." : "",
	    wan ? conf_str(c, "datacenter", "dc1") : "");
	if (length >= (int)sizeof s->name) {
		*why = "the node's name is too long";
		return -1;
	}
	if (address_parse(wan && wan_address[0] != '\0' ? wan_address : lan_address, port, &s->address) == -1) {
		*why = "the advertised address is not an IP address";
		return -1;
	}
	if (conf_bool(c, "server", false))
		server_tags(s, c);
	else
		client_tags(s, c);
	return 0;
}

int
self_meta_put(const struct self *s, struct buf *out)
{
	struct buf tags = BUF_INIT(MEMBER_TAGS_MAX * (MEMBER_TAG_VALUE_MAX + 64));
	int result;

	mp_put_map(&tags, (uint32_t)s->tag_count);
	for (size_t i = 0; i < s->tag_count; i++)
		mp_put_kv_cstr(&tags, s->tags[i].name, s->tags[i].value);
	result = serf_meta_put(buf_bytes(&tags), out);
	buf_free(&tags);
	return result;
}

void
member_encode(const struct serf_member *m, struct buf *out)
{
	struct buf tags = BUF_INIT(2 * GOSSIP_META_MAX);
	char ip[SWIM_ADDRESS_TEXT_MAX];
	struct member w = {
	    .name = bytes_str(m->card->name),
	    .addr = bytes_str(swim_ip_text(&m->card->address, ip)),
	    .port = m->card->address.port,
	    .status = m->status,
	    .protocol_min = m->card->vsn[0],
	    .protocol_max = m->card->vsn[1],
	    .protocol_cur = m->card->vsn[2],
	    .delegate_min = m->card->vsn[3],
	    .delegate_max = m->card->vsn[4],
	    .delegate_cur = m->card->vsn[5],
	};

	serf_tags_put(m->card->meta, &tags);
	w.tags = buf_bytes(&tags);
	schema_encode(&member_schema, &w, out);
	buf_free(&tags);
}
