/*
 * plant.h - known mistakes for the test of the simulator itself (suite_planted_sim.c); none in any other build
 *
 * With SIM_PLANTS this file is read before each source: the core's own, which asks PLANTED(), and those of the simulator.
 */
#ifndef CLUSTER_PLANT_H
#define CLUSTER_PLANT_H

#ifdef SIM_PLANTS
#include "../raftd_mistakes.h"

#define RAFT_PLANTS
enum mistake {
	NOTHING,
	RAFT_MISTAKES, /* in the core */
	/* around it */
	SYNC_SKIPPED,
	DELIVER_UNCOMMITTED,
	DELIVER_UNSTABLE,
	LEASE_CHECKED_EARLY,
	READ_JOINS_ROUND,
	READ_BEFORE_APPLIED,
	READ_BEFORE_CAUGHT_UP,
	PROPOSAL_IN_ANY_TERM,
	INDEX_SHARED,
	WRITE_RESENT,
	LOST_PROPOSAL_RESENT,
	ACKNOWLEDGED_EARLY,
	APPLIED_APART,
	STORE_KEPT,
	SNAPSHOT_INDEX_BEHIND,
	DAMAGE_CUT_OFF,
	MISTAKES
};
extern enum mistake raft_planted;
#define PLANTED_HERE(mistake) (raft_planted == (mistake))
#else
#define PLANTED_HERE(mistake) 0
#endif

#endif
