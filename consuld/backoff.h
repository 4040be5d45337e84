/*
 * backoff.h - when a daemon that died is started again
 *
 * At once the first time, then 50 ms, doubling to 5 s; a daemon that was up for 10 s starts afresh.
 */
#ifndef CONSULD_BACKOFF_H
#define CONSULD_BACKOFF_H

#include "cdefs.h"
#include "duration.h"

#define BACKOFF_FIRST_MS 50
#define BACKOFF_MAX_MS 5000
#define BACKOFF_HEALTHY_NS (10 * NS_PER_S)

struct backoff {
	struct monotime started;
	unsigned deaths; /* in a row */
};

void backoff_started(struct backoff *b, struct monotime now);
/* Counts a death and returns the milliseconds to wait before the next start. */
MUST_USE int64_t backoff_died(struct backoff *b, struct monotime now);

#endif
