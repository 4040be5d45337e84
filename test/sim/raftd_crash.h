/*
 * raftd_crash.h - what a crash may leave of a recorded trace: every prefix, and every reordering allowed between syncs
 *
 * The trace (raftd_disk.h) is replayed operation by operation. At each point these are open, each for itself: of every block of 4 KiB
 * written since its file's last sync, how many of its writes are there; of a file whose size has changed since, the old or the new size; of
 * the names changed since their directory's last sync, any subset in which a change comes with the earlier ones of the same file or name
 * (a rename itself is atomic). Blocks are whole, unless one is chosen to be torn into sectors of 512 bytes.
 *
 * All combinations are taken when there are all_max at most. Else: all subsets of names with nothing and with everything else; with all
 * names and with none every prefix of the block writes; everything but one, everything but two (the first CRASH_PAIRS_MAX pairs), only one; and
 * CRASH_RANDOM combinations by the seed.
 */
#ifndef RAFTD_CRASH_H
#define RAFTD_CRASH_H

#include "../unit/raftd_disk.h"

#define CRASH_PAIRS_MAX 128
#define CRASH_RANDOM 48
#define CRASH_PENDING_MAX 256
#define CRASH_VERSIONS_MAX 8
#define CRASH_SUBSETS_MAX 256
#define CRASH_SUBSET_CHANGES_MAX 12
#define CRASH_DIMENSIONS_MAX (CRASH_PENDING_MAX + DISK_FILES_MAX + 1)

/* A block and its writes since the file's last sync. */
struct crash_block {
	int file;
	uint64_t block;
	const struct disk_op *writes[CRASH_VERSIONS_MAX];
	unsigned count;
	uint64_t hashes[CRASH_VERSIONS_MAX + 1]; /* by crash_hash_prepare: after so many of the writes */
};

/* The machine at one point of a trace. */
struct crash_replay {
	struct disk disk;
	struct crash_block blocks[CRASH_PENDING_MAX];
	size_t block_count;
	uint64_t sums[DISK_FILES_MAX]; /* by crash_hash_prepare: of what is durable */
};

/* What is open at this point, in this order: blocks, sizes, names. The highest value of each is what the processes saw. */
struct crash_open {
	unsigned options[CRASH_DIMENSIONS_MAX];
	size_t count, blocks;
	int grown[DISK_FILES_MAX]; /* files, in the order of their dimensions */
	uint32_t subsets[CRASH_SUBSETS_MAX];
	size_t subset_count;
	bool subsets_sampled;
};

struct crash_choice {
	unsigned of[CRASH_DIMENSIONS_MAX];
	bool torn; /* the block torn_block keeps these sectors of its last version, the rest of the durable one */
	size_t torn_block;
	uint8_t torn_sectors;
};

static inline void
crash_disk_copy(struct disk *to, const struct disk *from)
{
	disk_free(to);
	*to = *from;
	to->trace = NULL;
	to->top = (struct disk_dir){.disk = to};
	for (int i = 0; i < DISK_FILES_MAX; i++) {
		struct disk_file *f = &to->files[i];

		if (f->now == NULL)
			continue;
		if (disk_is_gone(from, i)) {
			*f = (struct disk_file){.used = true};
			continue;
		}
		f->now = xmalloc(f->capacity);
		f->durable = xmalloc(f->capacity);
		memcpy(f->now, from->files[i].now, f->capacity);
		memcpy(f->durable, from->files[i].durable, f->capacity);
	}
}

/* ---- replaying ---- */

static inline void
crash_blocks_forget(struct crash_replay *r, int file)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->block_count; i++)
		if (r->blocks[i].file != file)
			r->blocks[kept++] = r->blocks[i];
	r->block_count = kept;
}

