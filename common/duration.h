/*
 * duration.h - durations as Go writes them, monotonic time, RFC 3339 time
 */
#ifndef COMMON_DURATION_H
#define COMMON_DURATION_H

#include <stddef.h>
#include <stdint.h>

#include "cdefs.h"

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)
#define DURATION_TEXT_MAX 32 /* bytes duration_format needs at most */

enum duration_error { DURATION_OK, DURATION_INVALID, DURATION_NO_UNIT, DURATION_UNKNOWN_UNIT };

/* "1h30m", "1.5s", "-2ms", "0". ns: result. For error texts see duration_error_text. */
MUST_USE enum duration_error duration_parse(struct bytes text, int64_t *ns);
/* Go's texts, e.g. time: unknown unit "q" in duration "5q", into out (cut at size). */
void duration_error_text(enum duration_error error, struct bytes text, char *out, size_t size);
/* "1h0m0s", "200ms", "1.5s", "0s". Returns out. */
char *duration_format(int64_t ns, char out[DURATION_TEXT_MAX]);

/* CLOCK_MONOTONIC, a type of its own so that it is never mixed with wall time. */
struct monotime {
	int64_t ns;
};
struct monotime monotime_now(void);
int64_t monotime_since_ns(struct monotime start);
/* CLOCK_BOOTTIME: goes on while the machine is suspended (leases). */
struct monotime boottime_now(void);
int64_t walltime_ns(void);

#define RFC3339_TEXT_MAX 40
/* UTC, up to 9 digits of fraction, trailing zeros dropped. Returns out. */
char *rfc3339_format(int64_t wall_ns, char out[RFC3339_TEXT_MAX]);

#endif
