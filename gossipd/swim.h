/*
 * swim.h - membership and failure detection as a pure state machine: messages and time in, messages and changes out
 *
 * SWIM (Das, Gupta, Motivala 2002) with Lifeguard (Dadgar, Phillips, Currey 2017), as memberlist does it on the wire. No socket, no clock,
 * no randomness of its own. All calls take the present time (ns of a steady clock, never running back) and may call the ops.
 *
 * A member is alive, suspect, dead or left; one that is dead or left is forgotten some time later (serf.h remembers longer). Each member
 * alone raises its incarnation; what is said of an older one is ignored. While there is nobody else no timer runs.
 */
#ifndef GOSSIPD_SWIM_H
#define GOSSIPD_SWIM_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "cdefs.h"
#include "log.h"
#include "timers.h"
#include "wire.h"

#define SWIM_NAME_MAX 512
#define SWIM_ERROR_MAX 768
#define SWIM_MEMBERS_MAX 65536 /* each takes some 200 bytes here and in serf, its card, and its coordinate */

struct swim_address {
	uint8_t ip[16];
	uint8_t ip_size; /* 4 or 16 */
	uint16_t port;
};

/* Times in ns. */
struct swim_config {
	uint64_t probe_interval, probe_timeout, gossip_interval, push_pull_interval, gossip_to_the_dead, dead_reclaim;
	unsigned gossip_nodes, indirect_checks, retransmit_mult, suspicion_mult, suspicion_max_mult;
	unsigned awareness_max; /* the score stays below it */
	uint16_t port;          /* the pool's; meant by port 0 */
	bool stream_pings;
};
struct swim_config swim_config_lan(void);
struct swim_config swim_config_wan(void);

/* What a member says of itself. */
struct swim_card {
	const char *name;
	struct bytes meta;
	struct swim_address address;
	uint8_t vsn[GOSSIP_VSN_BYTES];
};
/* The card of this content, of which the process keeps one; it stays as it is until all who hold it have released it. */
MUST_USE const struct swim_card *swim_card_take(const struct swim_card *like);
/* One that was taken, once more. Returns it. */
const struct swim_card *swim_card_hold(const struct swim_card *c);
void swim_card_release(const struct swim_card *c);

struct swim_member {
	const struct swim_card *card;
	uint32_t incarnation;
	enum gossip_state state;
	uint64_t since; /* in this state */
};

enum swim_change { SWIM_JOIN, SWIM_LEAVE, SWIM_UPDATE };

/* What the core asks of those around it. Pointers in arguments are valid during the call; none may call back into swim unless it says so. */
struct swim_ops {
	uint64_t (*random)(void *ctx, uint64_t below);
	/* A packet: one message or a compound, within GOSSIP_PACKET_BYTES unless a single message is larger. crc: to understands checksums. */
	void (*packet)(void *ctx, const struct swim_address *to, struct bytes message, bool crc);
	/* Ask this member the same by a stream: this message; then perhaps swim_stream_acked(seq). */
	void (*stream_ping)(void *ctx, const struct swim_address *to, struct bytes message, uint32_t seq);
	/* Compare states with this member. */
	void (*push_pull)(void *ctx, const struct swim_address *to, const char *name);
	/* Bytes that the envelope adds to a packet. */
	size_t (*overhead)(void *ctx);
	/* Whether m may be a member, and have this address. NULL: yes; else the reason. */
	const char *(*allowed)(void *ctx, const struct swim_member *m);
	/* The same for all of a join at once. error: SWIM_ERROR_MAX bytes. Not 0: refused, and the result of swim_merge. */
	int (*merge_allowed)(void *ctx, const struct swim_member *members, size_t count, char *error);
	void (*changed)(void *ctx, enum swim_change change, struct swim_member *m, uint64_t now);
	/* Another node claims the name of m (perhaps our own). */
	void (*conflict)(void *ctx, const struct swim_member *m, const struct swim_address *other);
	/* Forgotten now. */
	void (*forgotten)(void *ctx, struct swim_member *m);
	/* The word that we leave is out. */
	void (*left)(void *ctx);
	/* A user message (behind its type byte); anything of swim may be called. */
	void (*user)(void *ctx, struct bytes message, uint64_t now);
	/* Further messages for a packet, as broadcasts_take: with overhead each, up to limit. Returns the bytes used. */
	size_t (*broadcasts)(void *ctx, size_t overhead, size_t limit,
	    void (*each)(void *each_ctx, struct bytes message), void *each_ctx);
	/* What an ack of ours carries, and one that came in time for our own direct ping did. */
	void (*ack_payload)(void *ctx, struct buf *out);
	void (*acked)(void *ctx, const struct swim_member *m, uint64_t rtt, struct bytes payload);
	/* Lines for the log, without the module. */
	void (*say)(void *ctx, enum log_level level, const char *fmt, va_list args);
};

