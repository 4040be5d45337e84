/*
 * raftlog.c - the way to raftd and back (contract: raftlog.h; callers: serve.c, leader.c, session_timer.c)
 *
 * Three calls over one connection: Raft.Status tells who leads; Raft.Pull brings committed entries from our applied index on; Raft.Propose
 * takes what was gathered in a loop turn. All entries of one Pull element are applied in one write transaction; answers, wake-ups
 * and the credit for the next element come after its commit. An element that could not be committed (disk full) is kept and
 * tried again, while reads go on.
 *
 * The store follows one log. If the log is another one (its ID), or does not reach as far back or as far forward as the store, the store
 * is thrown away and made again from raftd's snapshot and the entries behind it.
 */
#include "raftlog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive.h"
#include "duration.h"
#include "heard.h"
#include "log.h"
#include "mem.h"
#include "publish.h"
#include "pull_order.h"
#include "serve.h"
#include "session_timer.h"
#include "uuid.h"

#define MODULE "agent.server.raft"
#define GRANT_BYTES (256u * 1024) /* credit goes back in pieces, not for every element */
#define PULL_CREDIT (4u * 1024 * 1024 + GRANT_BYTES)
#define PROPOSE_BYTES_MAX (1u * 1024 * 1024) /* of one call */
#define PROPOSE_TURN_MAX 16                  /* calls in one loop turn */
#define REPLY_BYTES_MAX (64u * 1024 * 1024)
#define PROPOSE_OUT_BYTES_MAX (8u * 1024 * 1024)
#define OUTCOME_NS (30 * NS_PER_S)
#define EXPIRE_S 0.25
#define RETRY_S 0.5
#define BUSY 503 /* raftd's refusal: something is under way, ask again */
#define SPACE_CHECK_NS (200 * NS_PER_MS)
#define RESERVE_DEFAULT (64 * INT64_C(1024) * 1024)

enum phase {
	PHASE_START,    /* no status yet */
	PHASE_SNAPSHOT, /* asked for the snapshot */
	PHASE_RESTORE,  /* it is being read */
	PHASE_PULL,
};

/* What an applied entry has to tell its proposer, once it is committed. */
struct outcome {
	struct proposal *proposal;
	size_t at, size; /* of the reply, or of the error's text and its NUL */
	unsigned status;
	bool refused;
};

struct batch {
	struct raftlog *l;
	uint64_t first;
	size_t count;
	struct batch *next;
};

struct raftlog {
	struct catalogd *c;
	struct ipc_peer *peer;
	struct ipc_call *status_call, *pull_call;
	uint32_t ungranted; /* bytes of pull_call that are applied, and not granted again */
	struct raftlog_status status;
	struct heard *heard;
	enum phase phase;
	bool ready;
	uint64_t caught_up_at; /* what was committed when raftd was found: a store made again is behind it at first */
	bool verify_first;     /* the first entry pulled is the one that the store has applied last */
	struct proposals *proposals;
	struct batch *free_batches;
	struct ev_prepare gather;
	struct ev_timer expire, retry;
	struct apply apply;
	struct buf reply, replies, propose;
	struct outcome *outcomes;
	size_t outcome_count, outcome_size;
	struct buf
	    stuck; /* elements that could not be committed yet, each behind its size in 4 bytes; bounded by the credit */
	bool full; /* it is logged */
	int64_t hold_ns, last_time_ns, apply_ns;
	uint64_t reserve_bytes;
	int64_t space_checked_ns;
	bool space_low, space_logged;
};

static void pull_start(struct raftlog *l);
static void snapshot_ask(struct raftlog *l);

const struct raftlog_status *
raftlog_status(const struct raftlog *l)
{
	return &l->status;
}

bool
raftlog_ready(const struct raftlog *l)
{
	return l->ready;
}

bool
raftlog_heard(const struct raftlog *l)
{
	return heard_ever(l->heard);
}

