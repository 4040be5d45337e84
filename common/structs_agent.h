/*
 * structs_agent.h - what is asked of checkd and what it answers (Agent.* on checkd.sock)
 *
 * Bodies of the agent's HTTP endpoints (http-api.md 10.1-10.4 of the reference facts), the answers built from local
 * state, and the arguments of the Agent.* methods. F lines as in structs.h.
 *
 * Methods (arguments -> answer; errors are text and HTTP status, to be passed on as they are):
 *
 *	Agent.Services		agent_query_request -> map of service ID to agent_service (schema_map_to_json)
 *	Agent.Service		agent_service_request -> agent_service with ContentHash; 404 `unknown service ID: X`.
 *				With Hash equal to the current one it is held until the service changes or
 *				MaxQueryTime (0: 5 min, at most 10 min, plus up to a sixteenth) is over
 *	Agent.Checks		agent_query_request -> map of check ID to health_check
 *	Agent.HealthService	agent_health_request -> agent_health_answer
 *	Agent.RegisterService	agent_register_service_request -> {}; answered after a first try to bring it to the catalog
 *	Agent.DeregisterService	agent_deregister_request (ID: service ID) -> {}; likewise
 *	Agent.RegisterCheck	agent_register_check_request -> {}; likewise
 *	Agent.DeregisterCheck	agent_deregister_request (ID: check ID) -> {}; likewise
 *	Agent.UpdateCheck	agent_update_check_request -> {}
 *	Agent.ServiceMaintenance agent_maintenance_request -> {}; 400 `Missing service ID`, 404
 *	Agent.NodeMaintenance	agent_maintenance_request (ServiceID unused) -> {}
 *	Agent.LocalStats	{} -> map text to text: check_monitors, check_ttls, checks, services (Stats.agent)
 */
#ifndef COMMON_STRUCTS_AGENT_H
#define COMMON_STRUCTS_AGENT_H

#include "structs.h"

/* ---- definitions, as clients and configuration files give them ---- */

/*
 * What CheckType (in a service) and CheckDefinition (on its own) have in common. H2PingUseTLS tells absent (nil: true
 * when H2PING is set) from false, hence ANY; checkd refuses what is not a boolean.
 */
#define CHECK_RUN_FIELDS(F, redirects_alias)                                                                           \
	F(STRLIST, "ScriptArgs", script_args, 0, NULL, "args script_args", "program and arguments")                    \
	F(STR, "HTTP", http, 0, NULL, NULL, "URL")                                                                     \
	F(STR, "H2PING", h2ping, 0, NULL, NULL, "host:port")                                                           \
	F(ANY, "H2PingUseTLS", h2ping_use_tls, 0, NULL, "h2ping_use_tls", "default true")                              \
	F(STRLISTMAP, "Header", header, 0, NULL, NULL, "")                                                             \
	F(STR, "Method", method, 0, NULL, NULL, "default GET")                                                         \
	F(STR, "Body", body, 0, NULL, NULL, "")                                                                        \
	F(BOOL, "DisableRedirects", disable_redirects, 0, NULL, redirects_alias, "")                                   \
	F(STR, "TCP", tcp, 0, NULL, NULL, "host:port")                                                                 \
	F(BOOL, "TCPUseTLS", tcp_use_tls, 0, NULL, "tcp_use_tls", "")                                                  \
	F(STR, "UDP", udp, 0, NULL, NULL, "host:port")                                                                 \
	F(DURATION, "Interval", interval, FIELD_TEXT, NULL, NULL, "from the end of a run to the next; at least 1s")    \
	F(STR, "AliasNode", alias_node, 0, NULL, NULL, "")                                                             \
	F(STR, "AliasService", alias_service, 0, NULL, NULL, "service ID")                                             \
	F(STR, "DockerContainerID", docker_container_id, 0, NULL, "docker_container_id", "")                           \
	F(STR, "Shell", shell, 0, NULL, NULL, "")                                                                      \
	F(STR, "GRPC", grpc, 0, NULL, NULL, "host:port[/service]")                                                     \
	F(BOOL, "GRPCUseTLS", grpc_use_tls, 0, NULL, "grpc_use_tls", "")                                               \
	F(STR, "OSService", os_service, 0, NULL, NULL, "not implemented here")                                         \
	F(STR, "TLSServerName", tls_server_name, 0, NULL, "tls_server_name", "")                                       \
	F(BOOL, "TLSSkipVerify", tls_skip_verify, 0, NULL, "tls_skip_verify", "")                                      \
	F(DURATION, "Timeout", timeout, FIELD_TEXT, NULL, NULL, "default 10s, scripts 30s")                            \
	F(DURATION, "TTL", ttl, FIELD_TEXT, NULL, NULL, "")                                                            \
	F(INT, "SuccessBeforePassing", success_before_passing, 0, NULL, NULL, "")                                      \
	F(INT, "FailuresBeforeWarning", failures_before_warning, 0, NULL, NULL, "default: FailuresBeforeCritical")     \
	F(INT, "FailuresBeforeCritical", failures_before_critical, 0, NULL, NULL, "")                                  \
	F(DURATION, "DeregisterCriticalServiceAfter", deregister_critical_service_after, FIELD_TEXT, NULL,             \
	    "deregister_critical_service_after", "0: never; at least 1m")                                              \
	F(INT, "OutputMaxSize", output_max_size, 0, NULL, NULL,                                                        \
	    "default: the agent's check_output_max_size, which also caps it")

