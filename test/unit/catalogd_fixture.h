/*
 * catalogd_fixture.h - a catalog over a store of its own, without log and sockets
 *
 * Requests are written as JSON with ' for ". A write goes through its endpoint and is applied at the next index; a read is run once.
 */
#ifndef CATALOGD_FIXTURE_H
#define CATALOGD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <ev.h>

#include "apply.h"
#include "json.h"
#include "page.h"
#include "publish.h"
#include "query.h"
#include "store.h"
#include "structs.h"
#include "watch.h"

struct fixture {
	char dir[64], page_path[80];
	struct store *store;
	struct publish *publish;
	const struct page *page; /* as a reader has it */
	struct apply apply;
	struct buf reply;
	struct buf json;
	uint64_t index; /* of the last entry */
	char error[QUERY_ERROR_MAX];
	/* of the last read */
	uint64_t answer_index;
	struct page_claim claim;
	bool claimed; /* claim says what the answer depends on */
	struct region *region;
	struct query query;
};

static struct fixture fix;

static int
fixture_nothing(struct query *q, void *ctx)
{
	(void)q;
	(void)ctx;
	return -1;
}

static int
fixture_setup(void **state)
{
	struct store_options options;
	char error[STORE_ERROR_MAX];
	int fd;

	(void)state;
	memset(&fix, 0, sizeof fix);
	snprintf(fix.dir, sizeof fix.dir, "/tmp/catalogd_test.XXXXXX");
	assert_non_null(mkdtemp(fix.dir));
	options = (struct store_options){.directory = fix.dir, .map_bytes = 1u << 30};
	assert_int_equal(store_open(&options, &fix.store, error), STORE_OPENED);
	apply_init(&fix.apply);
	buf_init(&fix.reply, 1u << 26);
	buf_init(&fix.json, 1u << 26);
	fix.apply.reply = &fix.reply;
	fix.apply.watch = watch_new(ev_default_loop(0), fixture_nothing, NULL);
	snprintf(fix.page_path, sizeof fix.page_path, "%s/page", fix.dir);
	fix.publish = publish_open(fix.page_path);
	assert_non_null(fix.publish);
	fd = publish_fd(fix.publish);
	fix.page = page_map(fd);
	assert_non_null(fix.page);
	close(fd);
	publish_lease(fix.publish, PAGE_LEASE_ALWAYS);
	watch_publish(fix.apply.watch, fix.publish);
	store_observe(fix.store, publish_counter, fix.publish);
	fix.region = region_new();
	fix.index = 10;
	return 0;
}

static int
fixture_teardown(void **state)
{
	(void)state;
	watch_free(fix.apply.watch);
	apply_free(&fix.apply);
	buf_free(&fix.reply);
	buf_free(&fix.json);
	region_free(fix.region);
	store_close(fix.store, false);
	publish_close(fix.publish);
	page_unmap(fix.page);
	(void)unlink(fix.page_path);
	assert_int_equal(store_erase(fix.dir), 0);
	(void)rmdir(fix.dir);
	return 0;
}

/* JSON (with ' for ") as the message that s describes; freed by the caller. */
static struct buf
fixture_message(const struct schema *s, const char *json)
{
	struct buf out = BUF_INIT(1u << 26);
	struct json_error error;
	char *text = xstrdup(json);

	for (char *c = text; *c != '\0'; c++)
		if (*c == '\'')
			*c = '"';
	if (schema_from_json(s, bytes_str(text), &out, &error) == -1)
		fail_msg("%s: %s", text, error.text);
	free(text);
	return out;
}

/* Applies one entry. 0, or -1 and fix.error. */
static int
fixture_apply(enum apply_type type, struct bytes body)
{
	struct apply_entry entry = {
	    .type = (uint8_t)type, .version = APPLY_VERSION, .time_ns = 1000000000, .body = body};
	char error[STORE_ERROR_MAX];
	enum apply_status status;

	store_read_end(fix.store);
	fix.apply.txn = store_write(fix.store, error);
	assert_non_null(fix.apply.txn);
	fix.apply.index = ++fix.index;
	status = apply_entry(&fix.apply, &entry);
	assert_true(status == APPLY_DONE || status == APPLY_REFUSED);
	assert_int_equal(store_commit(fix.apply.txn, error), STORE_DONE);
	snprintf(fix.error, sizeof fix.error, "%s", fix.apply.error);
	return status == APPLY_DONE ? 0 : -1;
}

