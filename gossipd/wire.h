/*
 * wire.h - the bodies of all gossip messages, each described once (schema.h), in the order they have on the wire
 *
 * Source: memberlist and serf as Consul uses them; field names are theirs. A message is a type byte and one map. Addresses are 4 or 16 raw
 * bytes in network order; Vsn is six bytes: protocol min, max, current, delegate min, max, current.
 */
#ifndef GOSSIPD_WIRE_H
#define GOSSIPD_WIRE_H

#include "schema.h"

/* First byte of a packet or stream, after label and encryption. */
enum gossip_type {
	GOSSIP_PING = 0,
	GOSSIP_INDIRECT_PING = 1,
	GOSSIP_ACK = 2,
	GOSSIP_SUSPECT = 3,
	GOSSIP_ALIVE = 4,
	GOSSIP_DEAD = 5,
	GOSSIP_PUSH_PULL = 6,
	GOSSIP_COMPOUND = 7,
	GOSSIP_USER = 8,
	GOSSIP_COMPRESSED = 9,
	GOSSIP_ENCRYPTED = 10, /* streams only: encrypted packets have no type byte */
	GOSSIP_NACK = 11,
	GOSSIP_HAS_CRC = 12,
	GOSSIP_ERROR = 13,
	GOSSIP_LABEL = 244,
};

/* First byte of a user message. */
enum serf_type {
	SERF_LEAVE = 0,
	SERF_JOIN = 1,
	SERF_PUSH_PULL = 2,
	SERF_USER_EVENT = 3,
	SERF_QUERY = 4,
	SERF_QUERY_RESPONSE = 5,
	SERF_CONFLICT_RESPONSE = 6,
	SERF_KEY_REQUEST = 7,
	SERF_KEY_RESPONSE = 8,
	SERF_RELAY = 9,
};

#define GOSSIP_VSN_BYTES 6
#define GOSSIP_META_MAX 512
#define GOSSIP_PACKET_BYTES 1400 /* what we fill; single larger messages still go out */
#define GOSSIP_PACKET_MAX 65536  /* what we take */
#define GOSSIP_STREAM_MAX (20u * 1024 * 1024)
#define GOSSIP_NODES_MAX 1048576u /* in one push/pull */
#define SERF_QUERY_ACK 1u         /* query: acknowledge; response: this is the acknowledgement */
#define SERF_QUERY_NO_BROADCAST 2u

/* ---- memberlist ---- */

#define GOSSIP_PING_FIELDS(F)                                                                                          \
	F(STR, "Node", node, 0, NULL, NULL, "whom it is for; empty: whoever gets it")                                  \
	F(UINT, "SeqNo", seq, 0, NULL, NULL, "")                                                                       \
	F(BYTES, "SourceAddr", source_addr, FIELD_WIREOMIT, NULL, NULL, "where the answer goes, else to the sender")   \
	F(STR, "SourceNode", source_node, FIELD_WIREOMIT, NULL, NULL, "")                                              \
	F(UINT, "SourcePort", source_port, FIELD_WIREOMIT, NULL, NULL, "")
SCHEMA_DECLARE(gossip_ping, GOSSIP_PING_FIELDS)

#define GOSSIP_INDIRECT_PING_FIELDS(F)                                                                                 \
	F(BOOL, "Nack", nack, 0, NULL, NULL, "tell also if the target did not answer")                                 \
	F(STR, "Node", node, 0, NULL, NULL, "name of the target")                                                      \
	F(UINT, "Port", port, 0, NULL, NULL, "of the target; 0: the pool's")                                           \
	F(UINT, "SeqNo", seq, 0, NULL, NULL, "")                                                                       \
	F(BYTES, "SourceAddr", source_addr, FIELD_WIREOMIT, NULL, NULL, "where the answer goes")                       \
	F(STR, "SourceNode", source_node, FIELD_WIREOMIT, NULL, NULL, "")                                              \
	F(UINT, "SourcePort", source_port, FIELD_WIREOMIT, NULL, NULL, "")                                             \
	F(BYTES, "Target", target, 0, NULL, NULL, "address")
SCHEMA_DECLARE(gossip_indirect_ping, GOSSIP_INDIRECT_PING_FIELDS)

