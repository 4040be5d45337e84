/*
 * lock.c - locks and semaphores (contract: lock.h)
 */
#include "lock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "duration.h"
#include "json.h"

#define WAIT_S 5            /* per query; with the pause below it stays under half a session's life */
#define LOCK_DELAY_WAIT_S 5 /* after an acquisition was refused though nobody holds the key */
#define HOLDERS_MAX 4096

static const char lock_value[] = "";

/* ---- requests ---- */

struct ask {
	const char *method;
	const char *path; /* "/v1/kv/" */
	const char *rest; /* appended, escaped */
	struct {
		const char *name;
		const char *value;
	} params[6];
	struct bytes body;
	bool has_body;
};

/* 404 and 200 are answers, the latter parsed. -1: l->error. */
static int
call(struct lock *l, const struct ask *a, struct response *response)
{
	struct region *region = region_new();
	struct request r;
	int result = 0;

	request_init(&r, region, a->method, a->path);
	request_path(&r, a->rest, true);
	for (size_t i = 0; i < COUNTOF(a->params) && a->params[i].name != NULL; i++)
		request_param(&r, a->params[i].name, a->params[i].value);
	if (a->has_body)
		request_body(&r, a->body, "application/json");
	r.interrupted = l->interrupted;
	if (api_send(l->api, &r, response) == -1 ||
	    (response->status != 200 && response->status != 404 && api_unexpected(response) == -1) ||
	    (response->status == 200 && api_parse(response) == -1)) {
		snprintf(l->error, sizeof l->error, "%s", response->error);
		result = -1;
	}
	region_free(region);
	return result;
}

static const char *
number(char out[32], uint64_t value)
{
	snprintf(out, 32, "%" PRIu64, value);
	return out;
}

static void
pause_seconds(time_t seconds)
{
	struct timespec t = {seconds, 0};

	nanosleep(&t, NULL);
}

/* ---- the session ---- */

static int
create_session(struct lock *l)
{
	struct buf body = BUF_INIT(1 << 20);
	struct response response;
	struct bytes id;
	int result = -1;

	buf_put_str(&body, "{\"Name\":");
	json_put_cstr(&body, l->name);
	buf_printf(&body, ",\"TTL\":\"%ds\"%s}", LOCK_TTL_S, l->limit > 1 ? ",\"Behavior\":\"delete\"" : "");
	if (call(l,
		&(struct ask){.method = "PUT",
		    .path = "/v1/session/create",
		    .rest = "",
		    .body = buf_bytes(&body),
		    .has_body = true},
		&response) == 0) {
		id = json_member_text(response.json, "ID");
		result = bytes_to_str(id, l->session, sizeof l->session);
		if (result == -1)
			snprintf(l->error, sizeof l->error, "the agent gave no session ID");
	}
	l->renewed_ns = monotime_now().ns;
	response_free(&response);
	buf_free(&body);
	return result;
}

/* When half of its life is over. 0: lost for good. */
static int
renew_session(struct lock *l)
{
	struct response response;
	int result = 1;

	if (monotime_now().ns - l->renewed_ns < LOCK_TTL_S / 2 * NS_PER_S)
		return 1;
	if (call(l, &(struct ask){.method = "PUT", .path = "/v1/session/renew/", .rest = l->session}, &response) == -1)
		result = -1;
	else if (response.status == 404)
		result = 0;
	else
		l->renewed_ns = monotime_now().ns;
	response_free(&response);
	return result;
}

void
lock_end_session(struct lock *l)
{
	struct response response;

	if (l->session[0] == '\0')
		return;
	/* if this fails, the session ends by itself */
	if (call(l, &(struct ask){.method = "PUT", .path = "/v1/session/destroy/", .rest = l->session}, &response) == 0)
		l->session[0] = '\0';
	response_free(&response);
}

/* ---- keys ---- */

