/*
 * catalogd_rpc_test.c - messages between nodes: those of the reference are read and written byte for byte, and found whole wherever they are cut
 */
#include "rpc.h"

#include "catalogd_rpc_fixture.h"

#define BYTES(text) bytes_of(text, sizeof(text) - 1)

static struct buf message, again;

static int
setup(void **state)
{
	(void)state;
	buf_init(&message, 1 << 24);
	buf_init(&again, 1 << 24);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	buf_free(&message);
	buf_free(&again);
	return 0;
}

/* Gives it in pieces: whole with the last byte and not before. */
static void
check_cuts(struct bytes whole, size_t step)
{
	struct rpc_scan scan;
	size_t size = 0;

	rpc_scan_init(&scan);
	for (size_t n = 0; n < whole.size; n += step)
		assert_int_equal(rpc_scan(&scan, bytes_of(whole.data, n), RPC_REQUEST_BYTES_MAX, &size), 0);
	assert_int_equal(rpc_scan(&scan, whole, RPC_REQUEST_BYTES_MAX, &size), 1);
	assert_int_equal(size, whole.size);
}

static void
check_call(char *words[WORDS_MAX], size_t count)
{
	struct rpc_request request;
	struct rpc_response response;
	size_t header;

	assert_int_equal(count, 5);
	buf_clear(&message);
	put_hex(&message, words[1]);
	header = message.used;
	put_hex(&message, words[2]);
	check_cuts(buf_bytes(&message), 1);
	assert_int_equal(rpc_request_read(buf_bytes(&message), &request), 0);
	assert_true(bytes_is(request.method, words[0]));
	assert_false(request.forwarded);
	assert_int_equal(request.body.size, message.used - header);
	buf_clear(&again);
	rpc_request_put(&again, &request);
	assert_true(bytes_equal(buf_bytes(&again), buf_bytes(&message)));

	buf_clear(&message);
	put_hex(&message, words[3]);
	put_hex(&message, words[4]);
	check_cuts(buf_bytes(&message), 1);
	assert_int_equal(rpc_response_read(buf_bytes(&message), &response), 0);
	assert_int_equal(response.seq, request.seq);
	assert_true(bytes_is(response.method, words[0]));
	buf_clear(&again);
	rpc_response_put(&again, &response);
	assert_true(bytes_equal(buf_bytes(&again), buf_bytes(&message)));
}

static void
test_captured_calls(void **state)
{
	(void)state;
	assert_true(each_line("rpc-calls.txt", check_call) >= 60);
}

/* Two messages in one read: the first is found, the rest is left. */
static void
test_two_in_one(void **state)
{
	struct rpc_scan scan;
	size_t size = 0;

	(void)state;
	rpc_request_put(&message, &(struct rpc_request){.seq = 1,
				      .method = BYTES("A.B"),
				      .body = BYTES("\x91\xa3"
						    "abc")});
	check_cuts(buf_bytes(&message), 1);
	size = message.used;
	rpc_request_put(&message, &(struct rpc_request){.seq = 2, .method = BYTES("A.C")});
	rpc_scan_init(&scan);
	assert_int_equal(rpc_scan(&scan, buf_bytes(&message), RPC_REQUEST_BYTES_MAX, &size), 1);
	assert_int_equal(message.data[size], 0x82);
}

/* The types that the reference writes and those it merely takes, nested as deeply as may be. */
static void
test_every_type(void **state)
{
	const struct bytes values[] = {BYTES("\xc0"), BYTES("\xc2"), BYTES("\x7f"), BYTES("\xe0"), BYTES("\xcc\x80"),
	    BYTES("\xcd\1\0"), BYTES("\xce\0\0\1\0"), BYTES("\xcf\0\0\0\0\0\0\0\1"), BYTES("\xd0\x80"),
	    BYTES("\xd1\x80\0"), BYTES("\xd2\x80\0\0\0"), BYTES("\xd3\x80\0\0\0\0\0\0\0"), BYTES("\xca\0\0\0\0"),
	    BYTES("\xcb\0\0\0\0\0\0\0\0"), BYTES("\xa2xy"), BYTES("\xd9\2xy"), BYTES("\xda\0\2xy"),
	    BYTES("\xdb\0\0\0\2xy"), BYTES("\xc4\2xy"), BYTES("\xc5\0\2xy"), BYTES("\xc6\0\0\0\2xy"),
	    BYTES("\x92\x90\xc0"), BYTES("\xdc\0\2\1\2"), BYTES("\xdd\0\0\0\1\1"), BYTES("\x81\xa1k\x80"),
	    BYTES("\xde\0\1\xa1k\1"), BYTES("\xdf\0\0\0\1\xa1k\1")};

	(void)state;
	for (size_t i = 0; i < COUNTOF(values); i++) {
		buf_clear(&message);
		mp_put_map(&message, 0);
		buf_put_bytes(&message, values[i]);
		check_cuts(buf_bytes(&message), 1);
	}
	buf_clear(&message);
	mp_put_map(&message, 0);
	for (size_t i = 0; i < RPC_DEPTH_MAX; i++)
		mp_put_array(&message, 1);
	mp_put_nil(&message);
	check_cuts(buf_bytes(&message), 7);
}

