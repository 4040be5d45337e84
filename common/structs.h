/*
 * structs.h - the structs of the request language, one line a field (schema.h)
 *
 * Names, types and order follow Consul's RPC structs and the documented order of JSON keys (http-api.md 10,
 * wire-rpc.md 15 of the reference facts). What our daemons store and send is exactly this.
 *
 * F(KIND, Name, member, flags, sub schema, JSON input aliases, doc)
 */
#ifndef COMMON_STRUCTS_H
#define COMMON_STRUCTS_H

#include "schema.h"

#define QUERY_OPTIONS_FIELDS(F)                                                                                        \
	F(STR, "Token", token, 0, NULL, NULL, "ACL token secret")                                                      \
	F(UINT, "MinQueryIndex", min_query_index, 0, NULL, NULL,                                                       \
	    "answer when the result's index is above this; 0: at once")                                                \
	F(DURATION, "MaxQueryTime", max_query_time, 0, NULL, NULL, "how long to wait, 0: the default")                 \
	F(BOOL, "AllowStale", allow_stale, 0, NULL, NULL, "any server may answer")                                     \
	F(BOOL, "RequireConsistent", require_consistent, 0, NULL, NULL, "confirm leadership by a quorum round first")  \
	F(BOOL, "UseCache", use_cache, 0, NULL, NULL, "the agent's cache may answer")                                  \
	F(DURATION, "MaxStaleDuration", max_stale_duration, 0, NULL, NULL,                                             \
	    "asked again at the leader when staler than this")                                                         \
	F(STR, "Filter", filter, 0, NULL, NULL, "filter expression over the elements of the reply")                    \
	F(BOOL, "Versions", versions, 0, NULL, NULL,                                                                   \
	    "the reply is to say what it depends on in the shared page (page.h); not with MinQueryIndex")

#define QUERY_META_FIELDS(F)                                                                                           \
	F(UINT, "Index", index, 0, NULL, NULL, "index of the result, at least 1")                                      \
	F(DURATION, "LastContact", last_contact, 0, NULL, NULL,                                                        \
	    "since this server heard of the leader; 0 on the leader")                                                  \
	F(BOOL, "KnownLeader", known_leader, 0, NULL, NULL, "a leader is known")                                       \
	F(STR, "ConsistencyLevel", consistency_level, 0, NULL, NULL, "leader, stale or consistent")                    \
	F(BOOL, "ResultsFilteredByACLs", results_filtered_by_acls, 0, NULL, NULL,                                      \
	    "something was left out for lack of rights")

#define WRITE_REQUEST_FIELDS(F) F(STR, "Token", token, 0, NULL, NULL, "ACL token secret")

#define RAFT_INDEX_FIELDS(F)                                                                                           \
	F(UINT, "CreateIndex", create_index, FIELD_NOFILTER, NULL, NULL, "raft index of the creation")                 \
	F(UINT, "ModifyIndex", modify_index, FIELD_NOFILTER, NULL, NULL, "raft index of the last change")

/* ---- arguments common to many methods ---- */

#define QUERY_SOURCE_FIELDS(F)                                                                                         \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "Segment", segment, 0, NULL, NULL, "")                                                                  \
	F(STR, "Node", node, 0, NULL, NULL, "sort by round-trip time from this node")                                  \
	F(STR, "Ip", ip, 0, NULL, NULL, "address of the caller")
SCHEMA_DECLARE(query_source, QUERY_SOURCE_FIELDS)

#define DC_REQUEST_FIELDS(F)                                                                                           \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STRMAP, "NodeMetaFilters", node_meta_filters, 0, NULL, NULL, "all must match")                               \
	F(STRUCT, "Source", source, 0, &query_source_schema, NULL, "")                                                 \
	QUERY_OPTIONS_FIELDS(F)
SCHEMA_DECLARE(dc_request, DC_REQUEST_FIELDS) /* DCSpecificRequest */

#define NODE_REQUEST_FIELDS(F)                                                                                         \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "Node", node, 0, NULL, NULL, "name, or where documented an ID or a unique prefix of one")               \
	F(BOOL, "MergeCentralConfig", merge_central_config, 0, NULL, NULL, "")                                         \
	QUERY_OPTIONS_FIELDS(F)
SCHEMA_DECLARE(node_request, NODE_REQUEST_FIELDS) /* NodeSpecificRequest */

#define SERVICE_REQUEST_FIELDS(F)                                                                                      \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "PeerName", peer_name, 0, NULL, NULL, "")                                                               \
	F(STRMAP, "NodeMetaFilters", node_meta_filters, 0, NULL, NULL, "")                                             \
	F(STR, "ServiceName", service_name, 0, NULL, NULL, "")                                                         \
	F(STR, "ServiceKind", service_kind, 0, NULL, NULL, "")                                                         \
	F(STR, "ServiceTag", service_tag, 0, NULL, NULL, "")                                                           \
	F(STRLIST, "ServiceTags", service_tags, 0, NULL, NULL, "all must be there, compared without case")             \
	F(STR, "ServiceAddress", service_address, 0, NULL, NULL, "search by address")                                  \
	F(BOOL, "TagFilter", tag_filter, 0, NULL, NULL, "ServiceTag(s) count")                                         \
	F(INT, "HealthFilterType", health_filter_type, 0, NULL, NULL, "0 all, 1 not critical, 2 only passing")         \
	F(STRUCT, "Source", source, 0, &query_source_schema, NULL, "")                                                 \
	F(BOOL, "Connect", connect, 0, NULL, NULL, "mesh-capable endpoints of the name")                               \
	F(BOOL, "Ingress", ingress, 0, NULL, NULL, "ingress gateways that expose the name")                            \
	F(BOOL, "MergeCentralConfig", merge_central_config, 0, NULL, NULL, "")                                         \
	QUERY_OPTIONS_FIELDS(F)
