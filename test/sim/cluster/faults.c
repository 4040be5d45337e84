/*
 * faults.c - what goes wrong in the simulated cluster, and when (contract: cluster.h)
 *
 * Bounds: clocks differ in speed by less than the core's drift bound. Damage is done to blocks of a log before its last two batches
 * (the very last one is outside the promise), and only to so many servers that the others are a majority.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "cluster.h"

#define TURN_US (5 * MS)

static uint64_t
outage(struct sim *s)
{
	return below(s, 3) == 0 ? MS + below(s, 10 * MS) : 5 * MS + below(s, s->death_every * TURN_US);
}

static void
start_later(struct sim *s, struct server *v, uint64_t delay)
{
	if (!v->raftd.alive && !v->refused)
		event_put(s, s->now + delay, EVENT_RAFTD_START, v->number, v->raftd.life, 0, NULL);
	if (!v->catalogd.alive)
		event_put(
		    s, s->now + delay + below(s, 5 * MS), EVENT_CATALOGD_START, v->number, v->catalogd.life, 0, NULL);
}

void
server_power_loss(struct sim *s, struct server *v)
{
	bool torn = s->sectors_torn && (s->focus == FOCUS_DISKS || below(s, 4) == 0) && may_be_damaged(s, v);

	trace(s, v, "power loss%s", torn ? ", sectors torn" : "");
	raftd_die(s, v);
	catalogd_die(s, v);
	v->boot++;
	s->totals.power_losses++;
	/* a block that is written in part is damage, also in the last batch */
	v->damaged |= torn;
	v->torn |= torn;
	v->disk.sectors_torn = torn;
	disk_power_loss(&v->disk);
	store_power_loss(s, v);
	start_later(s, v, outage(s));
}

static void
process_kill(struct sim *s, struct server *v)
{
	unsigned which = 1 + (unsigned)below(s, 3);

	s->totals.process_crashes++;
	if (which & 1)
		raftd_die(s, v);
	if (which & 2)
		catalogd_die(s, v);
	if ((which & 2) && below(s, 6) == 0) { /* that is why it died */
		store_lose(v);
		s->totals.store_losses++;
	}
	start_later(s, v, outage(s));
}

void
isolate(struct sim *s, unsigned i)
{
	uint64_t deaf = below(s, 2) == 0 ? UINT64_MAX : below(s, UINT64_C(1) << s->count);

	trace(s, NULL, "server %u is cut off", i);
	for (unsigned k = 0; k < s->count; k++) {
		s->cut[i][k] = true;
		s->cut[k][i] = (deaf >> k & 1) != 0;
	}
	s->totals.partitions++;
	s->totals.one_way += deaf != UINT64_MAX;
}

/* which: 1 raftd, 2 catalogd. What waits keeps its order: a pause is never cut short. */
static void
pause_for(struct sim *s, struct server *v, unsigned which, uint64_t us)
{
	s->totals.pauses++;
	trace(
	    s, v, "%s%s stopped for %" PRIu64 " ms", which & 1 ? "raftd " : "", which & 2 ? "catalogd " : "", us / MS);
	if (which & 1)
		v->raftd.paused_until = MAX(v->raftd.paused_until, s->now + us);
	if (which & 2)
		v->catalogd.paused_until = MAX(v->catalogd.paused_until, s->now + us);
}

static void
pause_some(struct sim *s, struct server *v)
{
	struct server *leader = leader_find(s);
	uint64_t us = below(s, 400 * MS);
	unsigned which = 1 + (unsigned)below(s, 3);

	/* long enough for another one to be elected, and then it is asked */
	if (leader != NULL && s->malicious && below(s, 2) == 0)
		pause_for(s, leader, which | (unsigned)below(s, 2), 200 * MS + us);
	else
		pause_for(s, v, which, us);
}

void
leader_stop(struct sim *s, struct server *v)
{
	pause_for(s, v, 1, 200 * MS + below(s, 300 * MS));
}