int64_t
raftlog_silence_ns(const struct raftlog *l)
{
	return heard_silence_ns(l->heard, page_clock());
}

bool
raftlog_lease_holds(const struct raftlog *l)
{
	return page_lease_holds(l->status.lease_until, page_clock);
}

int64_t
raftlog_apply_ns(const struct raftlog *l)
{
	return l->apply_ns;
}

size_t
raftlog_waiting(const struct raftlog *l)
{
	return proposals_count(l->proposals);
}

static void
ready_check(struct raftlog *l)
{
	struct store_state state = store_state(l->c->store);
	bool ready = l->status.connected && l->status.leader && l->phase == PHASE_PULL &&
		     state.applied_term == l->status.term && state.applied_index > 0 &&
		     state.applied_index >= l->caught_up_at;

	publish_lease(l->c->publish, ready ? l->status.lease_until : 0);
	if (ready == l->ready)
		return;
	l->ready = ready;
	if (ready) {
		catalogd_leader_ready(l->c);
	} else {
		catalogd_leader_lost(l->c);
		proposals_unsent_end(l->proposals);
	}
}

/* ---- proposing ---- */

int64_t
raftlog_time_ns(struct raftlog *l)
{
	/* The stamps of one leader do not go back, whatever is done to the clock. */
	l->last_time_ns = MAX(l->last_time_ns, walltime_ns());
	return l->last_time_ns;
}

static bool
space_is_low(struct raftlog *l)
{
	int64_t now = monotime_now().ns;

	if (l->space_checked_ns == 0 || now - l->space_checked_ns >= SPACE_CHECK_NS) {
		l->space_checked_ns = now;
		l->space_low = store_free_bytes(l->c->store) < l->reserve_bytes;
		if (l->space_low != l->space_logged) {
			l->space_logged = l->space_low;
			if (l->space_low)
				log_errorx(MODULE,
				    "the disk is nearly full, refusing writes until there is space: directory=%s "
				    "reserve_bytes=%llu",
				    store_directory(l->c->store), (unsigned long long)l->reserve_bytes);
			else
				log_info(MODULE, "the disk has space again, taking writes");
		}
	}
	return l->space_low;
}

struct proposal *
raftlog_propose(struct raftlog *l, enum apply_type type, struct bytes body, proposal_done *done, void *ctx)
{
	int64_t now = monotime_now().ns;
	struct proposal_options options = {.type = type,
	    .time_ns = raftlog_time_ns(l),
	    .body = body,
	    .send_deadline_ns = now + l->hold_ns,
	    .outcome_deadline_ns = now + OUTCOME_NS,
	    .done = done,
	    .ctx = ctx};
	struct proposal_result refused = {.outcome = PROPOSAL_FAILED};
	struct proposal *proposal;

	if (l->status.no_space || space_is_low(l))
		refused.error = "no space left on device: writes are refused until there is space again, reads go on";
	else if ((proposal = proposals_add(l->proposals, &options)) != NULL) {
		if (!ev_is_active(&l->expire))
			ev_timer_again(l->c->loop, &l->expire);
		return proposal;
	} else {
		refused.error = "too many writes are waiting, try again later";
		refused.status = 503;
	}
	done(ctx, &refused);
	return NULL;
}

static void
on_proposed(void *ctx, const struct ipc_answer *answer)
{
	struct batch *b = ctx;
	struct raftlog *l = b->l;
	char text[256];

	if (answer->status == IPC_NOT_SENT) {
		proposals_return(l->proposals, b->first, b->count);
	} else if (answer->status == IPC_ERROR) {
		if (bytes_to_str(answer->error, text, sizeof text) == -1)
			snprintf(text, sizeof text, "the log refused it");
		if (strncmp(text, "not leader", 10) == 0 || strncmp(text, "term changed", 12) == 0)
			proposals_return(l->proposals, b->first, b->count);
		else
			proposals_fail(l->proposals, b->first, b->count, text);
	}
	if (!l->ready)
		proposals_unsent_end(l->proposals);
	/* Lost: the outcome is known when entries of a later term come out of the log, or never. */
	b->next = l->free_batches;
	l->free_batches = b;
}

