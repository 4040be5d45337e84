/*
 * structs_operator.h - what those who run a cluster ask for: Raft's configuration, autopilot's settings and its view of the servers (schema.h)
 *
 * Methods (all answered by the leader, the settings by any server if the question allows it):
 *	Operator.RaftGetConfiguration dc_request -> raft_configuration
 *	Operator.RaftRemovePeerByID, RaftRemovePeerByAddress raft_remove_peer_request -> {}
 *	Operator.TransferLeader transfer_leader_request -> transfer_leader_response	the reference's own is a gRPC method
 *	Operator.AutopilotGetConfiguration dc_request -> autopilot_config
 *	Operator.AutopilotSetConfiguration autopilot_set_config_request -> bool	false: CAS did not match
 *	Operator.ServerHealth dc_request -> autopilot_health_reply
 *	Operator.AutopilotState dc_request -> autopilot_state
 *
 * F(KIND, Name, member, flags, sub schema, JSON input aliases, doc)
 */
#ifndef COMMON_STRUCTS_OPERATOR_H
#define COMMON_STRUCTS_OPERATOR_H

#include "structs.h"

/* ---- Raft ---- */

#define RAFT_SERVER_FIELDS(F)                                                                                          \
	F(STR, "ID", id, 0, NULL, NULL, "node ID")                                                                     \
	F(STR, "Node", node, 0, NULL, NULL, "its name, (unknown): no member has this ID")                              \
	F(STR, "Address", address, 0, NULL, NULL, "host:port")                                                         \
	F(BOOL, "Leader", leader, 0, NULL, NULL, "")                                                                   \
	F(STR, "ProtocolVersion", protocol_version, 0, NULL, NULL, "of Raft, as its member's tags say")                \
	F(BOOL, "Voter", voter, 0, NULL, NULL, "")                                                                     \
	F(UINT, "LastIndex", last_index, 0, NULL, NULL, "of its log, when autopilot last looked")
SCHEMA_DECLARE(raft_server, RAFT_SERVER_FIELDS)

#define RAFT_CONFIGURATION_FIELDS(F)                                                                                   \
	F(LIST, "Servers", servers, 0, &raft_server_schema, NULL, "")                                                  \
	F(UINT, "Index", index, 0, NULL, NULL, "always 0")
SCHEMA_DECLARE(raft_configuration_response, RAFT_CONFIGURATION_FIELDS)

#define RAFT_REMOVE_PEER_REQUEST_FIELDS(F)                                                                             \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "Address", address, 0, NULL, NULL, "host:port; by address")                                             \
	F(STR, "ID", id, 0, NULL, NULL, "node ID; by ID")                                                              \
	WRITE_REQUEST_FIELDS(F)
SCHEMA_DECLARE(raft_remove_peer_request, RAFT_REMOVE_PEER_REQUEST_FIELDS)

#define TRANSFER_LEADER_REQUEST_FIELDS(F)                                                                              \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "ID", id, 0, NULL, NULL, "node ID of the next leader; empty: the voter that is furthest")               \
	WRITE_REQUEST_FIELDS(F)
SCHEMA_DECLARE(transfer_leader_request, TRANSFER_LEADER_REQUEST_FIELDS)

#define TRANSFER_LEADER_RESPONSE_FIELDS(F) F(BOOL, "Success", success, 0, NULL, NULL, "")
SCHEMA_DECLARE(transfer_leader_response, TRANSFER_LEADER_RESPONSE_FIELDS)

/* ---- autopilot's settings ---- */

#define AUTOPILOT_SETTINGS_FIELDS(F)                                                                                   \
	F(BOOL, "CleanupDeadServers", cleanup_dead_servers, 0, NULL, NULL, "")                                         \
	F(DURATION, "LastContactThreshold", last_contact_threshold, FIELD_TEXT, NULL, NULL,                            \
	    "longest silence of a healthy server")                                                                     \
	F(UINT, "MaxTrailingLogs", max_trailing_logs, 0, NULL, NULL, "entries that a healthy server may be behind")    \
	F(UINT, "MinQuorum", min_quorum, 0, NULL, NULL, "voters that are kept, even dead ones")                        \
	F(DURATION, "ServerStabilizationTime", server_stabilization_time, FIELD_TEXT, NULL, NULL,                      \
	    "how long a new server must be healthy before it votes")                                                   \
	F(STR, "RedundancyZoneTag", redundancy_zone_tag, 0, NULL, NULL, "stored, without effect")                      \
	F(BOOL, "DisableUpgradeMigration", disable_upgrade_migration, 0, NULL, NULL, "stored, without effect")         \
	F(STR, "UpgradeVersionTag", upgrade_version_tag, 0, NULL, NULL, "stored, without effect")
#define AUTOPILOT_CONFIG_FIELDS(F) AUTOPILOT_SETTINGS_FIELDS(F) RAFT_INDEX_FIELDS(F)
SCHEMA_DECLARE(autopilot_config, AUTOPILOT_CONFIG_FIELDS)

#define AUTOPILOT_SET_CONFIG_REQUEST_FIELDS(F)                                                                         \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STRUCT, "Config", config, 0, &autopilot_config_schema, NULL, "")                                             \
	F(BOOL, "CAS", cas, 0, NULL, NULL, "only if ModifyIndex is still that of Config")                              \
	WRITE_REQUEST_FIELDS(F)
SCHEMA_DECLARE(autopilot_set_config_request, AUTOPILOT_SET_CONFIG_REQUEST_FIELDS)