#define CHECK_TYPE_FIELDS(F)                                                                                           \
	F(STR, "CheckID", check_id, 0, NULL, NULL, "default service:ID or service:ID:n")                               \
	F(STR, "Name", name, 0, NULL, NULL, "default Service 'NAME' check")                                            \
	F(STR, "Status", status, 0, NULL, NULL, "initial status, default critical")                                    \
	F(STR, "Notes", notes, 0, NULL, NULL, "")                                                                      \
	F(STR, "ServiceID", service_id, FIELD_IGNORED, NULL, "service_id", "accepted and dropped")                     \
	CHECK_RUN_FIELDS(F, NULL)                                                                                      \
	F(STR, "ProxyHTTP", proxy_http, 0, NULL, NULL, "internal")                                                     \
	F(STR, "ProxyGRPC", proxy_grpc, 0, NULL, NULL, "internal")
SCHEMA_DECLARE(check_type, CHECK_TYPE_FIELDS) /* CheckType */

#define CHECK_DEFINITION_REQUEST_FIELDS(F)                                                                             \
	F(STR, "ID", id, 0, NULL, NULL, "default: the name")                                                           \
	F(STR, "Name", name, 0, NULL, NULL, "required")                                                                \
	F(STR, "Status", status, 0, NULL, NULL, "initial status, default critical")                                    \
	F(STR, "Notes", notes, 0, NULL, NULL, "")                                                                      \
	F(STR, "ServiceID", service_id, 0, NULL, "service_id", "attach to this local service")                         \
	F(STR, "Token", token, 0, NULL, NULL, "of configuration files; ignored in the API")                            \
	CHECK_RUN_FIELDS(F, "disable_redirects")
SCHEMA_DECLARE(check_definition_request, CHECK_DEFINITION_REQUEST_FIELDS) /* CheckDefinition */

extern const struct schema service_definition_schema;
#define SERVICE_CONNECT_FIELDS(F)                                                                                      \
	F(BOOL, "Native", native, 0, NULL, NULL, "")                                                                   \
	F(PTR, "SidecarService", sidecar_service, 0, &service_definition_schema, "sidecar_service", "")
SCHEMA_DECLARE(service_connect, SERVICE_CONNECT_FIELDS) /* ServiceConnect; unknown keys are ignored */

