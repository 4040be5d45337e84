/*
 * seeded.h - what a simulation is made of whatever it simulates: numbers from a seed, the report of a seed that went wrong, the run over many
 *
 * A simulation is a program that prints TAP lines. Its run_seed() returns true when the seed is as it should be; else it returns false or
 * ends the process, and has said why by seeded_wrong().
 */
#ifndef SIM_SEEDED_H
#define SIM_SEEDED_H

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cdefs.h"

/* SplitMix64: the same numbers everywhere, from any state on. */
static inline uint64_t
seeded_next(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* 0 to bound - 1. */
static inline uint64_t
seeded_below(uint64_t *state, uint64_t bound)
{
	return seeded_next(state) % bound;
}

static inline void seeded_wrong(uint64_t seed, const char *where, const char *fmt, va_list args) PRINTF_LIKE(3, 0);

/* where: "", or what follows the seed (" at 12 ms"). Written out before it returns: the caller may end the process in any way. */
static inline void
seeded_wrong(uint64_t seed, const char *where, const char *fmt, va_list args)
{
	printf("not ok 1 - seed %" PRIu64 "%s: ", seed, where);
	vprintf(fmt, args);
	printf("\n# again: %s %" PRIu64 "\n", program_invocation_short_name, seed);
	fflush(stdout);
}

/* Seeds from 1 to most; those behind the first `least` only until seconds of wall time are over. */
struct seeded_bounds {
	uint64_t most, least;
	time_t seconds;
};

/* The one seed that argv names, or those within bounds. false: one went wrong. */
static inline bool
seeded_run(int argc, char **argv, struct seeded_bounds bounds, bool (*run_seed)(uint64_t seed))
{
	time_t begun = time(NULL);

	if (argc > 1)
		return run_seed(strtoull(argv[1], NULL, 10));
	for (uint64_t seed = 1; seed <= bounds.most && (seed <= bounds.least || time(NULL) - begun < bounds.seconds);
	     seed++)
		if (!run_seed(seed))
			return false;
	return true;
}

#endif
