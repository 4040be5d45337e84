/*
 * raftd_mistakes.h - the names of all mistakes that can be planted in Raft's core (raftd_planted.h, cluster/plant.h)
 */
#ifndef RAFTD_MISTAKES_H
#define RAFTD_MISTAKES_H

/* clang-format off */
/* in elections, commits, leases and reads; then in changes of membership and snapshots */
#define RAFT_MISTAKES \
	VOTE_TWICE, VOTE_UNSAVED, OWN_VOTE_UNSAVED, TERM_UNSAVED, VOTE_FOR_SHORT_LOG, MINORITY_ELECTS, ENTRIES_UNSAVED, \
	OWN_ENTRIES_UNSAVED, OLD_TERM_COUNTED, COMMIT_UNCOMPARED, LEASE_FROM_ANSWER, LEASE_TOO_LONG, LEASE_KEPT, \
	VOTE_IN_LEASE, PROMISE_FORGOTTEN, READ_EARLY, READ_UNCONFIRMED, \
	CHANGES_TOGETHER, CHANGE_EARLY, CONFIGURATION_LATE, NON_VOTER_COUNTED, COUNTED_AFTER_REMOVAL, SNAPSHOT_OVER_NEWER, \
	COMMIT_BY_CHUNK, TAIL_UNCOMPARED, BLANK_VOTES
/* clang-format on */

#endif