static int
scan_of(struct bytes text, size_t max)
{
	struct rpc_scan scan;
	size_t size;

	rpc_scan_init(&scan);
	return rpc_scan(&scan, text, max, &size);
}

/* Refused by what is announced, before it has come. */
static void
test_refused(void **state)
{
	(void)state;
	assert_int_equal(scan_of(BYTES("\xc1"), 1000), -1);
	assert_int_equal(scan_of(BYTES("\xc7\1\1x"), 1000), -1);
	assert_int_equal(scan_of(BYTES("\xd4\1\1"), 1000), -1);
	assert_int_equal(scan_of(BYTES("\xdb\0\0\4\0"), 1000), -1); /* a text of 1024 bytes */
	assert_int_equal(scan_of(BYTES("\xdb\0\0\2\0"), 1000), 0);
	assert_int_equal(scan_of(BYTES("\xdd\0\0\4\0"), 1000), -1); /* an array of 1024 */
	assert_int_equal(scan_of(BYTES("\xdf\0\0\2\0"), 1000), -1); /* 512 pairs */
	assert_int_equal(scan_of(BYTES("\xdf\xff\xff\xff\xff"), SIZE_MAX), -1);
	mp_put_map(&message, 0);
	for (size_t i = 0; i <= RPC_DEPTH_MAX; i++)
		mp_put_array(&message, 1);
	assert_int_equal(scan_of(buf_bytes(&message), 1000), -1);
}

static void
test_headers(void **state)
{
	struct rpc_request request;
	struct rpc_response response;

	(void)state;
	/* unknown pairs are passed over, values of the wrong type are not */
	assert_int_equal(rpc_request_read(BYTES("\x83\xa1x\x91\1\xa3Seq\7\xadServiceMethod\xa3"
						"A.B\x80"),
			     &request),
	    0);
	assert_int_equal(request.seq, 7);
	assert_true(bytes_is(request.method, "A.B"));
	assert_int_equal(rpc_request_read(BYTES("\x92\1\2\x80"), &request), -1);
	assert_int_equal(rpc_request_read(BYTES("\x81\xa3Seq\xa1x\x80"), &request), -1);
	assert_int_equal(rpc_request_read(BYTES("\xc0\x80"), &request), -1);
	/* ours */
	rpc_request_put(&message, &(struct rpc_request){.seq = 3, .method = BYTES("A.B"), .forwarded = true});
	assert_int_equal(rpc_request_read(buf_bytes(&message), &request), 0);
	assert_true(request.forwarded);
	buf_clear(&message);
	rpc_response_put(
	    &message, &(struct rpc_response){.seq = 3, .error = BYTES("no"), .status = 413, .body = BYTES("\1")});
	assert_int_equal(rpc_response_read(buf_bytes(&message), &response), 0);
	assert_true(bytes_is(response.error, "no"));
	assert_int_equal(response.status, 413);
	assert_true(bytes_equal(response.body, BYTES("\x80"))); /* no body with an error */
}

static void
test_unknown_methods(void **state)
{
	char text[RPC_ERROR_MAX];

	(void)state;
	assert_string_equal(rpc_unknown_method(BYTES("KVS.Nope"), true, text), "rpc: can't find method KVS.Nope");
	assert_string_equal(rpc_unknown_method(BYTES("Nope.X"), false, text), "rpc: can't find service Nope.X");
	assert_string_equal(
	    rpc_unknown_method(BYTES("KVS"), false, text), "rpc: service/method request ill-formed: KVS");
	assert_string_equal(rpc_unknown_method(BYTES(""), false, text), "rpc: service/method request ill-formed: ");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_captured_calls, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_two_in_one, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_every_type, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_headers, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_unknown_methods, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
