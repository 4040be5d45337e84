/*
 * raftd_crash_sim.c - whatever a crash leaves of log and snapshots, the next start finds all that was acknowledged
 *
 * Real work (wal.c, snapshot_store.c) runs on a disk in memory and is recorded. Then every state that a crash may leave
 * (raftd_crash.h says which) is opened as node_open.c does it. Legal is what the model says: all that was acknowledged, and of what
 * was under way all or nothing; term and vote never older; snapshots whole, and fitting the log. A block torn into sectors may
 * also be refused, with the place (raftd-wal(5)). Then the log must go on: one more batch, and opened again. The opening and that batch are
 * recorded too, and crashed in the same way; so is the opening after the death of the process alone, which leaves the page cache.
 *
 * Usage: raftd_crash_sim [workload]
 */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "raftd_crash.h"
#include "raftd_crash_model.h"

#include "crc32c.h"
#include "log.h"
#include "mem.h"
#include "snapshot_store.h"
#include "wal.h"
#include "wal_plants.h"

#define STEPS_MAX 48
#define STARTS_MAX 6
/* Combinations that are all taken, at a point of the work and at one of an opening. */
#ifdef CONSULD_SANITIZED
#define DEPTH_MAX 1
#define ALL_MAX 128
#define ALL_MAX_NESTED 16
#else
#define DEPTH_MAX 3
#define ALL_MAX 16384
#define ALL_MAX_NESTED 256
#endif
/* Openings that had something to repair are crashed themselves; of those of a crashed opening one in so many, of the others as well. */
#define NESTED_REPAIRED_ONE_IN 2
#define NESTED_ONE_IN 12
#define SEEN_SLOTS (1u << 22)

/* Something that is to be there as a whole or not at all: operations begin..end of the trace, then acknowledged. */
struct step {
	size_t begin, end;
	struct model after;
};

struct recording {
	const char *name;
	struct disk base; /* before the first operation */
	struct disk_trace trace;
	struct model starts[STARTS_MAX]; /* legal before the first step is acknowledged */
	size_t start_count;
	struct step steps[STEPS_MAX];
	size_t step_count;
	struct step drops[STEPS_MAX]; /* after.base: the limit */
	size_t drop_count;
};

/* What may be found after the first count operations. */
struct window {
	struct model legal[STARTS_MAX];
	size_t count;
	uint64_t drop_limit;
	size_t acknowledged; /* steps */
};

static struct {
	uint64_t points, exhaustive, states, distinct, opened, refused, torn_blocks, cut, finished, nested, deaths;
} totals;

static FILE *said_to; /* what is wrong */
static uint64_t *seen;
static size_t seen_count;

static NORETURN void stop(const char *fmt, ...) PRINTF_LIKE(1, 2);

static NORETURN void
stop(const char *fmt, ...)
{
	va_list args;

	fprintf(said_to, "not ok 1 - ");
	va_start(args, fmt);
	vfprintf(said_to, fmt, args);
	va_end(args);
	fprintf(said_to, "\n");
	fflush(said_to);
	_exit(1);
}

/* true: for the first time. */
static bool
is_new(uint64_t hash)
{
	size_t at = (size_t)(hash % SEEN_SLOTS);

	hash |= 1;
	while (seen[at] != 0 && seen[at] != hash)
		at = (at + 1) % SEEN_SLOTS;
	if (seen[at] == hash)
		return false;
	seen[at] = hash;
	if (++seen_count == SEEN_SLOTS / 4 * 3)
		stop("more than %u states", SEEN_SLOTS / 4 * 3);
	return true;
}

/* ---- exploring ---- */

struct exploration {
	struct recording *recording;
	struct crash_replay replay;
	size_t point;
	struct window window;
	unsigned depth;
	uint64_t here; /* mixed into the hash: the same disk is looked at again when other things are legal */
};

static void explore(struct recording *r, size_t from, unsigned depth);

static void
window_add(struct window *w, const struct model *m)
{
	for (size_t i = 0; i < w->count; i++)
		if (memcmp(&w->legal[i], m, sizeof *m) == 0)
			return;
	if (w->count == STARTS_MAX)
		stop("more than %d legal states", STARTS_MAX);
	w->legal[w->count++] = *m;
}

