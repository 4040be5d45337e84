/*
 * backoff.c - when a daemon that died is started again (contract: backoff.h; caller: child.c)
 */
#include "backoff.h"

void
backoff_started(struct backoff *b, struct monotime now)
{
	b->started = now;
}

int64_t
backoff_died(struct backoff *b, struct monotime now)
{
	int64_t delay_ms = BACKOFF_FIRST_MS;

	if (now.ns - b->started.ns >= BACKOFF_HEALTHY_NS)
		b->deaths = 0;
	b->deaths++;
	if (b->deaths == 1)
		return 0;
	for (unsigned i = 2; i < b->deaths && delay_ms < BACKOFF_MAX_MS; i++)
		delay_ms *= 2;
	return MIN(delay_ms, BACKOFF_MAX_MS);
}
