/*
 * history.h - what clients saw of a cluster, and whether the cluster kept its promises
 *
 * A history is lines of text, one for each operation, of words NAME=VALUE in any order; times are nanoseconds of one clock:
 *
 *	op=get|put|cas|delete|acquire|release|destroy
 *	key=KEY                  not of destroy
 *	call=TIME return=TIME    when it was sent, when its answer was there
 *	end=ok|fail|unknown      done; known to have done nothing; anything may have become of it
 *	mode=default|consistent|stale at=SERVER    of a get
 *	value=N                  what was written, or read (0: no such key); each write of a key has a value of its own
 *	index=N lockindex=N      of a get that found the key: its ModifyIndex and LockIndex
 *	session=N                who acquires, releases, is destroyed, or was seen holding the key (0: nobody)
 *	expect=N                 of a cas: the value it was to replace (0: none)
 *	good=0|1                 the answer of cas, acquire and release
 *
 * What is promised, for each key: there is an order of all operations but stale reads that explains every answer, and in which nothing that
 * had returned comes behind what was called later (linear.h); a write is applied once, and a later read does not show an earlier
 * ModifyIndex. Stale reads show what was written, and on one server never something earlier than before. A destroyed session
 * gets no lock. So a final read of every key after all faults is also the proof that nothing acknowledged is lost.
 */
#ifndef TORTURE_HISTORY_H
#define TORTURE_HISTORY_H

#include <stddef.h>
#include <stdio.h>

#include "cdefs.h"

#define HISTORY_ERROR_MAX 256

struct history;

struct history_result {
	size_t operations;
	size_t keys;
	size_t undecided; /* keys whose order was too long to search; their other promises were checked */
	size_t violations;
};

MUST_USE struct history *history_new(void);
void history_free(struct history *h);
/* Adds one line. -1: it is none of a history, error says why. */
MUST_USE int history_add(struct history *h, const char *line, char error[HISTORY_ERROR_MAX]);
/* Once. What is violated is said on out with the operations that show it. */
void history_check(struct history *h, FILE *out, struct history_result *result);

#endif
