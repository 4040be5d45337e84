/*
 * catalogd_autopilot_config_test.c - autopilot's settings: written once by a leader, changed by requests, compared and set
 */
#include "autopilot_config.h"

#include "catalogd_fixture.h"

/* false: it was not as compared. */
static bool
set(const char *json)
{
	struct mp in;

	assert_int_equal(fixture_write(autopilot_config_write, &autopilot_set_config_request_schema, json), 0);
	in = mp_of(buf_bytes(&fix.reply));
	return mp_bool(&in);
}

static const char *
get(void)
{
	return ask(autopilot_config_get, &dc_request_schema, "{}", &autopilot_config_schema);
}

static struct autopilot_config
stored(void)
{
	struct autopilot_config config;

	assert_true(autopilot_config_find(store_read(fix.store), &config));
	return config;
}

static void
test_initial(void **state)
{
	struct autopilot_config config = {.cleanup_dead_servers = true, .max_trailing_logs = 250};
	struct buf body = BUF_INIT(4096);

	(void)state;
	assert_false(autopilot_config_find(store_read(fix.store), &config));
	assert_null(get());
	assert_string_equal(fix.error, "autopilot config not initialized yet");
	config = (struct autopilot_config){.cleanup_dead_servers = true, .max_trailing_logs = 250};
	autopilot_config_body(&config, true, &body);
	assert_int_equal(fixture_apply(APPLY_TYPE_AUTOPILOT, buf_bytes(&body)), 0);
	assert_int_equal(stored().create_index, 11);
	assert_int_equal(stored().max_trailing_logs, 250);
	/* that of the next leader comes too late */
	config.max_trailing_logs = 1;
	buf_clear(&body);
	autopilot_config_body(&config, true, &body);
	assert_int_equal(fixture_apply(APPLY_TYPE_AUTOPILOT, buf_bytes(&body)), 0);
	assert_int_equal(stored().modify_index, 11);
	assert_int_equal(stored().max_trailing_logs, 250);
	buf_free(&body);
}

static void
test_set(void **state)
{
	(void)state;
	assert_true(set("{'Config':{'CleanupDeadServers':true,'LastContactThreshold':'1s','UpgradeVersionTag':'t'}}"));
	assert_int_equal(stored().create_index, 11);
	assert_int_equal(stored().last_contact_threshold, 1000000000);
	assert_true(bytes_is(stored().upgrade_version_tag, "t"));
	assert_true(set("{'Config':{'MinQuorum':3}}"));
	assert_int_equal(stored().create_index, 11);
	assert_int_equal(stored().modify_index, 12);
	assert_int_equal(stored().min_quorum, 3);
	assert_false(stored().cleanup_dead_servers); /* the whole is replaced */
	assert_int_equal(stored().upgrade_version_tag.size, 0);
}

static void
test_cas(void **state)
{
	(void)state;
	assert_false(set("{'CAS':true,'Config':{'MinQuorum':1,'ModifyIndex':7}}"));
	assert_true(set("{'CAS':true,'Config':{'MinQuorum':1,'ModifyIndex':0}}")); /* 12 */
	assert_false(set("{'CAS':true,'Config':{'MinQuorum':2,'ModifyIndex':0}}"));
	assert_false(set("{'CAS':true,'Config':{'MinQuorum':2,'ModifyIndex':11}}"));
	assert_int_equal(stored().min_quorum, 1);
	assert_true(set("{'CAS':true,'Config':{'MinQuorum':2,'ModifyIndex':12}}"));
	assert_int_equal(stored().min_quorum, 2);
	assert_int_equal(stored().modify_index, 15);
	assert_int_equal(stored().create_index, 12);
}

static void
test_get(void **state)
{
	(void)state;
	assert_true(set("{'Config':{'ServerStabilizationTime':'5s','MaxTrailingLogs':9}}"));
	assert_string_equal(get(), "false"); /* CleanupDeadServers, the first */
	assert_int_equal(fix.answer_index, 11);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_initial, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_set, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_cas, fixture_setup, fixture_teardown),
	    cmocka_unit_test_setup_teardown(test_get, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
