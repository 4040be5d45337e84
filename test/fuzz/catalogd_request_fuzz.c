/*
 * catalogd_request_fuzz.c - any bytes as the arguments of any method: refused with a reason, or a whole answer, or an entry that can be applied
 *
 * The first line names the method, the rest are its arguments.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "catalogd.h"
#include "coordinate_updates.h"
#include "endpoint.h"
#include "query.h"
#include "store.h"
#include "structs.h"

#define BODY_MAX (1u << 22)

#define READ_ROW(name, function) {.method = name, .read = function},
#define WRITE_ROW(name, function) {.method = name, .write = function},
static const struct endpoint endpoints[] = {ENDPOINTS_READ(READ_ROW) ENDPOINTS_WRITE(WRITE_ROW)};

static void
check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "catalogd_request_fuzz: %s\n", what);
	abort();
}

static struct store *
scratch_store(void)
{
	static char dir[] = "/tmp/catalogd_fuzz.XXXXXX";
	struct store_options options = {.directory = mkdtemp(dir), .map_bytes = 1u << 28};
	char error[STORE_ERROR_MAX];
	struct store *s;

	check(store_open(&options, &s, error) == STORE_OPENED, error);
	check(store_erase(dir) == 0, "erase"); /* it lives on without names */
	(void)rmdir(dir);
	return s;
}

static void
read_once(struct store *s, const struct endpoint *endpoint, struct bytes args)
{
	static struct query q;
	struct buf out = BUF_INIT(BODY_MAX);
	struct mp whole;

	q = (struct query){
	    .region = region_new(), .out = &out, .datacenter = "dc1", .node_name = "n", .watching = true};
	if (query_open(&q, endpoint, args) == 0) {
		q.txn = store_read(s);
		if (endpoint->read(&q) == 0) {
			query_finish(&q, q.index);
			whole = mp_of(buf_bytes(&out));
			mp_skip(&whole);
			check(out.overflow || (mp_ok(&whole) && mp_peek(&whole) == MP_END),
			    "the answer is not one value");
		} else
			check(q.error[0] != '\0', "refused without a reason");
		check(store_txn_result(q.txn, NULL) == STORE_DONE, "the store stumbled");
		store_read_end(s);
	} else
		check(q.error[0] != '\0', "refused without a reason");
	region_free(q.region);
	buf_free(&out);
}

static void
write_once(struct store *s, struct apply *a, const struct endpoint *endpoint, struct bytes args)
{
	/* Coordinates are gathered, and never get further: the loop does not run. */
	static const struct coordinate_updates_options quiet = {.interval_ns = 1, .period_ns = 1};
	static struct catalogd process;
	struct buf body = BUF_INIT(BODY_MAX);
	struct write w = {.args = args,
	    .catalogd = &process,
	    .txn = store_read(s),
	    .region = region_new(),
	    .datacenter = "dc1",
	    .node_name = "n",
	    .body = &body,
	    .time_ns = 1};
	char error[STORE_ERROR_MAX];

	if (process.loop == NULL) {
		process.loop = ev_default_loop(0);
		process.coordinates = coordinate_updates_new(&process, &quiet);
	}
	if (endpoint->write(&w) == -1)
		check(w.error[0] != '\0', "refused without a reason");
	else if (!w.answered && !body.overflow) {
		struct apply_entry entry = {
		    .type = (uint8_t)w.type, .version = APPLY_VERSION, .time_ns = 1, .body = buf_bytes(&body)};
		enum apply_status status;

		store_read_end(s);
		a->txn = store_write(s, error);
		a->index++;
		status = apply_entry(a, &entry);
		check(status == APPLY_DONE || (status == APPLY_REFUSED && a->error[0] != '\0'), "not applied");
		store_abort(a->txn); /* each input meets the same state */
	}
	store_read_end(s);
	region_free(w.region);
	buf_free(&body);
}

static const struct endpoint *
endpoint_of(struct bytes name)
{
	for (size_t i = 0; i < COUNTOF(endpoints); i++)
		if (bytes_is(name, endpoints[i].method))
			return &endpoints[i];
	return NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct store *store;
	static struct apply apply;
	static struct buf reply = {.max = BODY_MAX};
	const uint8_t *line = size == 0 ? NULL : memchr(data, '\n', size);
	const struct endpoint *endpoint = line == NULL ? NULL : endpoint_of(bytes_of(data, (size_t)(line - data)));
	struct bytes args;

	if (store == NULL) {
		store = scratch_store();
		apply_init(&apply);
		apply.reply = &reply;
	}
	/* Renewing is the process's own timers, which are not here. */
	if (endpoint == NULL || endpoint->write == session_renew_write)
		return 0;
	args = bytes_of(line + 1, (size_t)(data + size - line - 1));
	if (endpoint->read != NULL)
		read_once(store, endpoint, args);
	else
		write_once(store, &apply, endpoint, args);
	return 0;
}