static void
window_at(const struct recording *r, size_t point, struct window *w)
{
	*w = (struct window){.count = r->start_count};
	memcpy(w->legal, r->starts, r->start_count * sizeof *r->starts);
	for (size_t i = 0; i < r->step_count; i++) {
		if (r->steps[i].end <= point) {
			w->count = 0;
			w->acknowledged = i + 1;
		} else if (r->steps[i].begin >= point)
			continue;
		window_add(w, &r->steps[i].after);
	}
	for (size_t i = 0; i < r->drop_count; i++)
		if (r->drops[i].begin < point)
			w->drop_limit = MAX(w->drop_limit, r->drops[i].after.base);
}

static NORETURN void
illegal(const struct exploration *e, const struct crash_open *o, const struct crash_choice *c, const char *why)
{
	char text[1024] = "";
	size_t used = 0;

	for (size_t i = 0; o != NULL && i < o->count && used + 16 < sizeof text; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, " %u/%u", c->of[i], o->options[i] - 1);
	stop("%s: after %zu of %zu operations (depth %u)%s%s%s: %s", e->recording->name, e->point,
	    e->recording->trace.count, e->depth, o == NULL ? ", death of the process" : ", choice", text,
	    o != NULL && c->torn ? ", a block torn" : "", why);
}

/* One more batch on what was found. */
static int
go_on(struct opened *o, struct model *m)
{
	uint64_t index = wal_terms(o->wal)->last + 1;

	m->term++;
	m->vote = 9;
	m->last = index;
	m->terms[index] = m->term;
	m->sizes[index] = 9000;
	wal_batch_begin(o->wal, m->term, vote_of(m->vote));
	wal_batch_entry(o->wal, index, m->term, WAL_DATA, content(index, m->term, m->sizes[index]));
	return wal_batch_write(o->wal) == -1 ? -1 : wal_sync(o->wal);
}

/*
 * Opens what is on d (which has next's trace), compares, goes on, and opens again. The steps go into next, whose operations so far are those
 * before. false: it was refused, which torn allows.
 */
static bool
open_and_check(const struct exploration *e, const struct crash_open *open, const struct crash_choice *c, struct disk *d,
    struct recording *next, bool *repaired)
{
	struct opened o;
	struct model m;
	size_t i, begin;

	open_all(&o, d);
	*repaired = o.cut || o.finished;
	totals.cut += o.cut;
	totals.finished += o.finished;
	if (o.refused && c != NULL && c->torn) {
		close_all(&o);
		totals.refused++;
		return false;
	}
	if (o.why[0] != '\0')
		illegal(e, open, c, o.why);
	for (i = 0; i < e->window.count && !model_matches(&e->window.legal[i], &o, e->window.drop_limit); i++)
		continue;
	if (i == e->window.count) {
		snprintf(o.why, sizeof o.why,
		    "found last %" PRIu64 " base %" PRIu64 " term %" PRIu64 " vote %u snapshot %" PRIu64
		    " instead of last %" PRIu64 " base %" PRIu64 "-%" PRIu64 " term %" PRIu64
		    " vote %u snapshot %" PRIu64 ", or another content",
		    wal_terms(o.wal)->last, wal_terms(o.wal)->base_index, wal_term(o.wal), wal_vote(o.wal)[0],
		    snapshot_store_count(o.store) == 0 ? 0 : snapshot_store_at(o.store, 0)->index,
		    e->window.legal[0].last, e->window.legal[0].base, e->window.drop_limit, e->window.legal[0].term,
		    e->window.legal[0].vote, e->window.legal[0].snapshot);
		illegal(e, open, c, o.why);
	}
	m = e->window.legal[i];
	next->steps[next->step_count++] = (struct step){0, next->trace.count, m};
	begin = next->trace.count;
	if (go_on(&o, &m) == -1)
		illegal(e, open, c, "the log can not be written");
	next->steps[next->step_count++] = (struct step){begin, next->trace.count, m};
	close_all(&o);
	d->trace = NULL;
	open_all(&o, d);
	if (o.why[0] != '\0' || !model_matches(&m, &o, e->window.drop_limit))
		illegal(e, open, c, o.why[0] != '\0' ? o.why : "one more batch was written, but is not there");
	close_all(&o);
	totals.opened++;
	return true;
}

