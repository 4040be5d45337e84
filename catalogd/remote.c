/*
 * remote.c - what this process has to do with other nodes (contract: remote.h; callers: main.c, rpcport.c, serve.c, stats.c)
 */
#include "remote.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "duration.h"
#include "forward.h"
#include "log.h"
#include "mem.h"
#include "names.h"
#include "raftlog.h"
#include "rpcpool.h"
#include "rpcserver.h"
#include "serve.h"
#include "servers.h"
#include "wire.h"

#define MODULE "agent.server.rpc"
#define RAFT_HANDOVER_MS 2000
#define QUIET_NS NS_PER_S

struct remote {
	struct catalogd *c;
	struct wires *wires;
	struct rpcserver *server; /* NULL on a client */
	struct rpcpool *pool;
	struct forward *forward;
	struct servers *servers; /* NULL on a server */
	struct names *names;     /* likewise */
};

/* ---- whom to ask ---- */

static bool
leader_address(const struct remote *r, union net_addr *to)
{
	const struct raftlog_status *status = raftlog_status(r->c->raftlog);

	return status->leader_known && !status->leader && net_addr_parse_port(status->leader_address, to) == 0;
}

bool
remote_leader_known(const struct remote *r)
{
	union net_addr to;

	return leader_address(r, &to);
}

static enum forward_where
target(void *ctx, union net_addr *to, bool *as_leader, const char **error)
{
	const struct remote *r = ctx;

	if (r->servers != NULL) {
		*error = "No known Consul servers";
		return servers_first(r->servers, to) ? FORWARD_THERE : FORWARD_NOWHERE;
	}
	*as_leader = true;
	*error = "No cluster leader";
	if (raftlog_ready(r->c->raftlog))
		return FORWARD_HERE;
	return leader_address(r, to) ? FORWARD_THERE : FORWARD_NOWHERE;
}

static bool
is_asked(void *ctx, const union net_addr *to)
{
	const struct remote *r = ctx;
	union net_addr leader;

	if (r->servers != NULL)
		return servers_has(r->servers, to);
	return leader_address(r, &leader) && net_addr_equal(&leader, to);
}

static void
on_failed(void *ctx, const union net_addr *to)
{
	const struct remote *r = ctx;

	if (r->servers != NULL)
		servers_failed(r->servers, to);
}

static void
serve_here(void *ctx, struct ipc_stream *s, struct bytes args)
{
	const struct remote *r = ctx;
	struct ipc *ipc = daemon_ipc(r->c->daemon);

	ipc_method_find(ipc, &serve_remote_service, bytes_str(ipc_stream_method(s)))
	    ->handler(s, args, serve_remote_service.ctx);
}

static const struct forward_ops forward_ops = {
    .target = target, .asked = is_asked, .failed = on_failed, .here = serve_here};

static void
on_servers_changed(void *ctx)
{
	remote_changed(ctx);
}

void
remote_changed(struct remote *r)
{
	if (r->forward != NULL)
		forward_changed(r->forward);
}

void
remote_request(struct remote *r, struct ipc_stream *s, struct bytes args, bool read)
{
	forward_request(r->forward, s, ipc_stream_method(s), args, read);
}

/* ---- who asks ---- */

static void
on_handed_over(void *ctx, const struct ipc_answer *answer)
{
	(void)ctx;
	if (answer->status != IPC_OK)
		log_warnx(MODULE, "a connection of another server was not taken by raftd: error=%s",
		    log_quote_bytes(answer->error));
}

/* A connection of another server's raftd: its socket, of which only the first byte was read. */
static void
hand_over(void *ctx, int fd, const union net_addr *from)
{
	const struct remote *r = ctx;
	struct buf args = BUF_INIT(256);
	char text[NET_ADDR_TEXT_MAX];

	mp_put_map(&args, 1);
	mp_put_kv_cstr(&args, "From", net_addr_text_port(from, text));
	(void)ipc_call(daemon_peer(r->c->daemon, "raftd"), "Raft.Accept", buf_bytes(&args),
	    &(struct ipc_call_options){.timeout_ms = RAFT_HANDOVER_MS, .fd = fd}, on_handed_over, NULL);
	buf_free(&args);
}

