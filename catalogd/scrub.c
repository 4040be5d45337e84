/*
 * scrub.c - finds damage in records that nobody reads (contract: scrub.h; callers: catalogd.c, main.c)
 */
#include "scrub.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mem.h"

#define PERIOD_S 1.
#define RECORDS_PER_PERIOD 500

struct scrub {
	struct catalogd *c;
	struct ev_timer timer;
	enum store_table table;
	struct buf at; /* key to go on from; empty: the table's beginning */
};

/* Folded keys come in no order. */
static bool
in_order(struct bytes before, struct bytes key)
{
	return before.size > STORE_KEY_DIRECT_MAX || key.size > STORE_KEY_DIRECT_MAX || bytes_compare(before, key) < 0;
}

static int
table_whole(struct store_txn *t, enum store_table table, struct buf *before, char error[STORE_ERROR_MAX])
{
	struct store_cursor c;
	uint64_t count = 0, expected = store_count(t, table);

	buf_clear(before);
	for (store_scan(&c, t, table, bytes_of(NULL, 0)); store_next(&c); count++) {
		if (count > 0 && !in_order(buf_bytes(before), c.key)) {
			store_scan_end(&c);
			snprintf(error, STORE_ERROR_MAX, "table %s: keys out of order", store_table_name(table));
			return -1;
		}
		buf_clear(before);
		buf_put(before, c.key.data, MIN(c.key.size, (size_t)STORE_KEY_DIRECT_MAX + 1));
	}
	store_scan_end(&c);
	if (store_txn_result(t, error) == STORE_DAMAGED)
		return -1;
	if (count != expected) {
		snprintf(error, STORE_ERROR_MAX, "table %s: %llu records of %llu", store_table_name(table),
		    (unsigned long long)count, (unsigned long long)expected);
		return -1;
	}
	return 0;
}

int
scrub_whole(struct store *s, uint64_t records_max, char error[STORE_ERROR_MAX])
{
	struct store_txn *t = store_read(s);
	struct buf before = BUF_INIT(STORE_KEY_DIRECT_MAX + 1);
	uint64_t records = 0;
	int result = 0;

	if (t == NULL) {
		snprintf(error, STORE_ERROR_MAX, "can not be read");
		return -1;
	}
	for (int table = 0; table < STORE_TABLE_COUNT; table++)
		records += store_count(t, (enum store_table)table);
	for (int table = 0; table < STORE_TABLE_COUNT && result == 0 && records <= records_max; table++)
		result = table_whole(t, (enum store_table)table, &before, error);
	if (result == 0 && records <= records_max)
		result = store_check_pages(t, error);
	store_read_end(s);
	buf_free(&before);
	return result;
}

static void
on_period(struct ev_loop *loop, struct ev_timer *w, int events)
{
	struct scrub *s = w->data;
	struct store_txn *t = store_read(s->c->store);
	char error[STORE_ERROR_MAX] = "";
	struct store_cursor c;
	unsigned records = 0;
	bool more;

	(void)loop, (void)events;
	if (t == NULL)
		return;
	store_scan_from(&c, t, s->table, bytes_of(NULL, 0), buf_bytes(&s->at));
	/* a scan can not begin from a folded key: it ends behind the next one that is none */
	while ((more = store_next(&c)) && (++records < RECORDS_PER_PERIOD || c.key.size > STORE_KEY_DIRECT_MAX))
		;
	buf_clear(&s->at);
	if (more)
		buf_put_bytes(&s->at, c.key);
	else
		s->table = (enum store_table)((s->table + 1) % STORE_TABLE_COUNT);
	store_scan_end(&c);
	if (store_txn_result(t, error) == STORE_DAMAGED)
		catalogd_store_damaged(s->c, error);
}

struct scrub *
scrub_new(struct catalogd *c)
{
	struct scrub *s = xcalloc(1, sizeof *s);

	s->c = c;
	buf_init(&s->at, STORE_KEY_DIRECT_MAX + 1);
	ev_timer_init(&s->timer, on_period, PERIOD_S, PERIOD_S);
	s->timer.data = s;
	ev_timer_start(c->loop, &s->timer);
	return s;
}

void
scrub_free(struct scrub *s)
{
	ev_timer_stop(s->c->loop, &s->timer);
	buf_free(&s->at);
	free(s);
}