static void
next_init(const struct exploration *e, struct recording *next)
{
	next->name = e->recording->name;
	next->start_count = e->window.count;
	memcpy(next->starts, e->window.legal, sizeof next->starts);
	next->drop_count = 1;
	next->drops[0] = (struct step){.after = {.base = e->window.drop_limit}};
}

static void
crash_try(void *ctx, const struct crash_open *o, const struct crash_choice *c)
{
	struct exploration *e = ctx;
	struct recording *next;
	struct disk *d;
	uint64_t hash;
	bool repaired;
	unsigned one_in;

	totals.states++;
	hash = crash_hash(&e->replay, o, c) + e->here;
	if (!is_new(hash))
		return;
	totals.distinct++;
	d = xcalloc(1, sizeof *d);
	crash_build(&e->replay, o, c, d);
	totals.torn_blocks += c->torn;
	next = xcalloc(1, sizeof *next);
	next_init(e, next);
	crash_disk_copy(&next->base, d);
	d->trace = &next->trace;
	if (open_and_check(e, o, c, d, next, &repaired) && e->depth < DEPTH_MAX && !c->torn) {
		one_in = !repaired ? NESTED_ONE_IN : e->depth == 0 ? 1 : NESTED_REPAIRED_ONE_IN;
		if (totals.distinct % one_in == 0) {
			totals.nested++;
			explore(next, 1, e->depth + 1);
		}
	}
	disk_free(d);
	disk_free(&next->base);
	disk_trace_free(&next->trace);
	free(next);
	free(d);
}

/* The process dies here and its successor opens what is in the page cache; then the machine dies while it does so, or later. */
static void
death_try(struct exploration *e)
{
	struct recording *next = xcalloc(1, sizeof *next);
	struct disk *d = xcalloc(1, sizeof *d), recorder = {.trace = &next->trace};
	bool repaired;

	next_init(e, next);
	crash_disk_copy(&next->base, &e->recording->base);
	for (size_t i = 0; i < e->point; i++)
		disk_record(&recorder, &e->recording->trace.ops[i], e->recording->trace.ops[i].data);
	crash_disk_copy(d, &e->replay.disk);
	d->trace = &next->trace;
	totals.deaths++;
	if (open_and_check(e, NULL, NULL, d, next, &repaired))
		explore(next, e->point + 1, e->depth + 1);
	disk_free(d);
	disk_free(&next->base);
	disk_trace_free(&next->trace);
	free(next);
	free(d);
}

/* Crashes at each point from the one after the first from operations on. */
static void
explore(struct recording *r, size_t from, unsigned depth)
{
	struct exploration *e = xcalloc(1, sizeof *e);
	struct crash_open *o = xcalloc(1, sizeof *o);

	e->recording = r;
	e->depth = depth;
	crash_disk_copy(&e->replay.disk, &r->base);
	for (e->point = 0; e->point <= r->trace.count; e->point++) {
		if (e->point > 0)
			crash_replay_op(&e->replay, &r->trace.ops[e->point - 1]);
		if (e->point < from)
			continue;
		window_at(r, e->point, &e->window);
		e->here =
		    UINT64_C(0x2545f4914f6cdd1d) * (e->window.legal[0].last << 32 ^ e->window.legal[0].term << 16 ^
						       e->window.count << 8 ^ e->window.legal[0].snapshot);
		crash_open_at(&e->replay, o);
		totals.points++;
		totals.exhaustive += crash_each(o, depth == 0 ? ALL_MAX : ALL_MAX_NESTED, e->point + 1, crash_try, e);
		crash_each_torn(o, depth == 0 ? 5 : depth == 1 ? 1 : 0, e->point + 1, crash_try, e);
		if (depth == 0)
			death_try(e);
	}
	disk_free(&e->replay.disk);
	free(e);
	free(o);
}

/* ---- work ---- */

struct slow_reader {
	struct work *work;
	uint64_t index;
	uint32_t batch;
};

struct work {
	struct recording *r;
	struct disk disk;
	struct opened o;
	struct model m; /* acknowledged */
	struct model under_way;
	size_t begun;
};

static size_t
now(const struct work *k)
{
	return k->r->trace.count;
}

static void
acknowledged(struct work *k, size_t begin, const struct model *after)
{
	if (k->r->step_count == STEPS_MAX)
		stop("%s: too many steps", k->r->name);
	k->r->steps[k->r->step_count++] = (struct step){begin, now(k), *after};
	k->m = *after;
}