SCHEMA_DECLARE(service_request, SERVICE_REQUEST_FIELDS) /* ServiceSpecificRequest */

#define STATE_REQUEST_FIELDS(F)                                                                                        \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STRMAP, "NodeMetaFilters", node_meta_filters, 0, NULL, NULL, "")                                             \
	F(STR, "State", state, 0, NULL, NULL, "any, or a status")                                                      \
	F(STRUCT, "Source", source, 0, &query_source_schema, NULL, "")                                                 \
	QUERY_OPTIONS_FIELDS(F)
SCHEMA_DECLARE(state_request, STATE_REQUEST_FIELDS) /* ChecksInStateRequest */

#define SERVICE_DUMP_REQUEST_FIELDS(F)                                                                                 \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "ServiceKind", service_kind, 0, NULL, NULL, "")                                                         \
	F(BOOL, "UseServiceKind", use_service_kind, 0, NULL, NULL, "only instances of ServiceKind")                    \
	F(BOOL, "NodesOnly", nodes_only, 0, NULL, NULL, "no gateways")                                                 \
	F(STRUCT, "Source", source, 0, &query_source_schema, NULL, "")                                                 \
	F(STR, "PeerName", peer_name, 0, NULL, NULL, "")                                                               \
	QUERY_OPTIONS_FIELDS(F)
SCHEMA_DECLARE(service_dump_request, SERVICE_DUMP_REQUEST_FIELDS) /* ServiceDumpRequest */

#define QUERY_META_ONLY_FIELDS(F) QUERY_META_FIELDS(F)
SCHEMA_DECLARE(query_meta, QUERY_META_ONLY_FIELDS)

/* ---- catalog and health ---- */

#define WEIGHTS_FIELDS(F)                                                                                              \
	F(INT, "Passing", passing, 0, NULL, NULL, "DNS weight while passing")                                          \
	F(INT, "Warning", warning, 0, NULL, NULL, "DNS weight while warning")
SCHEMA_DECLARE(weights, WEIGHTS_FIELDS)

#define SERVICE_ADDRESS_FIELDS(F)                                                                                      \
	F(STR, "Address", address, 0, NULL, NULL, "")                                                                  \
	F(INT, "Port", port, 0, NULL, NULL, "")
SCHEMA_DECLARE(service_address, SERVICE_ADDRESS_FIELDS)

#define LOCALITY_FIELDS(F)                                                                                             \
	F(STR, "Region", region, FIELD_OMIT, NULL, NULL, "")                                                           \
	F(STR, "Zone", zone, FIELD_OMIT, NULL, NULL, "")
SCHEMA_DECLARE(locality, LOCALITY_FIELDS)

#define MESH_GATEWAY_FIELDS(F) F(STR, "Mode", mode, FIELD_OMIT, NULL, NULL, "none, local or remote")
SCHEMA_DECLARE(mesh_gateway, MESH_GATEWAY_FIELDS)

#define EXPOSE_PATH_FIELDS(F)                                                                                          \
	F(INT, "ListenerPort", listener_port, FIELD_OMIT, NULL, "listener_port", "")                                   \
	F(STR, "Path", path, FIELD_OMIT, NULL, NULL, "")                                                               \
	F(INT, "LocalPathPort", local_path_port, FIELD_OMIT, NULL, "local_path_port", "")                              \
	F(STR, "Protocol", protocol, FIELD_OMIT, NULL, NULL, "http or http2")                                          \
	F(BOOL, "ParsedFromCheck", parsed_from_check, FIELD_OMIT, NULL, "parsed_from_check", "")
SCHEMA_DECLARE(expose_path, EXPOSE_PATH_FIELDS)

#define EXPOSE_FIELDS(F)                                                                                               \
	F(BOOL, "Checks", checks, FIELD_OMIT, NULL, NULL, "")                                                          \
	F(LIST, "Paths", paths, FIELD_OMIT, &expose_path_schema, NULL, "")
SCHEMA_DECLARE(expose, EXPOSE_FIELDS)

#define TRANSPARENT_PROXY_FIELDS(F)                                                                                    \
	F(INT, "OutboundListenerPort", outbound_listener_port, FIELD_OMIT, NULL, NULL, "")                             \
	F(BOOL, "DialedDirectly", dialed_directly, FIELD_OMIT, NULL, NULL, "")
SCHEMA_DECLARE(transparent_proxy, TRANSPARENT_PROXY_FIELDS)

