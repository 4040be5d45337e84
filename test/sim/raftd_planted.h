/*
 * raftd_planted.h - Raft's core with the known mistakes in it (planted.h)
 *
 * Compiles the core itself with RAFT_PLANTS. Includes no simulator: raftd_planted_sim.c and raftd_members_planted_sim.c do, each for the
 * mistakes that are its own.
 */
#ifndef RAFTD_PLANTED_H
#define RAFTD_PLANTED_H

#include "planted.h"
#include "raftd_mistakes.h"

enum mistake { NOTHING, RAFT_MISTAKES };

static enum mistake raft_planted;

#define RAFT_PLANTS
#include "raft.c"
#include "raft_follow.c"
#include "raft_lease.c"
#include "raft_members.c"
#include "raft_replicate.c"

#define SIM_PLANTED
#define PLANTED_SEEDS 4000

static void
plant(unsigned mistake)
{
	raft_planted = (enum mistake)mistake;
}

#endif
