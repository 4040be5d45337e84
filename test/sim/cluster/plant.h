/*
 * plant.h - known mistakes for the test of the simulator itself (suite_planted_sim.c); none in any other build
 *
 * With SIM_PLANTS this file is read before each source: the core's own, which asks PLANTED(), and those of the simulator.
 */
#ifndef CLUSTER_PLANT_H
#define CLUSTER_PLANT_H

#ifdef SIM_PLANTS
#define RAFT_PLANTS
enum mistake {
	NOTHING,
	/* in the core */
	VOTE_TWICE,
	VOTE_UNSAVED,
	OWN_VOTE_UNSAVED,
	TERM_UNSAVED,
	VOTE_FOR_SHORT_LOG,
	MINORITY_ELECTS,
	ENTRIES_UNSAVED,
	OWN_ENTRIES_UNSAVED,
	OLD_TERM_COUNTED,
	COMMIT_UNCOMPARED,
	LEASE_FROM_ANSWER,
	LEASE_TOO_LONG,
	LEASE_KEPT,
	VOTE_IN_LEASE,
	PROMISE_FORGOTTEN,
	READ_EARLY,
	READ_UNCONFIRMED,
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
	MISTAKES,
	/* in changes of membership and snapshots, which the simulator does not make */
	CHANGES_TOGETHER,
	CHANGE_EARLY,
	CONFIGURATION_LATE,
	NON_VOTER_COUNTED,
	COUNTED_AFTER_REMOVAL,
	SNAPSHOT_OVER_NEWER,
	COMMIT_BY_CHUNK,
	TAIL_UNCOMPARED
};
extern enum mistake raft_planted;
#define PLANTED_HERE(mistake) (raft_planted == (mistake))
#else
#define PLANTED_HERE(mistake) 0
#endif

#endif
