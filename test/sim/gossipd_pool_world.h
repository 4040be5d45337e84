/*
 * gossipd_pool_world.h - a pool of nodes in virtual time: the real cores, a network that loses, delays, doubles and cuts, a heap of who wakes when
 */
#ifndef GOSSIPD_POOL_WORLD_H
#define GOSSIPD_POOL_WORLD_H

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinate.h"
#include "envelope.h"
#include "mem.h"
#include "serf.h"
#include "swim_internal.h" /* a pool that has been there for long is set up, not waited for */

#define MS UINT64_C(1000000)
#define S (1000 * MS)
#define EVENTS_MAX 64
#define NAME_MAX_BYTES 16
#define KEY_BYTES 16

enum life { NOT_YET, ALIVE, DEAD, LEAVING, LEFT };

struct host {
	struct sim *sim;
	unsigned index;
	char name[NAME_MAX_BYTES];
	struct timers timers;
	struct swim *swim;
	struct serf *serf;
	struct coordinates coordinates;
	enum life life;
	uint64_t paused_until, born;
	size_t place; /* in the heap of nodes */
	uint64_t wake;
	uint8_t heard[EVENTS_MAX]; /* how often each event was delivered */
	bool returned;
	struct keyring ring;
};

struct packet {
	uint64_t at;
	unsigned from, to;
	enum { PACKET, STREAM_PING, STREAM_ACK, STATE, STATE_REPLY } kind;
	uint32_t seq;
	bool join;
	uint8_t key[KEY_BYTES]; /* that it is sealed with */
	struct buf bytes;
};

struct sim {
	uint64_t seed, random, now;
	unsigned count;
	struct host *nodes;
	struct host **heap;     /* by wake, from 1 */
	struct packet *packets; /* a heap by at, from 1 */
	size_t packet_count, packet_size;
	uint64_t loss, doubled, delay_max; /* per thousand; ns */
	unsigned groups;                   /* 0: no cut */
	uint8_t *group;                    /* of each node, while cut */
	bool one_way;                      /* only group 0 to 1 is cut */
	uint64_t event_sent[EVENTS_MAX];
	unsigned event_count;
	struct measured *measured;        /* NULL: not measuring */
	bool no_stream_pings, plain_swim; /* without Lifeguard's awareness and confirmations */
	struct keyring ring;              /* of those who come */
	uint64_t key_number;
};

#define SAMPLES_MAX 64

/* What `measure` counts, of all its rounds. */
struct measured {
	uint64_t packets, packet_bytes, streams, stream_bytes;
	uint64_t suspicions, failures; /* of members that live; seen by each who believed it */
	uint8_t *wronged;              /* members of this round of whom somebody believed it */
	uint64_t wronged_count, living_ns;
	struct death {
		uint64_t first, last;
		unsigned seen_by;
	} * deaths; /* of this round, by member */
	double first_s[SAMPLES_MAX], last_s[SAMPLES_MAX];
	size_t samples, lost;
};

static struct {
	uint64_t seeds, ms, packets, lost, deaths, returns, leaves, cuts, pauses, events, queries, members, rotations,
	    unreadable;
} totals;

