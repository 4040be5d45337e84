/*
 * structs_gossip.c - the tables of structs_gossip.h
 */
#include "structs_gossip.h"

SCHEMA_DEFINE(member, "Member", MEMBER_FIELDS, 0)
SCHEMA_DEFINE(gossip_members_request, "GossipMembersRequest", GOSSIP_MEMBERS_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(gossip_members, "GossipMembers", GOSSIP_MEMBERS_FIELDS, 0)
SCHEMA_DEFINE(gossip_self, "GossipSelf", GOSSIP_SELF_FIELDS, 0)
SCHEMA_DEFINE(gossip_join_request, "GossipJoinRequest", GOSSIP_JOIN_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(gossip_joined, "GossipJoined", GOSSIP_JOINED_FIELDS, 0)
SCHEMA_DEFINE(gossip_force_leave_request, "GossipForceLeaveRequest", GOSSIP_FORCE_LEAVE_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(gossip_stats, "GossipStats", GOSSIP_STATS_FIELDS, 0)
SCHEMA_DEFINE(gossip_subscribe_request, "GossipSubscribeRequest", GOSSIP_SUBSCRIBE_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(gossip_event, "GossipEvent", GOSSIP_EVENT_FIELDS, 0)
SCHEMA_DEFINE(gossip_fire_request, "GossipFireRequest", GOSSIP_FIRE_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(user_event, "agent.UserEvent", USER_EVENT_FIELDS, 0)
SCHEMA_DEFINE(gossip_event_list_request, "GossipEventListRequest", GOSSIP_EVENT_LIST_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(gossip_event_list, "GossipEventList", GOSSIP_EVENT_LIST_FIELDS, 0)
SCHEMA_DEFINE(gossip_coordinates_request, "GossipCoordinatesRequest", GOSSIP_COORDINATES_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(gossip_coordinate, "GossipCoordinate", GOSSIP_COORDINATE_FIELDS, 0)
SCHEMA_DEFINE(gossip_coordinates, "GossipCoordinates", GOSSIP_COORDINATES_FIELDS, 0)
SCHEMA_DEFINE(gossip_keyring_request, "GossipKeyringRequest", GOSSIP_KEYRING_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(keyring_response, "KeyringResponse", KEYRING_RESPONSE_FIELDS, 0)
SCHEMA_DEFINE(gossip_keyring, "GossipKeyring", GOSSIP_KEYRING_FIELDS, 0)
