/*
 * scrub.h - finds damage in records that nobody reads
 *
 * LMDB does not notice flipped bits, and a page head with a flipped bit can hide records whose checksums are in order. So a store of moderate size
 * is read whole at each start, records counted against what LMDB says it holds; and a slow scrub goes round a running store of any size.
 */
#ifndef CATALOGD_SCRUB_H
#define CATALOGD_SCRUB_H

#include "catalogd.h"
#include "store.h"

#define SCRUB_START_RECORDS_MAX 200000 /* some tens of milliseconds */

struct scrub;

/*
 * Reads every record of all tables: checksums, order of keys, as many as each table is said to hold, and pages that are not free at the same time. Larger stores than records_max are left to
 * the slow scrub. -1: damage, error says where.
 */
MUST_USE int scrub_whole(struct store *s, uint64_t records_max, char error[STORE_ERROR_MAX]);

/* Goes round c's store, some hundred records a second; damage ends the process (catalogd_store_damaged). */
MUST_USE struct scrub *scrub_new(struct catalogd *c);
void scrub_free(struct scrub *s);

#endif
