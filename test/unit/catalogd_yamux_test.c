/*
 * catalogd_yamux_test.c - streams over one connection: two sessions that talk to each other in memory, the frames of a captured connection, and
 * peers that break the rules
 */
#include "yamux.h"

#include "catalogd_rpc_fixture.h"

#define BYTES(text) bytes_of(text, sizeof(text) - 1)
#define SERVER_STREAMS_MAX 300

/* One end. */
struct end {
	struct yamux *y;
	struct buf out;
	size_t opened, ended, gone, outputs;
	bool refuse;
	struct stream {
		struct yamux_stream *s; /* NULL: dead */
		struct buf in;
		bool ended, gone, hold; /* hold: what comes is not consumed */
		size_t held;
	} streams[512];
	size_t count;
};

static struct end client, server;

static struct stream *
stream_take(struct end *e, struct yamux_stream *s)
{
	struct stream *st = &e->streams[e->count++];

	*st = (struct stream){.s = s};
	buf_init(&st->in, 1 << 24);
	return st;
}

static void *
on_opened(void *ctx, struct yamux_stream *s)
{
	struct end *e = ctx;

	if (e->refuse)
		return NULL;
	e->opened++;
	return stream_take(e, s);
}

static void
on_data(void *ctx, struct bytes data)
{
	struct stream *st = ctx;

	buf_put_bytes(&st->in, data);
	if (st->hold)
		st->held += data.size;
	else
		yamux_consumed(st->s, data.size);
}

static void
on_ended(void *ctx)
{
	struct stream *st = ctx;

	st->ended = true;
}

static void
on_gone(void *ctx)
{
	struct stream *st = ctx;

	st->gone = true;
	st->s = NULL;
}

static void
on_output(void *ctx)
{
	struct end *e = ctx;

	e->outputs++;
}

static const struct yamux_ops ops = {on_opened, on_data, on_ended, on_gone, on_output};

static int
setup(void **state)
{
	(void)state;
	client = server = (struct end){0};
	buf_init(&client.out, 1 << 26);
	buf_init(&server.out, 1 << 26);
	client.y = yamux_new(true, 400, &client.out, &ops, &client);
	server.y = yamux_new(false, SERVER_STREAMS_MAX, &server.out, &ops, &server);
	return 0;
}

static void
end_free(struct end *e)
{
	yamux_free(e->y);
	buf_free(&e->out);
	for (size_t i = 0; i < e->count; i++)
		buf_free(&e->streams[i].in);
}

static int
teardown(void **state)
{
	(void)state;
	end_free(&client);
	end_free(&server);
	return 0;
}

/* All that from has to say, in pieces of at most step bytes. */
static int
deliver(struct end *from, struct end *to, size_t step)
{
	struct buf bytes = from->out;
	int result = 0;

	buf_init(&from->out, 1 << 26);
	for (size_t at = 0; at < bytes.used && result == 0; at += step)
		result = yamux_input(to->y, bytes_of(bytes.data + at, MIN(step, bytes.used - at)));
	buf_free(&bytes);
	return result;
}

static void
settle(size_t step)
{
	while (client.out.used + server.out.used > 0) {
		assert_int_equal(deliver(&client, &server, step), 0);
		assert_int_equal(deliver(&server, &client, step), 0);
	}
}

static struct stream *
open_stream(void)
{
	struct stream *st = stream_take(&client, NULL);

	st->s = yamux_open(client.y, st);
	assert_non_null(st->s);
	return st;
}

/* Bytes that tell their place. */
static struct bytes
pattern(size_t size)
{
	static uint8_t bytes[2000000];

	assert_true(size <= sizeof bytes);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 7 + (i >> 8));
	return bytes_of(bytes, size);
}

/* ---- between two of ours ---- */

static void
test_talk(void **state)
{
	static const size_t steps[] = {1, 3, 12, 13, 1000, 1 << 20};

	(void)state;
	for (size_t i = 0; i < COUNTOF(steps); i++) {
		struct stream *st = open_stream(), *peer;

		assert_int_equal(yamux_send(st->s, BYTES("question")), 0);
		settle(steps[i]);
		peer = &server.streams[server.count - 1];
		assert_true(bytes_is(buf_bytes(&peer->in), "question"));
		assert_int_equal(yamux_send(peer->s, BYTES("answer")), 0);
		settle(steps[i]);
		assert_true(bytes_is(buf_bytes(&st->in), "answer"));
		yamux_close(st->s);
		settle(steps[i]);
		assert_true(peer->ended);
		assert_false(peer->gone);
		yamux_close(peer->s);
		settle(steps[i]);
		assert_int_equal(yamux_count(client.y), 0);
		assert_int_equal(yamux_count(server.y), 0);
	}
}

