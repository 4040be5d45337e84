/*
 * banner.c - what the agent prints before its log begins (contract: banner.h; caller: main.c)
 */
#include "banner.h"

#include <stdarg.h>
#include <string.h>

static const char *
yes(bool value)
{
	return value ? "true" : "false";
}

static void PRINTF_LIKE(3, 4) row(struct buf *out, const char *name, const char *fmt, ...)
{
	va_list args;

	buf_printf(out, "%22s: ", name);
	va_start(args, fmt);
	buf_vprintf(out, fmt, args);
	va_end(args);
	buf_put_u8(out, '\n');
}

static bool
tls_bool(const struct config *c, const char *own, const char *fallback)
{
	return config_bool(c, own) || config_bool(c, fallback);
}

static const char *
tls_min(const struct config *c, const char *own)
{
	const char *text = config_str(c, own);

	if (text[0] == '\0')
		text = config_str(c, "tls.defaults.tls_min_version");
	return text[0] == '\0' ? "TLSv1_2" : text;
}

static int
port(const struct config *c, const char *name)
{
	return (int)config_int(c, name);
}

void
banner_print(const struct config *c, struct buf *out)
{
	const char *built = config_str(c, "consuld.build_date");
	bool server = config_bool(c, "server");

	buf_put_str(out, "==> Starting Consul agent...\n");
	row(out, "Version", "'%s'", CONSULD_COMPAT_VERSION);
	/* RFC 3339 in the configuration, Go's form here. */
	row(out, "Build Date", "'%.10s %.8s +0000 UTC'", built, strlen(built) < 20 ? "" : built + 11);
	row(out, "consuld", "'%s'", CONSULD_VERSION);
	row(out, "Node ID", "'%s'", config_node_id(c));
	row(out, "Node name", "'%s'", config_str(c, "node_name"));
	row(out, "Datacenter", "'%s' (Segment: '%s')", config_str(c, "datacenter"), server ? "<all>" : "");
	row(out, "Server", "%s (Bootstrap: %s)", yes(server), yes(config_bool(c, "bootstrap") && !config_is_dev(c)));
	row(out, "Client Addr", "[%s] (HTTP: %d, HTTPS: %d, gRPC: %d, gRPC-TLS: %d, DNS: %d)",
	    config_str(c, "client_addr"), port(c, "ports.http"), port(c, "ports.https"), port(c, "ports.grpc"),
	    port(c, "ports.grpc_tls"), port(c, "ports.dns"));
	row(out, "Cluster Addr", "%s (LAN: %d, WAN: %d)", config_str(c, "advertise_addr"), port(c, "ports.serf_lan"),
	    port(c, "ports.serf_wan"));
	row(out, "Gossip Encryption", "%s", yes(config_str(c, "encrypt")[0] != '\0'));
	row(out, "Auto-Encrypt-TLS", "%s",
	    yes(config_bool(c, "auto_encrypt.tls") || config_bool(c, "auto_encrypt.allow_tls")));
	row(out, "ACL Enabled", "%s", yes(config_bool(c, "acl.enabled")));
	if (server)
		row(out, "Reporting Enabled", "false");
	row(out, "ACL Default Policy", "%s", config_str(c, "acl.default_policy"));
	row(out, "HTTPS TLS", "Verify Incoming: %s, Verify Outgoing: %s, Min Version: %s",
	    yes(tls_bool(c, "tls.https.verify_incoming", "tls.defaults.verify_incoming")),
	    yes(tls_bool(c, "tls.https.verify_outgoing", "tls.defaults.verify_outgoing")),
	    tls_min(c, "tls.https.tls_min_version"));
	row(out, "gRPC TLS", "Verify Incoming: %s, Min Version: %s",
	    yes(tls_bool(c, "tls.grpc.verify_incoming", "tls.defaults.verify_incoming")),
	    tls_min(c, "tls.grpc.tls_min_version"));
	row(out, "Internal RPC TLS", "Verify Incoming: %s, Verify Outgoing: %s (Verify Hostname: %s), Min Version: %s",
	    yes(tls_bool(c, "tls.internal_rpc.verify_incoming", "tls.defaults.verify_incoming")),
	    yes(tls_bool(c, "tls.internal_rpc.verify_outgoing", "tls.defaults.verify_outgoing")),
	    yes(tls_bool(c, "tls.internal_rpc.verify_server_hostname", "tls.defaults.verify_server_hostname")),
	    tls_min(c, "tls.internal_rpc.tls_min_version"));
	buf_put_str(out, "\n==> Log data will now stream in as it occurs:\n\n");
}
