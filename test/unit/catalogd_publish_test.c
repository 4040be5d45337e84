/*
 * catalogd_publish_test.c - the shared page: what answers about keys depend on, who is still believed, and what a reader can not do
 */
#include "catalogd_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "kv.h"

/* ---- random writes of keys, and what was asked before each ---- */

static uint64_t seed_state;

static unsigned
roll(unsigned sides)
{
	seed_state ^= seed_state << 13;
	seed_state ^= seed_state >> 7;
	seed_state ^= seed_state << 17;
	return (unsigned)((seed_state >> 11) % sides);
}

/* Deeper than PUBLISH_DEPTH_MAX. */
#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
/* A directory too long to be remembered from one key to the next. */
#define LONG X50 X50 X50 X50 X50 X50 "/"
#define DEEP "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/"

static const char *const names[] = {"a", "a/", "a/b", "a/b/c", "a/b/cc", "a/bb", "ab", "b", "b/x/y", "/", "//",
    DEEP "1", DEEP "d/2", DEEP, LONG "1", LONG "2", LONG "/3"};

static const char *
name(void)
{
	return names[roll(COUNTOF(names))];
}

static void
step(void)
{
	static const char *const ops[] = {
	    "set", "set", "set", "cas", "delete", "delete-cas", "delete-tree", "lock", "unlock"};
	struct buf body = BUF_INIT(256);
	char json[1024];

	if (roll(12) == 0) {
		kv_tombstone_reap_body(&body, fix.index - roll(20));
		assert_int_equal(fixture_apply(APPLY_TYPE_TOMBSTONE_REAP, buf_bytes(&body)), 0);
		buf_free(&body);
		return;
	}
	snprintf(json, sizeof json,
	    "{'Op':'%s','DirEnt':{'Key':'%s','Value':'M%cA=','ModifyIndex':%llu,'Session':'%s'}}",
	    ops[roll(COUNTOF(ops))], name(), 'A' + (char)roll(2), (unsigned long long)(fix.index - roll(12)),
	    roll(2) == 0 ? "s1" : "s2");
	(void)fixture_write(kv_write, &kvs_request_schema, json);
}

struct question {
	query_fn *endpoint;
	const struct schema *args, *reply;
	char json[512];
	char *answer;
	uint64_t index;
	bool claimed;
	struct page_claim claim;
};

static void
put_question(struct question *q)
{
	const char *answer = ask(q->endpoint, q->args, q->json, q->reply);

	assert_non_null(answer);
	free(q->answer);
	q->answer = xstrdup(answer);
	q->index = fix.answer_index;
	q->claimed = fix.claimed;
	q->claim = fix.claim;
}

/* Each name as a key, a prefix with all below, and a prefix whose keys are cut at '/'. */
#define QUESTIONS (3 * COUNTOF(names) + 2)
static struct question questions[QUESTIONS];

static void
make_questions(void)
{
	struct question *q = questions;

	for (size_t i = 0; i <= COUNTOF(names); i++) {
		const char *text = i < COUNTOF(names) ? names[i] : "";

		if (text[0] != '\0') {
			*q = (struct question){kv_get, &key_request_schema, &indexed_dir_entries_schema};
			snprintf(q++->json, sizeof q->json, "{'Key':'%s'}", text);
		}
		*q = (struct question){kv_list, &key_request_schema, &indexed_dir_entries_schema};
		snprintf(q++->json, sizeof q->json, "{'Key':'%s'}", text);
		*q = (struct question){kv_list_keys, &key_list_request_schema, &indexed_key_list_schema};
		snprintf(q++->json, sizeof q->json, "{'Prefix':'%s','Seperator':'/'}", text);
	}
	assert_int_equal(q - questions, QUESTIONS);
}

/* While the page says that an answer holds, asking again gives the same one. */
static void
test_kept_answers_about_keys_are_true(void **state)
{
	unsigned long kept = 0, dropped = 0;

	(void)state;
	make_questions();
	session_make("s1");
	session_make("s2");
	for (uint64_t seed = 1; seed <= 8; seed++) {
		seed_state = seed * 0x9e3779b97f4a7c15u + 1;
		for (unsigned turn = 0; turn < 250; turn++) {
			for (size_t i = 0; i < QUESTIONS; i++)
				if (turn == 0)
					put_question(&questions[i]);
			step();
			for (size_t i = 0; i < QUESTIONS; i++) {
				struct question *q = &questions[i];
				bool held = q->claimed && page_holds(fix.page, &q->claim, NULL), same;
				char *was = xstrdup(q->answer);
				uint64_t was_index = q->index;

				put_question(q);
				same = strcmp(was, q->answer) == 0 && q->index == was_index;
				if (held && !same)
					fail_msg(
					    "seed %llu, entry %u: %s was kept, but it has changed: %llu, %llu\n%s\n%s",
					    (unsigned long long)seed, turn, q->json, (unsigned long long)was_index,
					    (unsigned long long)q->index, was, q->answer);
				kept += held;
				dropped += !held && same;
				free(was);
			}
		}
	}
	print_message("kept answers that held: %lu, given up without need: %lu\n", kept, dropped);
	assert_true(kept > dropped);
	for (size_t i = 0; i < QUESTIONS; i++)
		free(questions[i].answer);
}

