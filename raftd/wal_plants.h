/*
 * wal_plants.h - known mistakes in the code of log and snapshots, planted by the test of the crash explorer
 *
 * test/sim/raftd_crash_planted_sim.c compiles that code itself with WAL_PLANTS and says which one is made; there are none in any
 * other build. Included by wal_internal.h and snapshot_store.c only.
 */
#ifndef RAFTD_WAL_PLANTS_H
#define RAFTD_WAL_PLANTS_H

#ifdef WAL_PLANTS
#define WAL_PLANTED(mistake) (wal_planted == (mistake))
#else
#define WAL_PLANTED(mistake) false
#endif

#endif