#define SERVICE_DEFINITION_FIELDS(F)                                                                                   \
	F(STR, "Kind", kind, 0, NULL, NULL, "")                                                                        \
	F(STR, "ID", id, 0, NULL, NULL, "default: the name")                                                           \
	F(STR, "Name", name, 0, NULL, NULL, "required")                                                                \
	F(STRLIST, "Tags", tags, 0, NULL, NULL, "")                                                                    \
	F(STR, "Address", address, 0, NULL, NULL, "")                                                                  \
	F(MAP, "TaggedAddresses", tagged_addresses, 0, &service_address_schema, "tagged_addresses", "")                \
	F(STRMAP, "Meta", meta, 0, NULL, NULL, "")                                                                     \
	F(INT, "Port", port, 0, NULL, NULL, "")                                                                        \
	F(STR, "SocketPath", socket_path, 0, NULL, NULL, "")                                                           \
	F(PTR, "Check", check, 0, &check_type_schema, NULL, "")                                                        \
	F(LIST, "Checks", checks, 0, &check_type_schema, NULL, "")                                                     \
	F(PTR, "Weights", weights, 0, &weights_schema, NULL, "default 1/1")                                            \
	F(STR, "Token", token, 0, NULL, NULL, "of configuration files and sidecars")                                   \
	F(BOOL, "EnableTagOverride", enable_tag_override, 0, NULL, "enable_tag_override", "")                          \
	F(PTR, "Locality", locality, 0, &locality_schema, NULL, "")                                                    \
	F(PTR, "Proxy", proxy, 0, &proxy_schema, NULL, "")                                                             \
	F(PTR, "Connect", connect, 0, &service_connect_schema, NULL, "")
SCHEMA_DECLARE(service_definition, SERVICE_DEFINITION_FIELDS) /* ServiceDefinition */

/* current/checkd-definitions.json: what the configuration files define. Token counts here. */
#define AGENT_DEFINITIONS_FIELDS(F)                                                                                    \
	F(LIST, "Services", services, 0, &service_definition_schema, NULL, "")                                         \
	F(LIST, "Checks", checks, 0, &check_definition_request_schema, NULL, "")
SCHEMA_DECLARE(agent_definitions, AGENT_DEFINITIONS_FIELDS)

/* ---- answers ---- */

#define AGENT_UPSTREAM_FIELDS(F)                                                                                       \
	F(STR, "DestinationType", destination_type, 0, NULL, NULL, "")                                                 \
	F(STR, "DestinationNamespace", destination_namespace, FIELD_OMIT, NULL, NULL, "")                              \
	F(STR, "DestinationPartition", destination_partition, FIELD_OMIT, NULL, NULL, "")                              \
	F(STR, "DestinationPeer", destination_peer, FIELD_OMIT, NULL, NULL, "")                                        \
	F(STR, "DestinationName", destination_name, 0, NULL, NULL, "")                                                 \
	F(STR, "Datacenter", datacenter, FIELD_OMIT, NULL, NULL, "")                                                   \
	F(STR, "LocalBindAddress", local_bind_address, FIELD_OMIT, NULL, NULL, "")                                     \
	F(INT, "LocalBindPort", local_bind_port, FIELD_OMIT, NULL, NULL, "")                                           \
	F(STR, "LocalBindSocketPath", local_bind_socket_path, FIELD_OMIT, NULL, NULL, "")                              \
	F(STR, "LocalBindSocketMode", local_bind_socket_mode, FIELD_OMIT, NULL, NULL, "")                              \
	F(ANY, "Config", config, FIELD_OMIT | FIELD_NOFILTER, NULL, NULL, "")                                          \
	F(STRUCT, "MeshGateway", mesh_gateway, 0, &mesh_gateway_schema, NULL, "")                                      \
	F(BOOL, "CentrallyConfigured", centrally_configured, FIELD_OMIT | FIELD_NOFILTER, NULL, NULL, "")
SCHEMA_DECLARE(agent_upstream, AGENT_UPSTREAM_FIELDS)

#define AGENT_EXPOSE_PATH_FIELDS(F)                                                                                    \
	F(INT, "ListenerPort", listener_port, FIELD_OMIT, NULL, NULL, "")                                              \
	F(STR, "Path", path, FIELD_OMIT, NULL, NULL, "")                                                               \
	F(INT, "LocalPathPort", local_path_port, FIELD_OMIT, NULL, NULL, "")                                           \
	F(STR, "Protocol", protocol, FIELD_OMIT, NULL, NULL, "")                                                       \
	F(BOOL, "ParsedFromCheck", parsed_from_check, 0, NULL, NULL, "")
SCHEMA_DECLARE(agent_expose_path, AGENT_EXPOSE_PATH_FIELDS)

#define AGENT_EXPOSE_FIELDS(F)                                                                                         \
	F(BOOL, "Checks", checks, FIELD_OMIT, NULL, NULL, "")                                                          \
	F(LIST, "Paths", paths, FIELD_OMIT, &agent_expose_path_schema, NULL, "")
