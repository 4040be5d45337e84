/*
 * publish.c - catalogd's side of the shared page (contract: publish.h; argument: common/page.h; callers: main.c, raftlog.c, watch.c, store.c, query.c,
 * serve.c)
 *
 * A changed key counts for the prefixes of it that end in '/' (and the empty one), and a query about a prefix depends on the longest
 * such prefix of it: the cost of a write is its depth, whatever prefixes are asked about.
 */
#include "publish.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash.h"
#include "log.h"
#include "mem.h"
#include "uuid.h"

#define MODULE "agent.server"
#define DIRECTORY_BYTES_MAX 256
#define COUNTER WATCH_KIND_COUNT /* the kind of counters, beside those of watch.h */

/* A directory of keys and the slots of all its prefixes: entries of one batch are often about keys of one directory. */
struct directory {
	size_t size;
	unsigned count; /* of slots; 0: none is remembered */
	uint32_t slots[PUBLISH_DEPTH_MAX + 1];
	uint8_t name[DIRECTORY_BYTES_MAX];
};

struct publish {
	struct page *page;
	int read_fd;
	bool asking;
	bool lost; /* the answer being made depends on more than a claim can name */
	struct page_claim claim;
	struct directory directory; /* of the key touched last */
};

static uint32_t
slot_of(unsigned kind, struct bytes name)
{
	return (uint32_t)(hash_bytes(kind, name) % PAGE_SLOTS);
}

static void
raise_value(_Atomic uint64_t *value)
{
	/* One writer. */
	atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + 1, memory_order_release);
}

/* ---- the file ---- */

