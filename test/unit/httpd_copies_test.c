/*
 * httpd_copies_test.c - answers that are given again: when they may be, and that nobody can tell them from the ones that catalogd gives
 *
 * catalogd and its page are played by this test.
 */
#include "httpd_fixture.h"

#include <sys/ioctl.h>
#include <sys/mman.h>

#include "copies.h"

/* The played catalogd. */
static struct page *page;
static unsigned calls;          /* reads that have reached it */
static unsigned calls_asking;   /* ... with Versions */
static struct page_claim claim; /* of its answers */
static bool says_versions;
static struct bytes value;
static struct ipc_stream *held; /* the read that is not answered yet, with hold set */
static bool hold;

/* ---- the played catalogd ---- */

static void
reply_entry(struct ipc_stream *s, struct bytes key, bool versions)
{
	struct dir_entry e = {.key = key, .value = value, .create_index = 7, .modify_index = 8};
	struct buf b = BUF_INIT(1u << 24);

	mp_put_map(&b, 5 + versions);
	mp_put_cstr(&b, "Entries");
	if (bytes_is(key, "absent")) {
		mp_put_nil(&b);
	} else {
		mp_put_array(&b, 1);
		schema_encode(&dir_entry_schema, &e, &b);
	}
	mp_put_kv_uint(&b, "Index", 8);
	mp_put_kv_int(&b, "LastContact", 0);
	mp_put_kv_bool(&b, "KnownLeader", true);
	mp_put_kv_cstr(&b, "ConsistencyLevel", "leader");
	if (versions) {
		mp_put_cstr(&b, "Versions");
		if (says_versions)
			page_claim_put(&b, &claim);
		else
			mp_put_nil(&b);
	}
	ipc_reply(s, buf_bytes(&b));
	buf_free(&b);
}

static void
kvs_get(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct key_request q;
	const char *error;

	(void)ctx;
	assert_int_equal(schema_decode(&key_request_schema, args, &q, &error), 0);
	calls++;
	calls_asking += q.versions;
	if (bytes_is(q.key, "fail"))
		ipc_fail(s, 0, "No cluster leader");
	else if (hold)
		held = s;
	else
		reply_entry(s, q.key, q.versions);
}

static const struct ipc_method METHODS[] = {{"KVS.Get", kvs_get}};
static const struct ipc_service SERVICE = {METHODS, COUNTOF(METHODS), NULL};

/* ---- the page, the front and its clients ---- */

/* Wall time of the lease, as the page's reader sees it. */
static uint64_t now_ns;
static unsigned clock_readings;

static uint64_t
played_clock(void)
{
	clock_readings++;
	return now_ns;
}

static void
new_page(uint64_t (*clock)(void))
{
	page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(page, MAP_FAILED);
	page->magic = PAGE_MAGIC;
	page->lease_until_ns = PAGE_LEASE_ALWAYS;
	copies_set_page(page, clock);
}

static int
setup(void **unused)
{
	(void)unused;
	front_start(&SERVICE);
	calls = calls_asking = clock_readings = 0;
	claim = (struct page_claim){.count = 1, .slot = {5}};
	says_versions = true;
	hold = false;
	held = NULL;
	value = bytes_str("value");
	new_page(played_clock);
	return 0;
}

static int
teardown(void **unused)
{
	(void)unused;
	front_stop();
	copies_set_page(NULL, NULL);
	return 0;
}

/* Bytes of the whole answer at the front of answer; 0: it is not all there. */
static size_t
answer_size(void)
{
	const char *text = (const char *)answer.data, *end = strstr(text, "\r\n\r\n"), *length;

	if (end == NULL)
		return 0;
	length = strstr(text, "Content-Length: ");
	assert_non_null(length);
	return (size_t)(end - text) + 4 + strtoul(length + 16, NULL, 10);
}

/* Takes what comes until one answer is whole (head: it has no body). */
static const char *
take_answer(int fd, bool head)
{
	buf_clear(&answer);
	for (int turn = 0; turn < 20000; turn++) {
		uint8_t *to = buf_space(&answer, 65536);
		ssize_t n = recv(fd, to, 65535, 0);

		if (n > 0)
			buf_commit(&answer, (size_t)n);
		else if (n == 0)
			break;
		if (answer.used > 0) {
			*buf_space(&answer, 1) = '\0';
			if ((head && strstr((const char *)answer.data, "\r\n\r\n") != NULL) ||
			    (answer_size() > 0 && answer.used >= answer_size()))
				return (const char *)answer.data;
		}
		turns(1);
	}
	fail_msg("no answer; got %zu bytes", answer.used);
	return NULL;
}