SCHEMA_DECLARE(agent_expose, AGENT_EXPOSE_FIELDS)

#define AGENT_PROXY_FIELDS(F)                                                                                          \
	F(LIST, "EnvoyExtensions", envoy_extensions, FIELD_OMIT, &envoy_extension_schema, NULL, "")                    \
	F(STR, "DestinationServiceName", destination_service_name, FIELD_OMIT, NULL, NULL, "")                         \
	F(STR, "DestinationServiceID", destination_service_id, FIELD_OMIT, NULL, NULL, "")                             \
	F(STR, "LocalServiceAddress", local_service_address, FIELD_OMIT, NULL, NULL, "")                               \
	F(INT, "LocalServicePort", local_service_port, FIELD_OMIT, NULL, NULL, "")                                     \
	F(STR, "LocalServiceSocketPath", local_service_socket_path, FIELD_OMIT, NULL, NULL, "")                        \
	F(STR, "Mode", mode, FIELD_OMIT, NULL, NULL, "")                                                               \
	F(STRUCT, "TransparentProxy", transparent_proxy, FIELD_OMIT, &transparent_proxy_schema, NULL, "")              \
	F(ANY, "Config", config, FIELD_OMIT | FIELD_NOFILTER, NULL, NULL, "")                                          \
	F(LIST, "Upstreams", upstreams, FIELD_OMIT, &agent_upstream_schema, NULL, "")                                  \
	F(STRUCT, "MeshGateway", mesh_gateway, 0, &mesh_gateway_schema, NULL, "")                                      \
	F(STRUCT, "Expose", expose, 0, &agent_expose_schema, NULL, "")                                                 \
	F(STRUCT, "AccessLogs", access_logs, FIELD_OMIT, &access_logs_schema, NULL, "")
SCHEMA_DECLARE(agent_proxy, AGENT_PROXY_FIELDS)

/* Here an empty zone is shown, in the catalog it is left out. */
#define AGENT_LOCALITY_FIELDS(F)                                                                                       \
	F(STR, "Region", region, 0, NULL, NULL, "")                                                                    \
	F(STR, "Zone", zone, 0, NULL, NULL, "")
SCHEMA_DECLARE(agent_locality, AGENT_LOCALITY_FIELDS)

#define AGENT_SERVICE_FIELDS(F)                                                                                        \
	F(STR, "Kind", kind, FIELD_OMIT, NULL, NULL, "")                                                               \
	F(STR, "ID", id, 0, NULL, NULL, "")                                                                            \
	F(STR, "Service", service, 0, NULL, NULL, "the name")                                                          \
	F(STRLIST, "Tags", tags, FIELD_NONNULL, NULL, NULL, "")                                                        \
	F(STRMAP, "Meta", meta, FIELD_NONNULL, NULL, NULL, "")                                                         \
	F(INT, "Port", port, 0, NULL, NULL, "")                                                                        \
	F(STR, "Address", address, 0, NULL, NULL, "")                                                                  \
	F(STR, "SocketPath", socket_path, FIELD_OMIT, NULL, NULL, "")                                                  \
	F(MAP, "TaggedAddresses", tagged_addresses, FIELD_OMIT, &service_address_schema, NULL, "")                     \
	F(STRUCT, "Weights", weights, 0, &weights_schema, NULL, "")                                                    \
	F(BOOL, "EnableTagOverride", enable_tag_override, 0, NULL, NULL, "")                                           \
	F(STR, "ContentHash", content_hash, FIELD_OMIT | FIELD_NOFILTER, NULL, NULL,                                   \
	    "16 hexadecimal digits over the definition")                                                               \
	F(PTR, "Proxy", proxy, FIELD_OMIT, &agent_proxy_schema, NULL, "only of proxies and gateways")                  \
	F(PTR, "Connect", connect, FIELD_OMIT, &connect_schema, NULL, "only when native")                              \
	F(STR, "PeerName", peer_name, FIELD_OMIT, NULL, NULL, "always empty")                                          \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(PTR, "Locality", locality, FIELD_OMIT | FIELD_NOFILTER, &agent_locality_schema, NULL, "")
SCHEMA_DECLARE(agent_service, AGENT_SERVICE_FIELDS) /* AgentService */

