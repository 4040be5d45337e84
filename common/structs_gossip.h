/*
 * structs_gossip.h - what gossipd answers on gossipd.sock: members, joining, leaving, events (schema.h)
 *
 * Methods (errors are the texts of http-api.md 11.4-11.7 of the reference facts, with the HTTP status where it is not 500):
 *	Gossip.Members gossip_members_request -> gossip_members
 *	Gossip.Self {} -> gossip_self
 *	Gossip.Join gossip_join_request -> gossip_joined		an error only when no address could be contacted
 *	Gossip.ForceLeave gossip_force_leave_request -> {}
 *	Gossip.Leave {} -> {}						answered when the leave has spread
 *	Gossip.Stats {} -> gossip_stats
 *	Gossip.Subscribe gossip_subscribe_request -> DATA gossip_event	first each known member by its last event, then "synced", then the
 *							changes, and user events; an error when the subscriber is too slow: subscribe again
 *	Gossip.Event gossip_fire_request -> {}			tells all members of the LAN pool
 *	Gossip.EventFire user_event -> user_event		the HTTP API's kind of event; ID and Version are filled in
 *	Gossip.EventList gossip_event_list_request -> gossip_event_list	the last 256 that are for this node; held while Index is that of the list
 *	Gossip.Coordinates gossip_coordinates_request -> gossip_coordinates	our own, and those of members that have answered us
 *	Gossip.Keyring gossip_keyring_request -> gossip_keyring
 *
 * F(KIND, Name, member, flags, sub schema, JSON input aliases, doc)
 */
#ifndef COMMON_STRUCTS_GOSSIP_H
#define COMMON_STRUCTS_GOSSIP_H

#include "structs.h"

enum member_status { MEMBER_NONE, MEMBER_ALIVE, MEMBER_LEAVING, MEMBER_LEFT, MEMBER_FAILED };

#define MEMBER_FIELDS(F)                                                                                               \
	F(STR, "Name", name, 0, NULL, NULL, "node name, in the WAN pool NODE.DATACENTER")                              \
	F(STR, "Addr", addr, FIELD_IP, NULL, NULL, "IP as text")                                                       \
	F(UINT, "Port", port, FIELD_BITS16, NULL, NULL, "of the pool")                                                 \
	F(STRMAP, "Tags", tags, FIELD_NONNULL, NULL, NULL, "role, dc, id, port, build, ...")                           \
	F(INT, "Status", status, 0, NULL, NULL, "0 none, 1 alive, 2 leaving, 3 left, 4 failed")                        \
	F(UINT, "ProtocolMin", protocol_min, FIELD_BITS8, NULL, NULL, "gossip protocol understood, from")              \
	F(UINT, "ProtocolMax", protocol_max, FIELD_BITS8, NULL, NULL, "to")                                            \
	F(UINT, "ProtocolCur", protocol_cur, FIELD_BITS8, NULL, NULL, "spoken")                                        \
	F(UINT, "DelegateMin", delegate_min, FIELD_BITS8, NULL, NULL, "membership protocol understood, from")          \
	F(UINT, "DelegateMax", delegate_max, FIELD_BITS8, NULL, NULL, "to")                                            \
	F(UINT, "DelegateCur", delegate_cur, FIELD_BITS8, NULL, NULL, "spoken")
SCHEMA_DECLARE(member, MEMBER_FIELDS)

#define GOSSIP_MEMBERS_REQUEST_FIELDS(F)                                                                               \
	F(BOOL, "WAN", wan, 0, NULL, NULL, "the WAN pool")                                                             \
	F(STR, "Segment", segment, 0, NULL, NULL, "empty or _all; others are refused")                                 \
	F(STR, "Filter", filter, 0, NULL, NULL, "filter expression over the members")
SCHEMA_DECLARE(gossip_members_request, GOSSIP_MEMBERS_REQUEST_FIELDS)

#define GOSSIP_MEMBERS_FIELDS(F) F(LIST, "Members", members, 0, &member_schema, NULL, "nil: the WAN pool of a client")
SCHEMA_DECLARE(gossip_members, GOSSIP_MEMBERS_FIELDS)

