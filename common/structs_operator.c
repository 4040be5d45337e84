/*
 * structs_operator.c - the tables of structs_operator.h
 */
#include "structs_operator.h"

SCHEMA_DEFINE(raft_server, "RaftServer", RAFT_SERVER_FIELDS, 0)
SCHEMA_DEFINE(raft_configuration_response, "RaftConfigurationResponse", RAFT_CONFIGURATION_FIELDS, 0)
SCHEMA_DEFINE(raft_remove_peer_request, "RaftRemovePeerRequest", RAFT_REMOVE_PEER_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(transfer_leader_request, "TransferLeaderRequest", TRANSFER_LEADER_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(transfer_leader_response, "TransferLeaderResponse", TRANSFER_LEADER_RESPONSE_FIELDS, 0)
SCHEMA_DEFINE(autopilot_config, "api.AutopilotConfiguration", AUTOPILOT_CONFIG_FIELDS, SCHEMA_OPEN)
SCHEMA_DEFINE(autopilot_set_config_request, "AutopilotSetConfigRequest", AUTOPILOT_SET_CONFIG_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(autopilot_server_health, "AutopilotServerHealth", AUTOPILOT_SERVER_HEALTH_FIELDS, 0)
SCHEMA_DEFINE(autopilot_health_reply, "AutopilotHealthReply", AUTOPILOT_HEALTH_FIELDS, 0)
SCHEMA_DEFINE(autopilot_server, "autopilot.Server", AUTOPILOT_SERVER_FIELDS, 0)
SCHEMA_DEFINE(autopilot_stats, "autopilot.ServerStats", AUTOPILOT_STATS_FIELDS, 0)
SCHEMA_DEFINE(autopilot_stable, "autopilot.ServerHealth", AUTOPILOT_STABLE_FIELDS, 0)
SCHEMA_DEFINE(autopilot_server_state, "autopilot.ServerState", AUTOPILOT_SERVER_STATE_FIELDS, 0)
SCHEMA_DEFINE(autopilot_state, "autopilot.State", AUTOPILOT_STATE_FIELDS, 0)