#define ACCESS_LOGS_FIELDS(F)                                                                                          \
	F(BOOL, "Enabled", enabled, FIELD_OMIT, NULL, NULL, "")                                                        \
	F(BOOL, "DisableListenerLogs", disable_listener_logs, FIELD_OMIT, NULL, NULL, "")                              \
	F(STR, "Type", type, FIELD_OMIT, NULL, NULL, "")                                                               \
	F(STR, "Path", path, FIELD_OMIT, NULL, NULL, "")                                                               \
	F(STR, "JSONFormat", json_format, FIELD_OMIT, NULL, NULL, "")                                                  \
	F(STR, "TextFormat", text_format, FIELD_OMIT, NULL, NULL, "")
SCHEMA_DECLARE(access_logs, ACCESS_LOGS_FIELDS)

#define ENVOY_EXTENSION_FIELDS(F)                                                                                      \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(BOOL, "Required", required, 0, NULL, NULL, "")                                                               \
	F(ANY, "Arguments", arguments, 0, NULL, NULL, "")                                                              \
	F(STR, "ConsulVersion", consul_version, 0, NULL, NULL, "")                                                     \
	F(STR, "EnvoyVersion", envoy_version, 0, NULL, NULL, "")
SCHEMA_DECLARE(envoy_extension, ENVOY_EXTENSION_FIELDS)

#define UPSTREAM_FIELDS(F)                                                                                             \
	F(STR, "DestinationType", destination_type, 0, NULL, "destination_type", "")                                   \
	F(STR, "DestinationNamespace", destination_namespace, FIELD_OMIT, NULL, "destination_namespace", "")           \
	F(STR, "DestinationPartition", destination_partition, FIELD_OMIT, NULL, "destination_partition", "")           \
	F(STR, "DestinationPeer", destination_peer, FIELD_OMIT, NULL, "destination_peer", "")                          \
	F(STR, "DestinationName", destination_name, 0, NULL, "destination_name", "")                                   \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "LocalBindAddress", local_bind_address, FIELD_OMIT, NULL, "local_bind_address", "")                     \
	F(INT, "LocalBindPort", local_bind_port, FIELD_OMIT, NULL, "local_bind_port", "")                              \
	F(STR, "LocalBindSocketPath", local_bind_socket_path, FIELD_OMIT, NULL, "local_bind_socket_path", "")          \
	F(STR, "LocalBindSocketMode", local_bind_socket_mode, FIELD_OMIT, NULL, "local_bind_socket_mode", "")          \
	F(ANY, "Config", config, FIELD_OMIT | FIELD_NOFILTER, NULL, NULL, "")                                          \
	F(STRUCT, "MeshGateway", mesh_gateway, 0, &mesh_gateway_schema, "mesh_gateway", "")                            \
	F(BOOL, "CentrallyConfigured", centrally_configured, FIELD_OMIT | FIELD_NOFILTER, NULL, NULL, "")
SCHEMA_DECLARE(upstream, UPSTREAM_FIELDS)

#define PROXY_FIELDS(F)                                                                                                \
	F(STRUCT, "TransparentProxy", transparent_proxy, FIELD_OMIT, &transparent_proxy_schema, "transparent_proxy",   \
	    "")                                                                                                        \
	F(STRUCT, "AccessLogs", access_logs, FIELD_OMIT, &access_logs_schema, "access_logs", "")                       \
	F(LIST, "EnvoyExtensions", envoy_extensions, FIELD_OMIT, &envoy_extension_schema, NULL, "")                    \
	F(STR, "DestinationServiceName", destination_service_name, FIELD_OMIT, NULL, "destination_service_name", "")   \
	F(STR, "DestinationServiceID", destination_service_id, FIELD_OMIT, NULL, "destination_service_id", "")         \
	F(STR, "LocalServiceAddress", local_service_address, FIELD_OMIT, NULL, "local_service_address", "")            \
	F(INT, "LocalServicePort", local_service_port, FIELD_OMIT, NULL, "local_service_port", "")                     \
	F(STR, "LocalServiceSocketPath", local_service_socket_path, FIELD_OMIT, NULL, "local_service_socket_path", "") \
	F(STR, "Mode", mode, 0, NULL, NULL, "empty, transparent or direct")                                            \
	F(ANY, "Config", config, FIELD_OMIT | FIELD_NOFILTER, NULL, NULL, "")                                          \
	F(LIST, "Upstreams", upstreams, FIELD_OMIT, &upstream_schema, NULL, "")                                        \
	F(STRUCT, "MeshGateway", mesh_gateway, 0, &mesh_gateway_schema, "mesh_gateway", "")                            \
	F(STRUCT, "Expose", expose, 0, &expose_schema, NULL, "")
SCHEMA_DECLARE(proxy, PROXY_FIELDS) /* ConnectProxyConfig */

#define CONNECT_FIELDS(F) F(BOOL, "Native", native, FIELD_OMIT, NULL, NULL, "speaks the mesh protocol itself")
SCHEMA_DECLARE(connect, CONNECT_FIELDS) /* ServiceConnect */

#define NODE_FIELDS(F)                                                                                                 \
	F(STR, "ID", id, 0, NULL, NULL, "node ID, a UUID, or empty")                                                   \
	F(STR, "Node", node, 0, NULL, NULL, "node name")                                                               \
	F(STR, "Address", address, 0, NULL, NULL, "")                                                                  \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "Partition", partition, FIELD_OMIT, NULL, NULL, "always empty")                                         \
	F(STR, "PeerName", peer_name, FIELD_OMIT, NULL, NULL, "always empty")                                          \
	F(STRMAP, "TaggedAddresses", tagged_addresses, 0, NULL, NULL, "")                                              \
	F(STRMAP, "Meta", meta, 0, NULL, NULL, "")                                                                     \
	F(PTR, "Locality", locality, FIELD_OMIT | FIELD_NOFILTER, &locality_schema, NULL, "")                          \
	RAFT_INDEX_FIELDS(F)