/* The sender stops at the window, whoever reads makes it go on, and nothing is lost or turned. */
static void
test_window(void **state)
{
	struct stream *st = open_stream(), *peer;
	struct bytes all = pattern(1000000);

	(void)state;
	settle(100000);
	peer = &server.streams[0];
	peer->hold = true;
	assert_int_equal(yamux_send(st->s, all), 0);
	assert_int_equal(yamux_pending(st->s), 1000000 - YAMUX_WINDOW);
	assert_true(client.out.used < YAMUX_WINDOW + 1000);
	settle(100000);
	assert_int_equal(peer->in.used, YAMUX_WINDOW);
	yamux_consumed(peer->s, 1000); /* too little to be worth a frame */
	assert_int_equal(server.out.used, 0);
	yamux_consumed(peer->s, peer->held - 1000);
	peer->hold = false;
	settle(100000);
	assert_int_equal(yamux_pending(st->s), 0);
	assert_true(bytes_equal(buf_bytes(&peer->in), all));
	/* and it is told that that was all, though it had to wait */
	assert_int_equal(yamux_send(st->s, all), 0);
	yamux_close(st->s);
	assert_false(peer->ended);
	settle(100000);
	assert_int_equal(peer->in.used, 2000000);
	assert_true(peer->ended);
}

/* A stream whose reader sleeps does not hold up the others. */
static void
test_slow_reader(void **state)
{
	struct stream *slow = open_stream(), *quick = open_stream();

	(void)state;
	settle(1 << 20);
	server.streams[0].hold = true;
	assert_int_equal(yamux_send(slow->s, pattern(600000)), 0);
	assert_int_equal(yamux_send(quick->s, pattern(600000)), 0);
	settle(1 << 20);
	assert_int_equal(server.streams[0].in.used, YAMUX_WINDOW);
	assert_int_equal(server.streams[1].in.used, 600000);
}

/* What waits for window is bounded over all streams; a stream that asks for more is told. */
static void
test_pending_bound(void **state)
{
	size_t size = 64 * 1024 * 1024, sent = 0;
	uint8_t *much = xcalloc(1, size);

	(void)state;
	for (int i = 0; i < 8; i++) {
		struct stream *st = open_stream();

		if (yamux_send(st->s, bytes_of(much, size)) == -1) {
			yamux_reset(st->s);
			break;
		}
		sent += size;
	}
	assert_true(sent > YAMUX_PENDING_MAX / 2 && sent < YAMUX_PENDING_MAX + 8 * (size_t)YAMUX_WINDOW);
	free(much);
}

static void
test_reset(void **state)
{
	struct stream *st = open_stream(), *peer;

	(void)state;
	settle(100);
	peer = &server.streams[0];
	yamux_reset(st->s);
	assert_int_equal(yamux_send(peer->s, BYTES("too late")), 0);
	settle(100);
	assert_true(peer->gone);
	assert_int_equal(st->in.used, 0);
	assert_int_equal(yamux_count(client.y) + yamux_count(server.y), 0);
}

static void
test_limits(void **state)
{
	(void)state;
	/* so many unacknowledged, */
	for (size_t i = 0; i < YAMUX_OPEN_UNACKED_MAX; i++)
		(void)open_stream();
	assert_false(yamux_may_open(client.y));
	assert_null(yamux_open(client.y, &client));
	settle(1 << 16);
	/* so many at all on the other side, which resets the rest */
	for (size_t i = YAMUX_OPEN_UNACKED_MAX; i < SERVER_STREAMS_MAX + 10; i++)
		(void)open_stream();
	settle(1 << 16);
	assert_int_equal(yamux_count(server.y), SERVER_STREAMS_MAX);
	assert_int_equal(yamux_count(client.y), SERVER_STREAMS_MAX);
	assert_true(client.streams[SERVER_STREAMS_MAX].gone);
	assert_false(client.streams[SERVER_STREAMS_MAX - 1].gone);
}

