/*
 * structs_agent.c - the tables of structs_agent.h
 */
#include "structs_agent.h"

/* The agent decodes these bodies through types of its own that know further spellings: SCHEMA_ALIAS. */
SCHEMA_DEFINE(check_type, "CheckType", CHECK_TYPE_FIELDS, SCHEMA_ALIAS)
SCHEMA_DEFINE(check_definition_request, "CheckDefinition", CHECK_DEFINITION_REQUEST_FIELDS, SCHEMA_ALIAS)
SCHEMA_DEFINE(service_connect, "ServiceConnect", SERVICE_CONNECT_FIELDS, SCHEMA_OPEN | SCHEMA_ALIAS)
SCHEMA_DEFINE(service_definition, "ServiceDefinition", SERVICE_DEFINITION_FIELDS, SCHEMA_ALIAS)
SCHEMA_DEFINE(agent_definitions, "Definitions", AGENT_DEFINITIONS_FIELDS, 0)
SCHEMA_DEFINE(agent_upstream, "Upstream", AGENT_UPSTREAM_FIELDS, 0)
SCHEMA_DEFINE(agent_expose_path, "ExposePath", AGENT_EXPOSE_PATH_FIELDS, 0)
SCHEMA_DEFINE(agent_expose, "ExposeConfig", AGENT_EXPOSE_FIELDS, 0)
SCHEMA_DEFINE(agent_proxy, "AgentServiceConnectProxyConfig", AGENT_PROXY_FIELDS, 0)
SCHEMA_DEFINE(agent_locality, "Locality", AGENT_LOCALITY_FIELDS, 0)
SCHEMA_DEFINE(agent_service, "AgentService", AGENT_SERVICE_FIELDS, 0)
SCHEMA_DEFINE(agent_health_definition, "HealthCheckDefinition", AGENT_HEALTH_DEFINITION_FIELDS, 0)
SCHEMA_DEFINE(agent_health_check, "HealthCheck", AGENT_HEALTH_CHECK_FIELDS, 0)
SCHEMA_DEFINE(agent_service_health, "AgentServiceChecksInfo", AGENT_SERVICE_HEALTH_FIELDS, 0)
SCHEMA_DEFINE(agent_health_answer, "HealthAnswer", AGENT_HEALTH_ANSWER_FIELDS, 0)
SCHEMA_DEFINE(check_update, "agent.checkUpdate", CHECK_UPDATE_FIELDS, 0)
SCHEMA_DEFINE(agent_query_request, "QueryRequest", AGENT_QUERY_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(agent_service_request, "ServiceRequest", AGENT_SERVICE_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(agent_health_request, "HealthRequest", AGENT_HEALTH_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(agent_register_service_request, "RegisterServiceRequest", AGENT_REGISTER_SERVICE_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(agent_register_check_request, "RegisterCheckRequest", AGENT_REGISTER_CHECK_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(agent_deregister_request, "DeregisterRequest", AGENT_DEREGISTER_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(agent_update_check_request, "UpdateCheckRequest", AGENT_UPDATE_CHECK_REQUEST_FIELDS, 0)
SCHEMA_DEFINE(agent_maintenance_request, "MaintenanceRequest", AGENT_MAINTENANCE_REQUEST_FIELDS, 0)