static void
must(const struct work *k, int result, const char *what)
{
	if (result == -1)
		stop("%s: %s: %s", k->r->name, what, strerror(errno));
}

/* Entries from first on, count of them, written; count 0: hard state only. */
static void
batch_begin(struct work *k, uint64_t first, uint64_t count, uint64_t term, uint32_t size)
{
	struct model *m = &k->under_way;

	*m = k->m;
	k->begun = now(k);
	if (term > m->term)
		m->vote = (uint8_t)term;
	m->term = MAX(m->term, term);
	wal_batch_begin(k->o.wal, m->term, vote_of(m->vote));
	for (uint64_t i = 0; i < count; i++) {
		m->last = first + i;
		m->terms[m->last] = term;
		m->sizes[m->last] = size;
		wal_batch_entry(k->o.wal, m->last, term, WAL_DATA, content(m->last, term, size));
	}
	must(k, wal_batch_write(k->o.wal), "wal_batch_write");
}

static void
batch_end(struct work *k)
{
	must(k, wal_sync(k->o.wal), "wal_sync");
	acknowledged(k, k->begun, &k->under_way);
}

static void
batch(struct work *k, uint64_t first, uint64_t count, uint64_t term, uint32_t size)
{
	batch_begin(k, first, count, term, size);
	batch_end(k);
}

static void
append(struct work *k, uint64_t count, uint32_t size)
{
	batch(k, k->m.last + 1, count, k->m.term, size);
}

static void
mark(struct work *k)
{
	must(k, wal_mark(k->o.wal), "wal_mark");
	must(k, wal_sync(k->o.wal), "wal_sync");
}

static int
drop(struct work *k, uint64_t limit)
{
	int dropped;

	k->r->drops[k->r->drop_count++] = (struct step){.begin = now(k), .after = {.base = limit}};
	dropped = wal_drop(k->o.wal, limit);
	must(k, dropped, "wal_drop");
	return dropped;
}

static void
reopen(struct work *k)
{
	close_all(&k->o);
	open_all(&k->o, &k->disk);
	if (k->o.why[0] != '\0')
		stop("%s: %s", k->r->name, k->o.why);
}

static struct snapshot_meta
meta_of(uint64_t index, uint64_t term)
{
	struct snapshot_meta meta = {.index = index,
	    .term = term,
	    .time_ms = 1000 + index,
	    .log_id = "03b347af-2683-4cdb-b461-b3d274ab5148",
	    .configuration = {.count = 1, .members = {{{1, 2}, "127.0.0.1:8300", true}}}};
	struct bytes state = snapshot_state(index);

	meta.size_bytes = state.size;
	meta.crc = crc32c(0, state.data, state.size);
	return meta;
}

/* The state, and in the middle of it the log goes on: the copy is made by another process. */
static ssize_t
state_read_slowly(void *ctx, void *out, size_t size, uint64_t offset)
{
	struct slow_reader *r = ctx;

	if (r->batch > 0 && offset > 0) {
		append(r->work, 1, r->batch);
		r->batch = 0;
	}
	return state_read(&r->index, out, MIN(size, 2048), offset);
}

/* batch: bytes of an entry that is written meanwhile; 0: none. */
static void
snapshot_during(struct work *k, uint64_t index, uint32_t batch_bytes)
{
	struct snapshot_meta meta = meta_of(index, k->m.terms[index]);
	struct slow_reader reader = {k, index, batch_bytes};
	struct model after;
	size_t begin = now(k);
	char error[SNAPSHOT_ERROR_MAX];

	if (WAL_PLANTED(LOG_DROPPED_EARLY))
		(void)drop(k, index);
	if (snapshot_store_save(k->o.store, &meta, state_read_slowly, &reader, error) == -1)
		stop("%s: %s", k->r->name, error);
	after = k->m;
	after.snapshot = index;
	acknowledged(k, begin, &after);
}

static void
snapshot(struct work *k, uint64_t index)
{
	snapshot_during(k, index, 0);
}