SCHEMA_DECLARE(node, NODE_FIELDS)

#define NODE_SERVICE_FIELDS(F)                                                                                         \
	F(STR, "Kind", kind, FIELD_OMIT, NULL, NULL, "empty, connect-proxy, mesh-gateway, ...")                        \
	F(STR, "ID", id, 0, NULL, NULL, "unique on its node")                                                          \
	F(STR, "Service", service, 0, NULL, NULL, "the name")                                                          \
	F(STRLIST, "Tags", tags, FIELD_NONNULL, NULL, NULL, "")                                                        \
	F(STR, "Address", address, 0, NULL, NULL, "empty: the node's")                                                 \
	F(MAP, "TaggedAddresses", tagged_addresses, FIELD_OMIT, &service_address_schema, NULL, "")                     \
	F(STRMAP, "Meta", meta, 0, NULL, NULL, "")                                                                     \
	F(INT, "Port", port, FIELD_OMIT, NULL, NULL, "")                                                               \
	F(STR, "SocketPath", socket_path, FIELD_OMIT, NULL, NULL, "")                                                  \
	F(PTR, "Weights", weights, 0, &weights_schema, NULL, "default 1/1")                                            \
	F(BOOL, "EnableTagOverride", enable_tag_override, 0, NULL, NULL, "tags of the catalog win over the agent's")   \
	F(PTR, "Locality", locality, FIELD_OMIT | FIELD_NOFILTER, &locality_schema, NULL, "")                          \
	F(STRUCT, "Proxy", proxy, 0, &proxy_schema, NULL, "")                                                          \
	F(STRUCT, "Connect", connect, 0, &connect_schema, NULL, "")                                                    \
	F(STR, "PeerName", peer_name, 0, NULL, NULL, "always empty")                                                   \
	RAFT_INDEX_FIELDS(F)
SCHEMA_DECLARE(node_service, NODE_SERVICE_FIELDS)

#define CHECK_DEFINITION_FIELDS(F)                                                                                     \
	F(DURATION, "Interval", interval, FIELD_OMIT | FIELD_TEXT, NULL, NULL, "")                                     \
	F(UINT, "OutputMaxSize", output_max_size, FIELD_OMIT, NULL, NULL, "")                                          \
	F(DURATION, "Timeout", timeout, FIELD_OMIT | FIELD_TEXT, NULL, NULL, "")                                       \
	F(DURATION, "DeregisterCriticalServiceAfter", deregister_critical_service_after, FIELD_OMIT | FIELD_TEXT,      \
	    NULL, NULL, "")                                                                                            \
	F(STR, "HTTP", http, FIELD_OMIT, NULL, NULL, "")                                                               \
	F(STR, "TLSServerName", tls_server_name, FIELD_OMIT, NULL, NULL, "")                                           \
	F(BOOL, "TLSSkipVerify", tls_skip_verify, FIELD_OMIT, NULL, NULL, "")                                          \
	F(STRLISTMAP, "Header", header, FIELD_OMIT, NULL, NULL, "")                                                    \
	F(STR, "Method", method, FIELD_OMIT, NULL, NULL, "")                                                           \
	F(STR, "Body", body, FIELD_OMIT, NULL, NULL, "")                                                               \
	F(BOOL, "DisableRedirects", disable_redirects, FIELD_OMIT, NULL, NULL, "")                                     \
	F(STR, "TCP", tcp, FIELD_OMIT, NULL, NULL, "")                                                                 \
	F(BOOL, "TCPUseTLS", tcp_use_tls, FIELD_OMIT, NULL, NULL, "")                                                  \
	F(STR, "UDP", udp, FIELD_OMIT, NULL, NULL, "")                                                                 \
	F(STR, "H2PING", h2ping, FIELD_OMIT, NULL, NULL, "")                                                           \
	F(STR, "OSService", os_service, FIELD_OMIT, NULL, NULL, "")                                                    \
	F(BOOL, "H2PingUseTLS", h2ping_use_tls, FIELD_OMIT, NULL, NULL, "")                                            \
	F(STRLIST, "ScriptArgs", script_args, FIELD_OMIT, NULL, NULL, "")                                              \
	F(STR, "DockerContainerID", docker_container_id, FIELD_OMIT, NULL, NULL, "")                                   \
	F(STR, "Shell", shell, FIELD_OMIT, NULL, NULL, "")                                                             \
	F(STR, "GRPC", grpc, FIELD_OMIT, NULL, NULL, "")                                                               \
	F(BOOL, "GRPCUseTLS", grpc_use_tls, FIELD_OMIT, NULL, NULL, "")                                                \
	F(STR, "AliasNode", alias_node, FIELD_OMIT, NULL, NULL, "")                                                    \
	F(STR, "AliasService", alias_service, FIELD_OMIT, NULL, NULL, "")                                              \
	F(STR, "SessionName", session_name, FIELD_OMIT, NULL, NULL, "follows sessions of this name on the node")       \
	F(DURATION, "TTL", ttl, FIELD_OMIT, NULL, NULL, "")