/* Before the loop sleeps: what this turn has gathered leaves in as few calls as possible. */
static void
on_gather(struct ev_loop *loop, struct ev_prepare *w, int events)
{
	struct raftlog *l = w->data;

	(void)loop, (void)events;
	for (int i = 0; i < PROPOSE_TURN_MAX && l->ready && proposals_waiting(l->proposals) > 0; i++) {
		struct batch *b = l->free_batches;

		if (b != NULL)
			l->free_batches = b->next;
		else
			b = xmalloc(sizeof *b);
		buf_clear(&l->propose);
		mp_put_map(&l->propose, 2);
		mp_put_kv_uint(&l->propose, "Term", l->status.term);
		mp_put_cstr(&l->propose, "Entries");
		b->l = l;
		b->count = proposals_take(l->proposals, l->status.term, PROPOSE_BYTES_MAX, &l->propose, &b->first);
		if (b->count == 0) {
			b->next = l->free_batches;
			l->free_batches = b;
			break;
		}
		(void)ipc_call(l->peer, "Raft.Propose", buf_bytes(&l->propose), NULL, on_proposed, b);
	}
	store_read_end(l->c->store);
}

static void
on_expire(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct raftlog *l = w->data;

	(void)events;
	if (proposals_expire(l->proposals, monotime_now().ns) == 0)
		ev_timer_stop(loop, w);
}

/* ---- applying ---- */

static void
outcome_add(struct raftlog *l, struct proposal *proposal, bool refused)
{
	struct outcome *o;

	if (l->outcome_count == l->outcome_size) {
		l->outcome_size = l->outcome_size == 0 ? 1024 : l->outcome_size * 2;
		l->outcomes = xreallocarray(l->outcomes, l->outcome_size, sizeof *l->outcomes);
	}
	o = &l->outcomes[l->outcome_count++];
	*o = (struct outcome){
	    .proposal = proposal, .at = l->replies.used, .refused = refused, .status = l->apply.status};
	if (refused)
		buf_put(&l->replies, l->apply.error, strlen(l->apply.error) + 1);
	else
		buf_put_bytes(&l->replies, buf_bytes(&l->reply));
	o->size = l->replies.used - o->at;
}

static void
outcomes_tell(struct raftlog *l)
{
	for (size_t i = 0; i < l->outcome_count; i++) {
		struct outcome *o = &l->outcomes[i];
		struct proposal_result result = {
		    .outcome = o->refused ? PROPOSAL_REFUSED : PROPOSAL_APPLIED, .status = o->status};

		if (o->refused)
			result.error = (const char *)l->replies.data + o->at;
		else
			result.reply = bytes_of(l->replies.data + o->at, o->size);
		proposals_end(l->proposals, o->proposal, &result);
	}
	l->outcome_count = 0;
	buf_clear(&l->replies);
}

/* One entry of an element within the batch's transaction. -1: the transaction is of no use any more. */
static int
apply_one(struct raftlog *l, uint64_t index, uint64_t term, struct bytes data)
{
	struct apply_entry entry;
	struct proposal *proposal;
	enum apply_status status;

	if (apply_entry_get(data, &entry) == -1)
		fatal_permanent(MODULE, "log entry is not one of ours: index=%llu term=%llu", (unsigned long long)index,
		    (unsigned long long)term);
	l->apply.index = index;
	status = apply_entry(&l->apply, &entry);
	if (status == APPLY_UNKNOWN)
		fatal_permanent(MODULE,
		    "log entry of a newer version of this program, not going on: index=%llu type=%u version=%u",
		    (unsigned long long)index, entry.type, entry.version);
	if (status == APPLY_STORE_FAILED)
		return -1;
	proposal = proposals_find(l->proposals, entry.nonce, entry.sequence);
	if (proposal != NULL)
		outcome_add(l, proposal, status == APPLY_REFUSED);
	return 0;
}

