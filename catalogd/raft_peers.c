/*
 * raft_peers.c - the servers of the cluster, and where they are (contract: raft_peers.h; callers: bootstrap.c, raft_members.c, catalogd.c)
 */
#include "raft_peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "log.h"
#include "mem.h"
#include "mp.h"

#define MODULE "agent.server"
#define ADDRESSES_BYTES_MAX (RAFT_PEERS_MAX * 256)

/* ---- reading ---- */

static int
peer_read(struct bytes server, struct raft_peer *out)
{
	*out = (struct raft_peer){.voter = mp_find_bool(server, "Voter"),
	    .leader = mp_find_bool(server, "Leader"),
	    .replicates = bytes_is(mp_find_str(server, "Progress"), "replicate"),
	    .blank = mp_find_bool(server, "Blank"),
	    .match = mp_find_uint(server, "MatchIndex"),
	    .last_term = mp_find_uint(server, "LastTerm"),
	    .silent_ms = mp_find_uint(server, "SilentMs")};
	if (!uuid_is_valid(mp_find_str(server, "ID")) ||
	    bytes_to_str(mp_find_str(server, "ID"), out->id, sizeof out->id) == -1 ||
	    bytes_to_str(mp_find_str(server, "Address"), out->address, sizeof out->address) == -1 ||
	    bytes_to_str(mp_find_str(server, "Configured"), out->configured, sizeof out->configured) == -1)
		return -1;
	return 0;
}

int
raft_peers_read(struct bytes answer, struct raft_peers *out)
{
	struct mp in = mp_of(mp_find_raw(answer, "Servers"));

	*out = (struct raft_peers){.index = mp_find_uint(answer, "Index"),
	    .committed_index = mp_find_uint(answer, "CommittedIndex"),
	    .last_index = mp_find_uint(answer, "LastIndex"),
	    .last_term = mp_find_uint(answer, "LastTerm"),
	    .heartbeat_ms = mp_find_uint(answer, "HeartbeatMs")};
	if (mp_peek(&in) != MP_ARRAY)
		return -1;
	for (uint32_t n = mp_array(&in); n > 0; n--)
		if (out->count == RAFT_PEERS_MAX || peer_read(mp_raw(&in), &out->at[out->count++]) == -1)
			return -1;
	return mp_ok(&in) ? 0 : -1;
}

const struct raft_peer *
raft_peers_find(const struct raft_peers *p, const char *id)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcasecmp(p->at[i].id, id) == 0)
			return &p->at[i];
	return NULL;
}

size_t
raft_peers_voters(const struct raft_peers *p)
{
	size_t count = 0;

	for (size_t i = 0; i < p->count; i++)
		count += p->at[i].voter;
	return count;
}

bool
raft_peers_eligible(const struct lan_member *m)
{
	return m->server && m->local && m->own_kind[0] != '\0' && uuid_is_valid(bytes_str(m->id));
}

void
raft_peers_put(struct buf *out, const char *id, const union net_addr *address)
{
	char text[NET_ADDR_TEXT_MAX];

	mp_put_map(out, 2);
	mp_put_kv_cstr(out, "ID", id);
	mp_put_kv_cstr(out, "Address", net_addr_text_port(address, text));
}

/* ---- telling raftd where they are ---- */

struct raft_addresses {
	struct catalogd *c;
	struct buf told; /* what raftd was told last */
};

static void
on_told(void *ctx, const struct ipc_answer *answer)
{
	(void)ctx;
	/* lost: it is told again when it is there again */
	if (answer->status == IPC_ERROR)
		log_errorx(MODULE, "raftd does not take the addresses of the servers: error=%s",
		    log_quote_bytes(answer->error));
}

static void
addresses_put(const struct members *members, struct buf *out)
{
	uint32_t count = 0;
	size_t place;

	mp_put_map(out, 1);
	mp_put_cstr(out, "Servers");
	place = mp_open_array(out);
	for (size_t i = 0; i < members_count(members) && count < RAFT_PEERS_MAX; i++) {
		const struct lan_member *m = members_at(members, i);

		/* of several with this ID, one that was renamed, the one that is there counts */
		if (!raft_peers_eligible(m) || members_find_id(members, bytes_str(m->id)) != m)
			continue;
		raft_peers_put(out, m->id, &m->rpc);
		count++;
	}
	mp_close(out, place, count);
}

static void
addresses_tell(struct raft_addresses *a)
{
	struct buf args = BUF_INIT(ADDRESSES_BYTES_MAX);

	if (!members_synced(a->c->members))
		return; /* a part of them would take the others' addresses away */
	addresses_put(a->c->members, &args);
	if (bytes_equal(buf_bytes(&args), buf_bytes(&a->told))) {
		buf_free(&args);
		return;
	}
	(void)ipc_call(daemon_peer(a->c->daemon, "raftd"), "Raft.Addresses", buf_bytes(&args), NULL, on_told, NULL);
	buf_free(&a->told);
	a->told = args;
}

static void
on_member(void *ctx, const struct lan_member *m, enum member_status before)
{
	(void)before;
	if (m == NULL || m->server)
		addresses_tell(ctx);
}

void
raft_addresses_again(struct raft_addresses *a)
{
	buf_clear(&a->told);
	addresses_tell(a);
}

struct raft_addresses *
raft_addresses_new(struct catalogd *c)
{
	struct raft_addresses *a = xcalloc(1, sizeof *a);

	a->c = c;
	buf_init(&a->told, ADDRESSES_BYTES_MAX);
	members_observe(c->members, on_member, a);
	return a;
}

void
raft_addresses_free(struct raft_addresses *a)
{
	if (a == NULL)
		return;
	buf_free(&a->told);
	free(a);
}