SCHEMA_DECLARE(check_definition, CHECK_DEFINITION_FIELDS) /* HealthCheckDefinition */

#define HEALTH_CHECK_FIELDS(F)                                                                                         \
	F(STR, "Node", node, 0, NULL, NULL, "")                                                                        \
	F(STR, "CheckID", check_id, 0, NULL, NULL, "unique on its node")                                               \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(STR, "Status", status, 0, NULL, NULL, "passing, warning, critical")                                          \
	F(STR, "Notes", notes, 0, NULL, NULL, "")                                                                      \
	F(STR, "Output", output, 0, NULL, NULL, "")                                                                    \
	F(STR, "ServiceID", service_id, 0, NULL, NULL, "empty: a check of the node")                                   \
	F(STR, "ServiceName", service_name, 0, NULL, NULL, "")                                                         \
	F(STRLIST, "ServiceTags", service_tags, FIELD_NONNULL, NULL, NULL, "")                                         \
	F(STR, "Type", type, 0, NULL, NULL, "http, tcp, ttl, ...")                                                     \
	F(STR, "Interval", interval, 0, NULL, NULL, "text")                                                            \
	F(STR, "Timeout", timeout, 0, NULL, NULL, "text")                                                              \
	F(INT, "ExposedPort", exposed_port, 0, NULL, NULL, "")                                                         \
	F(STR, "PeerName", peer_name, FIELD_OMIT, NULL, NULL, "always empty")                                          \
	F(STRUCT, "Definition", definition, FIELD_NOFILTER, &check_definition_schema, NULL, "")                        \
	RAFT_INDEX_FIELDS(F)
SCHEMA_DECLARE(health_check, HEALTH_CHECK_FIELDS)

#define SERVICE_NODE_FIELDS(F)                                                                                         \
	F(STR, "ID", id, 0, NULL, NULL, "the node's")                                                                  \
	F(STR, "Node", node, 0, NULL, NULL, "")                                                                        \
	F(STR, "Address", address, 0, NULL, NULL, "the node's")                                                        \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STRMAP, "TaggedAddresses", tagged_addresses, 0, NULL, NULL, "the node's")                                    \
	F(STRMAP, "NodeMeta", node_meta, 0, NULL, NULL, "")                                                            \
	F(STR, "ServiceKind", service_kind, 0, NULL, NULL, "")                                                         \
	F(STR, "ServiceID", service_id, 0, NULL, NULL, "")                                                             \
	F(STR, "ServiceName", service_name, 0, NULL, NULL, "")                                                         \
	F(STRLIST, "ServiceTags", service_tags, FIELD_NONNULL, NULL, NULL, "")                                         \
	F(STR, "ServiceAddress", service_address, 0, NULL, NULL, "")                                                   \
	F(MAP, "ServiceTaggedAddresses", service_tagged_addresses, FIELD_OMIT, &service_address_schema, NULL, "")      \
	F(STRUCT, "ServiceWeights", service_weights, 0, &weights_schema, NULL, "")                                     \
	F(STRMAP, "ServiceMeta", service_meta, FIELD_NONNULL, NULL, NULL, "")                                          \
	F(INT, "ServicePort", service_port, 0, NULL, NULL, "")                                                         \
	F(STR, "ServiceSocketPath", service_socket_path, 0, NULL, NULL, "")                                            \
	F(BOOL, "ServiceEnableTagOverride", service_enable_tag_override, 0, NULL, NULL, "")                            \
	F(STRUCT, "ServiceProxy", service_proxy, 0, &proxy_schema, NULL, "")                                           \
	F(STRUCT, "ServiceConnect", service_connect, 0, &connect_schema, NULL, "")                                     \
	F(PTR, "ServiceLocality", service_locality, FIELD_NOFILTER, &locality_schema, NULL, "")                        \
	F(STR, "PeerName", peer_name, FIELD_OMIT, NULL, NULL, "always empty")                                          \
	RAFT_INDEX_FIELDS(F)
SCHEMA_DECLARE(service_node, SERVICE_NODE_FIELDS)

#define CHECK_SERVICE_NODE_FIELDS(F)                                                                                   \
	F(PTR, "Node", node, 0, &node_schema, NULL, "")                                                                \
	F(PTR, "Service", service, 0, &node_service_schema, NULL, "")                                                  \
	F(LIST, "Checks", checks, FIELD_NONNULL, &health_check_schema, NULL, "node checks first")
SCHEMA_DECLARE(check_service_node, CHECK_SERVICE_NODE_FIELDS)

#define NODE_SERVICES_FIELDS(F)                                                                                        \
	F(PTR, "Node", node, 0, &node_schema, NULL, "")                                                                \
	F(MAP, "Services", services, FIELD_NONNULL, &node_service_schema, NULL, "by service ID")
SCHEMA_DECLARE(node_services, NODE_SERVICES_FIELDS)

#define NODE_SERVICE_LIST_FIELDS(F)                                                                                    \
	F(PTR, "Node", node, 0, &node_schema, NULL, "")                                                                \
	F(LIST, "Services", services, 0, &node_service_schema, NULL, "")
SCHEMA_DECLARE(node_service_list, NODE_SERVICE_LIST_FIELDS)

