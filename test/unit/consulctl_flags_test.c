/*
 * consulctl_flags_test.c - the grammar of flags and the words for what is wrong (cli.md 2)
 */
#include "flags.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct flag own[] = {
    {"cas", FLAG_BOOL, ""},
    {"separator", FLAG_STRING, ""},
    {"flags", FLAG_UINT, ""},
    {"port", FLAG_INT, ""},
    {"timeout", FLAG_DURATION, ""},
    {"tag", FLAG_LIST, ""},
    {"node-meta", FLAG_MAP, ""},
    {"cleanup", FLAG_TRISTATE, ""},
    {"trailing", FLAG_STRICT_UINT, ""},
    {"threshold", FLAG_STRICT_DURATION, ""},
    {NULL},
};
static const struct flag common[] = {
    {"http-addr", FLAG_STRING, ""},
    {NULL},
};
static const struct flag *const tables[] = {own, common, NULL};

static struct region *region;
static struct flags *flags;
static int rest, count;

static int
set_up(void **state)
{
	(void)state;
	region = region_new();
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	region_free(region);
	return 0;
}

/* Parses the words up to NULL. */
static int
parse(const char *word, ...)
{
	char *argv[16];
	va_list args;

	va_start(args, word);
	for (count = 0; word != NULL; word = va_arg(args, const char *))
		argv[count++] = (char *)word;
	va_end(args);
	flags = flags_new(region, tables);
	return flags_parse(flags, count, argv, &rest);
}

static void
four_forms(void **state)
{
	(void)state;
	assert_int_equal(parse("-separator", "a", "--http-addr=b", "-cas", "rest", NULL), 0);
	assert_string_equal(flags_text(flags, "separator", ""), "a");
	assert_string_equal(flags_text(flags, "http-addr", ""), "b");
	assert_true(flags_bool(flags, "cas"));
	assert_int_equal(rest, 4);
	assert_int_equal(parse("--separator", "-x", "-http-addr=", NULL), 0);
	assert_string_equal(flags_text(flags, "separator", ""), "-x");
	assert_true(flags_given(flags, "http-addr"));
	assert_string_equal(flags_text(flags, "http-addr", "default"), "");
	assert_int_equal(rest, count);
}

static void
booleans_take_no_word(void **state)
{
	(void)state;
	assert_int_equal(parse("-cas", "true", NULL), 0);
	assert_int_equal(rest, 1);
	assert_int_equal(parse("-cas=f", NULL), 0);
	assert_false(flags_bool(flags, "cas"));
	assert_false(flags_bool_or(flags, "cas", true));
	assert_int_equal(parse("x", NULL), 0);
	assert_true(flags_bool_or(flags, "cas", true));
	assert_int_equal(parse("-cas=x", NULL), -1);
	assert_string_equal(flags_error(flags), "invalid boolean value \"x\" for -cas: parse error");
}

static void
parsing_stops(void **state)
{
	(void)state;
	assert_int_equal(parse("join", "--http-addr", "x", NULL), 0);
	assert_int_equal(rest, 0);
	assert_false(flags_given(flags, "http-addr"));
	assert_int_equal(parse("-cas", "-", "-flags=1", NULL), 0);
	assert_int_equal(rest, 1);
	assert_int_equal(parse("-cas", "--", "-flags=1", NULL), 0);
	assert_int_equal(rest, 2);
}

static void
the_last_wins_lists_append(void **state)
{
	char text[8];

	(void)state;
	assert_int_equal(parse("-flags=1", "-flags=0x10", "-port=-3", "-timeout=1h15m", NULL), 0);
	assert_int_equal(flags_uint(flags, "flags", 0), 16);
	assert_int_equal(flags_int(flags, "port", 0), -3);
	assert_true(flags_duration_ns(flags, "timeout", 0) == INT64_C(4500) * 1000000000);
	assert_int_equal(
	    parse("-tag=0", "-node-meta=a=b", "-tag=1", "-tag=2", "-node-meta=c=d", "-tag", "3", "-tag=4", NULL), 0);
	assert_int_equal(flags_count(flags, "tag"), 5);
	for (size_t i = 0; i < 5; i++) {
		snprintf(text, sizeof text, "%zu", i);
		assert_string_equal(flags_at(flags, "tag", i), text);
	}
	assert_int_equal(flags_count(flags, "node-meta"), 2);
	assert_string_equal(flags_at(flags, "node-meta", 0), "a=b");
	assert_int_equal(flags_uint(flags, "flags", 7), 7);
}

static void
what_is_wrong(void **state)
{
	static const struct {
		const char *word;
		const char *error;
	} cases[] = {
	    {"-x", "flag provided but not defined: -x"},
	    {"--nosuch=1", "flag provided but not defined: -nosuch"},
	    {"-separator", "flag needs an argument: -separator"},
	    {"-=x", "bad flag syntax: -=x"},
	    {"---x", "bad flag syntax: ---x"},
	    {"-flags=x", "invalid value \"x\" for flag -flags: parse error"},
	    {"-flags=-1", "invalid value \"-1\" for flag -flags: parse error"},
	    {"-flags=18446744073709551616", "invalid value \"18446744073709551616\" for flag -flags: parse error"},
	    {"-timeout=5", "invalid value \"5\" for flag -timeout: parse error"},
	    {"-node-meta=foo", "invalid value \"foo\" for flag -node-meta: Missing \"=\" value in argument: foo"},
	    {"-cleanup=x", "invalid value \"x\" for flag -cleanup: strconv.ParseBool: parsing \"x\": invalid syntax"},
	    {"-trailing=x", "invalid value \"x\" for flag -trailing: strconv.ParseUint: parsing \"x\": invalid syntax"},
	    {"-threshold=bogus", "invalid value \"bogus\" for flag -threshold: time: invalid duration \"bogus\""},
	};

	(void)state;
	for (size_t i = 0; i < COUNTOF(cases); i++) {
		assert_int_equal(parse(cases[i].word, NULL), -1);
		assert_string_equal(flags_error(flags), cases[i].error);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(four_forms, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(booleans_take_no_word, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(parsing_stops, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(the_last_wins_lists_append, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(what_is_wrong, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
