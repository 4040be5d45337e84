/*
 * page.c - the shared page, as those read it who do not publish it (contract and argument: page.h; publisher: catalogd/publish.c)
 */
#include "page.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "duration.h"

void
page_claim_put(struct buf *out, const struct page_claim *claim)
{
	mp_put_array(out, 1 + 2 * claim->count);
	mp_put_uint(out, claim->replaced);
	for (uint32_t i = 0; i < claim->count; i++) {
		mp_put_uint(out, claim->slot[i]);
		mp_put_uint(out, claim->version[i]);
	}
}

bool
page_claim_take(struct mp *in, struct page_claim *claim)
{
	uint32_t count;
	bool good;

	if (mp_peek(in) != MP_ARRAY) {
		mp_skip(in);
		return false;
	}
	count = mp_array(in);
	good = count % 2 == 1 && count / 2 <= PAGE_CLAIM_MAX;
	claim->replaced = mp_uint(in);
	claim->count = good ? count / 2 : 0;
	for (uint32_t i = 1; i < count && mp_ok(in); i++) {
		uint64_t value = mp_uint(in);

		if (!good)
			continue;
		if (i % 2 == 0)
			claim->version[i / 2 - 1] = value;
		else if (value < PAGE_SLOTS)
			claim->slot[i / 2] = (uint32_t)value;
		else
			good = false;
	}
	return good && mp_ok(in);
}

uint64_t
page_clock(void)
{
	return (uint64_t)boottime_now().ns;
}

bool
page_lease_holds(uint64_t until_ns, uint64_t (*clock)(void))
{
	return until_ns == PAGE_LEASE_ALWAYS || (until_ns != 0 && clock() < until_ns);
}

bool
page_holds(const struct page *p, const struct page_claim *claim, uint64_t (*clock)(void))
{
	if (!page_lease_holds(atomic_load_explicit(&p->lease_until_ns, memory_order_acquire), clock))
		return false;
	if (atomic_load_explicit(&p->retired, memory_order_acquire) != 0 ||
	    atomic_load_explicit(&p->replaced, memory_order_acquire) != claim->replaced)
		return false;
	for (uint32_t i = 0; i < claim->count; i++)
		if (atomic_load_explicit(&p->versions[claim->slot[i]], memory_order_acquire) != claim->version[i])
			return false;
	return true;
}

const struct page *
page_map(int fd)
{
	struct stat st;
	struct page *p;

	if (fstat(fd, &st) == -1)
		return NULL;
	if (st.st_size != (off_t)sizeof *p) {
		errno = EBADMSG;
		return NULL;
	}
	p = mmap(NULL, sizeof *p, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (p->magic != PAGE_MAGIC) {
		page_unmap(p);
		errno = EBADMSG;
		return NULL;
	}
	return p;
}

void
page_unmap(const struct page *p)
{
	if (p != NULL)
		(void)munmap((void *)(uintptr_t)p, sizeof *p);
}