#define NODE_INFO_FIELDS(F)                                                                                            \
	F(STR, "ID", id, 0, NULL, NULL, "")                                                                            \
	F(STR, "Node", node, 0, NULL, NULL, "")                                                                        \
	F(STR, "Partition", partition, FIELD_OMIT, NULL, NULL, "")                                                     \
	F(STR, "PeerName", peer_name, FIELD_OMIT, NULL, NULL, "")                                                      \
	F(STR, "Address", address, 0, NULL, NULL, "")                                                                  \
	F(STRMAP, "TaggedAddresses", tagged_addresses, 0, NULL, NULL, "")                                              \
	F(STRMAP, "Meta", meta, 0, NULL, NULL, "")                                                                     \
	F(LIST, "Services", services, FIELD_NONNULL, &node_service_schema, NULL, "")                                   \
	F(LIST, "Checks", checks, FIELD_NONNULL, &health_check_schema, NULL, "")
SCHEMA_DECLARE(node_info, NODE_INFO_FIELDS)

#define REGISTER_REQUEST_FIELDS(F)                                                                                     \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "default: the agent's")                                        \
	F(STR, "ID", id, 0, NULL, NULL, "node ID")                                                                     \
	F(STR, "Node", node, 0, NULL, NULL, "required")                                                                \
	F(STR, "Address", address, 0, NULL, NULL, "required unless SkipNodeUpdate")                                    \
	F(STRMAP, "TaggedAddresses", tagged_addresses, 0, NULL, NULL, "")                                              \
	F(STRMAP, "NodeMeta", node_meta, 0, NULL, NULL, "")                                                            \
	F(PTR, "Service", service, 0, &node_service_schema, NULL, "")                                                  \
	F(PTR, "Check", check, 0, &health_check_schema, NULL, "")                                                      \
	F(LIST, "Checks", checks, 0, &health_check_schema, NULL, "")                                                   \
	F(PTR, "Locality", locality, 0, &locality_schema, NULL, "")                                                    \
	F(BOOL, "SkipNodeUpdate", skip_node_update, 0, NULL, NULL, "leave an existing node record alone")              \
	F(STR, "PeerName", peer_name, 0, NULL, NULL, "must be empty")                                                  \
	WRITE_REQUEST_FIELDS(F)                                                                                        \
	RAFT_INDEX_FIELDS(F)
SCHEMA_DECLARE(register_request, REGISTER_REQUEST_FIELDS)

#define DEREGISTER_REQUEST_FIELDS(F)                                                                                   \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "Node", node, 0, NULL, NULL, "required")                                                                \
	F(STR, "Address", address, FIELD_IGNORED, NULL, NULL, "obsolete")                                              \
	F(STR, "ServiceID", service_id, 0, NULL, NULL, "")                                                             \
	F(STR, "CheckID", check_id, 0, NULL, NULL, "")                                                                 \
	F(STR, "PeerName", peer_name, 0, NULL, NULL, "")                                                               \
	WRITE_REQUEST_FIELDS(F)
SCHEMA_DECLARE(deregister_request, DEREGISTER_REQUEST_FIELDS)

/*
 * Replies: Indexed* structs. The data stands first and QueryMeta behind it, so that a front end passes over
 * the data once; an answer's metadata is found by walking the map.
 */
#define INDEXED(tag, FIELDS) SCHEMA_DECLARE(tag, FIELDS)
#define INDEXED_NODES_FIELDS(F) F(LIST, "Nodes", nodes, FIELD_NONNULL, &node_schema, NULL, "") QUERY_META_FIELDS(F)
INDEXED(indexed_nodes, INDEXED_NODES_FIELDS)
#define INDEXED_SERVICES_FIELDS(F)                                                                                     \
	F(STRLISTMAP, "Services", services, FIELD_NONNULL, NULL, NULL, "name to tags") QUERY_META_FIELDS(F)
INDEXED(indexed_services, INDEXED_SERVICES_FIELDS)
#define INDEXED_SERVICE_NODES_FIELDS(F)                                                                                \
	F(LIST, "ServiceNodes", service_nodes, FIELD_NONNULL, &service_node_schema, NULL, "") QUERY_META_FIELDS(F)
INDEXED(indexed_service_nodes, INDEXED_SERVICE_NODES_FIELDS)
#define INDEXED_NODE_SERVICES_FIELDS(F)                                                                                \
	F(PTR, "NodeServices", node_services, 0, &node_services_schema, NULL, "") QUERY_META_FIELDS(F)
INDEXED(indexed_node_services, INDEXED_NODE_SERVICES_FIELDS)
#define INDEXED_NODE_SERVICE_LIST_FIELDS(F)                                                                            \
	F(STRUCT, "NodeServices", node_services, 0, &node_service_list_schema, NULL, "") QUERY_META_FIELDS(F)
INDEXED(indexed_node_service_list, INDEXED_NODE_SERVICE_LIST_FIELDS)
#define INDEXED_HEALTH_CHECKS_FIELDS(F)                                                                                \
	F(LIST, "HealthChecks", health_checks, FIELD_NONNULL, &health_check_schema, NULL, "") QUERY_META_FIELDS(F)