/* The checks inside agent/health answers have a form of their own (http-api.md 11.15). */
#define AGENT_HEALTH_DEFINITION_FIELDS(F)                                                                              \
	F(DURATION, "Interval", interval, FIELD_TEXT, NULL, NULL, "")                                                  \
	F(DURATION, "Timeout", timeout, FIELD_TEXT, NULL, NULL, "")                                                    \
	F(DURATION, "DeregisterCriticalServiceAfter", deregister_critical_service_after, FIELD_TEXT, NULL, NULL, "")   \
	F(STR, "HTTP", http, 0, NULL, NULL, "")                                                                        \
	F(STRLISTMAP, "Header", header, 0, NULL, NULL, "")                                                             \
	F(STR, "Method", method, 0, NULL, NULL, "")                                                                    \
	F(STR, "Body", body, 0, NULL, NULL, "")                                                                        \
	F(STR, "TLSServerName", tls_server_name, 0, NULL, NULL, "")                                                    \
	F(BOOL, "TLSSkipVerify", tls_skip_verify, 0, NULL, NULL, "")                                                   \
	F(STR, "TCP", tcp, 0, NULL, NULL, "")                                                                          \
	F(BOOL, "TCPUseTLS", tcp_use_tls, 0, NULL, NULL, "")                                                           \
	F(STR, "UDP", udp, 0, NULL, NULL, "")                                                                          \
	F(STR, "GRPC", grpc, 0, NULL, NULL, "")                                                                        \
	F(STR, "OSService", os_service, 0, NULL, NULL, "")                                                             \
	F(BOOL, "GRPCUseTLS", grpc_use_tls, 0, NULL, NULL, "")
SCHEMA_DECLARE(agent_health_definition, AGENT_HEALTH_DEFINITION_FIELDS)

#define AGENT_HEALTH_CHECK_FIELDS(F)                                                                                   \
	F(STR, "Node", node, 0, NULL, NULL, "")                                                                        \
	F(STR, "CheckID", check_id, 0, NULL, NULL, "")                                                                 \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(STR, "Status", status, 0, NULL, NULL, "")                                                                    \
	F(STR, "Notes", notes, 0, NULL, NULL, "")                                                                      \
	F(STR, "Output", output, 0, NULL, NULL, "")                                                                    \
	F(STR, "ServiceID", service_id, 0, NULL, NULL, "")                                                             \
	F(STR, "ServiceName", service_name, 0, NULL, NULL, "")                                                         \
	F(STRLIST, "ServiceTags", service_tags, 0, NULL, NULL, "null when there are none")                             \
	F(STR, "Type", type, 0, NULL, NULL, "always empty here")                                                       \
	F(INT, "ExposedPort", exposed_port, 0, NULL, NULL, "")                                                         \
	F(STRUCT, "Definition", definition, 0, &agent_health_definition_schema, NULL, "always of zero values")         \
	RAFT_INDEX_FIELDS(F)
SCHEMA_DECLARE(agent_health_check, AGENT_HEALTH_CHECK_FIELDS)

#define AGENT_SERVICE_HEALTH_FIELDS(F)                                                                                 \
	F(STR, "AggregatedStatus", aggregated_status, 0, NULL, NULL, "passing, warning, critical, maintenance")        \
	F(PTR, "Service", service, 0, &agent_service_schema, NULL, "null: not found")                                  \
	F(LIST, "Checks", checks, 0, &agent_health_check_schema, NULL, "null: none")
SCHEMA_DECLARE(agent_service_health, AGENT_SERVICE_HEALTH_FIELDS)

/*
 * Code: HTTP status of the answer (200, 429, 503, 404). Reason: the X-Consul-Reason header, also the body of the text form. Instances: by name
 * the list itself (empty: not found); by ID exactly one element, which is the body (of a service that is not there, too).
 */
#define AGENT_HEALTH_ANSWER_FIELDS(F)                                                                                  \
	F(UINT, "Code", code, 0, NULL, NULL, "HTTP status")                                                            \
	F(STR, "Reason", reason, 0, NULL, NULL, "")                                                                    \
	F(LIST, "Instances", instances, FIELD_NONNULL, &agent_service_health_schema, NULL, "")
SCHEMA_DECLARE(agent_health_answer, AGENT_HEALTH_ANSWER_FIELDS)

/* ---- arguments ---- */

