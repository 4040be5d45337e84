/*
 * table.h - the daemon table and the suite's own settings (consuld.conf(5), libconfig)
 */
#ifndef CONSULD_TABLE_H
#define CONSULD_TABLE_H

#include <stdbool.h>
#include <sys/types.h>

#include "cdefs.h"

#define TABLE_ERROR_MAX 512
#define TABLE_ROWS_MAX 32
#define TABLE_INSTANCES_MAX 64

enum table_role { TABLE_ALL, TABLE_SERVER, TABLE_CLIENT };

/* One daemon. Texts are "" where not set. */
struct table_row {
	char *name; /* "raftd": program, socket, configuration file */
	enum table_role role;
	unsigned instances;
	char *user; /* runs as; "": as consuld does */
	char *group;
	int facility;        /* of syslog; -1: the agent's syslog_facility */
	uint64_t files_max;  /* open files; 0: inherited */
	uint64_t memory_max; /* bytes of address space; 0: no limit */
	bool core;           /* may dump core */
	bool sandbox;
	int64_t start_ms; /* to be ready in; a log to replay takes its time */
};

struct table {
	char *run_dir; /* "": DESIGN of the run directory decides */
	char *group;   /* of the run directory and its sockets */
	char *
	    servers; /* addresses of servers, ADDRESS:PORT, separated by spaces: for a client that has no members to learn them from */
	/* Of network coordinates, 0: the default: least time between two updates of ours, and how often the leader writes them. */
	uint64_t coordinate_interval_ms, coordinate_period_ms;
	bool external; /* somebody else (systemd) starts the daemons */
	size_t count;
	struct table_row rows[TABLE_ROWS_MAX];
};

/* path NULL: the built-in table. NULL: error says file, line and why. */
MUST_USE struct table *table_load(const char *path, char error[TABLE_ERROR_MAX]);
void table_free(struct table *t);
bool table_row_runs(const struct table_row *row, bool server);
/* "LOCAL0" in any case; -1: unknown. */
MUST_USE int table_facility(const char *name);

#endif