static const char *
ask(int fd, const char *request)
{
	put_str(fd, request);
	return take_answer(fd, strncmp(request, "HEAD", 4) == 0);
}

#define GET_K "GET /v1/kv/k HTTP/1.1\r\nHost: x\r\n\r\n"

/* Asks until a copy is there, then once more: true if that did not reach catalogd. */
static bool
is_kept(const char *request)
{
	int fd = dial();
	unsigned before;

	(void)ask(fd, request);
	(void)ask(fd, request);
	before = calls;
	(void)ask(fd, request);
	close(fd);
	turns(3);
	return calls == before;
}

/* Does the request reach catalogd? */
static bool
is_asked(int fd, const char *request)
{
	unsigned before = calls;

	(void)ask(fd, request);
	return calls > before;
}

/* ---- tests ---- */

static void
test_the_third_answer_is_the_second(void **unused)
{
	static const char DATE[] = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
	int fd = dial(), other = dial();
	struct bytes given;
	char *second;
	size_t used;

	(void)unused;
	(void)ask(fd, GET_K);
	assert_int_equal(calls_asking, 0);
	assert_int_equal(copies_count(), 0); /* what is asked once is not kept */
	second = xstrdup(ask(fd, GET_K));
	assert_int_equal(calls_asking, 1);
	assert_int_equal(copies_count(), 1);
	for (int i = 0; i < 3; i++) {
		const char *again = ask(i == 1 ? other : fd, GET_K), *date = strstr(again, "Date: ");

		/* The second may have changed since. */
		assert_non_null(date);
		memcpy(strstr(second, "Date: "), date, COPY_DATE_BYTES);
		assert_string_equal(again, second);
	}
	assert_int_equal(calls, 2);
	assert_int_equal(clock_readings, 0);
	/* The date is that of the answer, not of the copy. */
	given = copies_find(bytes_str(GET_K GET_K), DATE, &used);
	assert_int_equal(used, strlen(GET_K));
	assert_int_equal(given.size, strlen(second));
	memcpy(strstr(second, "Date: "), DATE, COPY_DATE_BYTES);
	assert_memory_equal(given.data, second, given.size);
	free(second);
	close(fd);
	close(other);
}

static void
test_a_change_ends_it(void **unused)
{
	int fd = dial();

	(void)unused;
	assert_true(is_kept(GET_K));
	page->versions[5]++;
	claim.version[0] = 1;
	value = bytes_str("other");
	assert_true(is_asked(fd, GET_K));
	assert_non_null(strstr((const char *)answer.data, "b3RoZXI="));
	assert_false(is_asked(fd, GET_K)); /* kept again */
	assert_non_null(strstr((const char *)answer.data, "b3RoZXI="));
	page->replaced++;
	claim.replaced = 1;
	assert_true(is_asked(fd, GET_K));
	assert_false(is_asked(fd, GET_K));
	/* While it was on its way from catalogd the name changed again. */
	page->versions[5] = 3;
	assert_true(is_asked(fd, GET_K));
	assert_true(is_asked(fd, GET_K));
	close(fd);
}

static void
test_a_page_that_says_nothing(void **unused)
{
	int fd = dial();

	(void)unused;
	assert_true(is_kept(GET_K));
	page->lease_until_ns = 0;
	assert_true(is_asked(fd, GET_K));
	page->lease_until_ns = PAGE_LEASE_ALWAYS;
	assert_false(is_asked(fd, GET_K));
	page->retired = 1;
	assert_true(is_asked(fd, GET_K));
	copies_set_page(NULL, NULL); /* catalogd is gone */
	assert_int_equal(copies_count(), 0);
	assert_true(is_asked(fd, GET_K));
	assert_true(is_asked(fd, GET_K));
	new_page(played_clock); /* another one has come */
	assert_true(is_asked(fd, GET_K));
	close(fd);
}

/* What the clock says depends on whether the request has been read when it is looked at. */
static uint64_t
clock_of_the_socket(void)
{
	int unread = 0;

	clock_readings++;
	assert_int_equal(ioctl(server_end, FIONREAD, &unread), 0);
	return unread > 0 ? 999 : 1000;
}