#define GOSSIP_ACK_FIELDS(F)                                                                                           \
	F(BYTES, "Payload", payload, 0, NULL, NULL, "of a direct answer: the coordinate")                              \
	F(UINT, "SeqNo", seq, 0, NULL, NULL, "")
SCHEMA_DECLARE(gossip_ack, GOSSIP_ACK_FIELDS)

#define GOSSIP_NACK_FIELDS(F) F(UINT, "SeqNo", seq, 0, NULL, NULL, "")
SCHEMA_DECLARE(gossip_nack, GOSSIP_NACK_FIELDS)

/* SUSPECT and DEAD; DEAD from the node itself: it leaves. */
#define GOSSIP_ACCUSATION_FIELDS(F)                                                                                    \
	F(STR, "From", from, 0, NULL, NULL, "who says so")                                                             \
	F(UINT, "Incarnation", incarnation, 0, NULL, NULL, "")                                                         \
	F(STR, "Node", node, 0, NULL, NULL, "")
SCHEMA_DECLARE(gossip_accusation, GOSSIP_ACCUSATION_FIELDS)

#define GOSSIP_ALIVE_FIELDS(F)                                                                                         \
	F(BYTES, "Addr", addr, 0, NULL, NULL, "")                                                                      \
	F(UINT, "Incarnation", incarnation, 0, NULL, NULL, "")                                                         \
	F(BYTES, "Meta", meta, 0, NULL, NULL, "tags, up to GOSSIP_META_MAX")                                           \
	F(STR, "Node", node, 0, NULL, NULL, "")                                                                        \
	F(UINT, "Port", port, 0, NULL, NULL, "0: the pool's")                                                          \
	F(BYTES, "Vsn", vsn, 0, NULL, NULL, "")
SCHEMA_DECLARE(gossip_alive, GOSSIP_ALIVE_FIELDS)

#define GOSSIP_ERROR_FIELDS(F) F(STR, "Error", error, 0, NULL, NULL, "")
SCHEMA_DECLARE(gossip_error, GOSSIP_ERROR_FIELDS)

/* PUSH_PULL: this head, the nodes, the user state. */
#define GOSSIP_PUSH_PULL_FIELDS(F)                                                                                     \
	F(BOOL, "Join", join, 0, NULL, NULL, "")                                                                       \
	F(UINT, "Nodes", nodes, 0, NULL, NULL, "how many follow")                                                      \
	F(UINT, "UserStateLen", user_state_bytes, 0, NULL, NULL, "how many bytes follow the nodes")
SCHEMA_DECLARE(gossip_push_pull, GOSSIP_PUSH_PULL_FIELDS)

enum gossip_state { GOSSIP_STATE_ALIVE, GOSSIP_STATE_SUSPECT, GOSSIP_STATE_DEAD, GOSSIP_STATE_LEFT };

#define GOSSIP_NODE_FIELDS(F)                                                                                          \
	F(BYTES, "Addr", addr, 0, NULL, NULL, "")                                                                      \
	F(UINT, "Incarnation", incarnation, 0, NULL, NULL, "")                                                         \
	F(BYTES, "Meta", meta, 0, NULL, NULL, "")                                                                      \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(UINT, "Port", port, 0, NULL, NULL, "")                                                                       \
	F(UINT, "State", state, 0, NULL, NULL, "enum gossip_state")                                                    \
	F(BYTES, "Vsn", vsn, 0, NULL, NULL, "")
SCHEMA_DECLARE(gossip_node, GOSSIP_NODE_FIELDS)

/* USER in a stream: this head, then the bytes. */
#define GOSSIP_USER_HEAD_FIELDS(F) F(UINT, "UserMsgLen", bytes, 0, NULL, NULL, "")
SCHEMA_DECLARE(gossip_user_head, GOSSIP_USER_HEAD_FIELDS)

/* COMPRESSED; the only algorithm is 0 (lzw.h). */
#define GOSSIP_COMPRESSED_FIELDS(F)                                                                                    \
	F(UINT, "Algo", algorithm, 0, NULL, NULL, "")                                                                  \
	F(BYTES, "Buf", data, 0, NULL, NULL, "")