void
betray(struct sim *s, struct server *v)
{
	bool forget = below(s, 3) == 0;

	isolate(s, v->number);
	if (below(s, 3) == 0)
		pause_for(s, v, 1 + (unsigned)below(s, 3), below(s, 250 * MS));
	for (unsigned k = 0; forget && k < s->count; k++) {
		struct server *other = &s->servers[k];

		if (other == v || !other->raftd.alive)
			continue;
		if (below(s, 2) == 0)
			server_power_loss(s, other);
		else {
			raftd_die(s, other);
			s->totals.process_crashes++;
		}
		start_later(s, other, MS + below(s, 10 * MS));
	}
}

static void
partition(struct sim *s)
{
	unsigned kind = (unsigned)below(s, 5), one = (unsigned)below(s, s->count);
	uint64_t side = below(s, UINT64_C(1) << s->count);

	trace(s, NULL, kind <= 1 ? "the network is whole" : "partition of kind %u", kind);
	memset(s->cut, 0, sizeof s->cut);
	if (kind <= 1)
		return;
	s->totals.partitions++;
	s->totals.one_way += kind > 2;
	for (unsigned a = 0; a < s->count; a++)
		for (unsigned b = 0; b < s->count; b++)
			if (kind == 2) /* two sides */
				s->cut[a][b] = (side >> a & 1) != (side >> b & 1);
			else if (kind == 3) /* one hears nobody */
				s->cut[a][b] = b == one;
			else /* some pairs, one way */
				s->cut[a][b] = below(s, 3) == 0;
}

/* ---- disks ---- */

/* A block of a log, in use; not of its last two batches. */
static bool
place_find(struct server *v, struct disk_place *out)
{
	int file = -1;
	uint64_t last = disk_last_batch(&v->disk, &file);
	struct wal_block_head head;

	for (int tries = 0; tries < 8; tries++) {
		if (!disk_choose_block(&v->disk, true, out))
			return false;
		if (out->block > 0 &&
		    wal_block_head_get(v->disk.files[out->file].now + out->block * WAL_BLOCK_BYTES, &head) &&
		    head.batch + 2 <= last)
			return true;
	}
	return false;
}

static void
damage(struct sim *s, struct server *v)
{
	struct disk_place at, to;

	if (!may_be_damaged(s, v) || !place_find(v, &at) || !place_find(v, &to))
		return;
	switch (below(s, 4)) {
	case 0:
		disk_corrupt_block(&v->disk, at);
		s->totals.corrupted++;
		break;
	case 1:
		disk_lose_block(&v->disk, at);
		s->totals.corrupted++;
		break;
	case 2:
		if (at.file == to.file && at.block == to.block)
			return;
		disk_misdirect(&v->disk, at, to);
		s->totals.misdirected++;
		break;
	default:
		disk_latent_error(&v->disk, at);
		s->totals.latent++;
		break;
	}
	trace(s, v, "damage, file %d block %" PRIu64, at.file, at.block);
	v->damaged = true;
	v->bad_block = (uint64_t)at.file << 32 | at.block;
}

static void
disk_trouble(struct sim *s, struct server *v)
{
	switch (below(s, 3)) {
	case 0:
		if (v->disk.space_left < UINT64_C(1) << 30)
			break;
		event_put(s, s->now + below(s, 400 * MS), EVENT_DISK_HEALS, v->number, 0, v->disk.space_left, NULL);
		v->disk.space_left = below(s, 2) * 64 * WAL_BLOCK_BYTES;
		s->totals.full_disks++;
		break;
	case 1:
		v->slow_until = s->now + below(s, 1000 * MS);
		s->totals.slow_disks++;
		break;
	default:
		v->stall_until = s->now + below(s, 600 * MS);
		s->totals.disk_stalls++;
		break;
	}
}

/* ---- their times ---- */

static void
focus_set(struct sim *s)
{
	switch (s->focus) {
	case FOCUS_NONE:
		break;
	case FOCUS_LEASES:
		s->malicious = true;
		s->initial = s->count;
		s->jumps_judged = false;
		s->eager = 4 + below(s, 12);
		s->delay_max = s->delay_bound = (1 + below(s, 6)) * MS;
		s->partition_every = 10 + below(s, 60);
		break;
	case FOCUS_DISKS:
		s->changing = s->sectors_torn = true;
		/* one server is damaged at a time: what was done to it leaves no place for torn blocks */
		s->damage_every = below(s, 2) == 0 ? 0 : 40 + below(s, 160);
		break;
	}
}