static void
test_the_lease_is_checked_after_the_request_was_read(void **unused)
{
	int fd = dial();

	(void)unused;
	copies_set_page(NULL, NULL);
	new_page(clock_of_the_socket);
	page->lease_until_ns = 1001;
	(void)ask(fd, GET_K);
	(void)ask(fd, GET_K);
	assert_false(is_asked(fd, GET_K));
	assert_int_equal(clock_readings, 1);
	/* The lease is over once the request is read, not before. */
	page->lease_until_ns = 1000;
	assert_true(is_asked(fd, GET_K));
	assert_int_equal(clock_readings, 2);
	/* Two requests read at once are two questions to the clock. */
	page->lease_until_ns = 1001;
	put_str(fd, GET_K GET_K);
	turns(5);
	assert_int_equal(clock_readings, 4);
	close(fd);
}

static void
test_the_lease_ends_within_a_request(void **unused)
{
	int fd = dial();
	unsigned before;

	(void)unused;
	page->lease_until_ns = 1000;
	now_ns = 999;
	assert_true(is_kept(GET_K));
	before = calls;
	put_str(fd, "GET /v1/kv/k HTTP/1.1\r\nHost:");
	turns(5);
	now_ns = 1000;
	put_str(fd, " x\r\n\r\n");
	(void)take_answer(fd, false);
	assert_int_equal(calls, before + 1);
	/* In pieces, but in time. */
	now_ns = 999;
	put_str(fd, "GET /v1/kv/k HTTP/1.1\r\nHost:");
	turns(5);
	put_str(fd, " x\r\n\r\n");
	(void)take_answer(fd, false);
	assert_int_equal(calls, before + 1);
	close(fd);
}