SCHEMA_DECLARE(gossip_compressed, GOSSIP_COMPRESSED_FIELDS)

/* ---- serf ---- */

#define SERF_LEAVE_FIELDS(F)                                                                                           \
	F(UINT, "LTime", ltime, 0, NULL, NULL, "")                                                                     \
	F(STR, "Node", node, 0, NULL, NULL, "")                                                                        \
	F(BOOL, "Prune", prune, 0, NULL, NULL, "forget it at once")
SCHEMA_DECLARE(serf_leave, SERF_LEAVE_FIELDS)

#define SERF_JOIN_FIELDS(F)                                                                                            \
	F(UINT, "LTime", ltime, 0, NULL, NULL, "")                                                                     \
	F(STR, "Node", node, 0, NULL, NULL, "")
SCHEMA_DECLARE(serf_join, SERF_JOIN_FIELDS)

#define SERF_EVENT_FIELDS(F)                                                                                           \
	F(BOOL, "CC", coalesce, 0, NULL, NULL, "whoever delivers it may drop all but the last of a name")              \
	F(UINT, "LTime", ltime, 0, NULL, NULL, "")                                                                     \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(BYTES, "Payload", payload, 0, NULL, NULL, "")
SCHEMA_DECLARE(serf_event, SERF_EVENT_FIELDS)

#define SERF_QUERY_FIELDS(F)                                                                                           \
	F(BYTES, "Addr", addr, 0, NULL, NULL, "where responses go")                                                    \
	F(ANY, "Filters", filters, 0, NULL, NULL, "[bytes]: type byte (0: names, 1: tag) and its body")                \
	F(UINT, "Flags", flags, 0, NULL, NULL, "")                                                                     \
	F(UINT, "ID", id, 0, NULL, NULL, "")                                                                           \
	F(UINT, "LTime", ltime, 0, NULL, NULL, "")                                                                     \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(BYTES, "Payload", payload, 0, NULL, NULL, "")                                                                \
	F(UINT, "Port", port, 0, NULL, NULL, "")                                                                       \
	F(UINT, "RelayFactor", relay_factor, 0, NULL, NULL, "through how many others responses come too")              \
	F(STR, "SourceNode", source_node, 0, NULL, NULL, "")                                                           \
	F(DURATION, "Timeout", timeout, 0, NULL, NULL, "ns")
SCHEMA_DECLARE(serf_query, SERF_QUERY_FIELDS)

#define SERF_QUERY_RESPONSE_FIELDS(F)                                                                                  \
	F(UINT, "Flags", flags, 0, NULL, NULL, "")                                                                     \
	F(STR, "From", from, 0, NULL, NULL, "")                                                                        \
	F(UINT, "ID", id, 0, NULL, NULL, "")                                                                           \
	F(UINT, "LTime", ltime, 0, NULL, NULL, "")                                                                     \
	F(BYTES, "Payload", payload, 0, NULL, NULL, "")
SCHEMA_DECLARE(serf_query_response, SERF_QUERY_RESPONSE_FIELDS)

/* CONFLICT_RESPONSE: what the answerer knows of a member. */
#define SERF_MEMBER_FIELDS(F)                                                                                          \
	F(BYTES, "Addr", addr, 0, NULL, NULL, "")                                                                      \
	F(UINT, "DelegateCur", delegate_cur, 0, NULL, NULL, "")                                                        \
	F(UINT, "DelegateMax", delegate_max, 0, NULL, NULL, "")                                                        \
	F(UINT, "DelegateMin", delegate_min, 0, NULL, NULL, "")                                                        \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(UINT, "Port", port, 0, NULL, NULL, "")                                                                       \
	F(UINT, "ProtocolCur", protocol_cur, 0, NULL, NULL, "")                                                        \
	F(UINT, "ProtocolMax", protocol_max, 0, NULL, NULL, "")                                                        \
	F(UINT, "ProtocolMin", protocol_min, 0, NULL, NULL, "")                                                        \
	F(INT, "Status", status, 0, NULL, NULL, "enum member_status")                                                  \
	F(STRMAP, "Tags", tags, 0, NULL, NULL, "")
