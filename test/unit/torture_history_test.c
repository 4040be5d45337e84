/*
 * The checker of recorded histories: a sound one passes, and each alteration that breaks one promise is found, and named.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../torture/history.h"
#include "cdefs.h"

/* What was said of the history of these lines; count of violations by *r. The caller frees. */
static char *
check(const char *const *lines, size_t count, struct history_result *r)
{
	struct history *h = history_new();
	char error[HISTORY_ERROR_MAX], *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	for (size_t i = 0; i < count; i++)
		if (history_add(h, lines[i], error) == -1)
			fail_msg("%s", error);
	history_check(h, out, r);
	fclose(out);
	history_free(h);
	return text;
}

static void
sound(const char *const *lines, size_t count)
{
	struct history_result r;
	char *text = check(lines, count, &r);

	if (r.violations != 0)
		fail_msg("%s", text);
	assert_int_equal(r.undecided, 0);
	free(text);
}

static void
broken(const char *const *lines, size_t count, const char *said)
{
	struct history_result r;
	char *text = check(lines, count, &r);

	assert_int_not_equal(r.violations, 0);
	if (strstr(text, said) == NULL)
		fail_msg("not said: %s\n%s", said, text);
	free(text);
}

#define SOUND(lines) sound(lines, COUNTOF(lines))
#define BROKEN(lines, said) broken(lines, COUNTOF(lines), said)
/* The history with another line at place, which has to break it as said. */
#define ALTERED(lines, place, line, said)                                                                              \
	do {                                                                                                           \
		const char *altered[COUNTOF(lines)];                                                                   \
		memcpy(altered, lines, sizeof altered);                                                                \
		altered[place] = line;                                                                                 \
		BROKEN(altered, said);                                                                                 \
	} while (0)

static const char *const registers[] = {
    "op=put key=r call=10 return=20 end=ok value=1",
    "op=get key=r call=30 return=40 end=ok mode=default value=1 index=5",
    "op=put key=r call=50 return=70 end=ok value=2",
    "op=get key=r call=55 return=60 end=ok mode=consistent value=1 index=5", /* at the same time */
    "op=get key=r call=80 return=90 end=ok mode=default value=2 index=7",
    "op=cas key=r call=100 return=110 end=ok value=3 expect=2 good=1",
    "op=cas key=r call=120 return=130 end=ok value=4 expect=2 good=0",
    "op=get key=r call=140 return=150 end=ok mode=consistent value=3 index=9",
    "op=get key=r call=160 return=170 end=ok mode=stale at=s1 value=2 index=7",
    "op=get key=r call=180 return=190 end=ok mode=stale at=s2 value=1 index=5",
    "op=get key=r call=200 return=210 end=ok mode=stale at=s1 value=3 index=9",
    "op=delete key=r call=220 return=230 end=ok",
    "op=get key=r call=240 return=250 end=ok mode=default value=0",
    "op=cas key=r call=260 return=270 end=ok value=5 expect=0 good=1",
    "op=put key=r call=280 return=290 end=fail value=6",
    "op=get key=r call=300 return=310 end=ok mode=consistent value=5 index=14",
};

static void
test_registers(void **state)
{
	(void)state;
	SOUND(registers);
	/* planted stale reads */
	ALTERED(registers, 4, "op=get key=r call=80 return=90 end=ok mode=default value=1 index=5", "no order");
	ALTERED(registers, 7, "op=get key=r call=140 return=150 end=ok mode=consistent value=2 index=7", "no order");
	ALTERED(registers, 7, "op=get key=r call=140 return=150 end=ok mode=consistent value=1 index=5", "went back");
	ALTERED(registers, 12, "op=get key=r call=240 return=250 end=ok mode=default value=3 index=9", "no order");
	/* planted lost writes */
	ALTERED(registers, 15, "op=get key=r call=300 return=310 end=ok mode=consistent value=0", "no order");
	ALTERED(registers, 15, "op=get key=r call=300 return=310 end=ok mode=consistent value=3 index=9", "no order");
	/* cas */
	ALTERED(registers, 5, "op=cas key=r call=100 return=110 end=ok value=3 expect=1 good=1", "no order");
	ALTERED(registers, 6, "op=cas key=r call=120 return=130 end=ok value=4 expect=3 good=0", "no order");
	ALTERED(registers, 13, "op=cas key=r call=260 return=270 end=ok value=5 expect=3 good=1", "no order");
	/* values */
	ALTERED(registers, 1, "op=get key=r call=30 return=40 end=ok mode=default value=99 index=5", "nobody wrote");
	ALTERED(registers, 15, "op=get key=r call=300 return=310 end=ok mode=consistent value=6 index=14", "refused");
	ALTERED(registers, 15, "op=get key=r call=300 return=310 end=ok mode=consistent value=4 index=14", "refused");
	ALTERED(
	    registers, 8, "op=get key=r call=32 return=35 end=ok mode=stale at=s1 value=2 index=7", "before it was");
	ALTERED(registers, 4, "op=get key=r call=80 return=90 end=ok mode=default value=2 index=8", "two indexes");
	/* stale reads */
	ALTERED(registers, 10, "op=get key=r call=200 return=210 end=ok mode=stale at=s1 value=1 index=5",
	    "stale reads of one server went back");
	ALTERED(registers, 10, "op=get key=r call=200 return=210 end=ok mode=stale at=s1 value=4 index=9", "refused");
}