static inline void
crash_block_add(struct crash_replay *r, const struct disk_op *op)
{
	uint64_t block = op->offset / WAL_BLOCK_BYTES;
	size_t i = 0;

	while (i < r->block_count && (r->blocks[i].file != op->file || r->blocks[i].block != block))
		i++;
	if (i == r->block_count) {
		if (r->block_count == CRASH_PENDING_MAX)
			abort();
		r->blocks[r->block_count++] = (struct crash_block){.file = op->file, .block = block};
	}
	if (r->blocks[i].count == CRASH_VERSIONS_MAX)
		abort();
	r->blocks[i].writes[r->blocks[i].count++] = op;
}

static inline void
crash_replay_op(struct crash_replay *r, const struct disk_op *op)
{
	struct disk *d = &r->disk;
	struct disk_file *f = op->file == DISK_ROOT ? NULL : &d->files[op->file];

	switch (op->kind) {
	case DISK_CREATE:
		crash_blocks_forget(r, op->file);
		disk_file_clear(f, op->directory);
		/* fall through */
	case DISK_RENAME:
	case DISK_UNLINK:
		disk_name_change(d, op->kind, &op->change);
		break;
	case DISK_ALLOCATE:
		if (!disk_grow(d, f, op->size))
			abort();
		break;
	case DISK_WRITE:
		if (op->offset + op->size > f->size && !disk_grow(d, f, op->offset + op->size))
			abort();
		disk_put(d, op->file, op->data, op->size, op->offset);
		crash_block_add(r, op);
		break;
	case DISK_SYNC:
		memcpy(f->durable, f->now, f->capacity);
		f->dirty_from = f->dirty_to = 0;
		f->durable_size = f->size;
		crash_blocks_forget(r, op->file);
		break;
	case DISK_SYNC_DIRECTORY:
		disk_names_sync(d, op->file);
		break;
	}
}

/* ---- what is open ---- */

static inline bool
crash_same_name(const struct disk_change *a, const struct disk_change *b)
{
	return a->parent == b->parent &&
	       (strcmp(a->name, b->name) == 0 || (a->kind == DISK_MOVE && strcmp(a->to, b->name) == 0) ||
		   (b->kind == DISK_MOVE && strcmp(a->name, b->to) == 0) ||
		   (a->kind == DISK_MOVE && b->kind == DISK_MOVE && strcmp(a->to, b->to) == 0));
}

/* The changes that change i can not be without. */
static inline uint32_t
crash_needs(const struct disk *d, size_t i)
{
	uint32_t needs = 0;

	for (size_t k = 0; k < i; k++)
		if (d->changes_made[k].file == d->changes_made[i].file ||
		    crash_same_name(&d->changes_made[k], &d->changes_made[i]))
			needs |= UINT32_C(1) << k;
	return needs;
}

/* The subsets of names that may be durable: all of those that are consistent, or the prefixes when there are too many. Last: all. */
static inline void
crash_subsets(const struct disk *d, struct crash_open *o)
{
	uint32_t all = (UINT32_C(1) << d->changes) - 1;

	if (d->changes > 31)
		abort();
	o->subset_count = 0;
	o->subsets_sampled = d->changes > CRASH_SUBSET_CHANGES_MAX;
	for (uint32_t set = 0; set <= all && !o->subsets_sampled; set++) {
		bool consistent = true;

		for (size_t i = 0; i < d->changes && consistent; i++)
			consistent = (set & UINT32_C(1) << i) == 0 || (crash_needs(d, i) & ~set) == 0;
		if (!consistent)
			continue;
		o->subsets_sampled = o->subset_count == CRASH_SUBSETS_MAX;
		if (!o->subsets_sampled)
			o->subsets[o->subset_count++] = set;
	}
	if (!o->subsets_sampled)
		return;
	o->subset_count = 0;
	for (size_t i = 0; i <= d->changes; i++)
		o->subsets[o->subset_count++] = (UINT32_C(1) << i) - 1;
}

static inline void crash_hash_prepare(struct crash_replay *r);