static struct page *
map(int fd)
{
	struct page *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Whoever still has the old page mapped learns that it says nothing any more. */
static void
retire_old(const char *path)
{
	static const uint64_t retired = 1;
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;

	if (fd == -1 && errno == ENOENT)
		return;
	/* One of another size nobody can have mapped: page_map. A write, unlike a store, says so when the file is damaged. */
	if (fd == -1 || fstat(fd, &st) == -1 ||
	    (st.st_size == (off_t)sizeof(struct page) &&
		pwrite(fd, &retired, sizeof retired, offsetof(struct page, retired)) != (ssize_t)sizeof retired))
		fatal(MODULE, "the page of the process before can not be retired: path=%s", path);
	close(fd);
}

/* The new page, whole and with space for all of it, under its path. */
static int
make(const char *path, struct publish *p)
{
	char fresh[128];
	uint64_t began;
	int fd, error;

	if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
		panic("publish: name too long: %s", path);
	(void)unlink(fresh);
	fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1)
		return -1;
	/* A write to a hole that finds no space would end the process. */
	error = posix_fallocate(fd, 0, sizeof *p->page);
	if (error == 0) {
		p->page = map(fd);
		error = p->page == NULL ? errno : 0;
	}
	if (p->page != NULL) {
		random_bytes(&began, sizeof began);
		atomic_store_explicit(&p->page->replaced, began >> 1, memory_order_relaxed);
		p->page->magic = PAGE_MAGIC;
		p->read_fd = open(fresh, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (p->read_fd == -1 || rename(fresh, path) == -1)
			error = errno;
	}
	close(fd);
	if (error != 0)
		(void)unlink(fresh);
	errno = error;
	return error == 0 ? 0 : -1;
}

struct publish *
publish_open(const char *path)
{
	struct publish *p = xcalloc(1, sizeof *p);

	p->read_fd = -1;
	retire_old(path);
	if (make(path, p) == 0)
		return p;
	log_warn(MODULE, "no shared page, each read takes the long way: path=%s", path);
	publish_close(p);
	return NULL;
}

void
publish_close(struct publish *p)
{
	if (p == NULL)
		return;
	if (p->page != NULL) {
		atomic_store(&p->page->retired, 1);
		(void)munmap(p->page, sizeof *p->page);
	}
	if (p->read_fd != -1)
		close(p->read_fd);
	free(p);
}

int
publish_fd(const struct publish *p)
{
	return p == NULL ? -1 : fcntl(p->read_fd, F_DUPFD_CLOEXEC, 0);
}

/* ---- what changes ---- */

void
publish_lease(struct publish *p, uint64_t until_ns)
{
	if (p != NULL)
		atomic_store_explicit(&p->page->lease_until_ns, until_ns, memory_order_release);
}

/* The part of key that counts as its n-th prefix; *at: where the one before ended. false: no more. */
static bool
next_prefix(struct bytes key, unsigned n, size_t *at)
{
	const uint8_t *slash =
	    n < PUBLISH_DEPTH_MAX && *at < key.size ? memchr(key.data + *at, '/', key.size - *at) : NULL;

	if (slash == NULL)
		return false;
	*at = (size_t)(slash - key.data) + 1;
	return true;
}

static void
raise_slot(struct publish *p, uint32_t slot)
{
	raise_value(&p->page->versions[slot]);
}

/* key lies in d, and in no counted directory below it. */
static bool
directory_is(const struct directory *d, struct bytes key)
{
	size_t at = d->size;

	return d->count > 0 && key.size >= d->size && memcmp(key.data, d->name, d->size) == 0 &&
	       !next_prefix(key, d->count - 1, &at);
}

/* The slots of all prefixes of key that end in '/', and of the empty one. */
static void
directory_set(struct directory *d, struct bytes key)
{
	size_t at = 0;

	d->count = 0;
	do {
		d->size = at;
		d->slots[d->count++] = slot_of(WATCH_PREFIX, bytes_of(key.data, at));
	} while (next_prefix(key, d->count - 1, &at));
	if (d->size <= sizeof d->name)
		memcpy(d->name, key.data, d->size);
}

void
publish_touch(struct publish *p, enum watch_kind kind, struct bytes name)
{
	struct directory *d;

	if (p == NULL)
		return;
	if (kind == WATCH_ALL) {
		raise_value(&p->page->replaced);
		return;
	}
	raise_slot(p, slot_of(kind, name));
	if (kind != WATCH_KEY)
		return;
	d = &p->directory;
	if (!directory_is(d, name))
		directory_set(d, name);
	for (unsigned i = 0; i < d->count; i++)
		raise_slot(p, d->slots[i]);
	if (d->size > sizeof d->name)
		d->count = 0; /* too long to be remembered */
}

/* ---- what an answer depends on ---- */

void
publish_ask(struct publish *p)
{
	if (p == NULL)
		return;
	p->asking = true;
	p->lost = false;
	p->claim.count = 0;
}

static void
depend(struct publish *p, uint32_t slot)
{
	for (uint32_t i = 0; i < p->claim.count; i++)
		if (p->claim.slot[i] == slot)
			return;
	if (p->claim.count == PAGE_CLAIM_MAX)
		p->lost = true;
	else
		p->claim.slot[p->claim.count++] = slot;
}

void
publish_depend(struct publish *p, enum watch_kind kind, struct bytes name)
{
	size_t at = 0;

	if (p == NULL || !p->asking)
		return;
	if (kind == WATCH_PREFIX) {
		for (unsigned n = 0; next_prefix(name, n, &at); n++)
			;
		name.size = at;
	}
	depend(p, slot_of(kind, name));
}

void
publish_counter(void *ctx, struct bytes name, bool changed)
{
	struct publish *p = ctx;

	if (changed)
		raise_slot(p, slot_of(COUNTER, name));
	else if (p->asking)
		depend(p, slot_of(COUNTER, name));
}

void
publish_answer(struct publish *p, struct buf *out)
{
	if (p == NULL || p->lost) {
		mp_put_nil(out);
	} else {
		p->claim.replaced = atomic_load_explicit(&p->page->replaced, memory_order_relaxed);
		for (uint32_t i = 0; i < p->claim.count; i++)
			p->claim.version[i] =
			    atomic_load_explicit(&p->page->versions[p->claim.slot[i]], memory_order_relaxed);
		page_claim_put(out, &p->claim);
	}
	if (p != NULL)
		p->asking = false;
}