static void
test_what_is_not_kept(void **unused)
{
	(void)unused;
	assert_false(is_kept("GET /v1/kv/k?consistent HTTP/1.1\r\nHost: x\r\n\r\n"));
	assert_false(is_kept("GET /v1/kv/k?index=1 HTTP/1.1\r\nHost: x\r\n\r\n"));
	assert_false(is_kept("GET /v1/kv/fail HTTP/1.1\r\nHost: x\r\n\r\n"));
	assert_false(is_kept("GET /v1/kv/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"));
	assert_false(is_kept("GET /v1/kv/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"));
	assert_int_equal(calls_asking, 2); /* fail */
	says_versions = false;
	assert_false(is_kept("GET /v1/kv/k HTTP/1.1\r\nHost: x\r\n\r\n"));
	says_versions = true;
	assert_int_equal(copies_count(), 0);
	/* And what is. */
	assert_true(is_kept("GET /v1/kv/k?stale HTTP/1.1\r\nHost: x\r\n\r\n"));
	assert_true(is_kept("GET /v1/kv/absent HTTP/1.1\r\nHost: x\r\n\r\n"));
	assert_true(is_kept("GET /v1/kv/k?raw HTTP/1.1\r\nHost: x\r\n\r\n"));
	assert_true(is_kept("GET /v1/kv/k?pretty HTTP/1.1\r\nHost: x\r\n\r\n"));
	assert_true(is_kept("GET /v1/kv/k HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"));
	assert_true(is_kept("GET /v1/kv/k HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
	assert_int_equal(copies_count(), 6);
}

/* Heads that differ in anything are different questions. */
static void
test_other_heads_are_other_questions(void **unused)
{
	int fd = dial();

	(void)unused;
	assert_true(is_kept("GET /v1/kv/k HTTP/1.1\r\nHost: x\r\nX-Consul-Token: a\r\n\r\n"));
	assert_true(is_asked(fd, "GET /v1/kv/k HTTP/1.1\r\nHost: x\r\nX-Consul-Token: b\r\n\r\n"));
	assert_true(is_asked(fd, "GET /v1/kv/k?token=a HTTP/1.1\r\nHost: x\r\n\r\n"));
	assert_true(
	    is_asked(fd, "GET /v1/kv/k HTTP/1.1\r\nHost: x\r\nX-Consul-Token: a\r\nAccept-Encoding: gzip\r\n\r\n"));
	assert_true(is_asked(fd, "GET /v1/kv/l HTTP/1.1\r\nHost: x\r\nX-Consul-Token: a\r\n\r\n"));
	close(fd);
}

static void
test_the_connection_ends_as_it_would(void **unused)
{
	int fd = dial();

	(void)unused;
	(void)ask(fd, "GET /v1/kv/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_non_null(strstr((const char *)answer.data, "Connection: close"));
	close(fd);
	fd = dial();
	(void)ask(fd, "GET /v1/kv/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	close(fd);
	turns(3);
	assert_int_equal(copies_count(), 0);
	assert_true(is_kept(GET_K));
	/* A half-closed client gets its answer, and the end. */
	fd = dial();
	put_str(fd, GET_K);
	shutdown(fd, SHUT_WR);
	(void)take_answer(fd, false);
	turns(5);
	assert_int_equal(recv(fd, &(char){0}, 1, 0), 0);
	close(fd);
	turns(3);
	assert_int_equal(conns_open(conns), 0);
	/* What says that the connection ends is for this client alone. */
	(void)is_kept(GET_K);
	copies_forget();
	fd = dial();
	hold = true;
	put_str(fd, GET_K);
	turns(10);
	assert_non_null(held);
	conns_stop(conns);
	reply_entry(held, bytes_str("k"), true);
	assert_non_null(strstr(take_answer(fd, false), "Connection: close"));
	assert_int_equal(copies_count(), 0);
	close(fd);
}

static void
test_answers_stay_in_order(void **unused)
{
	int fd = dial();
	const char *first, *second, *third;

	(void)unused;
	assert_true(is_kept(GET_K));
	put_str(fd, GET_K "GET /v1/kv/absent HTTP/1.1\r\nHost: x\r\n\r\n" GET_K "\r\n" GET_K);
	buf_clear(&answer);
	for (int turn = 0; turn < 50; turn++) {
		ssize_t n = recv(fd, buf_space(&answer, 65536), 65535, 0);

		if (n > 0)
			buf_commit(&answer, (size_t)n);
		turns(1);
	}
	buf_put_u8(&answer, 0);
	first = strstr((const char *)answer.data, " 200 OK");
	assert_non_null(first);
	second = strstr(first, " 404 Not Found");
	assert_non_null(second);
	third = strstr(second, " 200 OK");
	assert_non_null(third);
	assert_null(strstr(first + 1, " 200 OK") < second ? first : NULL);
	assert_non_null(strstr(third + 1, " 200 OK"));
	close(fd);
}

/* The loop of the log line sees every request. */
static void
test_logged_requests_take_the_long_way(void **unused)
{
	int fd = dial(), saved = dup(STDERR_FILENO), lines[2];
	char text[4096];
	ssize_t n;

	(void)unused;
	assert_true(is_kept(GET_K));
	assert_int_equal(pipe(lines), 0);
	dup2(lines[1], STDERR_FILENO);
	log_set_level(LOG_DEBUG_LEVEL);
	assert_true(is_asked(fd, GET_K));
	turns(2);
	log_set_level(LOG_ERROR_LEVEL);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(lines[1]);
	n = read(lines[0], text, sizeof text - 1);
	assert_true(n > 0);
	text[n] = '\0';
	assert_non_null(strstr(text, "Request finished: method=GET url=/v1/kv/k"));
	close(lines[0]);
	assert_false(is_asked(fd, GET_K));
	close(fd);
}

static void
test_a_new_configuration(void **unused)
{
	int fd = dial();

	(void)unused;
	assert_true(is_kept(GET_K));
	configure("http_config = { response_headers = ({key = \"X-Extra\"; value = \"one\";}); };");
	assert_true(is_asked(fd, GET_K));
	assert_non_null(strstr((const char *)answer.data, "X-Extra: one"));
	(void)ask(fd, GET_K);
	assert_false(is_asked(fd, GET_K));
	assert_non_null(strstr((const char *)answer.data, "X-Extra: one"));
	/* An answer that was on its way meanwhile is not kept. */
	page->versions[5] = claim.version[0] = 1;
	hold = true;
	put_str(fd, GET_K);
	turns(10);
	assert_non_null(held);
	configure("");
	hold = false;
	reply_entry(held, bytes_str("k"), true);
	(void)take_answer(fd, false);
	assert_int_equal(copies_count(), 0);
	close(fd);
}

static void
test_another_page_meanwhile(void **unused)
{
	int fd = dial();

	(void)unused;
	(void)ask(fd, GET_K);
	hold = true;
	put_str(fd, GET_K);
	turns(10);
	assert_non_null(held);
	copies_set_page(NULL, NULL);
	new_page(played_clock);
	hold = false;
	reply_entry(held, bytes_str("k"), true);
	(void)take_answer(fd, false);
	assert_int_equal(copies_count(), 0);
	close(fd);
}

static void
test_a_client_that_goes_meanwhile(void **unused)
{
	int fd = dial();

	(void)unused;
	(void)ask(fd, GET_K);
	hold = true;
	put_str(fd, GET_K);
	turns(10);
	assert_non_null(held);
	close(fd);
	turns(10);
	hold = false;
	reply_entry(held, bytes_str("k"), true);
	turns(10);
	assert_int_equal(conns_open(conns), 0);
	assert_true(is_kept(GET_K));
}

/* A client that takes its answer slowly gets it whole, whoever asks meanwhile. */
static void
test_slow_clients(void **unused)
{
	static char big[40000];
	int slow, quick = dial(), small = 4096;
	char date[COPY_DATE_BYTES + 1] = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
	size_t used;
	char *whole;

	(void)unused;
	memset(big, 'x', sizeof big);
	value = bytes_of(big, sizeof big);
	assert_true(is_kept(GET_K));
	whole = xstrdup(ask(quick, GET_K));
	slow = dial();
	assert_int_equal(setsockopt(server_end, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	put_str(slow, GET_K);
	turns(5);
	/* The copy is given to somebody else, with another date. */
	assert_int_not_equal(copies_find(bytes_str(GET_K), date, &used).size, 0);
	assert_int_equal(used, strlen(GET_K));
	(void)take_answer(slow, false);
	memcpy(strstr((char *)answer.data, "Date: "), strstr(whole, "Date: "), COPY_DATE_BYTES);
	assert_string_equal((const char *)answer.data, whole);
	/* ... and that date does not stay. */
	(void)ask(quick, GET_K);
	assert_null(strstr((const char *)answer.data, "1970"));
	free(whole);
	close(slow);
	close(quick);
}

static void
test_bounds(void **unused)
{
	static char big[COPY_BYTES_MAX];
	char request[256];
	int fd = dial();

	(void)unused;
	memset(big, 'x', sizeof big);
	value = bytes_of(big, 20000);
	for (int i = 0; i < 400; i++) {
		snprintf(request, sizeof request, "GET /v1/kv/%d HTTP/1.1\r\nHost: x\r\n\r\n", i);
		(void)ask(fd, request);
		(void)ask(fd, request);
		(void)ask(fd, i < 10 ? request : GET_K); /* one that is always asked for */
		assert_true(copies_bytes() <= COPIES_BYTES_MAX);
	}
	assert_int_equal(calls, 2 * 400 + 2); /* it was never asked again */
	assert_true(copies_bytes() > COPIES_BYTES_MAX / 2);
	assert_true(copies_count() < 400);
	assert_false(is_asked(fd, GET_K));
	assert_true(is_asked(fd, "GET /v1/kv/20 HTTP/1.1\r\nHost: x\r\n\r\n"));
	value = bytes_str("v");
	for (unsigned i = 0; i < 2 * COPIES_MAX; i++) {
		snprintf(request, sizeof request, "GET /v1/kv/small/%u HTTP/1.1\r\nHost: x\r\n\r\n", i);
		(void)ask(fd, request);
		(void)ask(fd, request);
		assert_false(is_asked(fd, GET_K));
	}
	assert_true(copies_count() <= COPIES_MAX);
	assert_true(copies_count() > COPIES_MAX / 2);
	copies_forget();
	assert_int_equal(copies_count(), 0);
	assert_int_equal(copies_bytes(), 0);
	/* Too large, as an answer or as a question. */
	value = bytes_of(big, sizeof big);
	assert_false(is_kept("GET /v1/kv/k?raw HTTP/1.1\r\nHost: x\r\n\r\n"));
	value = bytes_str("v");
	snprintf(big, sizeof big, "GET /v1/kv/k?%0*d HTTP/1.1\r\nHost: x\r\n\r\n", (int)COPY_HEAD_BYTES_MAX, 1);
	assert_false(is_kept(big));
	assert_int_equal(copies_count(), 0);
	close(fd);
}

int
main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_the_third_answer_is_the_second),
	    TEST(test_a_change_ends_it),
	    TEST(test_a_page_that_says_nothing),
	    TEST(test_the_lease_is_checked_after_the_request_was_read),
	    TEST(test_the_lease_ends_within_a_request),
	    TEST(test_what_is_not_kept),
	    TEST(test_other_heads_are_other_questions),
	    TEST(test_the_connection_ends_as_it_would),
	    TEST(test_answers_stay_in_order),
	    TEST(test_logged_requests_take_the_long_way),
	    TEST(test_a_new_configuration),
	    TEST(test_another_page_meanwhile),
	    TEST(test_a_client_that_goes_meanwhile),
	    TEST(test_slow_clients),
	    TEST(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
