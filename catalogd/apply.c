/*
 * apply.c - log entries and what they do to the state (contract: apply.h; callers: log.c, tests)
 *
 * What an entry touches is gathered first and told to the watch layer when the entry is done: a refused entry has touched nothing.
 */
#include "apply.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TOUCHED_BYTES_MAX (256u * 1024 * 1024)
#define KEY_BYTES_MAX (64u * 1024 * 1024)

struct row {
	uint8_t type;
	apply_fn *function;
	unsigned flags;
};

static const struct row rows[] = {
#define APPLY_ROW(number, enumerator, function, flags) {number, function, flags},
    APPLY_TYPES(APPLY_ROW)
#undef APPLY_ROW
};

void
apply_init(struct apply *a)
{
	*a = (struct apply){.region = region_new()};
	buf_init(&a->touched, TOUCHED_BYTES_MAX);
	for (size_t i = 0; i < COUNTOF(a->keys); i++)
		buf_init(&a->keys[i], KEY_BYTES_MAX);
}

void
apply_free(struct apply *a)
{
	region_free(a->region);
	buf_free(&a->touched);
	for (size_t i = 0; i < COUNTOF(a->keys); i++)
		buf_free(&a->keys[i]);
}

struct buf *
apply_key(struct apply *a, unsigned which)
{
	return &a->keys[which];
}

int
apply_refuse(struct apply *a, unsigned status, const char *fmt, ...)
{
	va_list args;

	a->status = status;
	va_start(args, fmt);
	vsnprintf(a->error, sizeof a->error, fmt, args);
	va_end(args);
	return -1;
}

void
apply_touch(struct apply *a, enum watch_kind kind, struct bytes name)
{
	if (a->watch == NULL)
		return;
	buf_put_u8(&a->touched, (uint8_t)kind);
	buf_put_be32(&a->touched, (uint32_t)name.size);
	buf_put_bytes(&a->touched, name);
}

static void
tell_touched(struct apply *a)
{
	const uint8_t *at = a->touched.data;
	const uint8_t *end = at + a->touched.used;

	if (a->touched.overflow) {
		/* More names than we are willing to keep: all may have changed. */
		watch_touch(a->watch, WATCH_ALL, bytes_of(NULL, 0));
		return;
	}
	while (at < end) {
		uint32_t size = be32_at(at + 1);

		watch_touch(a->watch, (enum watch_kind)at[0], bytes_of(at + 5, size));
		at += 5 + size;
	}
}

void
apply_entry_put(struct buf *out, const struct apply_entry *entry)
{
	buf_put_u8(out, entry->type);
	buf_put_u8(out, entry->version);
	buf_put_be64(out, entry->nonce);
	buf_put_be64(out, entry->sequence);
	buf_put_be64(out, (uint64_t)entry->time_ns);
	buf_put_bytes(out, entry->body);
}

int
apply_entry_get(struct bytes data, struct apply_entry *out)
{
	if (data.size < APPLY_HEAD_BYTES)
		return -1;
	out->type = data.data[0];
	out->version = data.data[1];
	out->nonce = be64_at(data.data + 2);
	out->sequence = be64_at(data.data + 10);
	out->time_ns = (int64_t)be64_at(data.data + 18);
	out->body = bytes_of(data.data + APPLY_HEAD_BYTES, data.size - APPLY_HEAD_BYTES);
	return 0;
}

enum apply_status
apply_entry(struct apply *a, const struct apply_entry *entry)
{
	const struct row *row = NULL;
	bool done;

	for (size_t i = 0; i < COUNTOF(rows); i++)
		if (rows[i].type == entry->type)
			row = &rows[i];
	if (row == NULL || entry->version > APPLY_VERSION)
		return APPLY_UNKNOWN;
	region_reset(a->region);
	buf_clear(a->reply);
	buf_clear(&a->touched);
	a->time_ns = entry->time_ns;
	a->status = 0;
	a->error[0] = '\0';
	if ((row->flags & APPLY_NEST) != 0)
		store_nest(a->txn);
	done = row->function(a, entry->body) == 0;
	if ((row->flags & APPLY_NEST) != 0)
		store_nest_end(a->txn, done);
	if (store_txn_result(a->txn, NULL) != STORE_DONE)
		return APPLY_STORE_FAILED;
	if (done && a->watch != NULL)
		tell_touched(a);
	return done ? APPLY_DONE : APPLY_REFUSED;
}