static inline void
crash_open_at(struct crash_replay *r, struct crash_open *o)
{
	crash_hash_prepare(r);
	o->count = 0;
	for (size_t i = 0; i < r->block_count; i++)
		o->options[o->count++] = r->blocks[i].count + 1;
	o->blocks = o->count;
	for (int i = 0; i < DISK_FILES_MAX; i++)
		if (r->disk.files[i].used && r->disk.files[i].size != r->disk.files[i].durable_size) {
			o->grown[o->count - o->blocks] = i;
			o->options[o->count++] = 2;
		}
	crash_subsets(&r->disk, o);
	o->options[o->count++] = (unsigned)o->subset_count;
}

static inline void
crash_choose_all(const struct crash_open *o, struct crash_choice *c)
{
	c->torn = false;
	for (size_t i = 0; i < o->count; i++)
		c->of[i] = o->options[i] - 1;
}

static inline void
crash_choose_none(const struct crash_open *o, struct crash_choice *c)
{
	c->torn = false;
	for (size_t i = 0; i < o->count; i++)
		c->of[i] = 0;
}

/* ---- a number for what a process would find, without building it ---- */

/* 0 for zeros. */
static inline uint64_t
crash_block_hash(const uint8_t *block, uint64_t place)
{
	static const uint8_t zero[WAL_BLOCK_BYTES];
	uint64_t lanes[4] = {1, 2, 3, 4}, h = place;

	if (memcmp(block, zero, sizeof zero) == 0)
		return 0;
	for (size_t at = 0; at < WAL_BLOCK_BYTES; at += sizeof lanes) {
		uint64_t words[4];

		memcpy(words, block + at, sizeof words);
		for (unsigned k = 0; k < 4; k++) {
			lanes[k] = (lanes[k] ^ words[k]) * UINT64_C(0x94d049bb133111eb);
			lanes[k] ^= lanes[k] >> 29;
		}
	}
	for (unsigned k = 0; k < 4; k++)
		h = (h ^ lanes[k]) * UINT64_C(0xbf58476d1ce4e5b9) + (h >> 31);
	return h;
}

/* Block i as the choice leaves it. */
static inline void
crash_block_content(const struct crash_replay *r, size_t i, unsigned writes, uint8_t out[WAL_BLOCK_BYTES])
{
	const struct crash_block *b = &r->blocks[i];

	memcpy(out, r->disk.files[b->file].durable + b->block * WAL_BLOCK_BYTES, WAL_BLOCK_BYTES);
	for (unsigned k = 0; k < writes; k++)
		memcpy(out + b->writes[k]->offset % WAL_BLOCK_BYTES, b->writes[k]->data, b->writes[k]->size);
}

/* The parts of the numbers that all choices at this point share. */
static inline void
crash_hash_prepare(struct crash_replay *r)
{
	uint8_t block[WAL_BLOCK_BYTES];

	for (int i = 0; i < DISK_FILES_MAX; i++) {
		const struct disk_file *f = &r->disk.files[i];

		r->sums[i] = 0;
		for (uint64_t at = 0; f->now != NULL && at < f->capacity; at += WAL_BLOCK_BYTES)
			r->sums[i] += crash_block_hash(f->durable + at, at);
	}
	for (size_t i = 0; i < r->block_count; i++)
		for (unsigned k = 0; k <= r->blocks[i].count; k++) {
			crash_block_content(r, i, k, block);
			r->blocks[i].hashes[k] = crash_block_hash(block, r->blocks[i].block * WAL_BLOCK_BYTES);
		}
}

static inline void
crash_tear(uint8_t block[WAL_BLOCK_BYTES], const uint8_t *before, uint8_t sectors)
{
	for (unsigned k = 0; k < WAL_BLOCK_BYTES / DISK_SECTOR_BYTES; k++)
		if ((sectors & 1u << k) == 0)
			memcpy(block + k * DISK_SECTOR_BYTES, before + k * DISK_SECTOR_BYTES, DISK_SECTOR_BYTES);
}