static int
fixture_write(write_fn *endpoint, const struct schema *s, const char *json)
{
	struct buf args = fixture_message(s, json), body = BUF_INIT(1u << 26);
	struct write w = {
	    .args = buf_bytes(&args),
	    .txn = store_read(fix.store),
	    .region = region_new(),
	    .datacenter = "dc1",
	    .node_name = "self",
	    .time_ns = 1000000000,
	    .body = &body,
	};
	int result = endpoint(&w);

	if (result == -1)
		snprintf(fix.error, sizeof fix.error, "%s", w.error);
	else if (!w.answered)
		result = fixture_apply(w.type, buf_bytes(&body));
	region_free(w.region);
	buf_free(&args);
	buf_free(&body);
	return result;
}

static int
try_register(const char *json)
{
	return fixture_write(nodes_register_write, &register_request_schema, json);
}

/* Returns the entry's index. */
UNUSED static uint64_t
put(const char *json)
{
	if (try_register(json) == -1)
		fail_msg("%s: %s", json, fix.error);
	return fix.index;
}

UNUSED static uint64_t
drop(const char *json)
{
	if (fixture_write(nodes_deregister_write, &deregister_request_schema, json) == -1)
		fail_msg("%s: %s", json, fix.error);
	return fix.index;
}

/* A session without the catalog: its record is all that locking looks at. */
UNUSED static void
session_make(const char *id)
{
	struct session session = {.id = bytes_str(id)};
	struct buf record = BUF_INIT(4096);
	char error[STORE_ERROR_MAX];
	struct store_txn *t;

	store_read_end(fix.store);
	t = store_write(fix.store, error);
	assert_non_null(t);
	schema_encode(&session_schema, &session, &record);
	store_put(t, STORE_SESSIONS, bytes_str(id), buf_bytes(&record));
	assert_int_equal(store_commit(t, error), STORE_DONE);
	buf_free(&record);
}

static void
fixture_data_to_json(const struct schema *reply, struct bytes message)
{
	const struct field *f = &reply->fields[0];
	struct mp data;

	buf_clear(&fix.json);
	assert_true(mp_find(mp_of(message), f->name, &data));
	if (f->kind == FIELD_LIST)
		assert_int_equal(schema_list_to_json(f->of, &data, &fix.json, 0), 0);
	else if ((f->kind == FIELD_PTR || f->kind == FIELD_STRUCT) && mp_peek(&data) != MP_NIL)
		assert_int_equal(schema_to_json(f->of, &data, &fix.json, 0), 0);
	else
		assert_int_equal(json_from_mp(&data, &fix.json, 0), 0);
	buf_put_u8(&fix.json, 0);
	for (uint8_t *c = fix.json.data; *c != '\0'; c++)
		if (*c == '"')
			*c = '\'';
}

/* The answer's data as JSON with ' for "; NULL: refused with fix.error. Index and watches are left in fix. */
UNUSED static const char *
ask(query_fn *endpoint, const struct schema *s, const char *json, const struct schema *reply)
{
	struct buf args = fixture_message(s, json), out = BUF_INIT(1u << 26);
	struct query *q = &fix.query;
	const char *answer = NULL;
	struct mp whole;

	region_reset(fix.region);
	*q = (struct query){
	    .txn = store_read(fix.store),
	    .args = buf_bytes(&args),
	    .region = fix.region,
	    .out = &out,
	    .datacenter = "dc1",
	    .node_name = "self",
	    .consistency = "leader",
	    .watching = true,
	    .versions = true,
	    .publish = fix.publish,
	};
	publish_ask(fix.publish);
	if (endpoint(q) == -1) {
		snprintf(fix.error, sizeof fix.error, "%s", q->error);
	} else {
		query_finish(q, q->index);
		assert_false(out.overflow);
		whole = mp_of(buf_bytes(&out));
		mp_skip(&whole);
		assert_true(mp_ok(&whole));
		assert_int_equal(mp_peek(&whole), MP_END);
		assert_true(mp_find(mp_of(buf_bytes(&out)), "Versions", &whole));
		fix.claimed = page_claim_take(&whole, &fix.claim);
		fixture_data_to_json(reply, buf_bytes(&out));
		answer = (const char *)fix.json.data;
	}
	fix.answer_index = q->index;
	store_read_end(fix.store);
	buf_free(&args);
	buf_free(&out);
	return answer;
}

