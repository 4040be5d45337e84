/*
 * structs_gossip.c - the tables of structs_gossip.h
 */
#include "structs_gossip.h"

/* SCHEMA_STRUCT is replaced by the tag before SCHEMA_ROW_ sees its arguments. */
#define ROW_OF(tag, ...) SCHEMA_ROW_(tag, __VA_ARGS__)
#define ROW(...) ROW_OF(SCHEMA_STRUCT, __VA_ARGS__)
#define TABLE(tag, go_name)                                                                                            \
	const struct schema tag##_schema = {go_name, tag##_rows, COUNTOF(tag##_rows), sizeof(struct tag), 0};

#define SCHEMA_STRUCT member
static const struct field member_rows[] = {MEMBER_FIELDS(ROW)};
TABLE(member, "Member")
#undef SCHEMA_STRUCT

#define SCHEMA_STRUCT coordinate
static const struct field coordinate_rows[] = {COORDINATE_FIELDS(ROW)};
TABLE(coordinate, "Coordinate")
#undef SCHEMA_STRUCT

#define SCHEMA_STRUCT gossip_members_request
static const struct field gossip_members_request_rows[] = {GOSSIP_MEMBERS_REQUEST_FIELDS(ROW)};
TABLE(gossip_members_request, "GossipMembersRequest")
#undef SCHEMA_STRUCT

#define SCHEMA_STRUCT gossip_members
static const struct field gossip_members_rows[] = {GOSSIP_MEMBERS_FIELDS(ROW)};
TABLE(gossip_members, "GossipMembers")
#undef SCHEMA_STRUCT

#define SCHEMA_STRUCT gossip_self
static const struct field gossip_self_rows[] = {GOSSIP_SELF_FIELDS(ROW)};
TABLE(gossip_self, "GossipSelf")
#undef SCHEMA_STRUCT

#define SCHEMA_STRUCT gossip_join_request
static const struct field gossip_join_request_rows[] = {GOSSIP_JOIN_REQUEST_FIELDS(ROW)};
TABLE(gossip_join_request, "GossipJoinRequest")
#undef SCHEMA_STRUCT

#define SCHEMA_STRUCT gossip_joined
static const struct field gossip_joined_rows[] = {GOSSIP_JOINED_FIELDS(ROW)};
TABLE(gossip_joined, "GossipJoined")
#undef SCHEMA_STRUCT

#define SCHEMA_STRUCT gossip_force_leave_request
static const struct field gossip_force_leave_request_rows[] = {GOSSIP_FORCE_LEAVE_REQUEST_FIELDS(ROW)};
TABLE(gossip_force_leave_request, "GossipForceLeaveRequest")
#undef SCHEMA_STRUCT

#define SCHEMA_STRUCT gossip_stats
static const struct field gossip_stats_rows[] = {GOSSIP_STATS_FIELDS(ROW)};
TABLE(gossip_stats, "GossipStats")
#undef SCHEMA_STRUCT

#define SCHEMA_STRUCT gossip_subscribe_request
static const struct field gossip_subscribe_request_rows[] = {GOSSIP_SUBSCRIBE_REQUEST_FIELDS(ROW)};
TABLE(gossip_subscribe_request, "GossipSubscribeRequest")
#undef SCHEMA_STRUCT

#define SCHEMA_STRUCT gossip_event
static const struct field gossip_event_rows[] = {GOSSIP_EVENT_FIELDS(ROW)};
TABLE(gossip_event, "GossipEvent")
#undef SCHEMA_STRUCT