/* ---- what can be kept ---- */

static void
set(const char *key)
{
	char json[256];

	snprintf(json, sizeof json, "{'Op':'set','DirEnt':{'Key':'%s','Value':'MQ=='}}", key);
	assert_int_equal(fixture_write(kv_write, &kvs_request_schema, json), 0);
}

static void
get(const char *key)
{
	char json[256];

	snprintf(json, sizeof json, "{'Key':'%s'}", key);
	assert_non_null(ask(kv_get, &key_request_schema, json, &indexed_dir_entries_schema));
}

static void
test_other_names_leave_an_answer_alone(void **state)
{
	char key[32];
	unsigned held = 0;

	(void)state;
	set("k");
	for (int i = 0; i < 100; i++) {
		get("k");
		snprintf(key, sizeof key, "other/%d", i);
		set(key);
		held += holds(); /* two names may have one slot, if seldom */
	}
	assert_true(held > 95);
}

static void
test_the_whole_state_is_replaced(void **state)
{
	(void)state;
	set("k");
	get("k");
	assert_true(holds());
	watch_touch(fix.apply.watch, WATCH_ALL, bytes_of(NULL, 0));
	assert_false(holds());
}

static void
test_too_many_names_can_not_be_kept(void **state)
{
	char json[512];

	(void)state;
	for (int i = 0; i < 12; i++) {
		snprintf(json, sizeof json,
		    "{'Node':'n','Address':'1','Service':{'ID':'p%d','Port':1,'Service':'proxy%d','Kind':'connect-"
		    "proxy','Proxy'"
		    ":{"
		    "'DestinationServiceName':'web'}}}",
		    i, i);
		put(json);
		assert_non_null(ASK_HEALTH("{'ServiceName':'web','Connect':true}"));
		if (i < 2)
			assert_true(holds());
	}
	assert_false(fix.claimed);
	assert_non_null(ASK_HEALTH("{'ServiceName':'proxy1'}"));
	assert_true(holds()); /* the next question begins anew */
}

static void
test_nobody_asks(void **state)
{
	struct buf args = fixture_message(&key_request_schema, "{'Key':'k'}"), out = BUF_INIT(4096);
	struct query q = {.args = buf_bytes(&args),
	    .consistency = "leader",
	    .out = &out,
	    .region = fix.region,
	    .txn = store_read(fix.store)};
	struct mp versions;

	(void)state;
	assert_int_equal(kv_get(&q), 0);
	query_finish(&q, q.index);
	assert_false(mp_find(mp_of(buf_bytes(&out)), "Versions", &versions));
	/* Asked for, but there is no page, or this node does not lead. */
	buf_clear(&out);
	q.versions = true;
	assert_int_equal(kv_get(&q), 0);
	query_finish(&q, q.index);
	assert_true(mp_find(mp_of(buf_bytes(&out)), "Versions", &versions));
	assert_int_equal(mp_peek(&versions), MP_NIL);
	assert_false(page_claim_take(&versions, &fix.claim));
	store_read_end(fix.store);
	buf_free(&args);
	buf_free(&out);
}

/* ---- lease ---- */

static uint64_t now_ns;
static unsigned clock_readings;

static uint64_t
played_clock(void)
{
	clock_readings++;
	return now_ns;
}

static void
test_the_lease(void **state)
{
	(void)state;
	set("k");
	get("k");
	assert_true(page_holds(fix.page, &fix.claim, played_clock));
	assert_int_equal(clock_readings, 0); /* nobody else can lead: no clock is looked at */
	publish_lease(fix.publish, 1000);
	now_ns = 999;
	assert_true(page_holds(fix.page, &fix.claim, played_clock));
	now_ns = 1000;
	assert_false(page_holds(fix.page, &fix.claim, played_clock));
	publish_lease(fix.publish, 2000);
	assert_true(page_holds(fix.page, &fix.claim, played_clock));
	publish_lease(fix.publish, 0);
	now_ns = 0;
	assert_false(page_holds(fix.page, &fix.claim, played_clock));
}

/* ---- processes that come and go ---- */

static void
test_a_successor_is_believed_alone(void **state)
{
	struct publish *next;
	const struct page *page;
	int fd;

	(void)state;
	set("k");
	get("k");
	assert_true(holds());
	/* As after kill -9: the old publisher says nothing more, its page lies there. */
	next = publish_open(fix.page_path);
	assert_non_null(next);
	assert_false(holds());
	fd = publish_fd(next);
	page = page_map(fd);
	assert_non_null(page);
	close(fd);
	assert_false(page_holds(page, &fix.claim, NULL)); /* it does not lead yet */
	publish_lease(next, PAGE_LEASE_ALWAYS);
	assert_false(holds()); /* the old page stays what it is */
	publish_close(next);
	assert_int_equal(page->retired, 1);
	page_unmap(page);
}