/* PUT of a key with acquire or release. 1: done, 0: refused. */
static int
put_session_key(struct lock *l, const char *key, const char *verb, uint64_t flags)
{
	struct response response;
	char text[32];
	int result = -1;

	if (call(l,
		&(struct ask){.method = "PUT",
		    .path = "/v1/kv/",
		    .rest = key,
		    .params = {{verb, l->session}, {"flags", number(text, flags)}},
		    .body = bytes_str(lock_value),
		    .has_body = true},
		&response) == 0)
		result = json_bool(response.json);
	response_free(&response);
	return result;
}

/* GET of the key; *pair is its element, at its end when there is none. wait: for a change after l->index. */
static int
get_key(struct lock *l, bool wait, struct response *response, struct mp *pair)
{
	char index[32], time[32];
	struct ask a = {.method = "GET", .path = "/v1/kv/", .rest = l->key, .params = {{"consistent", NULL}}};

	if (wait) {
		snprintf(time, sizeof time, "%jdms", (intmax_t)l->wait_ms);
		a.params[1].name = "wait";
		a.params[1].value = time;
		a.params[2].name = "index";
		a.params[2].value = number(index, l->index);
	}
	*pair = (struct mp){NULL, NULL, false};
	if (call(l, &a, response) == -1)
		return -1;
	if (response->status == 200 && json_elements(response->json, pair) == 0)
		*pair = (struct mp){NULL, NULL, false};
	l->index = response->index < l->index ? 0 : response->index;
	return 0;
}

static bool
session_is(struct mp pair, const char *session)
{
	return bytes_is(json_member_text(pair, "Session"), session);
}

/* ---- lock ---- */

/* One round: 0: held, 1: not yet. */
static int
try_lock(struct lock *l, bool wait)
{
	struct response response;
	struct mp pair;
	int result = -1;

	if (get_key(l, wait, &response, &pair) == -1)
		goto out;
	if (!json_is_null(pair) && json_member_uint(pair, "Flags") != LOCK_FLAGS) {
		snprintf(l->error, sizeof l->error, "Existing key does not match lock use");
		goto out;
	}
	result = 1;
	if (session_is(pair, l->session))
		result = 0;
	if (result == 0 || json_member_text(pair, "Session").size > 0)
		goto out;
	result = put_session_key(l, l->key, "acquire", LOCK_FLAGS);
	if (result == -1)
		goto out;
	result = !result;
	if (result == 1) {
		response_free(&response);
		if (get_key(l, false, &response, &pair) == 0 && json_member_text(pair, "Session").size == 0)
			pause_seconds(LOCK_DELAY_WAIT_S);
	}
out:
	response_free(&response);
	return result;
}

/* ---- semaphore ---- */

struct holders {
	struct mp root; /* the stored value */
	uint64_t index; /* ModifyIndex of the key, 0: there is none */
	struct buf text;
	struct buf tape;
};

/* The value of PREFIX/.lock. -1: l->error. */
static int
read_holders(struct lock *l, struct mp pairs, struct holders *h)
{
	struct json_error error;
	struct mp at;
	uint64_t limit;

	*h = (struct holders){.text = BUF_INIT(1 << 20), .tape = BUF_INIT(8 << 20)};
	for (uint32_t n = json_elements(pairs, &at); n > 0; n--, mp_skip(&at)) {
		if (!bytes_is(json_member_text(at, "Key"), l->key))
			continue;
		if (json_member_uint(at, "Flags") != SEMAPHORE_FLAGS) {
			snprintf(l->error, sizeof l->error, "Existing key does not match semaphore use");
			return -1;
		}
		h->index = json_member_uint(at, "ModifyIndex");
		if (base64_decode(json_member_text(at, "Value"), &h->text) == -1 ||
		    json_parse(buf_bytes(&h->text), &h->tape, &error) == -1) {
			snprintf(l->error, sizeof l->error, "the semaphore's value is not JSON");
			return -1;
		}
		h->root = mp_of(buf_bytes(&h->tape));
		limit = json_member_uint(h->root, "Limit");
		if (limit != l->limit) {
			snprintf(l->error, sizeof l->error, "semaphore limit conflict (lock: %ju, local: %ju)",
			    (uintmax_t)limit, (uintmax_t)l->limit);
			return -1;
		}
	}
	return 0;
}

