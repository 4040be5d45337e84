/*
 * page.h - the shared page: by which a front end knows, without asking, that an answer it has seen is still the one it would get
 *
 * catalogd publishes one page of memory (a file in its run directory, mapped); httpd maps it read-only. It holds a version for each name that
 * an answer can depend on (folded into PAGE_SLOTS slots: two names in one slot cost a miss, never a wrong hit), until when default reads
 * may be answered, and whether its catalogd is still the one to be believed. A reply that was asked for with Versions names what it depends on and
 * the versions of that when it was made (struct page_claim); it is the answer to the same question as long as page_holds().
 *
 * What is promised: who calls page_holds() AFTER a request was read, and gets true, may answer it with the copy as catalogd itself could
 * have. The argument, with its order of memory accesses:
 *
 * - catalogd raises the slots of all names that a log entry touches when it applies it, before anything that lets somebody know of the
 *   entry leaves the process: the answer to whoever wrote it, to whoever waits for it, or to any later query. The versions in a
 *   claim are read in the same turn, under the same state as the answer. Slots only grow.
 * - So an acknowledgement that a client has seen before it sent its request comes after the raising, and the raising
 *   before the loads of page_holds(): socket calls order memory on both sides; between processes the slot itself is written with release and
 *   read with acquire.
 * - page_holds() reads the lease first, then the clock, then `retired`, then `replaced` and the slots. The last three never go back to what they
 *   were; so if they are good when they are read, they were so at the moment the lease was read. At that moment the lease had not run out either
 *   (the clock was read later). That moment lies behind the reading of the request and before the answer: the answer was true within it. It does not
 *   matter how long the process is stopped between these steps, or before the answer is sent.
 * - A clock that is read before the request is read proves nothing about the moment of the request: hence the clock is an argument that
 *   is called here, and not a value that somebody has kept.
 * - The lease is 0 while this node does not lead or has not applied an entry of its own term; raftd gives it up before leadership goes
 *   elsewhere (DESIGN: reads). It is UINT64_MAX only while nobody else has a vote: then no clock is read.
 * - kill -9 of catalogd leaves a page that nobody changes any more. Its successor marks it retired before it does anything else (it holds the lock of
 *   the name catalogd in the run directory, so the one before is gone), and only then makes a page of its own under the same path. Until then
 *   nobody can have acknowledged a write that the old page does not know of: acknowledgements come from catalogd alone. A front end
 *   that still has the old page mapped, however long it was stopped, reads the mark.
 *
 * Who maps the page can not write it: it gets a descriptor opened for reading, and the file belongs to catalogd's user with mode 0600.
 */
#ifndef COMMON_PAGE_H
#define COMMON_PAGE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"
#include "mp.h"

#define PAGE_MAGIC UINT64_C(0x31656761506c7543) /* "CulPage1" in memory */
#define PAGE_SLOTS 65536u
#define PAGE_CLAIM_MAX 8u
#define PAGE_LEASE_ALWAYS UINT64_MAX

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "versions are shared between processes");

struct page {
	uint64_t magic;
	_Atomic uint64_t retired;        /* not 0: its catalogd is not the one to be believed any more */
	_Atomic uint64_t lease_until_ns; /* CLOCK_BOOTTIME; 0: no default reads, PAGE_LEASE_ALWAYS: no clock needed */
	_Atomic uint64_t
	    replaced; /* how often the state was replaced as a whole, counted from a random number: that of no other page */
	_Atomic uint64_t versions[PAGE_SLOTS];
};

/* What an answer depends on, as it was when the answer was made. On another page it never holds: versions of two servers have nothing to do with each other. */
struct page_claim {
	uint64_t replaced;
	uint32_t count;
	uint32_t slot[PAGE_CLAIM_MAX];
	uint64_t version[PAGE_CLAIM_MAX];
};

/* As a msgpack value: [replaced, slot, version, slot, version, ...]. */
void page_claim_put(struct buf *out, const struct page_claim *claim);
/* false: nil (the answer can not be kept), or not a claim. */
MUST_USE bool page_claim_take(struct mp *in, struct page_claim *claim);

/* CLOCK_BOOTTIME in nanoseconds: what leases are counted in. */
uint64_t page_clock(void);

/* A lease of the page's kind has not run out; the clock is read after it. For catalogd, too, which has it from raftd. */
MUST_USE bool page_lease_holds(uint64_t until_ns, uint64_t (*clock)(void));
/* May the answer of claim be given to a request that has been read? See above. */
MUST_USE bool page_holds(const struct page *p, const struct page_claim *claim, uint64_t (*clock)(void));

/* Maps a page that was received as fd (borrowed), read-only. NULL with errno (EBADMSG: it is not one). */
MUST_USE const struct page *page_map(int fd);
/* p may be NULL. */
void page_unmap(const struct page *p);

#endif