struct swim;

/* Copies all but ops and timers, which are borrowed. name below SWIM_NAME_MAX, meta at most GOSSIP_META_MAX. */
MUST_USE struct swim *swim_new(const struct swim_config *config, const struct swim_ops *ops, void *ctx,
    struct timers *timers, const char *name, const struct swim_address *address, struct bytes meta,
    const uint8_t vsn[GOSSIP_VSN_BYTES]);
void swim_free(struct swim *s);
/* Becomes a member, alone at first; probing and gossip begin. */
void swim_start(struct swim *s, uint64_t now);
/* Probing, gossip and push/pull end; what comes in is still answered. */
void swim_stop(struct swim *s);

/* One message out of a packet (envelope_parts), sent by from. */
void swim_message(struct swim *s, const struct swim_address *from, struct bytes message, uint64_t now);
/* The stream ping was answered. */
void swim_stream_acked(struct swim *s, uint32_t seq);
/* A ping that came by stream (its body): appends the answer. -1: it is not for us. */
MUST_USE int swim_stream_ping(struct swim *s, struct bytes body, struct buf *out);

/* Appends a push/pull message (with type byte): all members we know, and the user state. */
void swim_state_put(const struct swim *s, bool join, struct bytes user_state, struct buf *out);
/*
 * Looks at a push/pull's body that may not be complete: 0: more is needed, 1: it is whole, *size its bytes; -1: it is not one.
 * *at (0 at first) keeps how far it got. limit: of bytes in all.
 */
struct swim_state_progress {
	size_t at;
	uint64_t nodes, user_state;
	bool head;
};
MUST_USE int swim_state_scan(struct swim_state_progress *p, struct bytes body, size_t *size);
/* Takes over a whole state. *join, *user_state: what it says; to be merged by serf if this returns 0. Else refused, error says why: -1, or what merge_allowed returned. */
MUST_USE int swim_merge(
    struct swim *s, struct bytes body, bool *join, struct bytes *user_state, char error[SWIM_ERROR_MAX], uint64_t now);

/* Our meta has changed: tells all. */
void swim_update(struct swim *s, struct bytes meta, uint64_t now);
/* Tells all that we go. Until swim_left() it should be let run. */
void swim_leave(struct swim *s, uint64_t now);
/* The word is out, or there is nobody to hear it. */
bool swim_left(const struct swim *s);

/* Sends a user message to one member, alone in its packet. message: behind the type byte. */
void swim_send_user(struct swim *s, const struct swim_address *to, struct bytes message, bool crc);

/* ---- state ---- */

struct swim_member *swim_find(const struct swim *s, const char *name, size_t name_size);
const struct swim_member *swim_self(const struct swim *s);
/* All that are known, in any state, ourselves among them. */
size_t swim_count(const struct swim *s);
struct swim_member *swim_at(const struct swim *s, size_t i);
/* Those alive or suspect. */
size_t swim_alive_count(const struct swim *s);
unsigned swim_score(const struct swim *s);
size_t swim_queued(const struct swim *s);
/* Up to count members other than ourselves that fit, in random order, each once. */
size_t swim_choose(struct swim *s, size_t count, bool (*fits)(const struct swim_member *m, void *ctx), void *ctx,
    struct swim_member **out);
const size_t *swim_count_pointer(const struct swim *s);

/* A name that a member may have: not empty, of bounded length, without NUL. */
bool swim_is_name(struct bytes name);
void swim_address_of(struct bytes ip, uint64_t port, uint16_t default_port, struct swim_address *out);
bool swim_address_equal(const struct swim_address *a, const struct swim_address *b);
/* "127.0.0.1:8301" "[::1]:8301" */
#define SWIM_ADDRESS_TEXT_MAX 64
char *swim_address_text(const struct swim_address *a, char out[SWIM_ADDRESS_TEXT_MAX]);
/* Without the port: "127.0.0.1" "::1" */
char *swim_ip_text(const struct swim_address *a, char out[SWIM_ADDRESS_TEXT_MAX]);

#endif
