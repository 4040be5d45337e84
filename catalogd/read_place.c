/*
 * read_place.c - where a read is answered (contract: read_place.h; callers: serve.c, test/sim/cluster/catalogd_serve.c)
 */
#include "read_place.h"

enum read_place
read_place_of_leader(const struct read_facts *f)
{
	if (f->leads)
		return READ_HELD; /* it is not ready yet */
	if (f->sent_to_leader)
		return READ_REFUSED;
	return f->leader_elsewhere ? READ_ELSEWHERE : READ_HELD;
}

enum read_place
read_place(const struct read_facts *f)
{
	if (f->confirmed || (f->mode == READ_STALE && f->heard))
		return READ_HERE;
	if (!f->ready)
		return read_place_of_leader(f);
	return f->lease && f->mode != READ_CONSISTENT ? READ_HERE : READ_VERIFIED;
}

uint64_t
read_index_needed(bool ready, uint64_t term, uint64_t confirmed_term, uint64_t confirmed_index)
{
	return ready && term == confirmed_term ? 0 : confirmed_index;
}