/* A follower's front has answers that came from the leader: when the follower leads, what they claimed of the leader's page says nothing of its own. */
static void
test_claims_of_another_server(void **state)
{
	struct page_claim claim;
	struct publish *other;
	const struct page *page;
	char path[96];
	int fd;

	(void)state;
	snprintf(path, sizeof path, "%s/page2", fix.dir);
	other = publish_open(path);
	assert_non_null(other);
	publish_lease(other, PAGE_LEASE_ALWAYS);
	fd = publish_fd(other);
	page = page_map(fd);
	assert_non_null(page);
	close(fd);
	set("k");
	get("k");
	assert_true(holds());
	/* as if as much had happened there */
	claim = fix.claim;
	for (uint32_t i = 0; i < claim.count; i++)
		claim.version[i] = page->versions[claim.slot[i]];
	assert_false(page_holds(page, &claim, NULL));
	claim.replaced = page->replaced;
	assert_true(page_holds(page, &claim, NULL));
	publish_close(other);
	page_unmap(page);
}

static void
test_what_lies_in_the_way(void **state)
{
	struct publish *p;
	char path[96], link_path[128];
	int fd;

	(void)state;
	snprintf(path, sizeof path, "%s/page2", fix.dir);
	snprintf(link_path, sizeof link_path, "%s.new", path);
	/* A page that was never finished, and what an end in the middle has left. */
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	assert_int_equal(symlink("/etc/passwd", link_path), 0);
	p = publish_open(path);
	assert_non_null(p);
	publish_close(p);
	assert_int_equal(unlink(path), 0);
	/* No place for it: there is none, and nobody dies of it. */
	snprintf(path, sizeof path, "%s/no/such/directory", fix.dir);
	assert_null(publish_open(path));
	publish_touch(NULL, WATCH_KEY, bytes_str("k"));
	publish_lease(NULL, 1);
	publish_close(NULL);
	assert_int_equal(publish_fd(NULL), -1);
}

/* What is handed out can not be written by whoever gets it, and lengths that others chose end nobody. */
static void
test_the_descriptor_is_for_reading(void **state)
{
	int fd = publish_fd(fix.publish), other;
	struct stat st;
	char path[96];

	(void)state;
	assert_ptr_equal(mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(errno, EACCES);
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(st.st_blocks * 512 >= (blkcnt_t)sizeof(struct page)); /* no hole that could find no space */
	close(fd);
	snprintf(path, sizeof path, "%s/other", fix.dir);
	other = open(path, O_RDWR | O_CREAT, 0600);
	assert_null(page_map(other));
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(ftruncate(other, sizeof(struct page)), 0);
	assert_null(page_map(other));
	assert_int_equal(errno, EBADMSG);
	close(other);
	assert_int_equal(unlink(path), 0);
}

/* ---- claims on their way ---- */

static void
test_claims_of_any_form(void **state)
{
	static const struct {
		const char *text;
		bool good;
	} CASES[] = {
	    {"\xc0", false},                                          /* nil */
	    {"\x91\x05", true},                                       /* depends on nothing but the whole */
	    {"\x93\x05\x01\x02", true},                               /* one slot */
	    {"\x92\x05\x01", false},                                  /* a slot without its version */
	    {"\x90", false},                                          /* nothing at all */
	    {"\x93\x05\xce\x00\x01\x00\x00\x02", false},              /* slot 65536 */
	    {"\x93\x05\xcd\xff\xff\x02", true},                       /* the last one */
	    {"\x9f\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1", true},             /* 7 */
	    {"\xdc\x00\x11\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1", true}, /* 8 */
	    {"\xdc\x00\x13\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1", false},
	    {"\x93\x05\xa1x\x02", false}, /* text for a number */
	    {"\x81\x05\x01", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(CASES); i++) {
		size_t size = strlen(CASES[i].text);
		struct page_claim claim = {0};
		struct buf again = BUF_INIT(256);
		struct mp in;

		if (i == 5)
			size = 8; /* has zeros in it */
		else if (memcmp(CASES[i].text, "\xdc", 1) == 0)
			size = 3 + (size_t)(uint8_t)CASES[i].text[2];
		in = mp_of(bytes_of(CASES[i].text, size));
		if (page_claim_take(&in, &claim) != CASES[i].good)
			fail_msg("case %zu", i);
		if (!CASES[i].good)
			continue;
		page_claim_put(&again, &claim);
		assert_true(bytes_equal(buf_bytes(&again), bytes_of(CASES[i].text, size)));
		buf_free(&again);
	}
}

int
main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_kept_answers_about_keys_are_true),
	    TEST(test_other_names_leave_an_answer_alone),
	    TEST(test_the_whole_state_is_replaced),
	    TEST(test_too_many_names_can_not_be_kept),
	    TEST(test_nobody_asks),
	    TEST(test_the_lease),
	    TEST(test_a_successor_is_believed_alone),
	    TEST(test_claims_of_another_server),
	    TEST(test_what_lies_in_the_way),
	    TEST(test_the_descriptor_is_for_reading),
	    TEST(test_claims_of_any_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