static void
test_refused(void **state)
{
	struct stream *st = open_stream();

	(void)state;
	server.refuse = true;
	settle(100);
	assert_true(st->gone);
	assert_int_equal(yamux_count(server.y), 0);
}

static void
test_go_away(void **state)
{
	struct stream *st = open_stream();

	(void)state;
	settle(100);
	yamux_go_away(server.y, YAMUX_NORMAL);
	settle(100);
	assert_false(yamux_may_open(client.y));
	assert_int_equal(yamux_send(st->s, BYTES("still here")), 0);
	settle(100);
	assert_true(bytes_is(buf_bytes(&server.streams[0].in), "still here"));
	yamux_go_away(server.y, YAMUX_INTERNAL_ERROR);
	assert_int_equal(deliver(&server, &client, 100), -1);
	yamux_free(client.y);
	client.y = NULL;
	assert_true(st->gone);
}

/* ---- time ---- */

static void
test_pings(void **state)
{
	(void)state;
	assert_int_equal(yamux_tick(client.y, 1000), 0);
	assert_int_equal(yamux_tick(client.y, 1000 + YAMUX_PING_MS - 1), 0);
	assert_int_equal(client.out.used, 0);
	assert_int_equal(yamux_tick(client.y, 1000 + YAMUX_PING_MS), 0);
	assert_int_equal(client.out.used, 12);
	settle(5);
	assert_int_equal(yamux_tick(client.y, 1000 + YAMUX_PING_MS + YAMUX_PING_WAIT_MS), 0);
	assert_int_equal(yamux_tick(client.y, 1000 + 2 * YAMUX_PING_MS), 0);
	assert_int_equal(client.out.used, 12);
	assert_int_equal(yamux_tick(client.y, 1000 + 2 * YAMUX_PING_MS + YAMUX_PING_WAIT_MS - 1), 0);
	assert_int_equal(yamux_tick(client.y, 1000 + 2 * YAMUX_PING_MS + YAMUX_PING_WAIT_MS), -1);
	assert_string_equal(yamux_error(client.y), "no answer to a ping");
}

static void
test_never_acknowledged(void **state)
{
	(void)state;
	assert_int_equal(yamux_tick(client.y, 0), 0);
	(void)open_stream();
	for (uint64_t at = 1000; at < YAMUX_OPEN_WAIT_MS; at += 1000) {
		assert_int_equal(yamux_tick(client.y, at), 0);
		client.out.used = 0; /* the pings are answered, the stream is not */
		assert_int_equal(yamux_input(client.y, BYTES("\0\2\0\2\0\0\0\0\0\0\0\1")), 0);
		assert_int_equal(yamux_input(client.y, BYTES("\0\2\0\2\0\0\0\0\0\0\0\2")), 0);
	}
	assert_int_equal(yamux_tick(client.y, YAMUX_OPEN_WAIT_MS), -1);
}

/* Closed here, and the peer never closes its side: it is told after a while. */
static void
test_half_closed(void **state)
{
	struct stream *st = open_stream();

	(void)state;
	settle(100);
	assert_int_equal(yamux_tick(client.y, 0), 0);
	yamux_close(st->s);
	settle(100);
	assert_int_equal(yamux_count(client.y), 1);
	for (uint64_t at = 0; at < YAMUX_CLOSE_WAIT_MS; at += 10000) {
		assert_int_equal(yamux_tick(client.y, at), 0);
		settle(100);
		assert_int_equal(yamux_count(client.y), 1);
	}
	assert_int_equal(yamux_tick(client.y, YAMUX_CLOSE_WAIT_MS), 0);
	assert_int_equal(yamux_count(client.y), 0);
	settle(100);
	assert_true(server.streams[0].gone);
}

/* ---- peers that break the rules: the server's view of a client, frame by frame ---- */

#define SYN_1 "\0\1\0\1\0\0\0\1\0\0\0\0"