/* Receives one up to that entry, and tells the log. */
static void
receive(struct work *k, uint64_t index, uint64_t term)
{
	struct snapshot_meta meta = meta_of(index, term);
	struct model after = k->m;
	bool held = index <= k->m.last && k->m.terms[index] == term;
	size_t begin = now(k);
	char error[SNAPSHOT_ERROR_MAX];
	int result = snapshot_store_receive_begin(k->o.store, &meta, error);

	for (uint64_t at = 0; result == 0 && at < meta.size_bytes; at += 3000)
		result = snapshot_store_receive_chunk(
		    k->o.store, at, bytes_of(snapshot_state(index).data + at, MIN(meta.size_bytes - at, 3000)), error);
	after.snapshot = index;
	if (!held) {
		after.base = after.last = index;
		after.vote = term > after.term ? 0 : after.vote;
		after.term = MAX(after.term, term);
	}
	if (WAL_PLANTED(LOG_RESET_EARLY)) {
		must(k, wal_snapshot(k->o.wal, index, term), "wal_snapshot");
		must(k, wal_sync(k->o.wal), "wal_sync");
	}
	if (result == -1 || snapshot_store_receive_finish(k->o.store, error) == -1)
		stop("%s: %s", k->r->name, error);
	acknowledged(k, begin, &after);
	must(k, wal_snapshot(k->o.wal, index, term), "wal_snapshot");
	must(k, wal_sync(k->o.wal), "wal_sync");
	drop(k, index);
}

static void
work_appends(struct work *k)
{
	batch(k, 0, 0, 1, 0);
	append(k, 1, 10);
	append(k, 3, 200);
	append(k, 1, 5000);
	mark(k);
	batch(k, 0, 0, 3, 0);
	mark(k);
	batch(k, 0, 0, 4, 0);
	append(k, 1, 1);
}

static void
work_many_blocks(struct work *k)
{
	batch(k, 1, 1, 1, 9000);
	append(k, 2, 9000);
	mark(k);
	append(k, 4, 12000); /* a segment of its own */
	append(k, 1, 30000);
}

static void
work_conflicts(struct work *k)
{
	batch(k, 1, 6, 1, 900);
	batch(k, 4, 2, 2, 40);
	append(k, 5, 1500);
	batch(k, 3, 1, 4, 10);
	mark(k);
	batch(k, 2, 4, 5, 3000);
	batch(k, 0, 0, 7, 0);
}

static void
work_segments(struct work *k)
{
	wal_prepare(k->o.wal);
	for (uint64_t i = 1; i <= 9; i++) {
		batch(k, i, 1, 1 + i / 3, 5000);
		if (i % 4 == 0)
			wal_prepare(k->o.wal);
	}
	must(k, wal_reserve(k->o.wal, 1, 9000), "wal_reserve");
	append(k, 1, 9000);
}

static void
work_drops(struct work *k)
{
	for (uint64_t i = 1; i <= 10; i++)
		batch(k, i, 1, 1 + i / 4, 6000);
	snapshot(k, 10);
	(void)drop(k, 5);
	append(k, 1, 10000);
	/* old segments go while the first batch of a new one is under way */
	snapshot(k, 11);
	batch_begin(k, 12, 1, 6, 26000);
	(void)drop(k, 11);
	batch_end(k);
	snapshot(k, 12);
	(void)drop(k, 12);
	append(k, 1, 10);
}

/* A write that fails in its middle, and is made again. */
static void
work_no_space(struct work *k)
{
	batch(k, 1, 1, 1, 100);
	wal_batch_begin(k->o.wal, 2, vote_of(2));
	wal_batch_entry(k->o.wal, 2, 1, WAL_DATA, content(2, 1, 15000));
	k->disk.fail_write = true;
	if (wal_batch_write(k->o.wal) != -1)
		stop("%s: the write did not fail", k->r->name);
	batch(k, 2, 1, 3, 6000);
	append(k, 1, 100);
}

static void
work_openings(struct work *k)
{
	batch(k, 1, 2, 1, 3000);
	reopen(k);
	append(k, 2, 5000);
	reopen(k);
	batch(k, 0, 0, 5, 0);
	reopen(k);
	append(k, 1, 9000);
}

static void
work_snapshots(struct work *k)
{
	for (uint64_t i = 1; i <= 4; i++)
		batch(k, i, 1, i, 9000);
	snapshot(k, 2);
	(void)drop(k, 2);
	snapshot_during(k, 3, 5000);
	(void)drop(k, 3);
	snapshot(k, 4);
	(void)drop(k, 4);
	for (uint64_t i = 6; i <= 7; i++)
		batch(k, i, 1, i, 9000);
	snapshot(k, 7);
	(void)drop(k, 7);
	append(k, 1, 10);
}