/* Two choices with the same number leave the same. */
static inline uint64_t
crash_hash(const struct crash_replay *r, const struct crash_open *o, const struct crash_choice *c)
{
	const struct disk *d = &r->disk;
	uint32_t set = o->subsets[c->of[o->count - 1]];
	struct disk_names names = d->durable_names;
	uint64_t sums[DISK_FILES_MAX], sizes[DISK_FILES_MAX], sum = 0;

	memcpy(sums, r->sums, sizeof sums);
	for (int i = 0; i < DISK_FILES_MAX; i++)
		sizes[i] = d->files[i].size;
	for (size_t i = o->blocks; i < o->count - 1; i++)
		if (c->of[i] == 0)
			sizes[o->grown[i - o->blocks]] = d->files[o->grown[i - o->blocks]].durable_size;
	for (size_t i = 0; i < o->blocks; i++) {
		const struct crash_block *b = &r->blocks[i];
		uint64_t hash = b->hashes[c->of[i]];

		if (b->block * WAL_BLOCK_BYTES >= sizes[b->file])
			continue;
		if (c->torn && i == c->torn_block) {
			uint8_t block[WAL_BLOCK_BYTES];

			crash_block_content(r, i, c->of[i], block);
			crash_tear(block, d->files[b->file].durable + b->block * WAL_BLOCK_BYTES, c->torn_sectors);
			hash = crash_block_hash(block, b->block * WAL_BLOCK_BYTES);
		}
		sums[b->file] += hash - b->hashes[0];
	}
	for (size_t i = 0; i < d->changes; i++)
		if ((set & UINT32_C(1) << i) != 0)
			disk_names_apply(&names, &d->changes_made[i]);
	for (int i = 0; i < DISK_FILES_MAX; i++) {
		uint64_t h = UINT64_C(0x9e3779b97f4a7c15);

		if (names.at[i].file == -1)
			continue;
		for (const char *p = names.at[i].name; *p != '\0'; p++)
			h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
		h = (h ^ (uint64_t)(names.at[i].parent + 3)) * UINT64_C(0xbf58476d1ce4e5b9) ^ sizes[names.at[i].file];
		h = (h ^ h >> 30 ^ sums[names.at[i].file]) * UINT64_C(0x94d049bb133111eb);
		sum += (h ^ h >> 31) * UINT64_C(0xbf58476d1ce4e5b9);
	}
	return sum;
}

/* The disk after the crash, in out: all of it durable. */
static inline void
crash_build(const struct crash_replay *r, const struct crash_open *o, const struct crash_choice *c, struct disk *out)
{
	const struct disk *d = &r->disk;
	uint32_t set = o->subsets[c->of[o->count - 1]];

	crash_disk_copy(out, d);
	for (int i = 0; i < DISK_FILES_MAX; i++)
		if (out->files[i].now != NULL)
			memcpy(out->files[i].now, out->files[i].durable, out->files[i].capacity);
	for (size_t i = 0; i < o->blocks; i++) {
		const struct crash_block *b = &r->blocks[i];
		struct disk_file *f = &out->files[b->file];
		uint8_t before[WAL_BLOCK_BYTES];

		if (f->now == NULL) /* nobody can reach it */
			continue;
		memcpy(before, f->now + b->block * WAL_BLOCK_BYTES, sizeof before);
		for (unsigned k = 0; k < c->of[i]; k++)
			memcpy(f->now + b->writes[k]->offset, b->writes[k]->data, b->writes[k]->size);
		if (c->torn && i == c->torn_block)
			crash_tear(f->now + b->block * WAL_BLOCK_BYTES, before, c->torn_sectors);
	}
	for (size_t i = o->blocks; i < o->count - 1; i++) {
		struct disk_file *f = &out->files[o->grown[i - o->blocks]];

		if (c->of[i] != 0 || f->now == NULL)
			continue;
		f->size = f->durable_size;
		memset(f->now + f->size, 0, f->capacity - f->size);
	}
	for (size_t i = 0; i < d->changes; i++)
		if ((set & UINT32_C(1) << i) != 0)
			disk_names_apply(&out->durable_names, &d->changes_made[i]);
	out->names = out->durable_names;
	out->changes = 0;
	for (int i = 0; i < DISK_FILES_MAX; i++) {
		struct disk_file *f = &out->files[i];

		f->durable_size = f->size;
		f->dirty_from = f->dirty_to = 0;
		if (f->now != NULL)
			memcpy(f->durable, f->now, f->capacity);
	}
}