/*
 * Applies the entries of an element behind o, which goes along. 1: done; 0: the store failed; -1: these are not the entries that follow.
 */
static int
apply_entries(struct raftlog *l, struct bytes element, struct pull_order *o)
{
	struct mp in = mp_of(element);

	for (uint32_t n = mp_array(&in); n > 0; n--) {
		uint64_t index, term, type;
		struct bytes data;

		if (mp_array(&in) < 4)
			return -1;
		index = mp_uint(&in);
		term = mp_uint(&in);
		type = mp_uint(&in);
		data = mp_str(&in);
		if (!mp_ok(&in))
			return -1;
		switch (pull_order_next(o, index, term)) {
		case PULL_WRONG:
			return -1;
		case PULL_KNOWN:
			continue;
		case PULL_NEW_TERM:
			proposals_term(l->proposals, term);
			break;
		case PULL_APPLY:
			break;
		}
		if (type == 1 && apply_one(l, index, term, data) == -1)
			return 0;
	}
	return mp_ok(&in) ? 1 : -1;
}

static void
store_stuck(struct raftlog *l, const char *error)
{
	if (!l->full)
		log_errorx(MODULE, "can not apply, trying again: error=%s", log_quote(error));
	l->full = true;
}

static void
rebuild(struct raftlog *l, const char *why)
{
	log_warnx(MODULE, "the store does not belong to the log, making it again: reason=%s", log_quote(why));
	if (l->pull_call != NULL)
		ipc_cancel(l->pull_call);
	l->pull_call = NULL;
	buf_free(&l->stuck);
	ev_timer_stop(l->c->loop, &l->retry);
	l->phase = PHASE_SNAPSHOT;
	ready_check(l);
	catalogd_store_renew(l->c);
	snapshot_ask(l);
}

/* Applies a whole element. false: it could not be; stuck or rebuilding. */
static bool
element_apply(struct raftlog *l, struct bytes element)
{
	struct store *store = l->c->store;
	struct store_state state = store_state(store);
	struct pull_order o = {state.applied_index, state.applied_term, l->verify_first};
	char error[STORE_ERROR_MAX] = "";
	enum store_result result;
	int64_t begun_ns;
	int done;

	store_read_end(store);
	l->apply.txn = store_write(store, error);
	if (l->apply.txn == NULL) {
		store_stuck(l, error);
		return false;
	}
	l->outcome_count = 0;
	buf_clear(&l->replies);
	begun_ns = monotime_now().ns;
	done = apply_entries(l, element, &o);
	l->apply_ns += monotime_now().ns - begun_ns;
	if (done == -1) {
		store_abort(l->apply.txn);
		rebuild(l, "the entries that follow are not those of the log");
		return false;
	}
	if (done == 1) {
		store_set_applied(l->apply.txn, o.index, o.term);
		result = store_commit(l->apply.txn, error);
	} else {
		result = store_txn_result(l->apply.txn, error);
		store_abort(l->apply.txn);
	}
	if (result == STORE_DAMAGED)
		catalogd_store_damaged(l->c, error);
	if (result != STORE_DONE) {
		l->outcome_count = 0;
		store_stuck(l, error);
		return false;
	}
	if (l->full)
		log_info(MODULE, "applying again");
	l->full = false;
	l->verify_first = o.verify_first;
	watch_wake(l->c->watch);
	session_timers_settle(l->c->session_timers);
	outcomes_tell(l);
	ready_check(l);
	if (!l->ready)
		proposals_unsent_end(l->proposals);
	serve_applied(l->c->serve);
	return true;
}

static void
credit_return(struct raftlog *l, uint32_t bytes)
{
	l->ungranted += bytes;
	if (l->ungranted < GRANT_BYTES)
		return;
	ipc_grant(l->pull_call, l->ungranted);
	l->ungranted = 0;
}