static const char *const unknowns[] = {
    "op=put key=r call=10 return=20 end=ok value=1",
    "op=put key=r call=30 end=unknown value=2",
    "op=put key=r call=40 end=unknown value=3",
    "op=get key=r call=50 return=60 end=ok mode=default value=1 index=4",
    "op=get key=r call=70 return=80 end=ok mode=default value=2 index=6",
    "op=put key=r call=90 return=100 end=ok value=4",
    "op=cas key=r call=110 return=120 end=ok value=5 expect=4 good=0", /* since value 3 came at last */
    "op=put key=r call=130 return=140 end=ok value=6",
    "op=get key=r call=150 return=160 end=ok mode=default value=6 index=20",
};

/* An unknown write may come late, but once, and not behind the first read that shows it. */
static void
test_unknown_writes(void **state)
{
	(void)state;
	SOUND(unknowns);
	ALTERED(unknowns, 8, "op=get key=r call=150 return=160 end=ok mode=default value=2 index=6", "no order");
	ALTERED(unknowns, 3, "op=get key=r call=50 return=60 end=ok mode=default value=0", "no order");
	ALTERED(unknowns, 2, "op=get key=r call=40 return=45 end=ok mode=default value=1 index=4", "no order");
}

static const char *const locks[] = {
    "op=acquire key=l call=10 return=20 end=ok session=1 value=1 good=1",
    "op=acquire key=l call=30 return=40 end=ok session=2 value=2 good=0",
    "op=get key=l call=50 return=60 end=ok mode=default value=1 index=4 session=1 lockindex=1",
    "op=release key=l call=70 return=80 end=ok session=2 value=3 good=0",
    "op=release key=l call=90 return=100 end=ok session=1 value=4 good=1",
    "op=acquire key=l call=110 return=120 end=ok session=2 value=5 good=1",
    "op=get key=l call=130 return=140 end=ok mode=consistent value=5 index=9 session=2 lockindex=2",
    "op=destroy call=150 return=160 end=ok session=2",
    "op=get key=l call=170 return=180 end=ok mode=default value=5 index=11 session=0 lockindex=2",
    "op=acquire key=l call=190 return=200 end=ok session=3 value=6 good=1",
    "op=get key=l call=210 return=220 end=ok mode=default value=6 index=13 session=3 lockindex=3",
};

static void
test_locks(void **state)
{
	(void)state;
	SOUND(locks);
	/* two holders */
	ALTERED(locks, 1, "op=acquire key=l call=30 return=40 end=ok session=2 value=2 good=1", "no order");
	/* refused although free */
	ALTERED(locks, 5, "op=acquire key=l call=110 return=120 end=ok session=2 value=5 good=0", "no order");
	/* the fence */
	ALTERED(locks, 10,
	    "op=get key=l call=210 return=220 end=ok mode=default value=6 index=13 session=3 lockindex=2", "no order");
	/* a lock that outlives its session */
	ALTERED(locks, 8, "op=get key=l call=170 return=180 end=ok mode=default value=5 index=9 session=2 lockindex=2",
	    "no order");
	ALTERED(locks, 9, "op=acquire key=l call=190 return=200 end=ok session=2 value=6 good=1", "was destroyed");
	/* a session that is not ended ends nothing */
	ALTERED(locks, 7, "op=get key=l call=150 return=160 end=ok mode=stale value=5 index=9 session=2 lockindex=2",
	    "no order");
}

/* More at one time than can be searched is neither sound nor wrong; what needs no search is still found. */
static void
test_undecided(void **state)
{
	struct history *h = history_new();
	struct history_result r;
	char line[200], error[HISTORY_ERROR_MAX], *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	for (int i = 1; i <= 60; i++) {
		snprintf(line, sizeof line, "op=put key=r call=%d return=1000 end=ok value=%d", i, i);
		assert_int_equal(history_add(h, line, error), 0);
	}
	history_check(h, out, &r);
	assert_int_equal(r.undecided, 1);
	assert_int_equal(r.violations, 0);
	assert_int_equal(
	    history_add(h, "op=get key=r call=2000 return=2001 end=ok mode=default value=77 index=9", error), 0);
	history_check(h, out, &r);
	assert_int_equal(r.violations, 1);
	fclose(out);
	free(text);
	history_free(h);
}

static void
test_lines(void **state)
{
	static const char *const bad[] = {"", "op=get", "op=fly key=r call=1 return=2 end=ok",
	    "op=get key=r call=2 return=1 end=ok", "op=get key=r call=1 end=ok",
	    "op=put key=r call=1 return=2 end=ok value=x", "op=put call=1 return=2 end=ok value=1",
	    "op=put key=r call=1 return=2 end=ok value=99999999", "key",
	    "op=get key=r call=1 return=2 end=ok mode=fast"};
	struct history *h = history_new();
	char error[HISTORY_ERROR_MAX];

	(void)state;
	for (size_t i = 0; i < COUNTOF(bad); i++) {
		assert_int_equal(history_add(h, bad[i], error), -1);
		assert_non_null(strstr(error, "not a line of a history"));
	}
	history_free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_registers),
	    cmocka_unit_test(test_unknown_writes),
	    cmocka_unit_test(test_locks),
	    cmocka_unit_test(test_undecided),
	    cmocka_unit_test(test_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