/* What the reference takes where nothing is configured. */
#define AUTOPILOT_LAST_CONTACT_NS INT64_C(200000000)
#define AUTOPILOT_MAX_TRAILING_LOGS 250
#define AUTOPILOT_STABILIZATION_NS INT64_C(10000000000)

/* ---- its view ---- */

#define AUTOPILOT_SERVER_HEALTH_FIELDS(F)                                                                              \
	F(STR, "ID", id, 0, NULL, NULL, "node ID")                                                                     \
	F(STR, "Name", name, 0, NULL, NULL, "node name")                                                               \
	F(STR, "Address", address, 0, NULL, NULL, "host:port")                                                         \
	F(INT, "SerfStatus", serf_status, 0, NULL, NULL, "enum member_status")                                         \
	F(STR, "Version", version, 0, NULL, NULL, "")                                                                  \
	F(BOOL, "Leader", leader, 0, NULL, NULL, "")                                                                   \
	F(DURATION, "LastContact", last_contact, FIELD_TEXT, NULL, NULL, "since it was heard of; -1: never")           \
	F(UINT, "LastTerm", last_term, 0, NULL, NULL, "of its log's last entry")                                       \
	F(UINT, "LastIndex", last_index, 0, NULL, NULL, "")                                                            \
	F(BOOL, "Healthy", healthy, 0, NULL, NULL, "")                                                                 \
	F(BOOL, "Voter", voter, 0, NULL, NULL, "")                                                                     \
	F(TIME, "StableSince", stable_since, 0, NULL, NULL, "when Healthy last changed")
SCHEMA_DECLARE(autopilot_server_health, AUTOPILOT_SERVER_HEALTH_FIELDS)

#define AUTOPILOT_HEALTH_FIELDS(F)                                                                                     \
	F(BOOL, "Healthy", healthy, 0, NULL, NULL, "all servers are")                                                  \
	F(INT, "FailureTolerance", failure_tolerance, 0, NULL, NULL,                                                   \
	    "so many healthy voters may fail, and there is still a leader")                                            \
	F(LIST, "Servers", servers, 0, &autopilot_server_health_schema, NULL, "nil: not looked at yet")
SCHEMA_DECLARE(autopilot_health_reply, AUTOPILOT_HEALTH_FIELDS)

#define AUTOPILOT_SERVER_FIELDS(F)                                                                                     \
	F(STR, "ID", id, 0, NULL, NULL, "node ID")                                                                     \
	F(STR, "Name", name, 0, NULL, NULL, "node name")                                                               \
	F(STR, "Address", address, 0, NULL, NULL, "host:port")                                                         \
	F(STR, "NodeStatus", node_status, 0, NULL, NULL, "alive, failed, left, unknown")                               \
	F(STR, "Version", version, 0, NULL, NULL, "")                                                                  \
	F(STRMAP, "Meta", meta, 0, NULL, NULL, "of the node")                                                          \
	F(INT, "RaftVersion", raft_version, 0, NULL, NULL, "")                                                         \
	F(BOOL, "IsLeader", is_leader, 0, NULL, NULL, "")                                                              \
	F(STR, "NodeType", node_type, 0, NULL, NULL, "voter")                                                          \
	F(ANY, "Ext", ext, 0, NULL, NULL, "nil")
SCHEMA_DECLARE(autopilot_server, AUTOPILOT_SERVER_FIELDS)

#define AUTOPILOT_STATS_FIELDS(F)                                                                                      \
	F(DURATION, "LastContact", last_contact, 0, NULL, NULL, "since it was heard of; -1: never")                    \
	F(UINT, "LastTerm", last_term, 0, NULL, NULL, "of its log's last entry")                                       \
	F(UINT, "LastIndex", last_index, 0, NULL, NULL, "")
SCHEMA_DECLARE(autopilot_stats, AUTOPILOT_STATS_FIELDS)

#define AUTOPILOT_STABLE_FIELDS(F)                                                                                     \
	F(BOOL, "Healthy", healthy, 0, NULL, NULL, "")                                                                 \
	F(TIME, "StableSince", stable_since, 0, NULL, NULL, "when Healthy last changed")
SCHEMA_DECLARE(autopilot_stable, AUTOPILOT_STABLE_FIELDS)

#define AUTOPILOT_SERVER_STATE_FIELDS(F)                                                                               \
	F(STRUCT, "Server", server, 0, &autopilot_server_schema, NULL, "")                                             \
	F(STR, "State", state, 0, NULL, NULL, "none, leader, voter, non-voter, staging")                               \
	F(STRUCT, "Stats", stats, 0, &autopilot_stats_schema, NULL, "")                                                \
	F(STRUCT, "Health", health, 0, &autopilot_stable_schema, NULL, "")
SCHEMA_DECLARE(autopilot_server_state, AUTOPILOT_SERVER_STATE_FIELDS)

#define AUTOPILOT_STATE_FIELDS(F)                                                                                      \
	F(BOOL, "Healthy", healthy, 0, NULL, NULL, "all servers are")                                                  \
	F(INT, "FailureTolerance", failure_tolerance, 0, NULL, NULL,                                                   \
	    "so many healthy voters may fail, and there is still a leader")                                            \
	F(MAP, "Servers", servers, 0, &autopilot_server_state_schema, NULL, "by node ID")                              \
	F(STR, "Leader", leader, 0, NULL, NULL, "node ID")                                                             \
	F(STRLIST, "Voters", voters, 0, NULL, NULL, "node IDs, in their order")                                        \
	F(ANY, "Ext", ext, 0, NULL, NULL, "nil")
SCHEMA_DECLARE(autopilot_state, AUTOPILOT_STATE_FIELDS)

#endif
