/*
 * duration.c - durations as Go writes them, monotonic time, RFC 3339 time (contract: duration.h)
 */
#include "duration.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "log.h"
#include "mem.h"

static const struct {
	const char *name;
	int64_t ns;
} units[] = {
    {"ns", 1},
    {"us", NS_PER_US},
    {"\xc2\xb5s", NS_PER_US}, /* U+00B5 */
    {"\xce\xbcs", NS_PER_US}, /* U+03BC */
    {"ms", NS_PER_MS},
    {"s", NS_PER_S},
    {"m", 60 * NS_PER_S},
    {"h", 3600 * NS_PER_S},
};

/* Length of the run of unit characters (anything but digits and '.') at the front. */
static size_t
unit_length(struct bytes text)
{
	size_t n = 0;

	while (n < text.size && text.data[n] != '.' && (text.data[n] < '0' || text.data[n] > '9'))
		n++;
	return n;
}

static int64_t
unit_ns(struct bytes unit)
{
	for (size_t i = 0; i < COUNTOF(units); i++)
		if (bytes_is(unit, units[i].name))
			return units[i].ns;
	return 0;
}

/*
 * One "<number><unit>" element at the front of *text, added to *total (as a magnitude, which may reach 2^63 for
 * the smallest int64). *unit: the unit's text, for the error message.
 */
static enum duration_error
parse_element(struct bytes *text, uint64_t *total, struct bytes *unit)
{
	uint64_t whole = 0, fraction = 0, scale = 1, value;
	bool digits = false, fraction_full = false;
	int64_t ns;
	size_t n;

	for (; text->size > 0 && text->data[0] >= '0' && text->data[0] <= '9'; text->data++, text->size--) {
		digits = true;
		if (__builtin_mul_overflow(whole, 10u, &whole) ||
		    __builtin_add_overflow(whole, (unsigned)(text->data[0] - '0'), &whole) ||
		    whole > (uint64_t)INT64_MAX + 1)
			return DURATION_INVALID;
	}
	if (text->size > 0 && text->data[0] == '.') {
		text->data++, text->size--;
		for (; text->size > 0 && text->data[0] >= '0' && text->data[0] <= '9'; text->data++, text->size--) {
			digits = true;
			if (fraction_full || scale > UINT64_MAX / 100) {
				fraction_full = true; /* further digits are below a nanosecond */
				continue;
			}
			fraction = fraction * 10 + (unsigned)(text->data[0] - '0');
			scale *= 10;
		}
	}
	if (!digits)
		return DURATION_INVALID;
	n = unit_length(*text);
	if (n == 0)
		return DURATION_NO_UNIT;
	*unit = bytes_of(text->data, n);
	ns = unit_ns(*unit);
	if (ns == 0)
		return DURATION_UNKNOWN_UNIT;
	text->data += n, text->size -= n;
	if (__builtin_mul_overflow(whole, (uint64_t)ns, &value) ||
	    __builtin_add_overflow(value, (uint64_t)((double)fraction * ((double)ns / (double)scale)), &value) ||
	    __builtin_add_overflow(*total, value, total) || *total > (uint64_t)INT64_MAX + 1)
		return DURATION_INVALID;
	return DURATION_OK;
}

static enum duration_error
parse(struct bytes text, int64_t *ns, struct bytes *unit)
{
	bool negative = false;
	uint64_t total = 0;

	*unit = bytes_of(NULL, 0);
	if (text.size > 0 && (text.data[0] == '-' || text.data[0] == '+')) {
		negative = text.data[0] == '-';
		text.data++, text.size--;
	}
	if (bytes_is(text, "0")) {
		*ns = 0;
		return DURATION_OK;
	}
	if (text.size == 0)
		return DURATION_INVALID;
	while (text.size > 0) {
		enum duration_error error = parse_element(&text, &total, unit);

		if (error != DURATION_OK)
			return error;
	}
	if (!negative && total > INT64_MAX)
		return DURATION_INVALID;
	*ns = negative ? (int64_t)(0 - total) : (int64_t)total;
	return DURATION_OK;
}

enum duration_error
duration_parse(struct bytes text, int64_t *ns)
{
	struct bytes unit;

	return parse(text, ns, &unit);
}

