/*
 * serve_members.c - raftd's methods about other servers: sockets, addresses, membership, leadership (contract: serve_internal.h; caller: serve.c)
 *
 * A change is answered when its entry is committed, in the order of the requests; one that has to wait for another is tried
 * again each turn. Who does not lead refuses and says who does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"
#include "mp.h"
#include "net.h"
#include "serve_internal.h"

#define CHANGE_S 10.0
#define WAKE_S 0.25

/* ---- waiting ---- */

static void
on_wake(struct ev_loop *loop, struct ev_timer *w, int events)
{
	(void)loop, (void)w, (void)events; /* the turn does the rest */
}

void
serve_members_init(struct serve *s)
{
	ev_timer_init(&s->wake, on_wake, WAKE_S, WAKE_S);
}

static void
wait_remove(struct serve *s, size_t i)
{
	s->wait_count--;
	memmove(&s->waits[i], &s->waits[i + 1], (s->wait_count - i) * sizeof *s->waits);
	for (size_t k = 0; k < s->wait_count; k++)
		if (s->waits[k].what == WAIT_TURN)
			return;
	node_change_end(s->node);
}

static void
wait_ended(struct ipc_stream *stream, void *ctx)
{
	struct serve *s = ctx;

	for (size_t i = 0; i < s->wait_count; i++)
		if (s->waits[i].stream == stream) {
			wait_remove(s, i);
			return;
		}
}

static void
wait_add(struct serve *s, const struct wait *w)
{
	if (s->wait_count == STREAMS_MAX) {
		ipc_fail(w->stream, 503, "too many requests wait for the other servers");
		return;
	}
	s->waits[s->wait_count++] = *w;
	ipc_stream_watch(w->stream, wait_ended, NULL, s);
	if (!ev_is_active(&s->wake))
		ev_timer_again(daemon_loop(s->daemon), &s->wake);
}

void
serve_refuse(struct serve *s, struct ipc_stream *stream, const char *error)
{
	struct raft_id leader = node_status(s->node).leader;
	const char *address = node_address_of(s->node, leader);

	if (strcmp(error, "not leader") == 0 && !raft_id_is_none(leader) && address[0] != '\0')
		ipc_fail(stream, 0, "not leader, that is %s", address);
	else
		ipc_fail(stream, 0, "%s", error);
}

static void
index_reply(struct serve *s, struct ipc_stream *stream, uint64_t index)
{
	buf_clear(&s->out);
	mp_put_map(&s->out, 1);
	mp_put_kv_uint(&s->out, "Index", index);
	ipc_reply(stream, buf_bytes(&s->out));
}

/* ---- membership ---- */

enum waited { WAITED_ON, WAITED_DONE };

/* Tries a change. */
static enum waited
change_try(struct serve *s, struct wait *w)
{
	char error[NODE_ERROR_MAX];

	/* a vote is given to who has been heard of: first it is added without */
	if (w->change == NODE_ADD_VOTER && configuration_find(node_configuration(s->node), w->member.id) == NULL) {
		w->change = NODE_ADD_NONVOTER;
		w->promote = true;
	}
	switch (node_change(s->node, w->change, &w->member, &w->index, error)) {
	case NODE_CHANGE_DONE:
		if (w->index == 0) {
			index_reply(s, w->stream, node_configuration_index(s->node));
			return WAITED_DONE;
		}
		w->what = WAIT_COMMIT;
		w->term = node_status(s->node).term;
		return WAITED_ON;
	case NODE_CHANGE_WAIT:
		if (ev_now(daemon_loop(s->daemon)) < w->deadline)
			return WAITED_ON;
		ipc_fail(w->stream, 503, "%s, try again", error);
		return WAITED_DONE;
	case NODE_CHANGE_REFUSED:
		serve_refuse(s, w->stream, error);
		return WAITED_DONE;
	}
	panic("serve: a change without an answer");
}

