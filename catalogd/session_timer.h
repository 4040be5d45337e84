/*
 * session_timer.h - the TTLs of sessions, kept by the leader
 */
#ifndef CATALOGD_SESSION_TIMER_H
#define CATALOGD_SESSION_TIMER_H

#include "catalogd.h"

struct session_timers;

MUST_USE struct session_timers *session_timers_new(struct catalogd *c);
void session_timers_free(struct session_timers *t);
/* This node leads: every session with a TTL gets its full time from now on. */
void session_timers_start(struct session_timers *t);
/* It does not lead any more: another node counts. */
void session_timers_stop(struct session_timers *t);
/* A batch was committed: sessions that appeared or went in it. */
void session_timers_settle(struct session_timers *t);
size_t session_timers_count(const struct session_timers *t);

#endif
