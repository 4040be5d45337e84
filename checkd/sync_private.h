/*
 * sync_private.h - what sync.c and sync_compare.c share; nobody else includes it
 */
#ifndef CHECKD_SYNC_PRIVATE_H
#define CHECKD_SYNC_PRIVATE_H

#include "sync.h"

#define LOG "agent"
#define REQUEST_BYTES_MAX (8u * 1024 * 1024)

enum item_kind { PUT_NODE, PUT_SERVICE, PUT_CHECK, DROP_SERVICE, DROP_CHECK };

struct item {
	enum item_kind kind;
	char *id;
	uint64_t version; /* of the element when it was sent; 0 and no element: only the catalog has it */
	/* PUT_SERVICE: the checks that went along. */
	struct rider {
		char *id;
		uint64_t version;
	} * riders;
	size_t rider_count;
};

struct push {
	struct sync *sync;
	struct item *item;
	struct ipc_call *call;
	struct push *next;
};

struct sync_wait {
	struct sync *sync;
	uint64_t round; /* the push that must have ended */
	void (*done)(void *ctx);
	void *ctx;
	struct ev_timer timer;
	struct sync_wait *next;
};

enum phase { IDLE, READ_SERVICES, READ_CHECKS, PUSHING };

struct sync {
	struct sync_options options;
	enum phase phase;
	bool full;        /* the round that goes on reads first */
	bool full_wanted; /* the next one is to be full */
	bool dirty;       /* a round is wanted */
	bool node_in_sync, read_once, stopped, was_down;
	unsigned paused;
	struct ev_timer full_timer, turn_timer;
	struct ipc_call *read;
	struct buf services; /* answer of the first read */
	/* the push phase */
	struct item *items;
	size_t item_count, item_size, item_next;
	struct push *pushes;
	size_t push_count;
	unsigned failures;
	bool unknown_outcome, no_leader;
	char error[512];
	bool error_logged;
	uint64_t round; /* of push phases, begun */
	struct sync_wait *waits;
	size_t wait_count;
};

/* Work for the push phase. The pointer is good until the next item. */
struct item *sync_add_item(struct sync *s, enum item_kind kind, const char *id, uint64_t version);
/*
 * The catalog's answers about this node (Catalog.NodeServiceList, Health.NodeChecks): marks what is in sync and what is not, and
 * adds items for what only the catalog has.
 */
void sync_compare_services(struct sync *s, struct bytes body);
void sync_compare_checks(struct sync *s, struct bytes body);

#endif
