/*
 * faults.c - what goes wrong in the simulated cluster, and when (contract: cluster.h)
 *
 * Bounds: clocks differ in speed by less than the core's drift bound. Damage is done to blocks of a log before its last two batches
 * (the very last one is outside the promise), and only to so many servers that the others are a majority.
 */
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
	raftd_die(s, v);
	catalogd_die(s, v);
	v->boot++;
	s->totals.power_losses++;
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
	start_later(s, v, outage(s));
}

void
isolate(struct sim *s, unsigned i)
{
	uint64_t deaf = below(s, 2) == 0 ? UINT64_MAX : below(s, UINT64_C(1) << s->count);

	for (unsigned k = 0; k < s->count; k++) {
		s->cut[i][k] = true;
		s->cut[k][i] = (deaf >> k & 1) != 0;
	}
	s->totals.partitions++;
	s->totals.one_way += deaf != UINT64_MAX;
}

static void
pause_for(struct sim *s, struct server *v, uint64_t us)
{
	unsigned which = 1 + (unsigned)below(s, 3);

	s->totals.pauses++;
	if (which & 1)
		v->raftd.paused_until = MAX(v->raftd.paused_until, s->now + us); /* what waits keeps its order */
	if (which & 2)
		v->catalogd.paused_until = MAX(v->catalogd.paused_until, s->now + us);
}

void
betray(struct sim *s, struct server *v)
{
	bool forget = below(s, 3) == 0;

	isolate(s, v->number);
	if (below(s, 3) == 0)
		pause_for(s, v, below(s, 250 * MS));
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

struct place {
	struct disk_file *file;
	int number;
	uint32_t block;
};

static bool
block_is_used(const struct disk_file *f, uint32_t block, struct wal_block_head *head)
{
	const uint8_t *at = f->now + (size_t)block * WAL_BLOCK_BYTES;

	for (size_t i = 0; i < WAL_BLOCK_HEAD_BYTES; i++)
		if (at[i] != 0)
			return wal_block_head_get(at, head);
	return false;
}

/* Some block that belongs to a batch before the last two ones; the heads of the segments are left alone by this. */
static bool
place_find(struct sim *s, struct server *v, struct place *out)
{
	struct place *places = NULL;
	uint64_t last = 0;
	size_t count = 0, kept = 0;

	for (int i = 0; i < DISK_FILES_MAX; i++) {
		int number = v->disk.names.at[i].file;
		struct disk_file *f = number == -1 ? NULL : &v->disk.files[number];
		struct wal_block_head head;

		if (f == NULL || f->now == NULL || strstr(v->disk.names.at[i].name, ".log") == NULL)
			continue;
		places = xreallocarray(places, count + f->size / WAL_BLOCK_BYTES, sizeof *places);
		for (uint32_t block = 1; block < f->size / WAL_BLOCK_BYTES; block++)
			if (block_is_used(f, block, &head)) {
				last = MAX(last, head.batch);
				places[count++] = (struct place){f, number, block};
			}
	}
	for (size_t i = 0; i < count; i++) {
		struct wal_block_head head;

		if (block_is_used(places[i].file, places[i].block, &head) && head.batch + 2 <= last)
			places[kept++] = places[i];
	}
	if (kept > 1)
		*out = places[below(s, kept)];
	free(places);
	return kept > 1;
}

static void
block_put(struct disk_file *f, uint32_t block, const uint8_t *content)
{
	memcpy(f->now + (size_t)block * WAL_BLOCK_BYTES, content, WAL_BLOCK_BYTES);
	memcpy(f->durable + (size_t)block * WAL_BLOCK_BYTES, content, WAL_BLOCK_BYTES);
}

static void
damage(struct sim *s, struct server *v)
{
	unsigned damaged = 0;
	struct place to, from;
	uint8_t content[WAL_BLOCK_BYTES] = {0};

	for (unsigned i = 0; i < s->count; i++)
		damaged += s->servers[i].damaged;
	if (v->damaged || damaged >= (s->count - 1) / 2 || !place_find(s, v, &to) || !place_find(s, v, &from))
		return;
	switch (below(s, 3)) {
	case 0: /* a few bits flip */
		memcpy(content, to.file->now + (size_t)to.block * WAL_BLOCK_BYTES, sizeof content);
		for (uint64_t n = 1 + below(s, 4); n > 0; n--)
			content[below(s, sizeof content)] ^= (uint8_t)(1 + below(s, 255));
		s->totals.corrupted++;
		break;
	case 1: /* what was to be written elsewhere has gone here, and is missing there */
		if (from.file == to.file && from.block == to.block)
			return;
		memcpy(content, from.file->now + (size_t)from.block * WAL_BLOCK_BYTES, sizeof content);
		block_put(to.file, to.block, content);
		memset(content, 0, sizeof content);
		to = from;
		s->totals.misdirected++;
		break;
	default: /* it never was written */
		s->totals.corrupted++;
		break;
	}
	block_put(to.file, to.block, content);
	v->damaged = true;
	v->bad_block = (uint64_t)to.number << 32 | to.block;
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

void
faults_begin(struct sim *s)
{
	s->malicious = below(s, 2) == 0;
	s->eager = below(s, 3) == 0 ? 0 : 5 + below(s, 60);
	s->entries_max = below(s, 2) == 0 ? 1 + (uint32_t)below(s, 3) : 0;
	s->delay_max = (2 + below(s, 9)) * MS;
	/* from calm days with much traffic to storms in which hardly anything is ever committed */
	s->partition_every = 20 + below(s, 400);
	s->death_every = 30 + below(s, 600);
	s->damage_every = below(s, 2) == 0 ? 0 : 400 + below(s, 2000);
	event_put(s, TURN_US, EVENT_FAULT, 0, 0, 0, NULL);
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
		pause_for(s, v, below(s, 400 * MS));
	if (chance(s, 200))
		disk_trouble(s, v);
	if (s->damage_every > 0 && chance(s, s->damage_every))
		damage(s, v);
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
		s->delay_max = (1 + below(s, 40)) * MS;
	}
}

void
faults_end(struct sim *s)
{
	s->chaos = false;
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