/* ---- going over the choices ---- */

typedef void crash_each_fn(void *ctx, const struct crash_open *o, const struct crash_choice *c);

static inline void
crash_each_all(const struct crash_open *o, crash_each_fn *each, void *ctx)
{
	struct crash_choice c;
	size_t i;

	crash_choose_none(o, &c);
	do {
		each(ctx, o, &c);
		for (i = 0; i < o->count && ++c.of[i] == o->options[i]; i++)
			c.of[i] = 0;
	} while (i < o->count);
}

static inline void
crash_each_sampled(const struct crash_open *o, uint64_t seed, crash_each_fn *each, void *ctx)
{
	struct crash_choice all, none, c;
	struct disk random = {.random = seed};
	size_t names = o->count - 1, pairs = 0;

	crash_choose_all(o, &all);
	crash_choose_none(o, &none);
	for (unsigned i = 0; i < o->options[names]; i++) {
		c = all;
		c.of[names] = i;
		each(ctx, o, &c);
		c = none;
		c.of[names] = i;
		each(ctx, o, &c);
	}
	for (size_t i = 0; i < names; i++) {
		for (unsigned k = 0; k < 2; k++) {
			c = all;
			c.of[names] = k == 0 ? 0 : all.of[names];
			for (size_t j = i; j < o->blocks; j++)
				c.of[j] = 0;
			each(ctx, o, &c);
		}
		c = none;
		c.of[names] = all.of[names];
		c.of[i] = all.of[i];
		each(ctx, o, &c);
		for (unsigned k = 0; k < all.of[i]; k++) {
			c = all;
			c.of[i] = k;
			each(ctx, o, &c);
		}
		for (size_t j = 0; j < i && pairs < CRASH_PAIRS_MAX; j++, pairs++) {
			c = all;
			c.of[i] = c.of[j] = 0;
			each(ctx, o, &c);
		}
	}
	for (unsigned k = 0; k < CRASH_RANDOM; k++) {
		c = all;
		for (size_t i = 0; i < o->count; i++)
			c.of[i] = (unsigned)(disk_random(&random) % o->options[i]);
		each(ctx, o, &c);
	}
}

/* One block torn in so many ways, with all else there and with nothing else there. */
static inline void
crash_each_torn(const struct crash_open *o, size_t ways, uint64_t seed, crash_each_fn *each, void *ctx)
{
	struct disk random = {.random = seed};

	for (size_t i = 0; i < o->blocks; i++) {
		const uint8_t sectors[] = {0x0f, 0xf0, (uint8_t)disk_random(&random), 0x01, 0x80};

		for (size_t k = 0; k < 2 * MIN(ways, COUNTOF(sectors)); k++) {
			struct crash_choice c;

			if (k % 2 == 0)
				crash_choose_all(o, &c);
			else
				crash_choose_none(o, &c);
			c.of[o->count - 1] = o->options[o->count - 1] - 1;
			c.of[i] = o->options[i] - 1;
			c.torn = true;
			c.torn_block = i;
			c.torn_sectors = sectors[k / 2];
			each(ctx, o, &c);
		}
	}
}

/* true: all combinations were taken. */
static inline bool
crash_each(const struct crash_open *o, uint64_t all_max, uint64_t seed, crash_each_fn *each, void *ctx)
{
	uint64_t total = 1;

	for (size_t i = 0; i < o->count && total <= all_max; i++)
		total *= o->options[i];
	if (total <= all_max)
		crash_each_all(o, each, ctx);
	else
		crash_each_sampled(o, seed, each, ctx);
	return total <= all_max && !o->subsets_sampled;
}

#endif
