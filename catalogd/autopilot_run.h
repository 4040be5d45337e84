/*
 * autopilot_run.h - autopilot at work, on the leader
 */
#ifndef CATALOGD_AUTOPILOT_RUN_H
#define CATALOGD_AUTOPILOT_RUN_H

#include "autopilot.h"
#include "catalogd.h"

struct autopilot_run;

MUST_USE struct autopilot_run *autopilot_run_new(struct catalogd *c);
void autopilot_run_free(struct autopilot_run *r);
/* This node leads and has applied an entry of its own term; or no longer. */
void autopilot_run_start(struct autopilot_run *r);
void autopilot_run_stop(struct autopilot_run *r);

/* What was found, and of what, index by index; valid until the loop goes on. NULL: nothing yet. */
const struct autopilot *autopilot_run_view(const struct autopilot_run *r, const struct autopilot_input **in);

#endif