void
remote_accepted(struct remote *r, int fd, const union net_addr *from)
{
	if (r->server == NULL)
		close(fd);
	else
		rpcserver_accepted(r->server, fd, from);
}

void
remote_refuse(struct remote *r, const char *error)
{
	rpcserver_refuse(r->server, error);
}

struct rpcpool *
remote_pool(const struct remote *r)
{
	return r->pool;
}

size_t
remote_servers(const struct remote *r)
{
	return r->servers == NULL ? 0 : servers_count(r->servers);
}

size_t
remote_waiting(const struct remote *r)
{
	return forward_askers(r->forward);
}

size_t
remote_calls(const struct remote *r)
{
	return forward_flights(r->forward);
}

size_t
remote_names(const struct remote *r)
{
	return r->names == NULL ? 0 : names_count(r->names);
}

/* ---- all of it ---- */

static struct forward_options
forward_conf(const struct conf *conf)
{
	return (struct forward_options){
	    .hold_ns = conf_duration(conf, "performance.rpc_hold_timeout", 7 * NS_PER_S),
	    .timeout_ns = conf_duration(conf, "limits.rpc_client_timeout", 60 * NS_PER_S),
	    .quiet_ns = QUIET_NS,
	    .default_wait_ns = conf_duration(conf, "default_query_time", 300 * NS_PER_S),
	    .max_wait_ns = conf_duration(conf, "max_query_time", 600 * NS_PER_S),
	};
}

static struct rpcserver_options
server_conf(const struct conf *conf)
{
	return (struct rpcserver_options){
	    .handshake_s = (double)conf_duration(conf, "limits.rpc_handshake_timeout", 5 * NS_PER_S) / (double)NS_PER_S,
	    .conns_per_client_max = (unsigned)MAX(conf_int(conf, "limits.rpc_max_conns_per_client", 100), 0),
	};
}

void
remote_configure(struct remote *r)
{
	const struct conf *conf = daemon_conf(r->c->daemon);
	struct forward_options forward = forward_conf(conf);
	struct rpcserver_options server = server_conf(conf);

	forward_set(r->forward, &forward);
	if (r->server != NULL)
		rpcserver_set(r->server, &server);
	if (r->servers != NULL)
		servers_configure(r->servers);
}

struct remote *
remote_new(struct catalogd *c)
{
	const struct conf *conf = daemon_conf(c->daemon);
	struct forward_options forward = forward_conf(conf);
	struct rpcserver_options server = server_conf(conf);
	struct remote *r = xcalloc(1, sizeof *r);
	union net_addr from;
	bool bound = net_addr_parse(conf_str(conf, "bind_addr", ""), 0, &from) == 0;

	r->c = c;
	r->wires = wires_new(c->loop);
	r->pool = rpcpool_new(c->loop, r->wires, bound ? &from : NULL);
	r->forward = forward_new(c->loop, r->pool, &forward, &forward_ops, r);
	if (c->server) {
		r->server = rpcserver_new(daemon_ipc(c->daemon), r->wires, &serve_remote_service, &server);
		rpcserver_raft_by(r->server, hand_over, r);
	} else {
		r->servers = servers_new(c, r->pool, on_servers_changed, r);
		r->names = names_new(c, r->forward);
	}
	return r;
}

void
remote_free(struct remote *r)
{
	if (r == NULL)
		return;
	rpcserver_free(r->server);
	names_free(r->names);
	forward_free(r->forward);
	servers_free(r->servers);
	rpcpool_free(r->pool);
	wires_free(r->wires);
	free(r);
}