static enum waited
commit_check(struct serve *s, struct wait *w)
{
	uint64_t term = node_term_at(s->node, w->index);

	if (node_commit(s->node) >= w->index && (term == w->term || w->index < node_first_index(s->node))) {
		if (w->promote) {
			w->promote = false;
			w->change = NODE_PROMOTE;
			w->what = WAIT_TURN;
			return WAITED_ON;
		}
		index_reply(s, w->stream, w->index);
		return WAITED_DONE;
	}
	/* another leader may still commit it: what becomes of it is not known */
	if (node_status(s->node).role == RAFT_LEADER && node_status(s->node).term == w->term)
		return WAITED_ON;
	ipc_fail(w->stream, 0, "leadership lost while committing log");
	return WAITED_DONE;
}

static enum waited
transfer_check(struct serve *s, const struct wait *w)
{
	struct node_status status = node_status(s->node);

	if (status.role == RAFT_LEADER && node_transferring(s->node))
		return WAITED_ON;
	if (status.role == RAFT_LEADER) {
		ipc_fail(w->stream, 0, "leadership transfer timeout");
		return WAITED_DONE;
	}
	/* it has stepped back; whoever leads now is known in a moment */
	if (raft_id_is_none(status.leader) && ev_now(daemon_loop(s->daemon)) < w->deadline)
		return WAITED_ON;
	buf_clear(&s->out);
	mp_put_map(&s->out, 1);
	mp_put_kv_cstr(&s->out, "Leader", node_address_of(s->node, status.leader));
	ipc_reply(w->stream, buf_bytes(&s->out));
	return WAITED_DONE;
}

static enum waited
round_check(struct serve *s, const struct wait *w)
{
	struct node_status status = node_status(s->node);

	if (status.role != RAFT_LEADER || status.term != w->term) {
		serve_refuse(s, w->stream, "not leader");
		return WAITED_DONE;
	}
	if (node_round(s->node) < w->round)
		return WAITED_ON;
	buf_clear(&s->out);
	mp_put_map(&s->out, 2);
	mp_put_kv_uint(&s->out, "Index", w->index);
	mp_put_kv_uint(&s->out, "Term", w->term);
	ipc_reply(w->stream, buf_bytes(&s->out));
	return WAITED_DONE;
}

void
serve_members_turn(struct serve *s)
{
	bool tried = false;

	for (size_t i = 0; i < s->wait_count;) {
		struct wait *w = &s->waits[i];
		enum waited result = WAITED_ON;

		switch (w->what) {
		case WAIT_TURN:
			if (!tried)
				result = change_try(s, w);
			tried = tried || (result == WAITED_ON && w->what == WAIT_TURN);
			break;
		case WAIT_COMMIT:
			result = commit_check(s, w);
			break;
		case WAIT_TRANSFER:
			result = transfer_check(s, w);
			break;
		case WAIT_ROUND:
			result = round_check(s, w);
			break;
		}
		if (result == WAITED_DONE)
			wait_remove(s, i);
		else
			i++;
	}
	if (s->wait_count == 0)
		ev_timer_stop(daemon_loop(s->daemon), &s->wake);
}

static struct serve *
serve_of(void *ctx)
{
	return daemon_state(ctx);
}

/* {ID, Address, Life}; false: answered. */
static bool
member_read(struct ipc_stream *stream, struct bytes args, struct member *out)
{
	char id[UUID_TEXT_SIZE];

	*out = (struct member){0};
	if (bytes_to_str(mp_find_str(args, "ID"), id, sizeof id) == -1 || raft_id_parse(id, &out->id) == -1) {
		ipc_fail(stream, 400, "ID is not a node ID");
		return false;
	}
	if (bytes_to_str(mp_find_str(args, "Address"), out->address, sizeof out->address) == -1) {
		ipc_fail(stream, 400, "Address is too long");
		return false;
	}
	out->life = mp_find_uint(args, "Life");
	return true;
}