static void
on_pulled(void *ctx, const struct ipc_answer *answer)
{
	struct raftlog *l = ctx;
	size_t size = answer->body.size;

	if (answer->more) {
		if (l->stuck.used == 0 && element_apply(l, answer->body)) {
			credit_return(l, (uint32_t)size);
		} else if (l->pull_call != NULL) { /* else: the store is made again */
			buf_put_be32(&l->stuck, (uint32_t)size);
			buf_put_bytes(&l->stuck, answer->body);
			ev_timer_again(l->c->loop, &l->retry);
		}
		return;
	}
	l->pull_call = NULL;
	if (answer->status == IPC_ERROR && l->phase == PHASE_PULL) {
		if (bytes_is(answer->error, "compacted") && l->verify_first) {
			/* The entry that we applied last is in the snapshot already; the next one may be there. */
			l->verify_first = false;
			pull_start(l);
		} else if (bytes_is(answer->error, "compacted") || bytes_is(answer->error, "ahead"))
			rebuild(l,
			    bytes_is(answer->error, "ahead") ? "it is ahead of the log" : "the log begins behind it");
		else {
			log_errorx(MODULE, "raftd gives no entries: error=%s", log_quote_bytes(answer->error));
			ev_timer_again(l->c->loop, &l->retry);
		}
	}
}

static void
pull_start(struct raftlog *l)
{
	struct store_state state = store_state(l->c->store);
	struct pull_order o = {state.applied_index, state.applied_term, l->verify_first};
	struct buf args = BUF_INIT(64);

	if (l->pull_call != NULL || !l->status.connected)
		return;
	l->phase = PHASE_PULL;
	l->ungranted = 0;
	mp_put_map(&args, 1);
	mp_put_kv_uint(&args, "From", pull_order_from(&o));
	l->pull_call = ipc_call(
	    l->peer, "Raft.Pull", buf_bytes(&args), &(struct ipc_call_options){.credit = PULL_CREDIT}, on_pulled, l);
	buf_free(&args);
}

static void
on_retry(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct raftlog *l = w->data;

	(void)events;
	while (l->stuck.used > 0) {
		uint32_t size = be32_at(l->stuck.data);

		if (!element_apply(l, bytes_of(l->stuck.data + 4, size)))
			return;
		buf_consume(&l->stuck, 4 + (size_t)size);
		credit_return(l, size);
	}
	buf_free(&l->stuck);
	ev_timer_stop(loop, w);
	if (l->phase == PHASE_PULL)
		pull_start(l);
	else if (l->phase == PHASE_SNAPSHOT)
		snapshot_ask(l);
}

/* ---- following one log ---- */

static void
follow(struct raftlog *l)
{
	char error[STORE_ERROR_MAX];
	struct store_txn *t = store_write(l->c->store, error);

	if (t == NULL)
		fatalx(MODULE, "store: error=%s", log_quote(error));
	store_set_log_id(t, l->status.log_id);
	if (store_commit(t, error) != STORE_DONE)
		fatalx(MODULE, "store: error=%s", log_quote(error));
	l->verify_first = false;
	pull_start(l);
	ready_check(l);
}

static void
on_restored(void *ctx, bool good, const char *error)
{
	struct raftlog *l = ctx;

	if (!good)
		fatalx(MODULE, "can not read the snapshot: error=%s", log_quote(error));
	watch_touch(l->c->watch, WATCH_ALL, bytes_of(NULL, 0));
	follow(l);
	watch_wake(l->c->watch);
}