/* Did the last entry touch kind and name? */
UNUSED static bool
touched(enum watch_kind kind, struct bytes name)
{
	const uint8_t *at = fix.apply.touched.data, *end = at + fix.apply.touched.used;

	while (at < end) {
		uint32_t size = be32_at(at + 1);

		if (at[0] == kind && bytes_equal(bytes_of(at + 5, size), name))
			return true;
		at += 5 + size;
	}
	return false;
}

UNUSED static bool
touched_anything(void)
{
	return fix.apply.touched.used > 0;
}

/* Would a query parked with the watches of the last read be woken by the last entry? */
UNUSED static bool
wakes(void)
{
	for (size_t i = 0; i < fix.query.watch_count; i++)
		if (touched(fix.query.watches[i].kind, fix.query.watches[i].name))
			return true;
	return false;
}

/* May the last answer still be given? */
UNUSED static bool
holds(void)
{
	return fix.claimed && page_holds(fix.page, &fix.claim, NULL);
}

/* How often word stands in text. */
UNUSED static unsigned
count_of(const char *text, const char *word)
{
	unsigned count = 0;

	for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
		count++;
	return count;
}

/* The words stand in text, in this order. */
#define assert_order(text, ...) fixture_assert_order((text), (const char *[]){__VA_ARGS__, NULL})
UNUSED static void
fixture_assert_order(const char *text, const char *const *words)
{
	const char *at = text;

	for (; *words != NULL; words++) {
		const char *found = strstr(at, *words);

		if (found == NULL)
			fail_msg("no \"%s\" (in its place) in %s", *words, text);
		at = found + strlen(*words);
	}
}

#define ASK_NODES(json) ask(catalog_list_nodes, &dc_request_schema, json, &indexed_nodes_schema)
#define ASK_SERVICES(json) ask(catalog_list_services, &dc_request_schema, json, &indexed_services_schema)
#define ASK_SERVICE(json) ask(catalog_service_nodes, &service_request_schema, json, &indexed_service_nodes_schema)
#define ASK_NODE(json) ask(catalog_node_services, &node_request_schema, json, &indexed_node_services_schema)
#define ASK_NODE_LIST(json)                                                                                            \
	ask(catalog_node_service_list, &node_request_schema, json, &indexed_node_service_list_schema)
#define ASK_HEALTH(json) ask(health_service_nodes, &service_request_schema, json, &indexed_check_service_nodes_schema)
#define ASK_NODE_CHECKS(json) ask(health_node_checks, &node_request_schema, json, &indexed_health_checks_schema)
#define ASK_CHECKS(json) ask(health_service_checks, &service_request_schema, json, &indexed_health_checks_schema)
#define ASK_STATE(json) ask(health_checks_in_state, &state_request_schema, json, &indexed_health_checks_schema)
#define ASK_DUMP(json) ask(internal_node_dump, &dc_request_schema, json, &indexed_node_dump_schema)
#define ASK_SERVICE_LIST(json) ask(catalog_service_list, &dc_request_schema, json, &indexed_service_list_schema)
#define ASK_SERVICE_DUMP(json)                                                                                         \
	ask(internal_service_dump, &service_dump_request_schema, json, &indexed_nodes_with_gateways_schema)
#define ASK_INFO(json) ask(internal_node_info, &node_request_schema, json, &indexed_node_dump_schema)

#endif
