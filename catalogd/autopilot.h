/*
 * autopilot.h - how the leader looks after the servers of its cluster: their health, who gets a vote, who is removed
 *
 * Who joins and leaves by itself is added and removed by raft_members.c.
 *
 * Pure: what is known of all servers, the settings and the time come in; a view and a list of steps come out. Nothing here asks, waits or
 * logs (autopilot_run.c does). Facts: behaviour.md 12.4, 13.
 */
#ifndef CATALOGD_AUTOPILOT_H
#define CATALOGD_AUTOPILOT_H

#include <stdbool.h>
#include <stdint.h>

#include "cdefs.h"
#include "net.h"
#include "structs_gossip.h"

#define AUTOPILOT_SERVERS_MAX 128 /* members and servers of the log together; more are not looked at */
#define AUTOPILOT_ID_MAX 64
#define AUTOPILOT_NAME_MAX 256
#define AUTOPILOT_STEPS_MAX AUTOPILOT_SERVERS_MAX /* at most one for each */

/* What is known of one server now. Texts are borrowed. */
struct autopilot_known {
	const char *id;      /* node ID */
	const char *name;    /* "": no member has this ID */
	const char *address; /* of its RPC port: the member's, else what the log's configuration says */
	const char *version;
	const char *raft_version;
	enum member_status status; /* MEMBER_NONE: no member has this ID */
	bool no_vote;              /* it was told not to ask for one */
	/* Of the log's configuration: */
	bool peer;
	bool voter;
	bool leader;
	bool blank; /* a voter that has lost its log: it votes for nothing until it was admitted again */
	/* Of its log, as the leader knows it: */
	int64_t contact_ns; /* since it was last heard of; 0 for the leader, -1: never */
	uint64_t last_index, last_term;
};

struct autopilot_settings {
	bool cleanup_dead_servers;
	int64_t last_contact_ns;
	uint64_t max_trailing_logs;
	uint64_t min_quorum;
	int64_t stabilization_ns;
};

struct autopilot_input {
	struct autopilot_settings settings;
	int64_t
	    slack_ns; /* silence that says nothing, as messages go out no more often: last_contact_ns is at least this */
	int64_t now_ns; /* monotonic */
	int64_t wall_ns;
	size_t count;
	struct autopilot_known at[AUTOPILOT_SERVERS_MAX]; /* no ID twice */
};

/* What was found out about one server. */
struct autopilot_health {
	char id[AUTOPILOT_ID_MAX];
	bool healthy;
	int64_t since_ns;      /* monotonic: when healthy last changed, or it was first seen */
	int64_t since_wall_ns; /* the same for people */
};

struct autopilot {
	bool looked;
	int64_t first_ns; /* of the first look */
	bool healthy;     /* all are */
	int64_t failure_tolerance;
	size_t count;
	struct autopilot_health at[AUTOPILOT_SERVERS_MAX]; /* in the order of the last input */
};

/* A leader's term begins: nothing is known. */
void autopilot_init(struct autopilot *a);
/* Judges the health of all servers. */
void autopilot_look(struct autopilot *a, const struct autopilot_input *in);

enum autopilot_action {
	AUTOPILOT_PROMOTE,     /* gives it a vote */
	AUTOPILOT_DEMOTE,      /* takes the vote of one that has lost its log */
	AUTOPILOT_REMOVE,      /* from the log's configuration: no member has its ID */
	AUTOPILOT_FORCE_LEAVE, /* makes a failed member leave: that removes it from the catalog, too */
	AUTOPILOT_KEEP,        /* a dead server that is not removed; why says the reason */
};

struct autopilot_step {
	enum autopilot_action action;
	size_t server; /* in input.at */
	const char *why;
};

/*
 * What is to be done, in this order, judged by the last look at the same input. cleanup: also what is done only once in a while, removing the
 * dead. Returns the number of steps; each is safe alone, so that what fails is left to the next time.
 */
size_t autopilot_decide(const struct autopilot *a, const struct autopilot_input *in, bool cleanup,
    struct autopilot_step steps[AUTOPILOT_STEPS_MAX]);

/* "alive" "failed" "left" "unknown": the reference's names, leaving counts as alive. */
const char *autopilot_status_name(enum member_status status);
/* "leader" "voter" "non-voter" "none" */
const char *autopilot_state_name(const struct autopilot_known *s);

#endif