static void
test_broken_peers(void **state)
{
	/* the last one ends the session; expect: it says GoAway 1 */
	static const struct {
		const char *name, *bytes;
		size_t size;
		bool go_away;
	} cases[] = {
#define CASE(name, text, go_away) {name, text, sizeof(text) - 1, go_away}
	    CASE("version", "\1\1\0\1\0\0\0\1\0\0\0\0", false),
	    CASE("type", "\0\4\0\0\0\0\0\0\0\0\0\0", false),
	    CASE("opened twice", SYN_1 SYN_1, true),
	    CASE("our numbers", "\0\1\0\1\0\0\0\2\0\0\0\0", true),
	    CASE("number 0", "\0\1\0\1\0\0\0\0\0\0\0\0", true),
	    CASE("closed twice", SYN_1 "\0\1\0\4\0\0\0\1\0\0\0\0\0\1\0\4\0\0\0\1\0\0\0\0", true),
	    CASE("over the window", SYN_1 "\0\0\0\0\0\0\0\1\0\4\0\1", true),
	    CASE("over the window with the opening", "\0\0\0\1\0\0\0\1\xff\xff\xff\xff", true),
	    CASE("after its end", SYN_1 "\0\1\0\4\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\1", true),
	    CASE("window over 32 bits", SYN_1 "\0\1\0\0\0\0\0\1\xff\xff\xff\xff", true),
	};

	for (size_t i = 0; i < COUNTOF(cases); i++) {
		(void)teardown(state);
		(void)setup(state);
		print_message("%s\n", cases[i].name);
		assert_int_equal(yamux_input(server.y, bytes_of(cases[i].bytes, cases[i].size)), -1);
		assert_true(strlen(yamux_error(server.y)) > 0);
		if (cases[i].go_away)
			assert_memory_equal(server.out.data + server.out.used - 12, "\0\3\0\0\0\0\0\0\0\0\0\1", 12);
		else
			assert_true(server.out.used == 0);
		assert_int_equal(yamux_input(server.y, BYTES(SYN_1)), -1);
	}
}

/* What is for a stream that is not there is dropped, and what follows is read right. */
static void
test_unknown_streams(void **state)
{
	(void)state;
	assert_int_equal(yamux_input(server.y, BYTES("\0\0\0\0\0\0\0\7\0\0\0\3abc\0\1\0\4\0\0\0\7\0\0\0\0" SYN_1)), 0);
	assert_int_equal(server.opened, 1);
	assert_memory_equal(server.out.data, "\0\1\0\2\0\0\0\1\0\0\0\0", 12);
	/* opened by data, which also ends it */
	assert_int_equal(yamux_input(server.y, BYTES("\0\0\0\5\0\0\0\3\0\0\0\2hi")), 0);
	assert_int_equal(server.opened, 2);
	assert_true(bytes_is(buf_bytes(&server.streams[1].in), "hi"));
	assert_true(server.streams[1].ended);
}

/* ---- the captured connection ---- */

static struct buf capture[2]; /* what the client said, what the server said, each without the other */

static void
take_frame(char *words[WORDS_MAX], size_t count)
{
	struct buf *out = &capture[strcmp(words[0], "s>c") == 0];

	assert_int_equal(count, 3);
	put_hex(out, words[1]);
	put_hex(out, words[2]);
}

/* A session of ours takes what each side of the reference says. */
static void
test_captured(void **state)
{
	size_t payload = 0, unanswered;

	(void)state;
	buf_init(&capture[0], 1 << 20);
	buf_init(&capture[1], 1 << 20);
	assert_int_equal(each_line("rpc-yamux-session.txt", take_frame), 35);
	assert_int_equal(yamux_input(server.y, buf_bytes(&capture[0])), 0);
	for (size_t i = 0; i < server.count; i++)
		payload += server.streams[i].in.used;
	/* streams 1 (opened) and those opened later; every byte of data belongs to one of them */
	assert_true(server.opened >= 3);
	assert_true(payload > 2000);
	/* ours to a reference server: it opens what the capture answers */
	unanswered = yamux_count(server.y);
	assert_true(unanswered <= server.opened);
	for (int i = 0; i < 6; i++)
		(void)open_stream();
	assert_int_equal(yamux_input(client.y, buf_bytes(&capture[1])), 0);
	assert_true(client.streams[0].in.used > 1000);
	buf_free(&capture[0]);
	buf_free(&capture[1]);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_talk),
	    T(test_window),
	    T(test_slow_reader),
	    T(test_pending_bound),
	    T(test_reset),
	    T(test_limits),
	    T(test_refused),
	    T(test_go_away),
	    T(test_pings),
	    T(test_never_acknowledged),
	    T(test_half_closed),
	    T(test_broken_peers),
	    T(test_unknown_streams),
	    T(test_captured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