INDEXED(indexed_health_checks, INDEXED_HEALTH_CHECKS_FIELDS)
#define INDEXED_CHECK_SERVICE_NODES_FIELDS(F)                                                                          \
	F(LIST, "Nodes", nodes, FIELD_NONNULL, &check_service_node_schema, NULL, "") QUERY_META_FIELDS(F)
INDEXED(indexed_check_service_nodes, INDEXED_CHECK_SERVICE_NODES_FIELDS)
#define INDEXED_NODE_DUMP_FIELDS(F)                                                                                    \
	F(LIST, "Dump", dump, FIELD_NONNULL, &node_info_schema, NULL, "") QUERY_META_FIELDS(F)
INDEXED(indexed_node_dump, INDEXED_NODE_DUMP_FIELDS)

#define SERVICE_NAME_FIELDS(F) F(STR, "Name", name, 0, NULL, NULL, "")
SCHEMA_DECLARE(service_name, SERVICE_NAME_FIELDS)
#define INDEXED_SERVICE_LIST_FIELDS(F)                                                                                 \
	F(LIST, "Services", services, FIELD_NONNULL, &service_name_schema, NULL, "") QUERY_META_FIELDS(F)
INDEXED(indexed_service_list, INDEXED_SERVICE_LIST_FIELDS)
#define INDEXED_NODES_WITH_GATEWAYS_FIELDS(F)                                                                          \
	F(LIST, "Nodes", nodes, FIELD_NONNULL, &check_service_node_schema, NULL, "")                                   \
	F(LIST, "ImportedNodes", imported_nodes, FIELD_NONNULL, &check_service_node_schema, NULL, "")                  \
	F(ANY, "Gateways", gateways, 0, NULL, NULL, "")                                                                \
	QUERY_META_FIELDS(F)
INDEXED(indexed_nodes_with_gateways, INDEXED_NODES_WITH_GATEWAYS_FIELDS)

/* ---- KV, sessions ---- */

#define DIR_ENTRY_FIELDS(F)                                                                                            \
	F(UINT, "LockIndex", lock_index, 0, NULL, NULL, "fresh acquisitions; with Key and Session a fencing token")    \
	F(STR, "Key", key, 0, NULL, NULL, "")                                                                          \
	F(UINT, "Flags", flags, 0, NULL, NULL, "the client's own")                                                     \
	F(BYTES, "Value", value, 0, NULL, NULL, "")                                                                    \
	F(STR, "Session", session, FIELD_OMIT, NULL, NULL, "holder")                                                   \
	RAFT_INDEX_FIELDS(F)
SCHEMA_DECLARE(dir_entry, DIR_ENTRY_FIELDS)

#define KVS_REQUEST_FIELDS(F)                                                                                          \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "Op", op, 0, NULL, NULL, "set, delete, delete-cas, delete-tree, cas, lock, unlock")                     \
	F(STRUCT, "DirEnt", dir_ent, 0, &dir_entry_schema, NULL, "")                                                   \
	WRITE_REQUEST_FIELDS(F)
SCHEMA_DECLARE(kvs_request, KVS_REQUEST_FIELDS)

#define KEY_REQUEST_FIELDS(F)                                                                                          \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "Key", key, 0, NULL, NULL, "key, or prefix for KVS.List")                                               \
	QUERY_OPTIONS_FIELDS(F)
SCHEMA_DECLARE(key_request, KEY_REQUEST_FIELDS)

#define KEY_LIST_REQUEST_FIELDS(F)                                                                                     \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "Prefix", prefix, 0, NULL, NULL, "")                                                                    \
	F(STR, "Seperator", separator, 0, NULL, NULL, "sic")                                                           \
	QUERY_OPTIONS_FIELDS(F)
SCHEMA_DECLARE(key_list_request, KEY_LIST_REQUEST_FIELDS)

#define INDEXED_DIR_ENTRIES_FIELDS(F)                                                                                  \
	F(LIST, "Entries", entries, 0, &dir_entry_schema, NULL, "nil: none") QUERY_META_FIELDS(F)
INDEXED(indexed_dir_entries, INDEXED_DIR_ENTRIES_FIELDS)
#define INDEXED_KEY_LIST_FIELDS(F) F(STRLIST, "Keys", keys, 0, NULL, NULL, "") QUERY_META_FIELDS(F)
INDEXED(indexed_key_list, INDEXED_KEY_LIST_FIELDS)

#define SERVICE_CHECK_FIELDS(F)                                                                                        \
	F(STR, "ID", id, 0, NULL, NULL, "check ID")                                                                    \
	F(STR, "Namespace", namespace_name, 0, NULL, NULL, "always empty")
SCHEMA_DECLARE(service_check, SERVICE_CHECK_FIELDS)

#define SESSION_FIELDS(F)                                                                                              \
	F(STR, "ID", id, 0, NULL, NULL, "")                                                                            \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(STR, "Node", node, 0, NULL, NULL, "")                                                                        \
	F(DURATION, "LockDelay", lock_delay, 0, NULL, NULL, "ns")                                                      \
	F(STR, "Behavior", behavior, 0, NULL, NULL, "release or delete")                                               \
	F(STR, "TTL", ttl, 0, NULL, NULL, "as given")                                                                  \
	F(STRLIST, "NodeChecks", node_checks, 0, NULL, NULL, "")                                                       \
	F(LIST, "ServiceChecks", service_checks, 0, &service_check_schema, NULL, "")                                   \
	F(STRLIST, "Checks", checks, FIELD_OMIT, NULL, NULL, "legacy list")                                            \
	RAFT_INDEX_FIELDS(F)
