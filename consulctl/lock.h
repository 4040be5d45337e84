/*
 * lock.h - locks and semaphores on keys, as all clients of Consul agree on them (cli.md 8.9)
 *
 * Lock: the key PREFIX/.lock is acquired by a session. Semaphore of n: every contender acquires PREFIX/SESSION, and the holders stand in
 * the value of PREFIX/.lock, which is changed by check-and-set. Sessions live LOCK_TTL_S and are renewed by those who call here: an
 * acquisition renews by itself, a holder calls lock_still_held often enough.
 */
#ifndef CONSULCTL_LOCK_H
#define CONSULCTL_LOCK_H

#include "api.h"
#include "cdefs.h"

#define LOCK_TTL_S 15
#define LOCK_FLAGS UINT64_C(0x2ddccbc058a50c18)
#define SEMAPHORE_FLAGS UINT64_C(0xe0f69a2baa414de0)

struct lock {
	struct api *api;
	const char *prefix; /* without leading '/' */
	const char *key;    /* PREFIX/.lock */
	const char *name;   /* of the session */
	uint64_t limit;     /* 1: a lock, more: a semaphore */
	int64_t timeout_ns; /* of the acquisition; 0: none */
	bool (*interrupted)(void);
	char session[64];   /* "": none */
	int64_t renewed_ns; /* monotonic */
	uint64_t index;     /* of the watch */
	int64_t wait_ms;    /* of the next query */
	char error[1024];
};

/* 0: held. 1: timeout or interrupted. -1: l->error. The session is there in all cases in which session is not empty. */
MUST_USE int lock_acquire(struct lock *l);
/* Waits up to a few seconds for a change. 1: held. 0: lost. -1: no answer, l->error. Renews the session. */
MUST_USE int lock_still_held(struct lock *l);
/* -1: l->error. */
MUST_USE int lock_release(struct lock *l);
void lock_end_session(struct lock *l);
/* Deletes the key. 1: others use it. -1: l->error. */
MUST_USE int lock_clean(struct lock *l);

#endif