void
duration_error_text(enum duration_error error, struct bytes text, char *out, size_t size)
{
	struct bytes unit;
	int64_t ns;
	int length = (int)MIN(text.size, (size_t)256);

	switch (error) {
	case DURATION_NO_UNIT:
		snprintf(out, size, "time: missing unit in duration \"%.*s\"", length, (const char *)text.data);
		return;
	case DURATION_UNKNOWN_UNIT:
		(void)parse(text, &ns, &unit);
		snprintf(out, size, "time: unknown unit \"%.*s\" in duration \"%.*s\"",
		    (int)MIN(unit.size, (size_t)256), (const char *)unit.data, length, (const char *)text.data);
		return;
	case DURATION_OK:
	case DURATION_INVALID:
		snprintf(out, size, "time: invalid duration \"%.*s\"", length, (const char *)text.data);
		return;
	}
}

/* "1.5" of value/scale, trailing zeros dropped; places: digits of scale. */
static int
put_fraction(char *out, size_t size, uint64_t whole, uint64_t rest, int places)
{
	char digits[24];
	int used;

	if (rest == 0)
		return snprintf(out, size, "%llu", (unsigned long long)whole);
	used = snprintf(digits, sizeof digits, "%0*llu", places, (unsigned long long)rest);
	while (digits[used - 1] == '0')
		digits[--used] = '\0';
	return snprintf(out, size, "%llu.%s", (unsigned long long)whole, digits);
}

char *
duration_format(int64_t ns, char out[DURATION_TEXT_MAX])
{
	uint64_t u = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns, seconds;
	char *at = out, *end = out + DURATION_TEXT_MAX;

	if (ns < 0)
		*at++ = '-';
	if (u == 0) {
		snprintf(at, (size_t)(end - at), "0s");
	} else if (u < (uint64_t)NS_PER_US) {
		snprintf(at, (size_t)(end - at), "%lluns", (unsigned long long)u);
	} else if (u < (uint64_t)NS_PER_MS) {
		at += put_fraction(at, (size_t)(end - at), u / 1000, u % 1000, 3);
		snprintf(at, (size_t)(end - at), "\xc2\xb5s");
	} else if (u < (uint64_t)NS_PER_S) {
		at += put_fraction(at, (size_t)(end - at), u / 1000000, u % 1000000, 6);
		snprintf(at, (size_t)(end - at), "ms");
	} else {
		seconds = u / (uint64_t)NS_PER_S;
		if (seconds >= 3600)
			at += snprintf(at, (size_t)(end - at), "%lluh", (unsigned long long)(seconds / 3600));
		if (seconds >= 60)
			at += snprintf(at, (size_t)(end - at), "%llum", (unsigned long long)(seconds / 60 % 60));
		at += put_fraction(at, (size_t)(end - at), seconds % 60, u % (uint64_t)NS_PER_S, 9);
		snprintf(at, (size_t)(end - at), "s");
	}
	return out;
}

static int64_t
clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) == -1)
		panic("clock_gettime");
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

struct monotime
monotime_now(void)
{
	return (struct monotime){clock_ns(CLOCK_MONOTONIC)};
}

int64_t
monotime_since_ns(struct monotime start)
{
	return clock_ns(CLOCK_MONOTONIC) - start.ns;
}

struct monotime
boottime_now(void)
{
	return (struct monotime){clock_ns(CLOCK_BOOTTIME)};
}

int64_t
walltime_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

char *
rfc3339_format(int64_t wall_ns, char out[RFC3339_TEXT_MAX])
{
	int64_t seconds = wall_ns / NS_PER_S, rest = wall_ns % NS_PER_S;
	time_t t;
	struct tm tm;
	size_t used;

	if (rest < 0) {
		rest += NS_PER_S;
		seconds--;
	}
	t = (time_t)seconds;
	gmtime_r(&t, &tm);
	used = strftime(out, RFC3339_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	if (rest != 0) {
		used += (size_t)snprintf(out + used, RFC3339_TEXT_MAX - used, ".%09lld", (long long)rest);
		while (out[used - 1] == '0')
			used--;
	}
	out[used++] = 'Z';
	out[used] = '\0';
	return out;
}