#define GOSSIP_SELF_FIELDS(F)                                                                                          \
	F(STRUCT, "Member", member, 0, &member_schema, NULL, "this node in the LAN pool")                              \
	F(PTR, "Coord", coord, 0, &coordinate_schema, NULL, "nil: coordinates are disabled")
SCHEMA_DECLARE(gossip_self, GOSSIP_SELF_FIELDS)

#define GOSSIP_JOIN_REQUEST_FIELDS(F)                                                                                  \
	F(BOOL, "WAN", wan, 0, NULL, NULL, "")                                                                         \
	F(STRLIST, "Addresses", addresses, 0, NULL, NULL, "host or host:port")
SCHEMA_DECLARE(gossip_join_request, GOSSIP_JOIN_REQUEST_FIELDS)

#define GOSSIP_JOINED_FIELDS(F) F(UINT, "Joined", joined, 0, NULL, NULL, "nodes contacted")
SCHEMA_DECLARE(gossip_joined, GOSSIP_JOINED_FIELDS)

#define GOSSIP_FORCE_LEAVE_REQUEST_FIELDS(F)                                                                           \
	F(STR, "Node", node, 0, NULL, NULL, "member name")                                                             \
	F(BOOL, "WAN", wan, 0, NULL, NULL, "in the WAN pool")                                                          \
	F(BOOL, "Prune", prune, 0, NULL, NULL, "forget the member at once")
SCHEMA_DECLARE(gossip_force_leave_request, GOSSIP_FORCE_LEAVE_REQUEST_FIELDS)

#define GOSSIP_STATS_FIELDS(F)                                                                                         \
	F(STRMAP, "serf_lan", lan, 0, NULL, NULL, "")                                                                  \
	F(STRMAP, "serf_wan", wan, 0, NULL, NULL, "empty on clients")
SCHEMA_DECLARE(gossip_stats, GOSSIP_STATS_FIELDS)

#define GOSSIP_SUBSCRIBE_REQUEST_FIELDS(F) F(BOOL, "WAN", wan, 0, NULL, NULL, "")
SCHEMA_DECLARE(gossip_subscribe_request, GOSSIP_SUBSCRIBE_REQUEST_FIELDS)

#define GOSSIP_EVENT_FIELDS(F)                                                                                         \
	F(STR, "Event", event, 0, NULL, NULL, "member-join, -leave, -failed, -update, -reap; synced; user")            \
	F(PTR, "Member", member, 0, &member_schema, NULL, "as it is now; nil: synced, user")                           \
	F(STR, "Name", name, 0, NULL, NULL, "user: of the event on the wire, consul:new-leader")                       \
	F(BYTES, "Payload", payload, 0, NULL, NULL, "user")                                                            \
	F(UINT, "LTime", ltime, 0, NULL, NULL, "user")
SCHEMA_DECLARE(gossip_event, GOSSIP_EVENT_FIELDS)

#define GOSSIP_FIRE_REQUEST_FIELDS(F)                                                                                  \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(BYTES, "Payload", payload, 0, NULL, NULL, "name and payload together some 500 bytes at most")
SCHEMA_DECLARE(gossip_fire_request, GOSSIP_FIRE_REQUEST_FIELDS)

#define USER_EVENT_FIELDS(F)                                                                                           \
	F(STR, "ID", id, 0, NULL, NULL, "UUID")                                                                        \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(BYTES, "Payload", payload, 0, NULL, NULL, "")                                                                \
	F(STR, "NodeFilter", node_filter, 0, NULL, NULL, "regular expression on the node's name")                      \
	F(STR, "ServiceFilter", service_filter, 0, NULL, NULL, "on the name of a service of the node")                 \
	F(STR, "TagFilter", tag_filter, 0, NULL, NULL, "on a tag of that service")                                     \
	F(INT, "Version", version, 0, NULL, NULL, "1")                                                                 \
	F(UINT, "LTime", ltime, 0, NULL, NULL, "Lamport time")
