/*
 * sim.c - time, chance and events of the simulated cluster, and the run of one seed (contract: cluster.h)
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cluster.h"

#define LOG_CHECK_EVERY 4096 /* events */
#define STUCK_EVENTS UINT64_C(20000000)

uint64_t
below(struct sim *s, uint64_t bound)
{
	return seeded_below(&s->random, bound);
}

bool
chance(struct sim *s, uint64_t n)
{
	return s->chaos && below(s, n) == 0;
}

uint64_t
mix(uint64_t a, uint64_t b)
{
	uint64_t z = (a ^ b) * UINT64_C(0xff51afd7ed558ccd) + b;

	z = (z ^ z >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return z ^ z >> 29;
}

uint64_t
digest_bytes(uint64_t h, struct bytes b)
{
	size_t at = 0;

	for (; at + 8 <= b.size; at += 8) {
		uint64_t word;

		memcpy(&word, b.data + at, 8);
		h = mix(h, word);
	}
	for (; at < b.size; at++)
		h = mix(h, b.data[at]);
	return mix(h, b.size);
}

void
failed(struct sim *s, const char *fmt, ...)
{
	va_list args;

	printf("not ok 1 - seed %" PRIu64 " at %" PRIu64 ".%03" PRIu64 " ms: ", s->seed, s->now / MS, s->now % MS);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	trace_servers(s);
	printf("# again: suite_cluster_sim %" PRIu64 "\n", s->seed);
	fflush(stdout);
	_exit(1);
}

/* ---- the heap ---- */

struct note *
note_new(uint32_t type)
{
	struct note *n = xcalloc(1, sizeof *n);

	n->type = type;
	buf_init(&n->bytes, 64u * 1024 * 1024);
	return n;
}

void
note_free(struct note *n)
{
	if (n == NULL)
		return;
	buf_free(&n->bytes);
	free(n);
}

static bool
earlier(const struct event *a, const struct event *b)
{
	return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void
heap_put(struct sim *s, struct event e)
{
	size_t i = s->heap_count++;

	if (s->heap_count > s->heap_size) {
		s->heap_size = s->heap_size == 0 ? 1024 : s->heap_size * 2;
		s->heap = xreallocarray(s->heap, s->heap_size, sizeof *s->heap);
	}
	for (; i > 0 && earlier(&e, &s->heap[(i - 1) / 2]); i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = e;
}

void
event_put(
    struct sim *s, uint64_t at, enum event_kind kind, unsigned server, uint32_t life, uint64_t value, struct note *note)
{
	heap_put(s, (struct event){.at = at,
			.order = s->order++,
			.kind = kind,
			.server = (uint8_t)server,
			.life = life,
			.value = value,
			.note = note});
}

/* The process is stopped: what comes to it waits, in the order in which it was sent. */
static void
event_delay(struct sim *s, struct event *e, uint64_t until)
{
	struct event later = *e;

	later.at = until;
	heap_put(s, later);
	e->note = NULL;
}

static struct event
event_take(struct sim *s)
{
	struct event first = s->heap[0], last = s->heap[--s->heap_count];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < s->heap_count) {
		if (child + 1 < s->heap_count && earlier(&s->heap[child + 1], &s->heap[child]))
			child++;
		if (!earlier(&s->heap[child], &last))
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = last;
	return first;
}

/* ---- events ---- */

static void
of_raftd(struct sim *s, struct server *v, struct event *e)
{
	struct raftd *r = &v->raftd;

	if (e->kind == EVENT_RAFTD_START) {
		if (!r->alive && e->life == r->life)
			raftd_start(s, v);
	} else if (e->kind == EVENT_PACKET ? r->alive : r->alive && e->life == r->life) {
		if (r->paused_until > s->now) {
			event_delay(s, e, r->paused_until);
			return;
		}
		raftd_event(s, v, e);
	}
}

static void
of_catalogd(struct sim *s, struct server *v, struct event *e)
{
	struct catalogd_process *c = &v->catalogd;

	if (e->kind == EVENT_CATALOGD_START) {
		if (!c->alive && e->life == c->life)
			catalogd_start(s, v);
	} else if (e->kind == EVENT_REQUEST && !c->alive) {
		struct op *op = &s->ops[e->value & UINT32_MAX];
		unsigned from = (unsigned)(e->value >> 32);

		/* nobody listens: whoever asks knows at once */
		if (from == NOBODY)
			client_answer(s, (uint32_t)e->value, OUTCOME_FAILED, false, 0, 0);
		else if (op->outcome == OUTCOME_NONE) {
			struct note *n = note_new(OUTCOME_NOT_SENT);

			n->a = e->value & UINT32_MAX;
			event_put(s, s->now + 1 + below(s, MS), EVENT_RPC_ANSWER, from, s->servers[from].catalogd.life,
			    v->number, n);
		}
	} else if (e->kind == EVENT_REQUEST ? c->alive : c->alive && e->life == c->life) {
		if (c->paused_until > s->now) {
			event_delay(s, e, c->paused_until);
			return;
		}
		catalogd_event(s, v, e);
	}
}

static void
dispatch(struct sim *s, struct event *e)
{
	struct server *v = &s->servers[e->server < s->count ? e->server : 0];

	switch (e->kind) {
	case EVENT_DISK_SYNC:
		raftd_disk_sync(s, v, e);
		break;
	case EVENT_TICK:
	case EVENT_SYNCED:
	case EVENT_MARK:
	case EVENT_SPACE:
	case EVENT_PACKET:
	case EVENT_TO_RAFTD:
	case EVENT_RAFTD_START:
	case EVENT_SNAPSHOT_SAVED:
		of_raftd(s, v, e);
		break;
	case EVENT_TO_CATALOGD:
	case EVENT_CATALOGD_START:
	case EVENT_CONNECT:
	case EVENT_REQUEST:
	case EVENT_EVALUATE:
	case EVENT_RPC_ANSWER:
	case EVENT_EXPIRE:
		of_catalogd(s, v, e);
		break;
	case EVENT_ANSWER:
	case EVENT_CLIENT:
	case EVENT_GIVE_UP:
		client_event(s, e);
		break;
	case EVENT_FAULT:
		faults_turn(s);
		break;
	case EVENT_OPERATOR:
		operator_turn(s);
		break;
	case EVENT_DISK_HEALS:
		v->disk.space_left = e->value;
		break;
	case EVENT_KINDS:
		break;
	}
	note_free(e->note);
}

static void
run_until(struct sim *s, uint64_t end)
{
	while (s->heap_count > 0 && s->heap[0].at <= end) {
		struct event e = event_take(s);

		s->now = e.at;
		s->digest = mix(mix(s->digest, e.at), (uint64_t)e.kind << 40 | (uint64_t)e.server << 32 | e.life);
		dispatch(s, &e);
		if (++s->totals.events % LOG_CHECK_EVERY == 0)
			check_logs(s);
		if (s->totals.events > STUCK_EVENTS)
			failed(s, "the simulation does not come to an end");
	}
	s->now = end;
}

/* ---- one seed ---- */

static void
server_init(struct sim *s, unsigned i, const char *base)
{
	struct server *v = &s->servers[i];

	v->number = i;
	v->clock_offset = below(s, UINT64_C(1) << 50);
	v->clock_speed = 950 + below(s, 101);
	v->tick_every = TICK_US * 1000 / v->clock_speed;
	disk_init(&v->disk);
	v->disk.random = below(s, UINT64_MAX);
	v->boot = 1;
	snprintf(v->directory, sizeof v->directory, "%s/%u", base, i);
	event_put(s, below(s, 20 * MS), EVENT_RAFTD_START, i, 0, 0, NULL);
	event_put(s, below(s, 20 * MS), EVENT_CATALOGD_START, i, 0, 0, NULL);
}

/* The cluster is well: it must be alive, complete and of one mind. */
static void
check_end(struct sim *s, uint64_t promised, uint64_t before)
{
	uint64_t last = s->committed_last;

	if (last == before)
		failed(s, "liveness: nothing was committed after all was healed");
	for (unsigned i = 0; i < s->count; i++) {
		struct server *v = &s->servers[i];

		if (v->damaged || !is_voter(s, v))
			continue;
		if (!v->catalogd.alive || store_state(v->catalogd.store).applied_index < promised)
			failed(s, "durability, liveness: server %u has applied up to %" PRIu64 " of %" PRIu64, i,
			    v->catalogd.alive ? store_state(v->catalogd.store).applied_index : 0, promised);
		check_store(s, v);
	}
	check_logs(s);
	history_check(s);
}

static void
sim_free(struct sim *s)
{
	for (unsigned i = 0; i < s->count; i++) {
		struct server *v = &s->servers[i];

		raftd_die(s, v);
		catalogd_die(s, v);
		store_lose(v);
		(void)rmdir(v->directory);
		disk_free(&v->disk);
		image_free(&v->durable);
		image_free(&v->written);
	}
	for (size_t i = 0; i < s->heap_count; i++)
		note_free(s->heap[i].note);
	for (unsigned k = 0; k < KEYS_MAX; k++)
		free(s->versions[k]);
	buf_free(&s->scratch);
	free(s->heap);
	free(s->ops);
	free(s->committed);
	free(s->entries);
}

/* Memory is not given back to the kernel between seeds: it would be asked for again at once. */
void
simulation_begin(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
	(void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
	trace_begin();
}

uint64_t
run_seed(uint64_t seed, const char *base, struct totals *totals)
{
	static const unsigned counts[] = {3, 5, 3, 2, 5, 3, 1, 3, 4, 7, 3, 5, 3, 6};
	static struct sim s;
	uint64_t promised, before, *sum = (uint64_t *)totals;
	const uint64_t *add = (const uint64_t *)&s.totals;

	memset(&s, 0, sizeof s);
	s.seed = s.random = seed;
	s.count = counts[seed % COUNTOF(counts)];
	s.ops = xcalloc(OPS_MAX, sizeof *s.ops);
	s.committed = xcalloc(ENTRIES_MAX, sizeof *s.committed);
	buf_init(&s.scratch, 256u * 1024 * 1024);
	s.chaos = true;
	faults_begin(&s);
	s.client_count = 4 + (unsigned)below(&s, CLIENTS_MAX - 3);
	s.think_max = (2 + below(&s, 50)) * MS;
	for (unsigned i = 0; i < s.count; i++)
		server_init(&s, i, base);
	for (unsigned i = 0; i < s.client_count; i++)
		event_put(&s, below(&s, 300 * MS), EVENT_CLIENT, i, 0, 0, NULL);
	run_until(&s, CHAOS_US);
	faults_end(&s);
	promised = s.committed_last;
	run_until(&s, CHAOS_US + HEAL_US / 2);
	before = s.committed_last;
	run_until(&s, CHAOS_US + HEAL_US);
#ifndef SIM_PLANTS /* there a mistake must be seen when it is made, not by what it leads to */
	check_end(&s, promised, before);
#else
	if (s.committed_last >= promised && before > 0)
		history_check(&s);
	(void)check_end;
#endif
	s.totals.seeds = 1;
	s.totals.ms = s.now / MS;
	sim_free(&s);
	for (size_t i = 0; i < sizeof *totals / sizeof *sum; i++)
		sum[i] += add[i];
	return s.digest;
}