SCHEMA_DECLARE(session, SESSION_FIELDS)

#define SESSION_REQUEST_FIELDS(F)                                                                                      \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "Op", op, 0, NULL, NULL, "create or destroy")                                                           \
	F(STRUCT, "Session", session, 0, &session_schema, NULL, "")                                                    \
	WRITE_REQUEST_FIELDS(F)
SCHEMA_DECLARE(session_request, SESSION_REQUEST_FIELDS)

#define SESSION_SPECIFIC_REQUEST_FIELDS(F)                                                                             \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "SessionID", session_id, 0, NULL, NULL, "")                                                             \
	F(STR, "Session", session, 0, NULL, NULL, "the same, for old servers")                                         \
	QUERY_OPTIONS_FIELDS(F)
SCHEMA_DECLARE(session_specific_request, SESSION_SPECIFIC_REQUEST_FIELDS)

#define INDEXED_SESSIONS_FIELDS(F)                                                                                     \
	F(LIST, "Sessions", sessions, FIELD_NONNULL, &session_schema, NULL, "") QUERY_META_FIELDS(F)
INDEXED(indexed_sessions, INDEXED_SESSIONS_FIELDS)

/* ---- coordinates ---- */

#define COORDINATE_FIELDS(F)                                                                                           \
	F(ANY, "Vec", vec, 0, NULL, NULL, "8 numbers, seconds")                                                        \
	F(FLOAT, "Error", error, 0, NULL, NULL, "how much to trust it, 1.5 at the start")                              \
	F(FLOAT, "Adjustment", adjustment, 0, NULL, NULL, "seconds")                                                   \
	F(FLOAT, "Height", height, 0, NULL, NULL, "seconds")
SCHEMA_DECLARE(coordinate, COORDINATE_FIELDS)

#define NODE_COORDINATE_FIELDS(F)                                                                                      \
	F(STR, "Node", node, 0, NULL, NULL, "in the map of a datacenter without its name")                             \
	F(STR, "Segment", segment, 0, NULL, NULL, "")                                                                  \
	F(STRUCT, "Coord", coord, 0, &coordinate_schema, NULL, "")
SCHEMA_DECLARE(node_coordinate, NODE_COORDINATE_FIELDS) /* Coordinate */

#define INDEXED_COORDINATES_FIELDS(F)                                                                                  \
	F(LIST, "Coordinates", coordinates, FIELD_NONNULL, &node_coordinate_schema, NULL, "") QUERY_META_FIELDS(F)
INDEXED(indexed_coordinates, INDEXED_COORDINATES_FIELDS)

#define DATACENTER_MAP_FIELDS(F)                                                                                       \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "AreaID", area, 0, NULL, NULL, "wan")                                                                   \
	F(LIST, "Coordinates", coordinates, FIELD_NONNULL, &node_coordinate_schema, NULL, "of its servers")
SCHEMA_DECLARE(datacenter_map, DATACENTER_MAP_FIELDS)

#define COORDINATE_UPDATE_REQUEST_FIELDS(F)                                                                            \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "Node", node, 0, NULL, NULL, "")                                                                        \
	F(STR, "Segment", segment, 0, NULL, NULL, "")                                                                  \
	F(PTR, "Coord", coord, 0, &coordinate_schema, NULL, "")                                                        \
	WRITE_REQUEST_FIELDS(F)
SCHEMA_DECLARE(coordinate_update_request, COORDINATE_UPDATE_REQUEST_FIELDS)

#define COORDINATE_BATCH_FIELDS(F) F(LIST, "Updates", updates, 0, &node_coordinate_schema, NULL, "log entry")
SCHEMA_DECLARE(coordinate_batch, COORDINATE_BATCH_FIELDS)

/* ---- what a server does for others in its gossip pools ---- */

#define EVENT_FIRE_REQUEST_FIELDS(F)                                                                                   \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(STR, "Name", name, 0, NULL, NULL, "of the user event")                                                       \
	F(BYTES, "Payload", payload, 0, NULL, NULL, "as it goes over the wire: who fires it has made it")              \
	QUERY_OPTIONS_FIELDS(F)
SCHEMA_DECLARE(event_fire_request, EVENT_FIRE_REQUEST_FIELDS)

#define KEYRING_REQUEST_FIELDS(F)                                                                                      \
	F(STR, "Operation", operation, 0, NULL, NULL, "list, install, use, remove")                                    \
	F(STR, "Key", key, 0, NULL, NULL, "base64; not for list")                                                      \
	F(STR, "Datacenter", datacenter, 0, NULL, NULL, "")                                                            \
	F(BOOL, "Forwarded", forwarded, 0, NULL, NULL, "by a server of another datacenter: the LAN pool alone")        \
	F(UINT, "RelayFactor", relay_factor, 0, NULL, NULL, "through how many others answers come too, 0 to 5")        \
	F(BOOL, "LocalOnly", local_only, 0, NULL, NULL, "list: the LAN pool alone")                                    \
	QUERY_OPTIONS_FIELDS(F)
SCHEMA_DECLARE(keyring_request, KEYRING_REQUEST_FIELDS)

#endif