SCHEMA_DECLARE(user_event, USER_EVENT_FIELDS)

#define GOSSIP_EVENT_LIST_REQUEST_FIELDS(F)                                                                            \
	F(STR, "Name", name, 0, NULL, NULL, "of the events; empty: all")                                               \
	F(UINT, "Index", index, 0, NULL, NULL, "0: answered at once")                                                  \
	F(DURATION, "MaxQueryTime", max_query_time, 0, NULL, NULL, "0: 10 min, which is the most")
SCHEMA_DECLARE(gossip_event_list_request, GOSSIP_EVENT_LIST_REQUEST_FIELDS)

#define GOSSIP_EVENT_LIST_FIELDS(F)                                                                                    \
	F(UINT, "Index", index, 0, NULL, NULL, "the two halves of the last one's ID, XORed; 1: there is none")         \
	F(LIST, "Events", events, FIELD_NONNULL, &user_event_schema, NULL, "oldest first")
SCHEMA_DECLARE(gossip_event_list, GOSSIP_EVENT_LIST_FIELDS)

#define GOSSIP_COORDINATES_REQUEST_FIELDS(F) F(BOOL, "WAN", wan, 0, NULL, NULL, "")
SCHEMA_DECLARE(gossip_coordinates_request, GOSSIP_COORDINATES_REQUEST_FIELDS)

#define GOSSIP_COORDINATE_FIELDS(F)                                                                                    \
	F(STR, "Node", node, 0, NULL, NULL, "member name")                                                             \
	F(STRUCT, "Coord", coord, 0, &coordinate_schema, NULL, "")
SCHEMA_DECLARE(gossip_coordinate, GOSSIP_COORDINATE_FIELDS)

#define GOSSIP_COORDINATES_FIELDS(F)                                                                                   \
	F(BOOL, "Disabled", disabled, 0, NULL, NULL, "")                                                               \
	F(LIST, "Coordinates", coordinates, FIELD_NONNULL, &gossip_coordinate_schema, NULL,                            \
	    "of members that are alive; ours first")
SCHEMA_DECLARE(gossip_coordinates, GOSSIP_COORDINATES_FIELDS)

#define GOSSIP_KEYRING_REQUEST_FIELDS(F)                                                                               \
	F(STR, "Operation", operation, 0, NULL, NULL, "list, install, use, remove")                                    \
	F(STR, "Key", key, 0, NULL, NULL, "base64; not for list")                                                      \
	F(UINT, "RelayFactor", relay_factor, 0, NULL, NULL, "through how many others answers come too, 0 to 5")        \
	F(BOOL, "LocalOnly", local_only, 0, NULL, NULL, "list: the LAN pool alone")
SCHEMA_DECLARE(gossip_keyring_request, GOSSIP_KEYRING_REQUEST_FIELDS)

#define KEYRING_RESPONSE_FIELDS(F)                                                                                     \
	F(BOOL, "WAN", wan, 0, NULL, NULL, "")                                                                         \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "Segment", segment, 0, NULL, NULL, "")                                                                  \
	F(STRMAP, "Messages", messages, FIELD_OMIT, NULL, NULL, "by member: why it did not, or what else it says")     \
	F(ANY, "Keys", keys, 0, NULL, NULL, "{key: members that have it}")                                             \
	F(ANY, "PrimaryKeys", primary_keys, 0, NULL, NULL, "{key: members that seal with it}")                         \
	F(INT, "NumNodes", node_count, 0, NULL, NULL, "")                                                              \
	F(STR, "Error", error, FIELD_OMIT, NULL, NULL, "")
SCHEMA_DECLARE(keyring_response, KEYRING_RESPONSE_FIELDS)

#define GOSSIP_KEYRING_FIELDS(F)                                                                                       \
	F(LIST, "Responses", responses, FIELD_NONNULL, &keyring_response_schema, NULL, "the WAN pool's first")
SCHEMA_DECLARE(gossip_keyring, GOSSIP_KEYRING_FIELDS)

#endif