/* Body of agent/check/update; UpdateCheck carries its two values. */
#define CHECK_UPDATE_FIELDS(F)                                                                                         \
	F(STR, "Status", status, 0, NULL, NULL, "passing, warning, critical")                                          \
	F(STR, "Output", output, 0, NULL, NULL, "")
SCHEMA_DECLARE(check_update, CHECK_UPDATE_FIELDS)

#define AGENT_QUERY_REQUEST_FIELDS(F)                                                                                  \
	F(STR, "Token", token, 0, NULL, NULL, "")                                                                      \
	F(STR, "Filter", filter, 0, NULL, NULL,                                                                        \
	    "over agent_service / health_check elements; a bad one is refused with 500")
SCHEMA_DECLARE(agent_query_request, AGENT_QUERY_REQUEST_FIELDS)

#define AGENT_SERVICE_REQUEST_FIELDS(F)                                                                                \
	F(STR, "Token", token, 0, NULL, NULL, "")                                                                      \
	F(STR, "ServiceID", service_id, 0, NULL, NULL, "")                                                             \
	F(STR, "Hash", hash, 0, NULL, NULL, "empty: answer at once")                                                   \
	F(DURATION, "MaxQueryTime", max_query_time, 0, NULL, NULL, "")
SCHEMA_DECLARE(agent_service_request, AGENT_SERVICE_REQUEST_FIELDS)

#define AGENT_HEALTH_REQUEST_FIELDS(F)                                                                                 \
	F(STR, "Token", token, 0, NULL, NULL, "")                                                                      \
	F(BOOL, "ByName", by_name, 0, NULL, NULL, "Service is a name, else an ID")                                     \
	F(STR, "Service", service, 0, NULL, NULL, "")
SCHEMA_DECLARE(agent_health_request, AGENT_HEALTH_REQUEST_FIELDS)

#define AGENT_REGISTER_SERVICE_REQUEST_FIELDS(F)                                                                       \
	F(STR, "Token", token, 0, NULL, NULL, "of the request; kept as the service's own")                             \
	F(BOOL, "ReplaceExistingChecks", replace_existing_checks, 0, NULL, NULL, "")                                   \
	F(STRUCT, "Service", service, 0, &service_definition_schema, NULL, "")
SCHEMA_DECLARE(agent_register_service_request, AGENT_REGISTER_SERVICE_REQUEST_FIELDS)

#define AGENT_REGISTER_CHECK_REQUEST_FIELDS(F)                                                                         \
	F(STR, "Token", token, 0, NULL, NULL, "of the request; kept as the check's own")                               \
	F(STRUCT, "Check", check, 0, &check_definition_request_schema, NULL, "")
SCHEMA_DECLARE(agent_register_check_request, AGENT_REGISTER_CHECK_REQUEST_FIELDS)

#define AGENT_DEREGISTER_REQUEST_FIELDS(F)                                                                             \
	F(STR, "Token", token, 0, NULL, NULL, "")                                                                      \
	F(STR, "ID", id, 0, NULL, NULL, "")
SCHEMA_DECLARE(agent_deregister_request, AGENT_DEREGISTER_REQUEST_FIELDS)

#define AGENT_UPDATE_CHECK_REQUEST_FIELDS(F)                                                                           \
	F(STR, "Token", token, 0, NULL, NULL, "")                                                                      \
	F(STR, "CheckID", check_id, 0, NULL, NULL, "")                                                                 \
	F(STR, "Status", status, 0, NULL, NULL, "passing, warning, critical; else 400")                                \
	F(STR, "Output", output, 0, NULL, NULL, "")
SCHEMA_DECLARE(agent_update_check_request, AGENT_UPDATE_CHECK_REQUEST_FIELDS)

#define AGENT_MAINTENANCE_REQUEST_FIELDS(F)                                                                            \
	F(STR, "Token", token, 0, NULL, NULL, "")                                                                      \
	F(STR, "ServiceID", service_id, 0, NULL, NULL, "")                                                             \
	F(BOOL, "Enable", enable, 0, NULL, NULL, "")                                                                   \
	F(STR, "Reason", reason, 0, NULL, NULL, "empty: a default text")
SCHEMA_DECLARE(agent_maintenance_request, AGENT_MAINTENANCE_REQUEST_FIELDS)

#endif
