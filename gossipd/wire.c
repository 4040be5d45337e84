/*
 * wire.c - the tables of wire.h
 */
#include "wire.h"

SCHEMA_DEFINE(gossip_ping, "ping", GOSSIP_PING_FIELDS, 0)
SCHEMA_DEFINE(gossip_indirect_ping, "indirectPing", GOSSIP_INDIRECT_PING_FIELDS, 0)
SCHEMA_DEFINE(gossip_ack, "ackResp", GOSSIP_ACK_FIELDS, 0)
SCHEMA_DEFINE(gossip_nack, "nackResp", GOSSIP_NACK_FIELDS, 0)
SCHEMA_DEFINE(gossip_accusation, "suspect", GOSSIP_ACCUSATION_FIELDS, 0)
SCHEMA_DEFINE(gossip_alive, "alive", GOSSIP_ALIVE_FIELDS, 0)
SCHEMA_DEFINE(gossip_error, "errResp", GOSSIP_ERROR_FIELDS, 0)
SCHEMA_DEFINE(gossip_push_pull, "pushPullHeader", GOSSIP_PUSH_PULL_FIELDS, 0)
SCHEMA_DEFINE(gossip_node, "pushNodeState", GOSSIP_NODE_FIELDS, 0)
SCHEMA_DEFINE(gossip_user_head, "userMsgHeader", GOSSIP_USER_HEAD_FIELDS, 0)
SCHEMA_DEFINE(gossip_compressed, "compress", GOSSIP_COMPRESSED_FIELDS, 0)
SCHEMA_DEFINE(serf_leave, "messageLeave", SERF_LEAVE_FIELDS, 0)
SCHEMA_DEFINE(serf_join, "messageJoin", SERF_JOIN_FIELDS, 0)
SCHEMA_DEFINE(serf_event, "messageUserEvent", SERF_EVENT_FIELDS, 0)
SCHEMA_DEFINE(serf_query, "messageQuery", SERF_QUERY_FIELDS, 0)
SCHEMA_DEFINE(serf_query_response, "messageQueryResponse", SERF_QUERY_RESPONSE_FIELDS, 0)
SCHEMA_DEFINE(serf_member_wire, "Member", SERF_MEMBER_FIELDS, 0)
SCHEMA_DEFINE(serf_key_request, "keyRequest", SERF_KEY_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(serf_key_response, "nodeKeyResponse", SERF_KEY_RESPONSE_FIELDS, 0)
SCHEMA_DEFINE(serf_address, "UDPAddr", SERF_ADDRESS_FIELDS, 0)
SCHEMA_DEFINE(serf_relay, "relayHeader", SERF_RELAY_FIELDS, 0)
SCHEMA_DEFINE(serf_push_pull, "messagePushPull", SERF_PUSH_PULL_FIELDS, 0)
SCHEMA_DEFINE(serf_events, "userEvents", SERF_EVENTS_FIELDS, 0)
SCHEMA_DEFINE(serf_buffered_event, "userEvent", SERF_BUFFERED_EVENT_FIELDS, 0)
SCHEMA_DEFINE(serf_coordinate, "Coordinate", SERF_COORDINATE_FIELDS, 0)

void
gossip_message_put(struct buf *out, enum gossip_type type, const struct schema *s, const void *body)
{
	buf_put_u8(out, (uint8_t)type);
	schema_encode(s, body, out);
}

void
serf_message_put(struct buf *out, enum serf_type type, const struct schema *s, const void *body)
{
	buf_put_u8(out, GOSSIP_USER);
	buf_put_u8(out, (uint8_t)type);
	schema_encode(s, body, out);
}