/* More than one block has been written, and is not synced yet. */
static bool
much_in_flight(const struct server *v)
{
	bool much = false;

	for (int i = 0; v->raftd.alive && v->raftd.syncing && i < DISK_FILES_MAX; i++) {
		const struct disk_file *f = &v->disk.files[i];

		much |= f->used && f->dirty_from + WAL_BLOCK_BYTES < f->dirty_to;
	}
	return much;
}

static void
focus_turn(struct sim *s, struct server *v)
{
	struct server *leader;

	switch (s->focus) {
	case FOCUS_NONE:
		break;
	case FOCUS_LEASES:
		leader = leader_find(s);
		if (leader != NULL && chance(s, 60))
			isolate(s, leader->number);
		break;
	case FOCUS_DISKS:
		if (much_in_flight(v) && chance(s, 4))
			server_power_loss(s, v);
		break;
	}
}

void
faults_begin(struct sim *s)
{
	static const enum focus focuses[] = {FOCUS_NONE, FOCUS_NONE, FOCUS_LEASES, FOCUS_DISKS};

	s->malicious = below(s, 2) == 0;
	s->eager = below(s, 3) == 0 ? 0 : 5 + below(s, 60);
	s->entries_max = below(s, 2) == 0 ? 1 + (uint32_t)below(s, 3) : 0;
	s->delay_max = (2 + below(s, 9)) * MS;
	/* from calm days with much traffic to storms in which hardly anything is ever committed */
	s->partition_every = 20 + below(s, 400);
	s->death_every = 30 + below(s, 600);
	s->damage_every = below(s, 2) == 0 ? 0 : 200 + below(s, 1000);
	s->changing = below(s, 3) > 0;
	s->change_every = 1 + below(s, 20);
	s->voters_min = 1 + below(s, 3);
	s->initial = below(s, 2) == 0 ? s->count : 1 + (unsigned)below(s, s->count);
	s->chunk_bytes = 1024u << below(s, 6);
	s->trailing = below(s, 2) * below(s, 100);
	s->jumps_judged = below(s, 2) == 0;
	s->sectors_torn = below(s, 2) == 0;
	s->delay_bound = 40 * MS;
	s->focus = s->count < 3 ? FOCUS_NONE : focuses[below(s, COUNTOF(focuses))];
	focus_set(s);
	event_put(s, TURN_US, EVENT_FAULT, 0, 0, 0, NULL);
	event_put(s, 500 * MS, EVENT_OPERATOR, 0, 0, 0, NULL);
}

void
faults_turn(struct sim *s)
{
	struct server *v = &s->servers[below(s, s->count)];

	if (!s->chaos)
		return;
	event_put(s, s->now + TURN_US, EVENT_FAULT, 0, 0, 0, NULL);
	if (chance(s, s->partition_every))
		partition(s);
	if (chance(s, s->death_every)) {
		if (below(s, 2) == 0)
			server_power_loss(s, v);
		else
			process_kill(s, v);
	}
	if (chance(s, 2 * s->death_every / 3))
		pause_some(s, v);
	if (chance(s, 200))
		disk_trouble(s, v);
	if (s->damage_every > 0 && chance(s, s->damage_every))
		damage(s, v);
	focus_turn(s, v);
	if (chance(s, 1200) && !v->catalogd.alive) {
		store_lose(v);
		s->totals.store_losses++;
	}
	/* all at once, as when the power fails */
	if (chance(s, 1200))
		for (unsigned i = 0; i < s->count; i++)
			server_power_loss(s, &s->servers[i]);
	if (chance(s, 200)) {
		s->loss = below(s, 4) * 60;
		s->duplicate = below(s, 3) * 80;
		s->delay_max = MS + below(s, s->delay_bound);
	}
}

void
faults_end(struct sim *s)
{
	s->chaos = false;
	trace(s, NULL, "all is well from now on");
	memset(s->cut, 0, sizeof s->cut);
	s->loss = s->duplicate = 0;
	s->delay_max = 5 * MS;
	for (unsigned i = 0; i < s->count; i++) {
		struct server *v = &s->servers[i];

		v->stall_until = v->slow_until = 0;
		v->disk.space_left = MAX(v->disk.space_left, UINT64_C(1) << 32);
		start_later(s, v, below(s, 50 * MS));
	}
}
