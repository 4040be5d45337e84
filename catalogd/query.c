/*
 * query.c - what endpoints work with (contract: query.h; callers: all endpoints, serve.c, watch.c)
 */
#include "query.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "endpoint.h"
#include "publish.h"

#define KEY_BYTES_MAX (64u * 1024 * 1024)

int
query_fail(struct query *q, unsigned status, const char *fmt, ...)
{
	va_list args;

	q->status = status;
	va_start(args, fmt);
	vsnprintf(q->error, sizeof q->error, fmt, args);
	va_end(args);
	return -1;
}

int
write_fail(struct write *w, unsigned status, const char *fmt, ...)
{
	va_list args;

	w->status = status;
	va_start(args, fmt);
	vsnprintf(w->error, sizeof w->error, fmt, args);
	va_end(args);
	return -1;
}

int
query_args(struct query *q, const struct schema *s, void *out)
{
	const char *error;

	return schema_decode(s, q->args, out, &error) == 0 ? 0 : query_fail(q, 400, "rpc: bad arguments: %s", error);
}

int
write_args(struct write *w, const struct schema *s, void *out)
{
	const char *error;

	return schema_decode(s, w->args, out, &error) == 0 ? 0 : write_fail(w, 400, "rpc: bad arguments: %s", error);
}

void
query_index(struct query *q, uint64_t index)
{
	q->index = MAX(q->index, index);
}

static void
watch_add(struct query *q, enum watch_kind kind, struct bytes name)
{
	q->watches[q->watch_count++] = (struct query_name){kind, name};
}

void
query_depend(struct query *q, enum watch_kind kind, struct bytes name)
{
	publish_depend(q->publish, kind, name);
}

void
query_watch(struct query *q, enum watch_kind kind, struct bytes name)
{
	query_depend(q, kind, name);
	if (!q->watching)
		return;
	if (q->watch_count >= QUERY_WATCHES_MAX) {
		q->watch_count = 0;
		watch_add(q, WATCH_TABLE, bytes_str("nodes"));
		watch_add(q, WATCH_TABLE, bytes_str("services"));
		watch_add(q, WATCH_TABLE, bytes_str("checks"));
		q->watching = false; /* further names add nothing */
		return;
	}
	watch_add(q, kind, region_copy(q->region, name));
}

void
query_begin(struct query *q, uint32_t data_pairs)
{
	mp_put_map(q->out, data_pairs + QUERY_META_PAIRS + q->versions);
}

struct buf *
query_key(struct query *q, unsigned which)
{
	static struct buf keys[4] = {
	    BUF_INIT(KEY_BYTES_MAX), BUF_INIT(KEY_BYTES_MAX), BUF_INIT(KEY_BYTES_MAX), BUF_INIT(KEY_BYTES_MAX)};

	(void)q;
	return &keys[which];
}

int
query_open(struct query *q, const struct endpoint *endpoint, struct bytes args)
{
	struct mp in = mp_of(args);
	struct bytes datacenter = {NULL, 0};
	bool stale = false, consistent = false;

	q->endpoint = endpoint;
	q->args = args;
	q->min_index = 0;
	q->max_time_ns = q->max_stale_ns = 0;
	q->versions = false;
	q->status = 0;
	q->error[0] = '\0';
	for (uint32_t pairs = mp_map(&in); pairs > 0 && mp_ok(&in); pairs--) {
		struct bytes name = mp_str(&in);

		if (bytes_is(name, "Datacenter"))
			datacenter = mp_str(&in);
		else if (bytes_is(name, "MinQueryIndex"))
			q->min_index = mp_uint(&in);
		else if (bytes_is(name, "MaxQueryTime"))
			q->max_time_ns = mp_int(&in);
		else if (bytes_is(name, "MaxStaleDuration"))
			q->max_stale_ns = mp_int(&in);
		else if (bytes_is(name, "AllowStale"))
			stale = mp_bool(&in);
		else if (bytes_is(name, "RequireConsistent"))
			consistent = mp_bool(&in);
		else if (bytes_is(name, "Versions"))
			q->versions = mp_bool(&in);
		else
			mp_skip(&in);
	}
	if (!mp_ok(&in))
		return query_fail(q, 400, "rpc: bad arguments of %s", endpoint->method);
	q->versions = q->versions && q->min_index == 0;
	if (datacenter.size > 0 && !bytes_is(datacenter, q->datacenter))
		return query_fail(q, 0, "No path to datacenter");
	q->consistency = stale ? "stale" : consistent ? "consistent" : "leader";
	return 0;
}

enum read_mode
query_mode(const struct query *q)
{
	switch (q->consistency[0]) {
	case 's':
		return READ_STALE;
	case 'c':
		return READ_CONSISTENT;
	default:
		return READ_DEFAULT;
	}
}

void
query_finish(struct query *q, uint64_t index)
{
	mp_put_kv_uint(q->out, "Index", MAX(index, 1));
	mp_put_kv_int(q->out, "LastContact", q->last_contact_ns);
	mp_put_kv_bool(q->out, "KnownLeader", q->known_leader);
	mp_put_kv_cstr(q->out, "ConsistencyLevel", q->consistency);
	mp_put_kv_bool(q->out, "ResultsFilteredByACLs", q->filtered_by_acls);
	if (q->versions) {
		mp_put_cstr(q->out, "Versions");
		publish_answer(q->publish, q->out);
	}
}