static void
on_snapshot(void *ctx, const struct ipc_answer *answer)
{
	struct raftlog *l = ctx;
	uint64_t index = mp_find_uint(answer->body, "Index"), term = mp_find_uint(answer->body, "Term");

	if (answer->status == IPC_ERROR && answer->code == BUSY) {
		ev_timer_again(l->c->loop, &l->retry);
		return;
	}
	if (answer->status != IPC_OK)
		fatalx(MODULE, "raftd gives no snapshot: error=%s", log_quote_bytes(answer->error));
	if (answer->fd == -1) {
		watch_touch(l->c->watch, WATCH_ALL, bytes_of(NULL, 0));
		follow(l);
		watch_wake(l->c->watch);
		return;
	}
	log_info(
	    MODULE, "reading the snapshot: index=%llu term=%llu", (unsigned long long)index, (unsigned long long)term);
	l->phase = PHASE_RESTORE;
	archive_restore(l->c->archive, answer->fd, index, term, on_restored, l);
}

/* In PHASE_SNAPSHOT, until there is an answer. */
static void
snapshot_ask(struct raftlog *l)
{
	(void)ipc_call(l->peer, "Raft.Snapshot", bytes_of(NULL, 0), &(struct ipc_call_options){.flags = IPC_RESEND},
	    on_snapshot, l);
}

/* The first status after a connection came up: is it the log that the store was made from? */
static void
identify(struct raftlog *l)
{
	struct store_state state = store_state(l->c->store);

	if (l->phase == PHASE_SNAPSHOT || l->phase == PHASE_RESTORE || l->pull_call != NULL)
		return;
	if (state.log_id[0] == '\0') {
		/* New, or left in the middle of being made. */
		catalogd_store_renew(l->c);
		l->phase = PHASE_SNAPSHOT;
		snapshot_ask(l);
	} else if (strcmp(state.log_id, l->status.log_id) != 0) {
		rebuild(l, "the log has another identity");
	} else if (l->stuck.used == 0) {
		l->verify_first = state.applied_index > 0;
		pull_start(l);
	}
}

static void
status_text(struct bytes body, const char *name, char *out, size_t size)
{
	if (bytes_to_str(mp_find_str(body, name), out, size) == -1)
		out[0] = '\0';
}

static void
on_status(void *ctx, const struct ipc_answer *answer)
{
	struct raftlog *l = ctx;
	struct raftlog_status *s = &l->status;
	char leader_before[RAFTLOG_TEXT_MAX], address_before[RAFTLOG_TEXT_MAX];
	bool found = !s->connected;

	if (!answer->more) {
		/* It never ends by itself; an old raftd that refuses it can not be worked with. */
		fatalx(MODULE, "raftd refuses its status: error=%s", log_quote_bytes(answer->error));
	}
	memcpy(leader_before, s->leader_id, sizeof leader_before);
	memcpy(address_before, s->leader_address, sizeof address_before);
	if (found) {
		l->caught_up_at = mp_find_uint(answer->body, "CommitIndex");
		heard_raftd_up(l->heard, l->peer);
	}
	s->connected = true;
	s->term = mp_find_uint(answer->body, "Term");
	s->last_index = mp_find_uint(answer->body, "LastIndex");
	s->no_space = mp_find_bool(answer->body, "NoSpace");
	s->lease_until = mp_find_uint(answer->body, "LeaseUntil");
	status_text(answer->body, "State", s->state, sizeof s->state);
	status_text(answer->body, "LeaderID", s->leader_id, sizeof s->leader_id);
	status_text(answer->body, "LeaderAddress", s->leader_address, sizeof s->leader_address);
	status_text(answer->body, "LogID", s->log_id, sizeof s->log_id);
	s->leader = strcmp(s->state, "leader") == 0;
	s->leader_known = s->leader || s->leader_id[0] != '\0';
	heard_status(l->heard, s->leader, s->lease_until, page_clock());
	if (s->log_id[0] != '\0' || s->leader)
		identify(l);
	ready_check(l);
	/* Only now: raftd takes a lease for given up when this credit is back, and the page says so from here on. */
	if (l->status_call != NULL)
		ipc_grant(l->status_call, (uint32_t)answer->body.size);
	if (!s->leader && (strcmp(leader_before, s->leader_id) != 0 || strcmp(address_before, s->leader_address) != 0))
		catalogd_leader_changed(l->c);
	catalogd_raft_status(l->c, found);
}

