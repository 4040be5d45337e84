/*
 * member.h - this node as a member of its pools: names, addresses, tags; and members as others of the suite see them (structs_gossip.h)
 */
#ifndef GOSSIPD_MEMBER_H
#define GOSSIPD_MEMBER_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"
#include "conf.h"
#include "serf.h"
#include "structs_gossip.h"

#define MEMBER_TAGS_MAX 24
#define MEMBER_NAME_MAX SWIM_NAME_MAX
#define MEMBER_TAG_VALUE_MAX 128

struct self_tag {
	const char *name;
	char value[MEMBER_TAG_VALUE_MAX];
};

/* One pool's view of us. Tags are sorted by name. */
struct self {
	bool wan;
	char name[MEMBER_NAME_MAX];
	struct swim_address address;
	struct self_tag tags[MEMBER_TAGS_MAX];
	size_t tag_count;
};

/* The versions that we announce. */
extern const uint8_t self_vsn[GOSSIP_VSN_BYTES];

/* -1: an address that is not one, or a name that is too long; *why is a static text. */
MUST_USE int self_init(struct self *s, const struct conf *c, bool wan, const char **why);
/* Appends the tags as serf's meta. -1: longer than GOSSIP_META_MAX. */
MUST_USE int self_meta_put(const struct self *s, struct buf *out);
/* Appends a member as its struct on our own wire. */
void member_encode(const struct serf_member *m, struct buf *out);

#endif