static void
handle_change(struct ipc_stream *stream, struct bytes args, void *ctx, enum node_change change)
{
	struct serve *s = serve_of(ctx);
	struct wait w = {.what = WAIT_TURN,
	    .stream = stream,
	    .change = change,
	    .deadline = ev_now(daemon_loop(s->daemon)) + CHANGE_S};

	if (member_read(stream, args, &w.member))
		wait_add(s, &w); /* tried in this turn */
}

void
serve_add_voter(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	handle_change(stream, args, ctx, NODE_ADD_VOTER);
}

void
serve_add_nonvoter(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	handle_change(stream, args, ctx, NODE_ADD_NONVOTER);
}

void
serve_promote(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	handle_change(stream, args, ctx, NODE_PROMOTE);
}

void
serve_demote(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	handle_change(stream, args, ctx, NODE_DEMOTE);
}

void
serve_remove(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	handle_change(stream, args, ctx, NODE_REMOVE);
}

void
serve_transfer(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	struct serve *s = serve_of(ctx);
	struct bytes text = mp_find_str(args, "ID");
	char id[UUID_TEXT_SIZE], error[NODE_ERROR_MAX];
	struct raft_id to = {0};

	if (text.size > 0 && (bytes_to_str(text, id, sizeof id) == -1 || raft_id_parse(id, &to) == -1)) {
		ipc_fail(stream, 400, "ID is not a node ID");
		return;
	}
	if (node_transfer(s->node, to, error) == -1) {
		serve_refuse(s, stream, error);
		return;
	}
	wait_add(
	    s, &(struct wait){
		   .what = WAIT_TRANSFER, .stream = stream, .deadline = ev_now(daemon_loop(s->daemon)) + CHANGE_S});
}

void
serve_read_index(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	struct serve *s = serve_of(ctx);
	struct wait w = {.what = WAIT_ROUND, .stream = stream, .term = node_status(s->node).term};

	(void)args;
	w.round = node_read_begin(s->node, &w.index);
	if (w.round == 0)
		serve_refuse(s, stream, "not leader");
	else
		wait_add(s, &w);
}

/* ---- others ---- */

/* {Servers: [{ID, Address}]}; false: answered. */
static bool
members_read(struct ipc_stream *stream, struct bytes args, struct configuration *out)
{
	struct mp servers;

	*out = (struct configuration){0};
	if (!mp_find(mp_of(args), "Servers", &servers) || mp_peek(&servers) != MP_ARRAY) {
		ipc_fail(stream, 400, "Servers is not a list");
		return false;
	}
	for (uint32_t left = mp_array(&servers); left > 0; left--) {
		if (out->count == RAFT_MEMBERS_MAX) {
			ipc_fail(stream, 400, "more than %d servers", RAFT_MEMBERS_MAX);
			return false;
		}
		if (!member_read(stream, mp_raw(&servers), &out->members[out->count]))
			return false;
		out->count++;
	}
	return true;
}

void
serve_addresses(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	struct configuration c;

	if (!members_read(stream, args, &c))
		return;
	node_addresses_tell(serve_of(ctx)->node, c.members, c.count);
	ipc_reply(stream, bytes_of(NULL, 0));
}

void
serve_bootstrap(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	char error[NODE_ERROR_MAX];
	struct configuration c;

	if (!members_read(stream, args, &c))
		return;
	if (node_bootstrap(serve_of(ctx)->node, &c, error) == -1)
		ipc_fail(stream, 0, "%s", error);
	else
		index_reply(serve_of(ctx), stream, 1);
}

void
serve_accept(struct ipc_stream *stream, struct bytes args, void *ctx)
{
	char peer[NET_ADDR_TEXT_MAX];
	int fd = ipc_stream_take_fd(stream);

	if (fd == -1) {
		ipc_fail(stream, 400, "Raft.Accept: no socket came along");
		return;
	}
	if (bytes_to_str(mp_find_str(args, "From"), peer, sizeof peer) == -1)
		snprintf(peer, sizeof peer, "?");
	node_accept(serve_of(ctx)->node, fd, peer);
	ipc_reply(stream, bytes_of(NULL, 0));
}