static void
on_up(void *ctx)
{
	struct raftlog *l = ctx;

	log_debug(MODULE, "raftd is there");
	(void)l;
}

static void
on_down(void *ctx)
{
	struct raftlog *l = ctx;

	l->status.connected = l->status.leader = l->status.leader_known = false;
	l->status.leader_id[0] = l->status.leader_address[0] = '\0';
	l->status.lease_until = 0;
	snprintf(l->status.state, sizeof l->status.state, "follower");
	/* Pull's own callback comes behind this one; an element that waits to be committed is pulled again. */
	heard_status(l->heard, false, 0, page_clock());
	buf_free(&l->stuck);
	if (l->phase != PHASE_SNAPSHOT)
		ev_timer_stop(l->c->loop, &l->retry);
	ready_check(l);
}

struct raftlog *
raftlog_new(struct catalogd *c)
{
	struct raftlog *l = xcalloc(1, sizeof *l);
	const struct conf *conf = daemon_conf(c->daemon);
	uint64_t nonce;

	l->c = c;
	random_bytes(&nonce, sizeof nonce);
	l->proposals = proposals_new(nonce);
	l->heard = heard_new();
	snprintf(l->status.state, sizeof l->status.state, "follower");
	l->hold_ns = conf_duration(conf, "performance.rpc_hold_timeout", 7 * NS_PER_S);
	if (bytes_to_u64(bytes_str(conf_str(conf, "consuld.catalog_reserve", "")), &l->reserve_bytes) == -1)
		l->reserve_bytes = RESERVE_DEFAULT;
	buf_init(&l->reply, REPLY_BYTES_MAX);
	buf_init(&l->replies, REPLY_BYTES_MAX);
	buf_init(&l->propose, PROPOSE_OUT_BYTES_MAX);
	buf_init(&l->stuck, UINT32_MAX);
	apply_init(&l->apply);
	l->apply.reply = &l->reply;
	l->apply.watch = c->watch;
	ev_prepare_init(&l->gather, on_gather);
	ev_set_priority(&l->gather, EV_MINPRI + 1); /* before ipc writes */
	l->gather.data = l;
	ev_prepare_start(c->loop, &l->gather);
	ev_unref(c->loop);
	ev_timer_init(&l->expire, on_expire, EXPIRE_S, EXPIRE_S);
	ev_timer_init(&l->retry, on_retry, RETRY_S, RETRY_S);
	l->expire.data = l->retry.data = l;
	l->peer = daemon_peer(c->daemon, "raftd");
	ipc_peer_watch(l->peer, on_up, on_down, l);
	l->status_call = ipc_call(l->peer, "Raft.Status", bytes_of(NULL, 0),
	    &(struct ipc_call_options){.flags = IPC_RESEND, .credit = 1u << 20}, on_status, l);
	return l;
}

void
raftlog_stop(struct raftlog *l)
{
	(void)proposals_expire(l->proposals, INT64_MAX);
}

void
raftlog_free(struct raftlog *l)
{
	if (l == NULL)
		return;
	ev_ref(l->c->loop);
	ev_prepare_stop(l->c->loop, &l->gather);
	ev_timer_stop(l->c->loop, &l->expire);
	ev_timer_stop(l->c->loop, &l->retry);
	ipc_peer_watch(l->peer, NULL, NULL, NULL);
	if (l->pull_call != NULL)
		ipc_cancel(l->pull_call);
	if (l->status_call != NULL)
		ipc_cancel(l->status_call);
	proposals_free(l->proposals);
	heard_free(l->heard);
	while (l->free_batches != NULL) {
		struct batch *b = l->free_batches;

		l->free_batches = b->next;
		free(b);
	}
	apply_free(&l->apply);
	buf_free(&l->reply);
	buf_free(&l->replies);
	buf_free(&l->propose);
	buf_free(&l->stuck);
	free(l->outcomes);
	free(l);
}