static void
free_holders(struct holders *h)
{
	buf_free(&h->text);
	buf_free(&h->tape);
}

/* Does a contender of this session live? */
static bool
contends(struct mp pairs, struct bytes session)
{
	struct mp at;

	for (uint32_t n = json_elements(pairs, &at); n > 0; n--, mp_skip(&at))
		if (bytes_equal(json_member_text(at, "Session"), session))
			return true;
	return false;
}

/*
 * Writes the holders anew: those that still contend, without ourselves, and with ourselves if add. 1: written, 0: refused (the value
 * changed, or no place).
 */
static int
write_holders(struct lock *l, const struct holders *h, struct mp pairs, bool add)
{
	struct buf body = BUF_INIT(1 << 20);
	struct response response;
	struct mp at;
	uint64_t count = 0;
	char index[32], flags[32];
	int result = -1;

	buf_printf(&body, "{\"Limit\":%ju,\"Holders\":{", (uintmax_t)l->limit);
	for (uint32_t n = json_members(json_member(h->root, "Holders"), &at); n > 0; n--, mp_skip(&at)) {
		struct bytes session = mp_str(&at);

		if (bytes_is(session, l->session) || !contends(pairs, session) || count == HOLDERS_MAX)
			continue;
		if (count++ > 0)
			buf_put_u8(&body, ',');
		json_put_str(&body, session);
		buf_put_str(&body, ":true");
	}
	if (add && count >= l->limit) {
		buf_free(&body);
		return 0;
	}
	if (add) {
		if (count > 0)
			buf_put_u8(&body, ',');
		json_put_cstr(&body, l->session);
		buf_put_str(&body, ":true");
	}
	buf_put_str(&body, "}}");
	if (call(l,
		&(struct ask){.method = "PUT",
		    .path = "/v1/kv/",
		    .rest = l->key,
		    .params = {{"cas", number(index, h->index)}, {"flags", number(flags, SEMAPHORE_FLAGS)}},
		    .body = buf_bytes(&body),
		    .has_body = true},
		&response) == 0)
		result = json_bool(response.json);
	response_free(&response);
	buf_free(&body);
	return result;
}

static int
list_keys(struct lock *l, bool wait, struct response *response)
{
	struct region *region = region_new();
	char index[32], time[32];
	struct ask a = {.method = "GET",
	    .path = "/v1/kv/",
	    .rest = region_printf(region, "%s/", l->prefix),
	    .params = {{"recurse", NULL}, {"consistent", NULL}}};
	int result;

	if (wait) {
		snprintf(time, sizeof time, "%jdms", (intmax_t)l->wait_ms);
		a.params[2].name = "wait";
		a.params[2].value = time;
		a.params[3].name = "index";
		a.params[3].value = number(index, l->index);
	}
	result = call(l, &a, response);
	if (result == 0)
		l->index = response->index < l->index ? 0 : response->index;
	region_free(region);
	return result;
}

/* add: take a place. !add: give it back. 0: done, 1: try again. */
static int
change_semaphore(struct lock *l, bool wait, bool add)
{
	struct response response;
	struct holders h = {.index = 0};
	int result = -1;

	if (list_keys(l, wait, &response) == 0 && read_holders(l, response.json, &h) == 0) {
		result = write_holders(l, &h, response.json, add);
		result = result == -1 ? -1 : !result;
	}
	free_holders(&h);
	response_free(&response);
	return result;
}

static char *
contender_key(const struct lock *l)
{
	return xasprintf("%s/%s", l->prefix, l->session);
}

