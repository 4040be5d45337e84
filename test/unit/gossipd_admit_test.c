/*
 * gossipd_admit_test.c - who may be a member of which pool; the refusals are what operators see
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "admit.h"

#include <string.h>

#include "mem.h"
#include "serf.h"

#define SERVER "role", "consul", "dc", "dc1", "port", "8300", "vsn", "2", "build", "1.21.4:"
#define OWN_ID "11111111-0000-0000-0000-000000000000"
#define OTHER_ID "22222222-0000-0000-0000-000000000000"

static uint8_t metas[8][GOSSIP_META_MAX];
static struct swim_card cards[8];
static size_t cards_used;

static struct swim_member
member(const char *name, ...)
{
	struct buf tags = BUF_INIT(4096), meta = BUF_INIT(4096);
	struct swim_card *says = &cards[cards_used];
	struct swim_member m = {.card = says, .state = GOSSIP_STATE_ALIVE};
	const char *key;
	uint32_t count = 0;
	va_list args;
	size_t place = mp_open_map(&tags);

	va_start(args, name);
	for (; (key = va_arg(args, const char *)) != NULL; count++)
		mp_put_kv_cstr(&tags, key, va_arg(args, const char *));
	va_end(args);
	mp_close(&tags, place, count);
	assert_int_equal(serf_meta_put(buf_bytes(&tags), &meta), 0);
	memcpy(metas[cards_used], meta.data, meta.used);
	*says = (struct swim_card){.name = name, .meta = bytes_of(metas[cards_used++], meta.used)};
	buf_free(&tags);
	buf_free(&meta);
	return m;
}

static struct admit
pool(bool wan)
{
	cards_used = 0;
	return (struct admit){.wan = wan, .name = "me", .datacenter = "dc1", .id = OWN_ID};
}

static void
assert_refused(const struct admit *a, const struct swim_member *m, size_t count, const char *text)
{
	char error[SWIM_ERROR_MAX] = "";

	if (text == NULL) {
		assert_int_equal(admit_members(a, m, count, error), 0);
		return;
	}
	assert_int_equal(admit_members(a, m, count, error), strstr(text, "one make") != NULL ? ADMIT_APART : -1);
	assert_string_equal(error, text);
}

static void
test_datacenter(void **state)
{
	struct admit a = pool(false);
	struct swim_member client = member("c", "role", "node", "dc", "dc9", NULL),
			   plain = member("p", "dc", "dc9", NULL), server = member("s", SERVER, NULL),
			   other = member("o", "role", "consul", "dc", "dc2", "port", "8300", "vsn", "2", "build",
			       "1.10.11:", NULL);

	(void)state;
	assert_refused(&a, &client, 1, "Member 'c' part of wrong datacenter 'dc9'");
	assert_refused(&a, &other, 1, "Member 'o' part of wrong datacenter 'dc2'");
	assert_refused(&a, &plain, 1, NULL); /* an agent of another kind is nobody's client */
	assert_refused(&a, &server, 1, NULL);
}

#define NOT_OURS                                                                                                       \
	"Member 'f' is not a server of consuld (no tag 'consuld'): servers of one datacenter must all be of one make"
#define OURS                                                                                                           \
	"Member 'o' is a server of consuld (it has the tag 'consuld'): servers of one datacenter must all be of one "  \
	"make"

/* Servers of the reference share no Raft with ours; clients may be of any make, and ours may be in a pool of its servers. */
static void
test_make(void **state)
{
	(void)state;
	for (int wan = 0; wan <= 1; wan++) {
		struct admit a = pool(wan != 0);
		struct swim_member foreign = member("f", SERVER, NULL),
				   ours = member("o", SERVER, ADMIT_OWN_TAG, "1", NULL),
				   client = member("c", "role", "node", "dc", "dc1", NULL);

		a.make = ADMIT_OWN_MAKE;
		assert_refused(&a, &foreign, 1, NOT_OURS);
		assert_refused(&a, &ours, 1, NULL);
		a.make = ADMIT_FOREIGN_MAKE;
		assert_refused(&a, &foreign, 1, NULL);
		assert_refused(&a, &ours, 1, OURS);
		a.make = ADMIT_NO_MAKE;
		assert_refused(&a, &foreign, 1, NULL);
		assert_refused(&a, &ours, 1, NULL);
		a.make = ADMIT_OWN_MAKE;
		if (wan != 0) {
			a.datacenter = "dc2";
			assert_refused(&a, &foreign, 1, NULL);
			continue;
		}
		assert_refused(&a, &client, 1, NULL);
		foreign.state = GOSSIP_STATE_SUSPECT;
		assert_refused(&a, &foreign, 1, NOT_OURS);
		foreign.state = GOSSIP_STATE_DEAD;
		assert_refused(&a, &foreign, 1, NULL);
		foreign.state = GOSSIP_STATE_LEFT;
		assert_refused(&a, &foreign, 1, NULL);
	}
}

