/*
 * member.h - this node as a member of its pools: names, addresses, tags (http-api.md 10.9, wire-gossip.md of the reference facts)
 */
#ifndef GOSSIPD_MEMBER_H
#define GOSSIPD_MEMBER_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"
#include "conf.h"
#include "structs_gossip.h"

#define MEMBER_TAGS_MAX 24
#define MEMBER_NAME_MAX 512
#define MEMBER_TAG_VALUE_MAX 128

struct self_tag {
	const char *name;
	char value[MEMBER_TAG_VALUE_MAX];
};

/* One pool's view of us. Tags are sorted by name. */
struct self {
	bool wan;
	char name[MEMBER_NAME_MAX];
	char address[64];
	uint16_t port;
	enum member_status status;
	struct self_tag tags[MEMBER_TAGS_MAX];
	size_t tag_count;
};

void self_init(struct self *s, const struct conf *c, bool wan);
/* Appends the member as its struct on the wire. */
void self_encode(const struct self *s, struct buf *out);
/* Appends the coordinate of a node that has measured nothing yet. */
void coordinate_encode_origin(struct buf *out);

#endif