SCHEMA_DECLARE(serf_member_wire, SERF_MEMBER_FIELDS)

#define SERF_KEY_REQUEST_FIELDS(F) F(STR, "Key", key, 0, NULL, NULL, "raw; empty: list")
SCHEMA_DECLARE(serf_key_request, SERF_KEY_REQUEST_FIELDS)

#define SERF_KEY_RESPONSE_FIELDS(F)                                                                                    \
	F(STRLIST, "Keys", keys, 0, NULL, NULL, "base64, the primary one first")                                       \
	F(STR, "Message", message, 0, NULL, NULL, "")                                                                  \
	F(STR, "PrimaryKey", primary_key, 0, NULL, NULL, "base64")                                                     \
	F(BOOL, "Result", result, 0, NULL, NULL, "")
SCHEMA_DECLARE(serf_key_response, SERF_KEY_RESPONSE_FIELDS)

#define SERF_ADDRESS_FIELDS(F)                                                                                         \
	F(BYTES, "IP", ip, 0, NULL, NULL, "")                                                                          \
	F(INT, "Port", port, 0, NULL, NULL, "")                                                                        \
	F(STR, "Zone", zone, 0, NULL, NULL, "")
SCHEMA_DECLARE(serf_address, SERF_ADDRESS_FIELDS)

/* RELAY: this head, then the message that shall go there. */
#define SERF_RELAY_FIELDS(F)                                                                                           \
	F(STRUCT, "DestAddr", dest_addr, 0, &serf_address_schema, NULL, "")                                            \
	F(STR, "DestName", dest_name, 0, NULL, NULL, "")
SCHEMA_DECLARE(serf_relay, SERF_RELAY_FIELDS)

/* PUSH_PULL: the user state of memberlist's. */
#define SERF_PUSH_PULL_FIELDS(F)                                                                                       \
	F(UINT, "EventLTime", event_ltime, 0, NULL, NULL, "event clock")                                               \
	F(ANY, "Events", events, 0, NULL, NULL, "[nil or serf_events]: the recent ones, as they lie in the ring")      \
	F(UINT, "LTime", ltime, 0, NULL, NULL, "member clock")                                                         \
	F(STRLIST, "LeftMembers", left_members, 0, NULL, NULL, "")                                                     \
	F(UINT, "QueryLTime", query_ltime, 0, NULL, NULL, "query clock")                                               \
	F(ANY, "StatusLTimes", status_ltimes, 0, NULL, NULL, "{name: time of the member's last intent}")
SCHEMA_DECLARE(serf_push_pull, SERF_PUSH_PULL_FIELDS)

#define SERF_EVENTS_FIELDS(F)                                                                                          \
	F(ANY, "Events", events, 0, NULL, NULL, "[serf_buffered_event]")                                               \
	F(UINT, "LTime", ltime, 0, NULL, NULL, "of all of them")
SCHEMA_DECLARE(serf_events, SERF_EVENTS_FIELDS)

#define SERF_BUFFERED_EVENT_FIELDS(F)                                                                                  \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(BYTES, "Payload", payload, 0, NULL, NULL, "")
SCHEMA_DECLARE(serf_buffered_event, SERF_BUFFERED_EVENT_FIELDS)

/* Payload of an ack, behind version byte 1. */
#define SERF_COORDINATE_FIELDS(F)                                                                                      \
	F(FLOAT, "Adjustment", adjustment, 0, NULL, NULL, "seconds")                                                   \
	F(FLOAT, "Error", error, 0, NULL, NULL, "")                                                                    \
	F(FLOAT, "Height", height, 0, NULL, NULL, "seconds")                                                           \
	F(ANY, "Vec", vec, 0, NULL, NULL, "[float], seconds")
SCHEMA_DECLARE(serf_coordinate, SERF_COORDINATE_FIELDS)

/* ---- putting a message together ---- */

/* Appends type byte and body. */
void gossip_message_put(struct buf *out, enum gossip_type type, const struct schema *s, const void *body);
/* The same with GOSSIP_USER in front. */
void serf_message_put(struct buf *out, enum serf_type type, const struct schema *s, const void *body);

#endif