static void
work_received(struct work *k)
{
	struct snapshot_meta meta = meta_of(30, 8);
	char error[SNAPSHOT_ERROR_MAX];

	for (uint64_t i = 1; i <= 4; i++)
		batch(k, i, 1, i, 9000);
	snapshot(k, 2);
	receive(k, 20, 4); /* behind the log's end */
	append(k, 2, 100);
	receive(k, 21, 4); /* the log has it already */
	append(k, 2, 9000);
	/* one that is never finished, and one in conflict with what is in the log */
	must(k, snapshot_store_receive_begin(k->o.store, &meta, error), error);
	must(k, snapshot_store_receive_chunk(k->o.store, 0, bytes_of(snapshot_state(30).data, 100), error), error);
	batch(k, 0, 0, 9, 0);
	receive(k, 23, 7);
	append(k, 1, 10);
	receive(k, 40, 12); /* of a term that was not heard of */
	append(k, 1, 5000);
}

static const struct {
	const char *name;
	void (*run)(struct work *k);
} works[] = {
    {"appends, hard state, marks", work_appends},
    {"batches of many blocks", work_many_blocks},
    {"conflicts", work_conflicts},
    {"new segments, spares", work_segments},
    {"dropped segments", work_drops},
    {"a failed write", work_no_space},
    {"openings", work_openings},
    {"snapshots taken", work_snapshots},
    {"snapshots received", work_received},
};

static void
work_explore(size_t i)
{
	struct recording *r = xcalloc(1, sizeof *r);
	struct work *k = xcalloc(1, sizeof *k);
	struct model empty = {0};

	memset(seen, 0, SEEN_SLOTS * sizeof *seen);
	seen_count = 0;
	r->name = works[i].name;
	r->starts[0] = empty;
	r->start_count = 1;
	disk_init(&r->base);
	/* node_open.c has made it, and synced its name */
	must(&(struct work){.r = r}, disk_make_directory(&r->base.top, "log"), "log");
	must(&(struct work){.r = r}, disk_sync_directory(&r->base.top, NULL), "log");
	k->r = r;
	crash_disk_copy(&k->disk, &r->base);
	k->disk.trace = &r->trace;
	open_all(&k->o, &k->disk);
	if (k->o.why[0] != '\0')
		stop("%s: %s", r->name, k->o.why);
	works[i].run(k);
	k->disk.trace = NULL;
	close_all(&k->o);
	explore(r, 0, 0);
	disk_free(&k->disk);
	disk_free(&r->base);
	disk_trace_free(&r->trace);
	free(r);
	free(k);
}

static void
report(size_t i, clock_t begun)
{
	printf("ok %zu - %s: %" PRIu64 " points (%" PRIu64 " with all combinations), %" PRIu64 " states, %" PRIu64
	       " of them different, %" PRIu64 " opened, %" PRIu64 " with a torn block, %" PRIu64
	       " of these refused; %" PRIu64 " tails cut, %" PRIu64 " resets finished, %" PRIu64
	       " openings crashed, %" PRIu64 " deaths of the process; %.1f s\n",
	    i + 1, works[i].name, totals.points, totals.exhaustive, totals.states, totals.distinct, totals.opened,
	    totals.torn_blocks, totals.refused, totals.cut, totals.finished, totals.nested, totals.deaths,
	    (double)(clock() - begun) / CLOCKS_PER_SEC);
	fflush(stdout);
	memset(&totals, 0, sizeof totals);
}

static void
explore_all(size_t only)
{
	/* each opening takes and frees large buffers: not from and to the kernel */
	(void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
	(void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
	seen = xcalloc(SEEN_SLOTS, sizeof *seen);
	for (size_t i = 0; i < COUNTOF(works); i++) {
		clock_t begun = clock();

		if (only != 0 && only != i + 1)
			continue;
		work_explore(i);
		report(i, begun);
	}
	free(seen);
}

#ifndef CRASH_PLANTED
int
main(int argc, char **argv)
{
	said_to = stdout;
	explore_all(argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 0);
	return 0;
}
#endif