static int
delete_key(struct lock *l, const char *key, uint64_t index)
{
	struct response response;
	char text[32];
	struct ask a = {.method = "DELETE", .path = "/v1/kv/", .rest = key};
	int result = -1;

	if (index > 0) {
		a.params[0].name = "cas";
		a.params[0].value = number(text, index);
	}
	if (call(l, &a, &response) == 0)
		result = json_bool(response.json);
	response_free(&response);
	return result;
}

/* ---- both ---- */

int
lock_acquire(struct lock *l)
{
	int64_t start_ns = monotime_now().ns;
	bool wait = false;
	int result;

	if (create_session(l) == -1)
		return -1;
	if (l->limit > 1) {
		char *contender = contender_key(l);

		result = put_session_key(l, contender, "acquire", SEMAPHORE_FLAGS);
		free(contender);
		if (result < 1) {
			if (result == 0)
				snprintf(l->error, sizeof l->error, "failed to make contender entry");
			return -1;
		}
	}
	for (;;) {
		l->wait_ms = WAIT_S * 1000;
		if (l->timeout_ns > 0)
			l->wait_ms =
			    MIN(l->wait_ms, MAX(1, (start_ns + l->timeout_ns - monotime_now().ns) / NS_PER_MS));
		result = l->limit > 1 ? change_semaphore(l, wait, true) : try_lock(l, wait);
		if (l->interrupted != NULL && l->interrupted())
			return 1;
		if (result <= 0)
			return result;
		if (l->timeout_ns > 0 && monotime_now().ns - start_ns >= l->timeout_ns)
			return 1;
		result = renew_session(l);
		if (result == 0)
			snprintf(l->error, sizeof l->error, "the session is gone");
		if (result <= 0)
			return -1;
		wait = true;
	}
}

int
lock_still_held(struct lock *l)
{
	struct response response;
	struct holders h = {.index = 0};
	struct mp pair;
	int result = renew_session(l);

	l->wait_ms = WAIT_S * 1000;
	if (result < 1)
		return result;
	result = -1;
	if (l->limit == 1) {
		if (get_key(l, true, &response, &pair) == 0)
			result = session_is(pair, l->session);
	} else if (list_keys(l, true, &response) == 0 && read_holders(l, response.json, &h) == 0) {
		result = contends(response.json, bytes_str(l->session)) &&
			 !json_is_null(json_member(json_member(h.root, "Holders"), l->session));
	}
	free_holders(&h);
	response_free(&response);
	return result;
}

int
lock_release(struct lock *l)
{
	char *contender;
	int result;

	if (l->limit == 1) {
		result = put_session_key(l, l->key, "release", LOCK_FLAGS);
		return result == -1 ? -1 : 0;
	}
	do
		result = change_semaphore(l, false, false);
	while (result == 1);
	if (result == -1)
		return -1;
	contender = contender_key(l);
	result = delete_key(l, contender, 0);
	free(contender);
	return result == -1 ? -1 : 0;
}

int
lock_clean(struct lock *l)
{
	struct response response;
	struct holders h = {.index = 0};
	struct mp pair, at;
	uint64_t index = 0;
	int result = -1;
	bool used = false;

	if (l->limit == 1) {
		if (get_key(l, false, &response, &pair) == -1)
			goto out;
		if (!json_is_null(pair) && json_member_uint(pair, "Flags") != LOCK_FLAGS) {
			snprintf(l->error, sizeof l->error, "Existing key does not match lock use");
			goto out;
		}
		used = json_member_text(pair, "Session").size > 0;
		index = json_member_uint(pair, "ModifyIndex");
	} else {
		if (list_keys(l, false, &response) == -1 || read_holders(l, response.json, &h) == -1)
			goto out;
		for (uint32_t n = json_elements(response.json, &at); n > 0; n--, mp_skip(&at))
			used = used || json_member_text(at, "Session").size > 0;
		index = h.index;
	}
	result = used;
	if (!used && index > 0) {
		result = delete_key(l, l->key, index);
		result = result == -1 ? -1 : !result;
	}
out:
	free_holders(&h);
	response_free(&response);
	return result;
}