static void NORETURN failed(const struct sim *s, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void
failed(const struct sim *s, const char *fmt, ...)
{
	va_list args;

	printf("not ok 1 - seed %" PRIu64 " at %" PRIu64 " ms: ", s->seed, s->now / MS);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n# again: gossipd_pool_sim %" PRIu64 "\n", s->seed);
	exit(1);
}

static uint64_t
below(struct sim *s, uint64_t bound)
{
	uint64_t z = (s->random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % bound;
}

/* ---- the network ---- */

static struct swim_address
address_of(unsigned index)
{
	return (struct swim_address){
	    .ip = {10, (uint8_t)(index >> 16), (uint8_t)(index >> 8), (uint8_t)index}, .ip_size = 4, .port = 8301};
}

static unsigned
index_of(const struct swim_address *a)
{
	return (unsigned)a->ip[1] << 16 | (unsigned)a->ip[2] << 8 | a->ip[3];
}

static bool
is_cut(const struct sim *s, unsigned from, unsigned to)
{
	if (s->groups == 0 || s->group[from] == s->group[to])
		return false;
	return !s->one_way || s->group[from] == 0;
}

static void
packet_sink(struct sim *s, struct packet p, size_t place)
{
	for (size_t child; (child = 2 * place) <= s->packet_count; place = child) {
		if (child < s->packet_count && s->packets[child + 1].at < s->packets[child].at)
			child++;
		if (s->packets[child].at >= p.at)
			break;
		s->packets[place] = s->packets[child];
	}
	s->packets[place] = p;
}

static void
packet_add(struct sim *s, struct packet p)
{
	size_t place;

	if (s->packet_count + 2 > s->packet_size) {
		s->packet_size = s->packet_size == 0 ? 1024 : s->packet_size * 2;
		s->packets = xreallocarray(s->packets, s->packet_size, sizeof *s->packets);
	}
	place = ++s->packet_count;
	for (; place > 1 && s->packets[place / 2].at > p.at; place /= 2)
		s->packets[place] = s->packets[place / 2];
	s->packets[place] = p;
}

static struct packet
packet_take(struct sim *s)
{
	struct packet first = s->packets[1], last = s->packets[s->packet_count--];

	if (s->packet_count > 0)
		packet_sink(s, last, 1);
	return first;
}

/* Streams are not lost, they only fail when the way is cut. */
static void
post(struct sim *s, unsigned from, unsigned to, int kind, struct bytes bytes, uint32_t seq, bool join)
{
	bool doubled = kind == PACKET && below(s, 1000) < s->doubled;

	totals.packets++;
	if (s->measured != NULL && kind == PACKET) {
		s->measured->packets++;
		s->measured->packet_bytes += bytes.size;
	} else if (s->measured != NULL) {
		s->measured->streams++;
		s->measured->stream_bytes += bytes.size;
	}
	if (to >= s->count || is_cut(s, from, to) || (kind == PACKET && below(s, 1000) < s->loss)) {
		totals.lost++;
		return;
	}
	for (int copy = 0; copy <= doubled; copy++) {
		struct packet p = {.from = from, .to = to, .seq = seq, .join = join, .bytes = BUF_INIT(64u << 20)};

		p.kind = kind;
		memcpy(p.key, s->nodes[from].ring.keys[0].bytes, sizeof p.key);
		p.at =
		    s->now + MS / 10 + below(s, s->delay_max) + (below(s, 50) == 0 ? below(s, 20 * s->delay_max) : 0);
		buf_put_bytes(&p.bytes, bytes);
		packet_add(s, p);
	}
}

/* ---- what the cores ask ---- */

static uint64_t
op_random(void *ctx, uint64_t bound)
{
	struct host *n = ctx;

	return below(n->sim, bound);
}

static void
op_packet(void *ctx, const struct swim_address *to, struct bytes message, bool crc)
{
	struct host *n = ctx;

	(void)crc;
	if (message.size > GOSSIP_PACKET_BYTES && message.data[0] == GOSSIP_COMPOUND)
		failed(n->sim, "a compound of %zu bytes", message.size);
	post(n->sim, n->index, index_of(to), PACKET, message, 0, false);
}

static void
op_stream_ping(void *ctx, const struct swim_address *to, struct bytes message, uint32_t seq)
{
	struct host *n = ctx;

	post(n->sim, n->index, index_of(to), STREAM_PING, message, seq, false);
}

static void
state_send(struct host *n, unsigned to, int kind, bool join)
{
	struct buf user = BUF_INIT(64u << 20), out = BUF_INIT(64u << 20);

	serf_state_put(n->serf, &user);
	swim_state_put(n->swim, join, buf_bytes(&user), &out);
	post(n->sim, n->index, to, kind, buf_bytes(&out), 0, join);
	buf_free(&user);
	buf_free(&out);
}

static void
op_push_pull(void *ctx, const struct swim_address *to, const char *name)
{
	(void)name;
	state_send(ctx, index_of(to), STATE, false);
}

static size_t
op_overhead(void *ctx)
{
	(void)ctx;
	return ENVELOPE_SEAL_BYTES;
}

static const char *
op_allowed(void *ctx, const struct swim_member *m)
{
	(void)ctx, (void)m;
	return NULL;
}

static int
op_merge_allowed(void *ctx, const struct swim_member *members, size_t count, char *error)
{
	(void)ctx, (void)members, (void)count, (void)error;
	return 0;
}

static void
op_changed(void *ctx, enum swim_change change, struct swim_member *m, uint64_t now)
{
	struct host *n = ctx;

	serf_swim_changed(n->serf, change, m, now);
}

static void
op_conflict(void *ctx, const struct swim_member *m, const struct swim_address *other)
{
	struct host *n = ctx;

	(void)other;
	failed(n->sim, "%s sees a conflict about %s", n->name, m->card->name);
}

static void
op_forgotten(void *ctx, struct swim_member *m)
{
	(void)ctx, (void)m;
}

static void
op_left(void *ctx)
{
	struct host *n = ctx;

	serf_swim_left(n->serf);
}

static void
op_user(void *ctx, struct bytes message, uint64_t now)
{
	struct host *n = ctx;

	serf_message(n->serf, message, now);
}

static size_t
op_broadcasts(
    void *ctx, size_t overhead, size_t limit, void (*each)(void *each_ctx, struct bytes message), void *each_ctx)
{
	struct host *n = ctx;

	return serf_broadcasts(n->serf, overhead, limit, each, each_ctx);
}

static void
op_ack_payload(void *ctx, struct buf *out)
{
	struct host *n = ctx;

	coordinate_payload_put(&n->coordinates.own, out);
}

static void
op_acked(void *ctx, const struct swim_member *m, uint64_t rtt, struct bytes payload)
{
	struct host *n = ctx;
	struct coordinate_point p;

	if (coordinate_payload_get(payload, &p) == -1)
		failed(n->sim, "an ack without a coordinate");
	(void)coordinates_update(&n->coordinates, bytes_str(m->card->name), &p, (int64_t)rtt);
}

static void
suspicion_count(struct sim *s, va_list args)
{
	va_list copy;
	unsigned about;

	va_copy(copy, args);
	about = (unsigned)strtoul(va_arg(copy, const char *) + 1, NULL, 10);
	va_end(copy);
	s->measured->suspicions += s->nodes[about].life == ALIVE;
}

/* n believes that this member has failed. */
static void
failure_count(struct measured *m, const struct host *about, uint64_t now)
{
	struct death *d = &m->deaths[about->index];

	if (about->life == ALIVE) {
		m->failures++;
		m->wronged[about->index] = true;
		return;
	}
	if (d->seen_by++ == 0)
		d->first = now;
	d->last = now;
}

static void
op_say(void *ctx, enum log_level level, const char *fmt, va_list args)
{
	struct host *n = ctx;

	if (n->sim->measured != NULL && strncmp(fmt, "Suspect ", 8) == 0)
		suspicion_count(n->sim, args);
	if (getenv("SIM_LOG") == NULL)
		return;
	printf("# %8" PRIu64 " %s %d ", n->sim->now / MS, n->name, (int)level);
	vprintf(fmt, args);
	printf("\n");
}

static void
op_serf_changed(void *ctx, enum serf_change change, const struct serf_member *m, uint64_t now)
{
	struct host *n = ctx;
	struct sim *s = n->sim;

	if (change == SERF_MEMBER_REAP)
		coordinates_forget(&n->coordinates, bytes_str(m->card->name));
	if (change == SERF_MEMBER_FAILED && s->measured != NULL)
		failure_count(s->measured, &s->nodes[index_of(&m->card->address)], now);
}

static void
op_event(void *ctx, uint64_t ltime, struct bytes name, struct bytes payload)
{
	struct host *n = ctx;
	uint64_t number;

	(void)ltime, (void)payload;
	if (bytes_to_u64(name, &number) == -1 || number >= EVENTS_MAX)
		failed(n->sim, "an event nobody sent");
	n->heard[number]++;
}

static void
op_query_seen(void *ctx, uint64_t ltime)
{
	(void)ctx, (void)ltime;
}

static void
op_reconnect(void *ctx, const struct serf_member *m)
{
	state_send(ctx, index_of(&m->card->address), STATE, true);
}

static bool
has_key(const struct keyring *ring, const uint8_t key[KEY_BYTES])
{
	for (size_t i = 0; i < ring->count; i++)
		if (memcmp(ring->keys[i].bytes, key, KEY_BYTES) == 0)
			return true;
	return false;
}

/* The rings of the living have changed at n: it and any other must still read each other. */
static void
check_keys(const struct host *n)
{
	const struct sim *s = n->sim;

	for (unsigned i = 0; i < s->count; i++) {
		const struct host *other = &s->nodes[i];

		if (other->swim != NULL &&
		    (!has_key(&n->ring, other->ring.keys[0].bytes) || !has_key(&other->ring, n->ring.keys[0].bytes)))
			failed(s, "%s and %s can not read each other", n->name, other->name);
	}
}

static const char *
op_key(void *ctx, enum serf_key_operation op, struct bytes key, const struct keyring **ring)
{
	struct host *n = ctx;
	const char *why = NULL;

	*ring = &n->ring;
	if (op == SERF_KEY_INSTALL)
		why = keyring_install(&n->ring, key);
	else if (op == SERF_KEY_USE)
		why = keyring_use(&n->ring, key);
	else if (op == SERF_KEY_REMOVE)
		why = keyring_remove(&n->ring, key);
	check_keys(n);
	return why;
}

static void
op_conflict_lost(void *ctx)
{
	struct host *n = ctx;

	failed(n->sim, "%s lost its name", n->name);
}

static const struct swim_ops swim_ops = {
    .random = op_random,
    .packet = op_packet,
    .stream_ping = op_stream_ping,
    .push_pull = op_push_pull,
    .overhead = op_overhead,
    .allowed = op_allowed,
    .merge_allowed = op_merge_allowed,
    .changed = op_changed,
    .conflict = op_conflict,
    .forgotten = op_forgotten,
    .left = op_left,
    .user = op_user,
    .broadcasts = op_broadcasts,
    .ack_payload = op_ack_payload,
    .acked = op_acked,
    .say = op_say,
};

static const struct serf_ops serf_ops = {
    .random = op_random,
    .changed = op_serf_changed,
    .event = op_event,
    .query_seen = op_query_seen,
    .reconnect = op_reconnect,
    .key = op_key,
    .conflict_lost = op_conflict_lost,
    .say = op_say,
};

/* ---- nodes ---- */

static void
wake_set(struct sim *s, struct host *n)
{
	size_t place = n->place;
	uint64_t wake = n->swim == NULL ? UINT64_MAX : MAX(timers_next(&n->timers), n->paused_until);

	n->wake = wake;
	for (; place > 1 && s->heap[place / 2]->wake > wake; place /= 2) {
		s->heap[place] = s->heap[place / 2];
		s->heap[place]->place = place;
	}
	for (size_t child; (child = 2 * place) <= s->count; place = child) {
		if (child < s->count && s->heap[child + 1]->wake < s->heap[child]->wake)
			child++;
		if (s->heap[child]->wake >= wake)
			break;
		s->heap[place] = s->heap[child];
		s->heap[place]->place = place;
	}
	s->heap[place] = n;
	n->place = place;
}

static void
node_start(struct sim *s, struct host *n)
{
	static const uint8_t vsn[GOSSIP_VSN_BYTES] = {1, 5, 2, 2, 5, 4};
	const struct serf_clocks none = {0, 0, 0};
	struct swim_config swim = swim_config_lan();
	struct serf_config serf = serf_config_consul();
	struct swim_address address = address_of(n->index);
	/* as long as a client's tags are */
	static const char meta[] = "\xff\x88\xa2"
				   "dc\xa3"
				   "dc1\xa2id\xd9\x24"
				   "6c0b8a3e-2c57-4f0b-9d8e-6f1f6a0c1b2d\xa4role\xa4node\xa3vsn\xa1"
				   "2\xa7vsn_max\xa1"
				   "3\xa7vsn_min\xa1"
				   "2\xa7segment\xa0\xa5"
				   "build\xaf"
				   "1.21.4:1234abcd";

	swim.stream_pings = !s->no_stream_pings;
	if (s->plain_swim) {
		swim.awareness_max = 1;
		swim.suspicion_max_mult = 1;
	}

	n->serf = serf_new(&serf, &serf_ops, n, &n->timers, &none);
	n->swim = swim_new(&swim, &swim_ops, n, &n->timers, n->name, &address, bytes_of(meta, sizeof meta - 1), vsn);
	coordinates_init(&n->coordinates, op_random, n);
	serf_start(n->serf, n->swim, s->now);
	swim_start(n->swim, s->now);
	n->life = ALIVE;
	n->ring = s->ring;
	n->born = s->now;
	n->paused_until = 0;
	memset(n->heard, 0, sizeof n->heard);
	wake_set(s, n);
}

static void
node_end(struct sim *s, struct host *n, enum life life)
{
	n->life = life;
	if (n->swim == NULL)
		return;
	swim_free(n->swim);
	serf_free(n->serf);
	timers_free(&n->timers);
	coordinates_free(&n->coordinates);
	n->swim = NULL;
	n->serf = NULL;
	wake_set(s, n);
}

static struct host *
someone(struct sim *s, enum life life, const struct host *but)
{
	unsigned from = (unsigned)below(s, s->count);

	for (unsigned i = 0; i < s->count; i++) {
		struct host *n = &s->nodes[(from + i) % s->count];

		if (n->life == life && n != but)
			return n;
	}
	return NULL;
}

static void
node_join(struct sim *s, struct host *n)
{
	struct host *with = someone(s, ALIVE, n);

	if (with != NULL)
		state_send(n, with->index, STATE, true);
}

static void
on_left(void *ctx, uint64_t now)
{
	struct host *n = ctx;

	(void)now;
	n->life = LEFT; /* ended by the loop: its core is at work just now */
}

static void
state_take(struct sim *s, struct host *n, const struct packet *p)
{
	struct swim_state_progress progress = {0};
	struct bytes state = buf_bytes(&p->bytes), user, body = {state.data + 1, state.size - 1};
	char error[SWIM_ERROR_MAX];
	size_t size = 0;
	bool join;

	if (swim_state_scan(&progress, body, &size) != 1 || size != body.size)
		failed(s, "a state that is not one");
	if (p->kind == STATE)
		state_send(n, p->from, STATE_REPLY, p->join);
	if (swim_merge(n->swim, body, &join, &user, error, s->now) == -1)
		failed(s, "%s refuses a state: %s", n->name, error);
	serf_state_merge(n->serf, user, join, s->now);
	if (p->kind == STATE_REPLY && join)
		serf_joined(n->serf, s->now);
}

struct part_for {
	struct sim *sim;
	struct host *node;
	struct swim_address from;
};

static void
on_part(void *ctx, struct bytes message)
{
	struct part_for *f = ctx;

	swim_message(f->node->swim, &f->from, message, f->sim->now);
}

static void
packet_deliver(struct sim *s, struct packet *p)
{
	struct host *n = &s->nodes[p->to];
	struct part_for part = {s, n, address_of(p->from)};
	struct buf out = BUF_INIT(GOSSIP_PACKET_MAX);

	if (n->swim == NULL)
		return;
	if (!has_key(&n->ring, p->key)) { /* sealed before the key was removed, and long under way */
		totals.unreadable++;
		return;
	}
	switch (p->kind) {
	case PACKET:
		if (envelope_parts(buf_bytes(&p->bytes), on_part, &part) != 0)
			failed(s, "a packet that is not whole");
		break;
	case STREAM_PING:
		if (swim_stream_ping(n->swim, bytes_of(p->bytes.data + 1, p->bytes.used - 1), &out) == 0)
			post(s, p->to, p->from, STREAM_ACK, buf_bytes(&out), p->seq, false);
		break;
	case STREAM_ACK:
		swim_stream_acked(n->swim, p->seq);
		break;
	case STATE:
	case STATE_REPLY:
		state_take(s, n, p);
		break;
	}
	buf_free(&out);
	wake_set(s, n);
}

/* Runs until then. */
static void
run_to(struct sim *s, uint64_t end)
{
	for (;;) {
		uint64_t at = s->packet_count > 0 ? s->packets[1].at : UINT64_MAX, wake = s->heap[1]->wake;

		if (MIN(at, wake) > end)
			break;
		s->now = MAX(s->now, MIN(at, wake));
		/* who wakes up finds packets and timers due at once, and takes either first */
		if (at < wake || (at == wake && below(s, 2) == 0)) {
			struct packet p = packet_take(s);
			struct host *n = &s->nodes[p.to];

			if (n->swim != NULL && n->paused_until > s->now) {
				p.at = n->paused_until; /* lies in its socket */
				if (s->packet_count < 200000)
					packet_add(s, p);
				else
					buf_free(&p.bytes);
				continue;
			}
			packet_deliver(s, &p);
			buf_free(&p.bytes);
		} else {
			struct host *n = s->heap[1];

			timers_run(&n->timers, s->now);
			if (n->life == LEFT)
				node_end(s, n, LEFT);
			else
				wake_set(s, n);
		}
	}
	s->now = end;
}

static void
sim_init(struct sim *s, uint64_t seed, unsigned count)
{
	memset(s, 0, sizeof *s);
	s->seed = s->random = seed;
	s->count = count;
	s->nodes = xcalloc(count, sizeof *s->nodes);
	s->heap = xcalloc(count + 1, sizeof *s->heap);
	s->group = xcalloc(count, 1);
	s->delay_max = 2 * MS;
	if (keyring_install(&s->ring, bytes_str("the first key: 0")) != NULL)
		failed(s, "no first key");
	for (unsigned i = 0; i < count; i++) {
		struct host *n = &s->nodes[i];

		n->sim = s;
		n->index = i;
		n->wake = UINT64_MAX;
		n->ring.count = 0;
		snprintf(n->name, sizeof n->name, "n%u", i);
		n->place = i + 1;
		s->heap[i + 1] = n;
	}
}

static void
sim_free(struct sim *s)
{
	for (unsigned i = 0; i < s->count; i++)
		node_end(s, &s->nodes[i], DEAD);
	for (size_t i = 1; i <= s->packet_count; i++)
		buf_free(&s->packets[i].bytes);
	free(s->packets);
	free(s->nodes);
	free(s->heap);
	free(s->group);
}

#endif