/* Who knows no server yet does not begin with two clusters. */
static void
test_makes_of_one_join(void **state)
{
	struct admit a = pool(false);
	struct swim_member client = member("c", "role", "node", "dc", "dc1", NULL), foreign = member("f", SERVER, NULL),
			   ours = member("o", SERVER, ADMIT_OWN_TAG, "1", NULL);

	(void)state;
	assert_refused(&a, (struct swim_member[]){client, ours, foreign}, 3, NOT_OURS);
	assert_refused(&a, (struct swim_member[]){foreign, client, ours}, 3, OURS);
	ours.state = GOSSIP_STATE_DEAD;
	assert_refused(&a, (struct swim_member[]){ours, foreign, client}, 3, NULL);
}

static void
test_make_of(void **state)
{
	struct admit a = pool(false);
	struct swim_member client = member("c", "role", "node", "dc", "dc1", NULL), foreign = member("f", SERVER, NULL),
			   ours = member("o", SERVER, ADMIT_OWN_TAG, "1", NULL);

	(void)state;
	assert_int_equal(admit_make_of(&a, client.card->meta), ADMIT_NO_MAKE);
	assert_int_equal(admit_make_of(&a, foreign.card->meta), ADMIT_FOREIGN_MAKE);
	assert_int_equal(admit_make_of(&a, ours.card->meta), ADMIT_OWN_MAKE);
	a.datacenter = "dc2";
	assert_int_equal(admit_make_of(&a, ours.card->meta), ADMIT_NO_MAKE);
}

static void
test_node_ids(void **state)
{
	struct admit a = pool(false);
	struct swim_member two[2] = {member("x", "id", OTHER_ID, "build", "1.10.0:", NULL),
	    member("y", "id", OTHER_ID, "build", "1.10.0:", NULL)};
	struct swim_member ours = member("ME", "id", OWN_ID, NULL), thief = member("thief", "id", OWN_ID, NULL);

	(void)state;
	assert_refused(&a, &ours, 1, NULL); /* our own name, whatever its case */
	assert_refused(&a, &thief, 1, "Member 'thief' has conflicting node ID '" OWN_ID "' with this agent's ID");
	thief.state = GOSSIP_STATE_LEFT;
	assert_refused(&a, &thief, 1, NULL);
	assert_refused(&a, two, 2, "Member 'y' has conflicting node ID '" OTHER_ID "' with member 'x'");
	two[0].state = GOSSIP_STATE_LEFT;
	assert_refused(&a, two, 2, NULL);
}

/* Nodes of old did not see to it that their IDs are unique. */
static void
test_old_ids(void **state)
{
	struct admit a = pool(false);
	struct swim_member two[2] = {
	    member("x", "id", OTHER_ID, "build", "0.8.4:", NULL), member("y", "id", OTHER_ID, "build", "0.8.4:", NULL)};

	(void)state;
	assert_refused(&a, two, 2, NULL);
}

static void
test_wan(void **state)
{
	struct admit a = pool(true);
	struct swim_member server = member("s.dc7", SERVER, NULL), client = member("c.dc1", "role", "node", NULL),
			   odd = member("o", SERVER, "ft_x", "yes", NULL),
			   vague = member("v", SERVER, "expect", "", NULL),
			   nowhere = member("n", "role", "consul", "vsn", "2", "build", "1.2.3", NULL);

	(void)state;
	assert_refused(&a, &server, 1, NULL);
	assert_refused(&a, &client, 1, "Member 'c.dc1' is not a server");
	assert_refused(&a, &odd, 1, "Member 'o' is not a server");
	assert_refused(&a, &vague, 1, NULL);
	assert_refused(&a, &nowhere, 1, "Member 'n' is not a server");
}

static void
test_networks(void **state)
{
	struct admit a = pool(false);
	struct swim_address in = {.ip = {10, 1, 2, 3}, .ip_size = 4}, out = {.ip = {10, 1, 6, 3}, .ip_size = 4},
			    six = {.ip = {0x20, 0x01}, .ip_size = 16};

	(void)state;
	assert_true(admit_address(&a, &out)); /* none is named: all may come */
	assert_int_equal(admit_network_add(&a, "10.1.0.0/22"), 0);
	assert_true(admit_address(&a, &in));
	assert_false(admit_address(&a, &out));
	assert_false(admit_address(&a, &six));
	assert_int_equal(admit_network_add(&a, "2001::/16"), 0);
	assert_true(admit_address(&a, &six));
	assert_int_equal(admit_network_add(&a, "10.0.0.0"), -1);
	assert_int_equal(admit_network_add(&a, "10.0.0.0/33"), -1);
	assert_int_equal(admit_network_add(&a, "x/8"), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_datacenter),
	    cmocka_unit_test(test_make),
	    cmocka_unit_test(test_makes_of_one_join),
	    cmocka_unit_test(test_make_of),
	    cmocka_unit_test(test_node_ids),
	    cmocka_unit_test(test_old_ids),
	    cmocka_unit_test(test_wan),
	    cmocka_unit_test(test_networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
