/*
 * gossipd_member_test.c - this node as others see it: names, addresses, tags by role
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "member.h"

#include <stdio.h>
#include <string.h>

#include "coordinate.h"
#include "json.h"
#include "mem.h"

#define PATH "member_test.conf"

static struct conf *
conf_of(const char *text)
{
	char error[CONF_ERROR_MAX];
	struct conf *c;
	FILE *f = fopen(PATH, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	c = conf_load(PATH, error);
	assert_non_null(c);
	return c;
}

static void
assert_member(const char *text, bool wan, const char *json)
{
	struct conf *c = conf_of(text);
	struct buf meta = BUF_INIT(4096), wire = BUF_INIT(16384), shown = BUF_INIT(16384);
	struct self s;
	struct swim_card says;
	struct serf_member m = {.card = &says, .status = MEMBER_ALIVE};
	const char *why;
	struct mp in;

	assert_int_equal(self_init(&s, c, wan, &why), 0);
	assert_int_equal(self_meta_put(&s, &meta), 0);
	says = (struct swim_card){.name = s.name, .address = s.address, .meta = buf_bytes(&meta)};
	memcpy(says.vsn, self_vsn, sizeof says.vsn);
	member_encode(&m, &wire);
	in = mp_of(buf_bytes(&wire));
	assert_int_equal(schema_to_json(&member_schema, &in, &shown, 0), 0);
	buf_put_u8(&shown, '\0');
	assert_string_equal((const char *)shown.data, json);
	buf_free(&meta);
	buf_free(&wire);
	buf_free(&shown);
	conf_free(c);
}

#define COMMON                                                                                                         \
	"node_name = \"s1\"; node_id = \"aeab3851-0000-0000-0000-000000000000\"; datacenter = \"dc1\";"                \
	"advertise_addr = \"10.0.0.1\"; advertise_addr_wan = \"192.0.2.1\"; bootstrap_expect = 0; protocol = 2; "      \
	"raft_protocol = 3;"                                                                                           \
	"ports : { server = 8300; grpc = -1; grpc_tls = 8503; serf_lan = 8301; serf_wan = 8302; }; acl : { enabled = " \
	"false; }; read_replica = "                                                                                    \
	"false;"
#define VERSIONS                                                                                                       \
	"\"ProtocolMin\":1,\"ProtocolMax\":5,\"ProtocolCur\":2,\"DelegateMin\":2,\"DelegateMax\":5,\"DelegateCur\":4}"

static void
test_server(void **state)
{
	(void)state;
	assert_member(COMMON "server = true; bootstrap = true; consuld : { dev = false; version = \"1.21.4\"; revision "
			     "= \"abcdef12\"; };",
	    false,
	    "{\"Name\":\"s1\",\"Addr\":\"10.0.0.1\",\"Port\":8301,\"Tags\":{\"acls\":\"0\",\"bootstrap\":\"1\","
	    "\"build\":\"1.21.4:abcdef12\",\"consuld\":\"1\","
	    "\"dc\":\"dc1\",\"ft_fs\":\"1\",\"ft_si\":\"1\",\"grpc_tls_port\":\"8503\",\"id\":\"aeab3851-0000-0000-"
	    "0000-000000000000\",\"port\":"
	    "\"8300\",\"raft_vsn\":\"3\","
	    "\"role\":\"consul\",\"segment\":\"\",\"vsn\":\"2\",\"vsn_max\":\"3\",\"vsn_min\":\"2\",\"wan_join_port\":"
	    "\"8302\"},\"Status\":1," VERSIONS);
}

/* In the WAN pool: another name, address and port, and no wan_join_port. */
static void
test_server_in_the_wan_pool(void **state)
{
	(void)state;
	assert_member(COMMON
	    "server = true; bootstrap = false; consuld : { dev = false; version = \"1.21.4\"; revision = \"\"; };",
	    true,
	    "{\"Name\":\"s1.dc1\",\"Addr\":\"192.0.2.1\",\"Port\":8302,\"Tags\":{\"acls\":\"0\",\"build\":\"1.21.4:\","
	    "\"consuld\":\"1\","
	    "\"dc\":\"dc1\","
	    "\"ft_fs\":\"1\",\"ft_si\":\"1\",\"grpc_tls_port\":\"8503\",\"id\":\"aeab3851-0000-0000-0000-"
	    "000000000000\",\"port\":\"8300\",\"raft_"
	    "vsn\":\"3\","
	    "\"role\":\"consul\",\"segment\":\"\",\"vsn\":\"2\",\"vsn_max\":\"3\",\"vsn_min\":\"2\"},\"Status\":"
	    "1," VERSIONS);
}

/* A development server does not say that it bootstraps. */
static void
test_dev(void **state)
{
	struct conf *c = conf_of(COMMON
	    "server = true; bootstrap = true; consuld : { dev = true; version = \"1.21.4\"; revision = \"\"; };");
	struct self s;
	const char *why;

	(void)state;
	assert_int_equal(self_init(&s, c, false, &why), 0);
	for (size_t i = 0; i < s.tag_count; i++)
		assert_string_not_equal(s.tags[i].name, "bootstrap");
	conf_free(c);
}

static void
test_client(void **state)
{
	(void)state;
	assert_member(COMMON
	    "server = false; bootstrap = false; consuld : { dev = false; version = \"1.21.4\"; revision = \"\"; };",
	    false,
	    "{\"Name\":\"s1\",\"Addr\":\"10.0.0.1\",\"Port\":8301,\"Tags\":{\"build\":\"1.21.4:\",\"dc\":\"dc1\","
	    "\"id\":\"aeab3851-0000-0000-0000-000000000000\",\"role\":\"node\",\"segment\":\"\",\"vsn\":\"2\",\"vsn_"
	    "max\":\"3\","
	    "\"vsn_min\":\"2\"},\"Status\":1," VERSIONS);
}

static void
test_coordinate_of_the_origin(void **state)
{
	struct buf wire = BUF_INIT(1024), shown = BUF_INIT(1024);
	struct coordinate_point origin;
	struct mp in;

	(void)state;
	coordinate_origin(&origin);
	coordinate_point_put(&origin, &wire);
	in = mp_of(buf_bytes(&wire));
	assert_int_equal(schema_to_json(&coordinate_schema, &in, &shown, 0), 0);
	buf_put_u8(&shown, '\0');
	assert_string_equal(
	    (const char *)shown.data, "{\"Vec\":[0,0,0,0,0,0,0,0],\"Error\":1.5,\"Adjustment\":0,\"Height\":0.00001}");
	buf_free(&wire);
	buf_free(&shown);
}

/* How long others shall remember it is a tag of a client. */
static void
test_forgotten_sooner(void **state)
{
	struct conf *c =
	    conf_of(COMMON "server = false; advertise_reconnect_timeout = \"15m\"; consuld : { dev = false; };");
	struct buf meta = BUF_INIT(4096);
	struct self s;
	const char *why;

	(void)state;
	assert_int_equal(self_init(&s, c, false, &why), 0);
	assert_int_equal(self_meta_put(&s, &meta), 0);
	assert_true(bytes_is(serf_tag(buf_bytes(&meta), "rc_tm"), "15m0s"));
	buf_free(&meta);
	conf_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_server),
	    cmocka_unit_test(test_server_in_the_wan_pool),
	    cmocka_unit_test(test_dev),
	    cmocka_unit_test(test_client),
	    cmocka_unit_test(test_coordinate_of_the_origin),
	    cmocka_unit_test(test_forgotten_sooner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
