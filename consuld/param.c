/*
 * param.c - the parameter registry (contract: param.h)
 *
 * Facts: config.md 3, 4, 10 (keys, defaults, what a reload applies) and 2 (flags). The used-by column is the union of what the daemons read;
 * conf.h panics in a debug build when a daemon asks for a key that is not marked here.
 */
#include "param.h"

#include <string.h>

#define A USE_ALL
#define R USE_RAFTD
#define C USE_CATALOGD
#define H USE_HTTPD
#define D USE_DNSD
#define K USE_CHECKD
#define G USE_GOSSIPD
#define S USE_CONSULD

#define SECOND INT64_C(1000000000)
#define NONE 0, 0

/* clang-format off */
const struct param params[] = {
/* Node, cluster, mode */
{"server", "server", PARAM_BOOL, "false", NONE, 0, A|S, NULL, "This node is a server: it keeps the replicated state and votes."},
{"bootstrap", "bootstrap", PARAM_BOOL, "false", NONE, 0, R|C|G|S, NULL, "This server may elect itself alone. For the first server of a cluster only."},
{"bootstrap_expect", "bootstrap-expect", PARAM_INT, "0", NONE, 0, R|C|G|S, NULL, "Servers to wait for before the first election. 1 is bootstrap."},
{"datacenter", "datacenter", PARAM_STR, "dc1", NONE, 0, A|S, NULL, "Name of the datacenter this node is in; lower case."},
{"primary_datacenter", NULL, PARAM_STR, NULL, NONE, 0, H|S, NULL, "The datacenter that rules ACLs and CA; this one if unset."},
{"node_name", "node", PARAM_STR, NULL, NONE, 0, A|S, NULL, "Name of this node, unique in the cluster; the host name if unset."},
{"node_id", "node-id", PARAM_STR, NULL, NONE, 0, A|S, NULL, "UUID of this node; else data_dir/node-id, else made at the first start."},
{"node_meta", "node-meta", PARAM_MAP, NULL, NONE, PARAM_RELOAD, K|S, NULL, "Up to 64 key/value pairs of the node, for lookups."},
{"disable_host_node_id", "disable-host-node-id", PARAM_BOOL, "true", NONE, 0, S, NULL, "false: derive the node ID from the host's own identifier."},
{"data_dir", "data-dir", PARAM_STR, "", NONE, 0, S, NULL, "Directory for all state. Required unless -dev; made if missing."},
{"domain", "domain", PARAM_STR, "consul.", NONE, 0, D|S, NULL, "DNS domain that is answered for."},
{"alt_domain", "alt-domain", PARAM_STR, "", NONE, 0, D|S, NULL, "A second DNS domain."},
{"protocol", "protocol", PARAM_INT, "2", NONE, 0, G|S, NULL, "Gossip protocol version, 2 or 3."},
{"raft_protocol", "raft-protocol", PARAM_INT, "3", NONE, 0, G|S, NULL, "Must be 3."},
{"rejoin_after_leave", "rejoin", PARAM_BOOL, "false", NONE, 0, G|S, NULL, "Join the nodes known before even after a leave."},
{"leave_on_terminate", NULL, PARAM_BOOL, NULL, NONE, 0, S, NULL, "Leave the cluster on SIGTERM. Unset: false on servers, true on clients."},
{"skip_leave_on_interrupt", NULL, PARAM_BOOL, NULL, NONE, 0, S, NULL, "Do not leave on SIGINT. Unset: true on servers, false on clients."},
{"reconnect_timeout", NULL, PARAM_DURATION, "72h", NONE, 0, C|G|S, NULL, "How long a failed member is remembered. At least 8h is wise."},
{"reconnect_timeout_wan", NULL, PARAM_DURATION, "72h", NONE, 0, G|S, NULL, "The same for the WAN pool."},
{"advertise_reconnect_timeout", NULL, PARAM_DURATION, NULL, NONE, 0, G, NULL, "Clients: others forget this node after so long."},
{"server_rejoin_age_max", NULL, PARAM_DURATION, "168h", 6 * 3600 * SECOND, 0, 0, S, NULL, "A server that was away for longer refuses to start."},
{"session_ttl_min", NULL, PARAM_DURATION, "10s", NONE, 0, C|H|S, NULL, "Lower bound of session TTLs."},
{"default_query_time", "default-query-time", PARAM_DURATION, "300s", NONE, 0, C|H, NULL, "Wait time of a blocking query that names none."},
{"max_query_time", "max-query-time", PARAM_DURATION, "600s", NONE, 0, C|H, NULL, "Cap of the wait time of a blocking query."},
{"discovery_max_stale", NULL, PARAM_DURATION, "0s", NONE, 0, H, NULL, "Over 0: discovery endpoints answer stale by default, up to this age."},
{"translate_wan_addrs", NULL, PARAM_BOOL, "false", NONE, 0, H|D, NULL, "Answer nodes of other datacenters by their WAN address."},
{"disable_coordinates", NULL, PARAM_BOOL, "false", NONE, 0, C|H|G, NULL, "No network coordinates."},
{"enable_central_service_config", NULL, PARAM_BOOL, "true", NONE, 0, 0, NULL, "Merge central configuration into registrations."},
{"use_streaming_backend", NULL, PARAM_BOOL, "true", NONE, 0, S, NULL, "Health queries by subscription."},
{"rpc.enable_streaming", NULL, PARAM_BOOL, NULL, NONE, 0, S, NULL, "Servers offer subscriptions. Unset: true on servers."},
{"auto_reload_config", "auto-reload-config", PARAM_BOOL, "false", NONE, PARAM_LATER, S, NULL, "Watch the configuration files and reload by itself."},
{"disable_remote_exec", NULL, PARAM_BOOL, "true", NONE, PARAM_LATER, 0, NULL, "No commands from the cluster."},
{"disable_update_check", NULL, PARAM_BOOL, "false", NONE, PARAM_MOOT, 0, NULL, "Accepted; there is no update check."},
{"disable_anonymous_signature", NULL, PARAM_BOOL, "false", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"enable_debug", NULL, PARAM_BOOL, "false", NONE, PARAM_RELOAD, H|S, NULL, "Debug endpoints."},
{"check_update_interval", NULL, PARAM_DURATION, "5m", NONE, 0, K, NULL, "A check whose output alone changed is sent to the catalog at most this often."},
{"check_output_max_size", "check_output_max_size", PARAM_INT, "4096", NONE, 0, K, NULL, "Bytes of output kept for a check."},
{"discard_check_output", NULL, PARAM_BOOL, "false", NONE, PARAM_RELOAD, K, NULL, "Keep no check output."},
{"enable_script_checks", "enable-script-checks", PARAM_BOOL, "false", NONE, 0, K|S, NULL, "Allow script checks, from files and by HTTP."},
{"enable_local_script_checks", "enable-local-script-checks", PARAM_BOOL, NULL, NONE, 0, K|S, NULL, "Allow script checks from files. Unset: as enable_script_checks."},
{"enable_agent_tls_for_checks", NULL, PARAM_BOOL, "false", NONE, PARAM_LATER, K, NULL, "Checks present the agent's certificate."},
{"disable_http_unprintable_char_filter", NULL, PARAM_BOOL, "false", NONE, 0, H, NULL, "Allow unprintable characters in URLs."},
{"default_intention_policy", NULL, PARAM_STR, "", NONE, 0, 0, NULL, "allow or deny; unset: the ACL default policy."},
{"primary_gateways", "primary-gateway", PARAM_LIST, NULL, NONE, 0, S, NULL, "Mesh gateways of the primary datacenter, for servers of secondaries."},
{"primary_gateways_interval", NULL, PARAM_DURATION, "30s", NONE, 0, S, NULL, "Time between attempts to reach them."},
{"pid_file", "pid-file", PARAM_STR, "", NONE, 0, S, NULL, "File that holds the pid of consuld while it runs."},
{"experiments", NULL, PARAM_LIST, NULL, NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},

/* Network */
{"bind_addr", "bind", PARAM_STR, "0.0.0.0", NONE, PARAM_TEMPLATE, C|S, NULL, "Address of gossip and RPC, and what the others use unless advertise_addr is set."},
{"client_addr", "client", PARAM_STR, "127.0.0.1", NONE, PARAM_TEMPLATE, D|S, NULL, "Addresses of HTTP and DNS, blank-separated."},
{"advertise_addr", "advertise", PARAM_STR, NULL, NONE, PARAM_TEMPLATE, R|C|K|G|S, NULL, "Address that the others are told to use."},
{"advertise_addr_ipv4", NULL, PARAM_STR, NULL, NONE, PARAM_TEMPLATE, K|S, NULL, "The same, IPv4."},
{"advertise_addr_ipv6", NULL, PARAM_STR, NULL, NONE, PARAM_TEMPLATE, K|S, NULL, "The same, IPv6."},
{"advertise_addr_wan", "advertise-wan", PARAM_STR, NULL, NONE, PARAM_TEMPLATE, K|G|S, NULL, "Address that other datacenters are told to use."},
{"advertise_addr_wan_ipv4", NULL, PARAM_STR, NULL, NONE, PARAM_TEMPLATE, K|S, NULL, "The same, IPv4."},
{"advertise_addr_wan_ipv6", NULL, PARAM_STR, NULL, NONE, PARAM_TEMPLATE, K|S, NULL, "The same, IPv6."},
{"serf_lan", "serf-lan-bind", PARAM_STR, NULL, NONE, PARAM_TEMPLATE, G|S, NULL, "Address LAN gossip binds to; bind_addr if unset."},
{"serf_wan", "serf-wan-bind", PARAM_STR, NULL, NONE, PARAM_TEMPLATE, G|S, NULL, "Address WAN gossip binds to; bind_addr if unset."},
{"tagged_addresses", NULL, PARAM_MAP, NULL, NONE, 0, K|S, NULL, "Named addresses of this node; lan, wan and their _ipv4, _ipv6 forms are computed."},
{"recursors", "recursor", PARAM_LIST, NULL, NONE, PARAM_RELOAD, D|S, NULL, "DNS servers asked for names outside the domain."},
{"retry_join", "retry-join", PARAM_LIST, NULL, NONE, 0, G|S, NULL, "Nodes to join, again and again until one answers."},
{"retry_join_wan", "retry-join-wan", PARAM_LIST, NULL, NONE, 0, G|S, NULL, "The same for the WAN pool."},
{"start_join", "join", PARAM_LIST, NULL, NONE, 0, G|S, NULL, "Nodes to join once at start; if none answers the agent ends, unless retry_join is set."},
{"start_join_wan", "join-wan", PARAM_LIST, NULL, NONE, 0, G|S, NULL, "The same for the WAN pool."},
{"retry_interval", "retry-interval", PARAM_DURATION, "30s", NONE, 0, G|S, NULL, "Time between attempts to join."},
{"retry_interval_wan", "retry-interval-wan", PARAM_DURATION, "30s", NONE, 0, G|S, NULL, "The same for the WAN pool."},
{"retry_max", "retry-max", PARAM_INT, "0", NONE, 0, G|S, NULL, "Attempts to join before the agent ends; 0: no end."},
{"retry_max_wan", "retry-max-wan", PARAM_INT, "0", NONE, 0, G|S, NULL, "The same for the WAN pool."},
{"serf_lan_allowed_cidrs", "serf-lan-allowed-cidrs", PARAM_LIST, NULL, NONE, 0, G|S, NULL, "Networks that LAN members may come from; unset: all."},
{"serf_wan_allowed_cidrs", "serf-wan-allowed-cidrs", PARAM_LIST, NULL, NONE, 0, G|S, NULL, "Networks that WAN members may come from; unset: all."},
{"encrypt", "encrypt", PARAM_STR, "", NONE, PARAM_SECRET, G|S, NULL, "Gossip key: 16, 24 or 32 bytes in base64."},
{"encrypt_verify_incoming", NULL, PARAM_BOOL, "true", NONE, 0, G|S, NULL, "Refuse plain gossip when a key is set."},
{"encrypt_verify_outgoing", NULL, PARAM_BOOL, "true", NONE, 0, G|S, NULL, "Send encrypted gossip when a key is set."},
{"disable_keyring_file", "disable-keyring-file", PARAM_BOOL, "false", NONE, 0, G|S, NULL, "Do not keep gossip keys on disk."},

/* Logging */
{"log_level", "log-level", PARAM_STR, "INFO", NONE, PARAM_RELOAD, A|S, NULL, "trace, debug, info, warn or err."},
{"log_json", "log-json", PARAM_BOOL, "false", NONE, 0, S, NULL, "Log as JSON objects."},
{"log_file", "log-file", PARAM_STR, "", NONE, 0, S, NULL, "Log to this file, too; with a slash at its end, to consul.log in that directory."},
{"log_rotate_duration", "log-rotate-duration", PARAM_DURATION, "24h", NONE, 0, S, NULL, "Age at which the log file is rotated."},
{"log_rotate_bytes", "log-rotate-bytes", PARAM_INT, "0", NONE, 0, S, NULL, "Size at which the log file is rotated; 0: none."},
{"log_rotate_max_files", "log-rotate-max-files", PARAM_INT, "0", NONE, 0, S, NULL, "Old log files kept; 0: all, below 0: none."},
{"enable_syslog", "syslog", PARAM_BOOL, "false", NONE, 0, S, NULL, "Log to syslog, too."},
{"syslog_facility", NULL, PARAM_STR, "LOCAL0", NONE, 0, S, NULL, "Syslog facility, e.g. local0."},

/* Raft and storage */
{"raft_snapshot_threshold", NULL, PARAM_INT, "16384", NONE, PARAM_RELOAD, R, NULL, "Entries since the last snapshot that make a new one."},
{"raft_snapshot_interval", NULL, PARAM_DURATION, "30s", NONE, PARAM_RELOAD, R, NULL, "How often that is looked at."},
{"raft_trailing_logs", NULL, PARAM_INT, "10240", NONE, PARAM_RELOAD, R, NULL, "Entries kept after a snapshot."},
{"raft_prevote_disabled", NULL, PARAM_BOOL, "false", NONE, 0, 0, NULL, "No pre-vote before an election."},
{"raft_logstore.backend", NULL, PARAM_STR, "default", NONE, PARAM_MOOT, S, NULL, "Checked and ignored: there is one log store, raftd-wal(5)."},
{"raft_logstore.disable_log_cache", NULL, PARAM_BOOL, "false", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"raft_logstore.verification.enabled", NULL, PARAM_BOOL, "false", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect: every block is checked."},
{"raft_logstore.verification.interval", NULL, PARAM_DURATION, "0s", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"raft_logstore.boltdb.no_freelist_sync", NULL, PARAM_BOOL, "false", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"raft_logstore.wal.segment_size_mb", NULL, PARAM_INT, "64", NONE, 0, S, NULL, "Size of a log segment, 1 to 1024 MiB."},

/* ACL */
{"acl.enabled", NULL, PARAM_BOOL, "false", NONE, PARAM_LATER, H|G|S, NULL, "Access control lists."},
{"acl.default_policy", NULL, PARAM_STR, "allow", NONE, 0, H|S, NULL, "allow or deny what no rule names."},
{"acl.down_policy", NULL, PARAM_STR, "extend-cache", NONE, 0, S, NULL, "allow, deny, extend-cache or async-cache while no server answers."},
{"acl.token_ttl", NULL, PARAM_DURATION, "30s", NONE, 0, 0, NULL, "How long a token is cached."},
{"acl.policy_ttl", NULL, PARAM_DURATION, "30s", NONE, 0, 0, NULL, "How long a policy is cached."},
{"acl.role_ttl", NULL, PARAM_DURATION, "0s", NONE, 0, 0, NULL, "How long a role is cached."},
{"acl.enable_token_replication", NULL, PARAM_BOOL, "false", NONE, 0, 0, NULL, "Copy tokens from the primary datacenter."},
{"acl.enable_key_list_policy", NULL, PARAM_BOOL, "false", NONE, 0, 0, NULL, "Ask for the list right on recursive KV reads."},
{"acl.enable_token_persistence", NULL, PARAM_BOOL, "false", NONE, PARAM_RELOAD, S, NULL, "Keep tokens set by HTTP in data_dir."},
{"acl.tokens.initial_management", NULL, PARAM_STR, "", NONE, PARAM_SECRET, 0, NULL, "Management token made by the first leader."},
{"acl.tokens.default", NULL, PARAM_STR, "", NONE, PARAM_SECRET|PARAM_RELOAD, K, NULL, "Token of requests that bring none."},
{"acl.tokens.agent", NULL, PARAM_STR, "", NONE, PARAM_SECRET|PARAM_RELOAD, K, NULL, "Token of the agent's own work."},
{"acl.tokens.agent_recovery", NULL, PARAM_STR, "", NONE, PARAM_SECRET|PARAM_RELOAD, 0, NULL, "Token for the agent's endpoints while no server answers."},
{"acl.tokens.replication", NULL, PARAM_STR, "", NONE, PARAM_SECRET|PARAM_RELOAD, 0, NULL, "Token to copy from the primary datacenter with."},
{"acl.tokens.config_file_service_registration", NULL, PARAM_STR, "", NONE, PARAM_SECRET|PARAM_RELOAD, K, NULL, "Token of registrations from files."},
{"acl.tokens.dns", NULL, PARAM_STR, "", NONE, PARAM_SECRET|PARAM_RELOAD, 0, NULL, "Token of DNS queries."},
{"acl.tokens.master", NULL, PARAM_STR, NULL, NONE, PARAM_ALIAS|PARAM_SECRET, 0, "acl.tokens.initial_management", NULL},
{"acl.tokens.agent_master", NULL, PARAM_STR, NULL, NONE, PARAM_ALIAS|PARAM_SECRET, 0, "acl.tokens.agent_recovery", NULL},
{"acl.tokens.managed_service_provider", NULL, PARAM_OBJECTS, NULL, NONE, PARAM_ENTERPRISE|PARAM_SECRET, 0, NULL, NULL},
{"acl.msp_disable_bootstrap", NULL, PARAM_BOOL, NULL, NONE, PARAM_ENTERPRISE, 0, NULL, NULL},

/* Addresses and ports */
{"addresses.dns", NULL, PARAM_STR, NULL, NONE, PARAM_TEMPLATE, S, NULL, "Addresses of DNS instead of client_addr."},
{"addresses.http", NULL, PARAM_STR, NULL, NONE, PARAM_TEMPLATE, S, NULL, "Addresses of HTTP instead of client_addr; unix:///path too."},
{"addresses.https", NULL, PARAM_STR, NULL, NONE, PARAM_TEMPLATE, S, NULL, "Addresses of HTTPS instead of client_addr; unix:///path too."},
{"addresses.grpc", NULL, PARAM_STR, NULL, NONE, PARAM_TEMPLATE, S, NULL, "Addresses of gRPC instead of client_addr."},
{"addresses.grpc_tls", NULL, PARAM_STR, NULL, NONE, PARAM_TEMPLATE, S, NULL, "Addresses of gRPC over TLS instead of client_addr."},
{"addresses.rpc", NULL, PARAM_STR, NULL, NONE, PARAM_IGNORED, 0, NULL, NULL},
{"ports.dns", "dns-port", PARAM_INT, "8600", NONE, 0, D|S, NULL, "DNS, TCP and UDP; 0 or below: off."},
{"ports.http", "http-port", PARAM_INT, "8500", NONE, 0, S, NULL, "HTTP; 0 or below: off."},
{"ports.https", "https-port", PARAM_INT, "-1", NONE, 0, S, NULL, "HTTPS; 0 or below: off."},
{"ports.grpc", "grpc-port", PARAM_INT, "-1", NONE, 0, C|G|S, NULL, "gRPC; 0 or below: off."},
{"ports.grpc_tls", "grpc-tls-port", PARAM_INT, NULL, NONE, 0, C|G|S, NULL, "gRPC over TLS. Unset: 8503 on servers, off on clients."},
{"ports.serf_lan", "serf-lan-port", PARAM_INT, "8301", NONE, 0, G|S, NULL, "LAN gossip, TCP and UDP."},
{"ports.serf_wan", "serf-wan-port", PARAM_INT, "8302", NONE, 0, G|S, NULL, "WAN gossip, TCP and UDP; 0 or below: no WAN."},
{"ports.server", "server-port", PARAM_INT, "8300", NONE, 0, R|C|G|S, NULL, "RPC between nodes, TCP."},
{"ports.sidecar_min_port", NULL, PARAM_INT, "21000", NONE, 0, K|S, NULL, "First port for sidecars."},
{"ports.sidecar_max_port", NULL, PARAM_INT, "21255", NONE, 0, K|S, NULL, "Last port for sidecars."},
{"ports.expose_min_port", NULL, PARAM_INT, "21500", NONE, 0, K|S, NULL, "First port for exposed checks."},
{"ports.expose_max_port", NULL, PARAM_INT, "21755", NONE, 0, K|S, NULL, "Last port for exposed checks."},
{"ports.proxy_min_port", NULL, PARAM_INT, "20000", NONE, PARAM_MOOT, S, NULL, "Accepted, no effect."},
{"ports.proxy_max_port", NULL, PARAM_INT, "20255", NONE, PARAM_MOOT, S, NULL, "Accepted, no effect."},
{"ports.rpc", NULL, PARAM_INT, NULL, NONE, PARAM_IGNORED, 0, NULL, NULL},

/* Autopilot, auto-encrypt, auto-config */
{"autopilot.cleanup_dead_servers", NULL, PARAM_BOOL, "true", NONE, 0, C, NULL, "Remove failed servers from the cluster, fewer than half of the voters at a time."},
{"autopilot.last_contact_threshold", NULL, PARAM_DURATION, "200ms", NONE, 0, C, NULL, "Longest silence of a healthy server."},
{"autopilot.max_trailing_logs", NULL, PARAM_INT, "250", NONE, 0, C|S, NULL, "Entries a healthy server may be behind."},
{"autopilot.min_quorum", NULL, PARAM_INT, "0", NONE, 0, C, NULL, "Voters kept, even dead ones."},
{"autopilot.server_stabilization_time", NULL, PARAM_DURATION, "10s", NONE, 0, C, NULL, "How long a new server must be healthy before it votes."},
{"autopilot.disable_upgrade_migration", NULL, PARAM_BOOL, NULL, NONE, PARAM_ENTERPRISE, 0, NULL, NULL},
{"autopilot.redundancy_zone_tag", NULL, PARAM_STR, NULL, NONE, PARAM_ENTERPRISE, 0, NULL, NULL},
{"autopilot.upgrade_version_tag", NULL, PARAM_STR, NULL, NONE, PARAM_ENTERPRISE, 0, NULL, NULL},
{"auto_encrypt.tls", NULL, PARAM_BOOL, "false", NONE, PARAM_REFUSED, S, NULL, "Clients: get certificates from the servers."},
{"auto_encrypt.allow_tls", NULL, PARAM_BOOL, "false", NONE, PARAM_REFUSED, S, NULL, "Servers: give certificates to clients."},
{"auto_encrypt.dns_san", NULL, PARAM_LIST, NULL, NONE, 0, 0, NULL, "Names to put into such a certificate."},
{"auto_encrypt.ip_san", NULL, PARAM_LIST, NULL, NONE, 0, S, NULL, "Addresses to put into such a certificate."},
{"auto_config.enabled", NULL, PARAM_BOOL, "false", NONE, PARAM_REFUSED, S, NULL, "Clients: get the configuration from the servers."},
{"auto_config.intro_token", NULL, PARAM_STR, "", NONE, PARAM_SECRET, 0, NULL, "Token that introduces the client."},
{"auto_config.intro_token_file", NULL, PARAM_STR, "", NONE, 0, 0, NULL, "File that holds it."},
{"auto_config.server_addresses", NULL, PARAM_LIST, NULL, NONE, 0, 0, NULL, "Servers to ask."},
{"auto_config.dns_sans", NULL, PARAM_LIST, NULL, NONE, 0, 0, NULL, "Names to put into the certificate."},
{"auto_config.ip_sans", NULL, PARAM_LIST, NULL, NONE, 0, 0, NULL, "Addresses to put into the certificate."},
{"auto_config.authorization", NULL, PARAM_ANY, NULL, NONE, PARAM_REFUSED, 0, NULL, "Servers: who may ask."},

/* Cache, xds, peering, connect, config entries, locality */
{"cache.entry_fetch_max_burst", NULL, PARAM_INT, "2", NONE, PARAM_RELOAD, S, NULL, "Burst of fetches of one cache entry."},
{"cache.entry_fetch_rate", NULL, PARAM_FLOAT, NULL, NONE, PARAM_RELOAD, S, NULL, "Fetches per second of one cache entry; unset: no limit."},
{"xds.update_max_per_second", NULL, PARAM_FLOAT, "250", NONE, PARAM_RELOAD, 0, NULL, "Proxy updates per second."},
{"peering.enabled", NULL, PARAM_BOOL, "true", NONE, 0, 0, NULL, "Peering of clusters."},
{"connect.enabled", NULL, PARAM_BOOL, "true", NONE, 0, S, NULL, "Service mesh."},
{"connect.ca_provider", NULL, PARAM_STR, "consul", NONE, PARAM_REFUSED, S, NULL, "Certificate authority of the mesh."},
{"connect.ca_config", NULL, PARAM_ANY, NULL, NONE, PARAM_LATER|PARAM_SECRET, 0, NULL, "Settings of the certificate authority."},
{"connect.enable_mesh_gateway_wan_federation", NULL, PARAM_BOOL, "false", NONE, PARAM_REFUSED, S, NULL, "Join datacenters through mesh gateways."},
{"config_entries.bootstrap", NULL, PARAM_OBJECTS, NULL, NONE, PARAM_REFUSED|PARAM_RELOAD, S, NULL, "Configuration entries made by the leader if absent."},
{"locality.region", NULL, PARAM_STR, "", NONE, 0, K|S, NULL, "Region of this node."},
{"locality.zone", NULL, PARAM_STR, "", NONE, 0, K|S, NULL, "Zone of this node; needs the region."},

/* DNS */
{"dns_config.allow_stale", NULL, PARAM_BOOL, "true", NONE, PARAM_RELOAD, D, NULL, "Answer from any server."},
{"dns_config.max_stale", NULL, PARAM_DURATION, "87600h", NONE, PARAM_RELOAD, D, NULL, "Older answers are asked again at the leader."},
{"dns_config.node_ttl", NULL, PARAM_DURATION, "0s", NONE, PARAM_RELOAD, D|S, NULL, "TTL of node answers."},
{"dns_config.service_ttl", NULL, PARAM_MAP, NULL, NONE, PARAM_RELOAD, D|S, NULL, "TTL of service answers by name, prefix* or *."},
{"dns_config.enable_truncate", NULL, PARAM_BOOL, "false", NONE, PARAM_RELOAD, D, NULL, "Set TC when records were left out."},
{"dns_config.only_passing", NULL, PARAM_BOOL, "false", NONE, PARAM_RELOAD, D, NULL, "Leave out instances in warning state."},
{"dns_config.recursor_strategy", NULL, PARAM_STR, "sequential", NONE, PARAM_RELOAD, D|S, NULL, "sequential or random."},
{"dns_config.recursor_timeout", NULL, PARAM_DURATION, "2s", NONE, PARAM_RELOAD, D, NULL, "Time a recursor has."},
{"dns_config.disable_compression", NULL, PARAM_BOOL, "false", NONE, PARAM_RELOAD, D, NULL, "No name compression."},
{"dns_config.udp_answer_limit", NULL, PARAM_INT, "3", NONE, PARAM_RELOAD, D|S, NULL, "Records in a small UDP answer."},
{"dns_config.a_record_limit", NULL, PARAM_INT, "0", NONE, PARAM_RELOAD, D|S, NULL, "Address records in an answer; 0: no limit."},
{"dns_config.enable_additional_node_meta_txt", NULL, PARAM_BOOL, "true", NONE, PARAM_RELOAD, D, NULL, "Node meta as TXT in the additional section."},
{"dns_config.soa.refresh", NULL, PARAM_INT, "3600", NONE, PARAM_RELOAD, D, NULL, "SOA refresh, seconds."},
{"dns_config.soa.retry", NULL, PARAM_INT, "600", NONE, PARAM_RELOAD, D, NULL, "SOA retry, seconds."},
{"dns_config.soa.expire", NULL, PARAM_INT, "86400", NONE, PARAM_RELOAD, D, NULL, "SOA expire, seconds."},
{"dns_config.soa.min_ttl", NULL, PARAM_INT, "0", NONE, PARAM_RELOAD, D, NULL, "SOA minimum, seconds."},
{"dns_config.use_cache", NULL, PARAM_BOOL, "false", NONE, PARAM_RELOAD|PARAM_MOOT, 0, NULL, "Accepted; answers are kept fresh by subscription."},
{"dns_config.cache_max_age", NULL, PARAM_DURATION, "0s", NONE, PARAM_RELOAD|PARAM_MOOT, 0, NULL, "Accepted, see use_cache."},
{"dns_config.prefer_namespace", NULL, PARAM_BOOL, NULL, NONE, PARAM_ENTERPRISE, 0, NULL, NULL},

/* HTTP, limits, performance */
{"http_config.block_endpoints", NULL, PARAM_LIST, NULL, NONE, 0, H, NULL, "Path prefixes that answer 403."},
{"http_config.response_headers", NULL, PARAM_MAP, NULL, NONE, 0, H, NULL, "Headers added to every answer."},
{"http_config.allow_write_http_from", "allow-write-http-from", PARAM_LIST, NULL, NONE, 0, H|S, NULL, "Networks that may write; empty: all."},
{"http_config.use_cache", NULL, PARAM_BOOL, "true", NONE, 0, H, NULL, "Answer ?cached from the agent's cache."},
{"http_config.max_header_bytes", NULL, PARAM_INT, "0", NONE, 0, H, NULL, "Bytes of a request's head; 0: 1 MiB."},
{"limits.http_max_conns_per_client", NULL, PARAM_INT, "200", NONE, PARAM_RELOAD, H|S, NULL, "HTTP connections per client address; 0: no limit."},
{"limits.https_handshake_timeout", NULL, PARAM_DURATION, "5s", NONE, 0, 0, NULL, "Time for a TLS handshake."},
{"limits.rpc_handshake_timeout", NULL, PARAM_DURATION, "5s", NONE, 0, C, NULL, "Time for the first bytes on the RPC port."},
{"limits.rpc_client_timeout", NULL, PARAM_DURATION, "60s", NONE, PARAM_RELOAD, C, NULL, "Time an RPC has, blocking queries excepted."},
{"limits.rpc_rate", NULL, PARAM_FLOAT, "-1", NONE, PARAM_RELOAD, 0, NULL, "RPCs per second of this agent; -1: no limit."},
{"limits.rpc_max_burst", NULL, PARAM_INT, "1000", NONE, PARAM_RELOAD, 0, NULL, "Burst of those."},
{"limits.rpc_max_conns_per_client", NULL, PARAM_INT, "100", NONE, PARAM_RELOAD, C, NULL, "RPC connections per client address."},
{"limits.kv_max_value_size", NULL, PARAM_INT, "524288", NONE, 0, C|H, NULL, "Bytes of a value."},
{"limits.txn_max_req_len", NULL, PARAM_INT, "524288", NONE, 0, H, NULL, "Bytes of a transaction."},
{"limits.request_limits.mode", NULL, PARAM_STR, "disabled", NONE, PARAM_RELOAD|PARAM_REFUSED, S, NULL, "disabled, permissive or enforcing."},
{"limits.request_limits.read_rate", NULL, PARAM_FLOAT, "-1", NONE, PARAM_RELOAD, 0, NULL, "Reads per second of this server; -1: no limit."},
{"limits.request_limits.write_rate", NULL, PARAM_FLOAT, "-1", NONE, PARAM_RELOAD, 0, NULL, "Writes per second of this server; -1: no limit."},
{"performance.raft_multiplier", NULL, PARAM_INT, "5", NONE, 0, R|S, NULL, "Factor of Raft's times, 1 to 10."},
{"performance.leave_drain_time", NULL, PARAM_DURATION, "5s", NONE, 0, C|S, NULL, "How long a server that leaves sends those who ask elsewhere before it ends."},
{"performance.rpc_hold_timeout", NULL, PARAM_DURATION, "7s", NONE, 0, C|H|D|K, NULL, "How long a request waits for a leader."},
{"performance.grpc_keepalive_interval", NULL, PARAM_DURATION, "30s", SECOND, 0, 0, S, NULL, "gRPC keep-alive interval."},
{"performance.grpc_keepalive_timeout", NULL, PARAM_DURATION, "20s", SECOND, 0, 0, S, NULL, "gRPC keep-alive timeout."},
{"performance.enable_xds_load_balancing", NULL, PARAM_BOOL, "true", NONE, 0, 0, NULL, "Spread proxies over servers."},
{"gossip_lan.gossip_interval", NULL, PARAM_DURATION, "200ms", NONE, 0, G, NULL, "Time between gossip rounds."},
{"gossip_lan.gossip_nodes", NULL, PARAM_INT, "3", NONE, 0, G, NULL, "Nodes gossiped to per round."},
{"gossip_lan.probe_interval", NULL, PARAM_DURATION, "1s", NONE, 0, G, NULL, "Time between probes."},
{"gossip_lan.probe_timeout", NULL, PARAM_DURATION, "500ms", NONE, 0, G, NULL, "Time a probe has."},
{"gossip_lan.suspicion_mult", NULL, PARAM_INT, "4", NONE, 0, G, NULL, "Factor of the suspicion time."},
{"gossip_lan.retransmit_mult", NULL, PARAM_INT, "4", NONE, 0, G, NULL, "Factor of retransmissions."},
{"gossip_wan.gossip_interval", NULL, PARAM_DURATION, "500ms", NONE, 0, G, NULL, "Time between gossip rounds."},
{"gossip_wan.gossip_nodes", NULL, PARAM_INT, "3", NONE, 0, G, NULL, "Nodes gossiped to per round."},
{"gossip_wan.probe_interval", NULL, PARAM_DURATION, "5s", NONE, 0, G, NULL, "Time between probes."},
{"gossip_wan.probe_timeout", NULL, PARAM_DURATION, "3s", NONE, 0, G, NULL, "Time a probe has."},
{"gossip_wan.suspicion_mult", NULL, PARAM_INT, "6", NONE, 0, G, NULL, "Factor of the suspicion time."},
{"gossip_wan.retransmit_mult", NULL, PARAM_INT, "4", NONE, 0, G, NULL, "Factor of retransmissions."},

/* Telemetry */
{"telemetry.metrics_prefix", NULL, PARAM_STR, "consul", NONE, 0, 0, NULL, "First part of metric names."},
{"telemetry.disable_hostname", NULL, PARAM_BOOL, "false", NONE, 0, 0, NULL, "No host name in gauge names."},
{"telemetry.statsite_address", NULL, PARAM_STR, "", NONE, PARAM_LATER, 0, NULL, "Statsite server, TCP."},
{"telemetry.statsd_address", NULL, PARAM_STR, "", NONE, PARAM_LATER, 0, NULL, "Statsd server, UDP."},
{"telemetry.dogstatsd_addr", NULL, PARAM_STR, "", NONE, PARAM_LATER, 0, NULL, "DogStatsD server."},
{"telemetry.dogstatsd_tags", NULL, PARAM_LIST, NULL, NONE, 0, 0, NULL, "Tags for it."},
{"telemetry.prometheus_retention_time", NULL, PARAM_DURATION, "0s", NONE, PARAM_LATER, 0, NULL, "Over 0: metrics in Prometheus form."},
{"telemetry.filter_default", NULL, PARAM_BOOL, "true", NONE, PARAM_RELOAD, 0, NULL, "Metrics that no filter names pass."},
{"telemetry.prefix_filter", NULL, PARAM_LIST, NULL, NONE, PARAM_RELOAD, S, NULL, "+prefix lets metrics pass, -prefix stops them."},
{"telemetry.retry_failed_connection", NULL, PARAM_BOOL, "true", NONE, 0, 0, NULL, "Try a metrics server again at start."},
{"telemetry.disable_per_tenancy_usage_metrics", NULL, PARAM_BOOL, "false", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"telemetry.enable_host_metrics", NULL, PARAM_BOOL, "false", NONE, PARAM_LATER, 0, NULL, "Metrics of the machine."},
{"telemetry.disable_compat_1.9", NULL, PARAM_BOOL, NULL, NONE, PARAM_IGNORED, 0, NULL, NULL},
{"telemetry.statsite_prefix", NULL, PARAM_STR, NULL, NONE, PARAM_ALIAS, 0, "telemetry.metrics_prefix", NULL},
{"telemetry.circonus_api_app", NULL, PARAM_STR, "", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect, as all circonus keys."},
{"telemetry.circonus_api_token", NULL, PARAM_STR, "", NONE, PARAM_SECRET|PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"telemetry.circonus_api_url", NULL, PARAM_STR, "", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"telemetry.circonus_broker_id", NULL, PARAM_STR, "", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"telemetry.circonus_broker_select_tag", NULL, PARAM_STR, "", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"telemetry.circonus_check_display_name", NULL, PARAM_STR, "", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"telemetry.circonus_check_force_metric_activation", NULL, PARAM_STR, "", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"telemetry.circonus_check_id", NULL, PARAM_STR, "", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"telemetry.circonus_check_instance_id", NULL, PARAM_STR, "", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"telemetry.circonus_check_search_tag", NULL, PARAM_STR, "", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"telemetry.circonus_check_tags", NULL, PARAM_STR, "", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"telemetry.circonus_submission_interval", NULL, PARAM_STR, "", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},
{"telemetry.circonus_submission_url", NULL, PARAM_STR, "", NONE, PARAM_MOOT, 0, NULL, "Accepted, no effect."},

/* User interface, unix sockets */
{"ui_config.enabled", "ui", PARAM_BOOL, "false", NONE, 0, H|S, NULL, "Serve the web user interface."},
{"ui_config.dir", "ui-dir", PARAM_STR, "", NONE, 0, H|S, NULL, "Directory of a user interface of one's own."},
{"ui_config.content_path", "ui-content-path", PARAM_STR, "/ui/", NONE, 0, H|S, NULL, "Path of the user interface."},
{"ui_config.metrics_provider", NULL, PARAM_STR, "", NONE, PARAM_RELOAD, H|S, NULL, "Source of metrics in the user interface."},
{"ui_config.metrics_provider_files", NULL, PARAM_LIST, NULL, NONE, PARAM_RELOAD, 0, NULL, "Scripts of that source."},
{"ui_config.metrics_provider_options_json", NULL, PARAM_STR, "", NONE, PARAM_RELOAD, 0, NULL, "Options of that source, a JSON object as text."},
{"ui_config.metrics_proxy.base_url", NULL, PARAM_STR, "", NONE, PARAM_RELOAD|PARAM_LATER, S, NULL, "Metrics server that requests are passed on to."},
{"ui_config.metrics_proxy.add_headers", NULL, PARAM_OBJECTS, NULL, NONE, PARAM_RELOAD|PARAM_SECRET, 0, NULL, "Headers added to those requests."},
{"ui_config.metrics_proxy.path_allowlist", NULL, PARAM_LIST, NULL, NONE, PARAM_RELOAD, 0, NULL, "Paths that may be passed on."},
{"ui_config.dashboard_url_templates", NULL, PARAM_MAP, NULL, NONE, PARAM_RELOAD, 0, NULL, "Links to dashboards."},
{"unix_sockets.user", NULL, PARAM_STR, "", NONE, 0, 0, NULL, "Owner of unix sockets."},
{"unix_sockets.group", NULL, PARAM_STR, "", NONE, 0, 0, NULL, "Group of unix sockets."},
{"unix_sockets.mode", NULL, PARAM_STR, "", NONE, 0, S, NULL, "Mode of unix sockets, octal text."},

/* Definitions */
{"services", NULL, PARAM_OBJECTS, NULL, NONE, PARAM_RELOAD, S, NULL, "Service definitions."},
{"service", NULL, PARAM_OBJECTS, NULL, NONE, PARAM_RELOAD|PARAM_SINGLE, S, "services", "One service definition."},
{"checks", NULL, PARAM_OBJECTS, NULL, NONE, PARAM_RELOAD, S, NULL, "Check definitions."},
{"check", NULL, PARAM_OBJECTS, NULL, NONE, PARAM_RELOAD|PARAM_SINGLE, S, "checks", "One check definition."},
{"watches", NULL, PARAM_OBJECTS, NULL, NONE, PARAM_RELOAD, S, NULL, "Watches and their handlers."},

/* TLS */
#define TLS_STANZA(stanza) \
{"tls." stanza ".ca_file", NULL, PARAM_STR, "", NONE, PARAM_LATER, 0, NULL, "CA certificates, PEM."}, \
{"tls." stanza ".ca_path", NULL, PARAM_STR, "", NONE, PARAM_LATER, 0, NULL, "Directory of CA certificates."}, \
{"tls." stanza ".cert_file", NULL, PARAM_STR, "", NONE, PARAM_LATER, 0, NULL, "Certificate, PEM."}, \
{"tls." stanza ".key_file", NULL, PARAM_STR, "", NONE, PARAM_LATER, 0, NULL, "Its private key, PEM."}, \
{"tls." stanza ".tls_min_version", NULL, PARAM_STR, NULL, NONE, 0, S, NULL, "TLS_AUTO, TLSv1_0, TLSv1_1, TLSv1_2 or TLSv1_3."}, \
{"tls." stanza ".tls_cipher_suites", NULL, PARAM_STR, NULL, NONE, 0, S, NULL, "Cipher suites, comma-separated."}, \
{"tls." stanza ".verify_incoming", NULL, PARAM_BOOL, NULL, NONE, PARAM_REFUSED, S, NULL, "Ask clients for a certificate."}, \
{"tls." stanza ".verify_outgoing", NULL, PARAM_BOOL, NULL, NONE, PARAM_REFUSED, S, NULL, "Check servers' certificates."}, \
{"tls." stanza ".verify_server_hostname", NULL, PARAM_BOOL, NULL, NONE, PARAM_REFUSED, S, NULL, "Check that a server's certificate says server.DC.DOMAIN."}, \
{"tls." stanza ".use_auto_cert", NULL, PARAM_BOOL, NULL, NONE, PARAM_LATER, S, NULL, "Use the certificate that the agent got by itself."}
TLS_STANZA("defaults"),
TLS_STANZA("internal_rpc"),
TLS_STANZA("https"),
TLS_STANZA("grpc"),
{"server_name", NULL, PARAM_STR, "", NONE, PARAM_LATER, S, NULL, "Own name in certificates instead of the node name."},

/* Old names (config.md 6.2, 10) */
#define ALIAS(name, type, other) {name, NULL, type, NULL, NONE, PARAM_ALIAS, 0, other, NULL}
ALIAS("ca_file", PARAM_STR, "tls.defaults.ca_file"),
ALIAS("ca_path", PARAM_STR, "tls.defaults.ca_path"),
ALIAS("cert_file", PARAM_STR, "tls.defaults.cert_file"),
ALIAS("key_file", PARAM_STR, "tls.defaults.key_file"),
ALIAS("tls_cipher_suites", PARAM_STR, "tls.defaults.tls_cipher_suites"),
ALIAS("tls_min_version", PARAM_STR, "tls.defaults.tls_min_version"),
ALIAS("verify_incoming", PARAM_BOOL, "tls.defaults.verify_incoming"),
ALIAS("verify_incoming_rpc", PARAM_BOOL, "tls.internal_rpc.verify_incoming"),
ALIAS("verify_incoming_https", PARAM_BOOL, "tls.https.verify_incoming"),
ALIAS("verify_outgoing", PARAM_BOOL, "tls.defaults.verify_outgoing"),
ALIAS("verify_server_hostname", PARAM_BOOL, "tls.internal_rpc.verify_server_hostname"),
{"tls_prefer_server_cipher_suites", NULL, PARAM_BOOL, NULL, NONE, PARAM_IGNORED, 0, NULL, NULL},
ALIAS("acl_datacenter", PARAM_STR, "primary_datacenter"),
ALIAS("acl_default_policy", PARAM_STR, "acl.default_policy"),
ALIAS("acl_down_policy", PARAM_STR, "acl.down_policy"),
ALIAS("acl_ttl", PARAM_DURATION, "acl.token_ttl"),
{"acl_token", NULL, PARAM_STR, NULL, NONE, PARAM_ALIAS|PARAM_SECRET, 0, "acl.tokens.default", NULL},
{"acl_agent_master_token", NULL, PARAM_STR, NULL, NONE, PARAM_ALIAS|PARAM_SECRET, 0, "acl.tokens.agent_recovery", NULL},
{"acl_agent_token", NULL, PARAM_STR, NULL, NONE, PARAM_ALIAS|PARAM_SECRET, 0, "acl.tokens.agent", NULL},
{"acl_master_token", NULL, PARAM_STR, NULL, NONE, PARAM_ALIAS|PARAM_SECRET, 0, "acl.tokens.initial_management", NULL},
{"acl_replication_token", NULL, PARAM_STR, NULL, NONE, PARAM_ALIAS|PARAM_SECRET, 0, "acl.tokens.replication", NULL},
ALIAS("enable_acl_replication", PARAM_BOOL, "acl.enable_token_replication"),
ALIAS("acl_enable_key_list_policy", PARAM_BOOL, "acl.enable_key_list_policy"),
{"acl_enforce_version_8", NULL, PARAM_BOOL, NULL, NONE, PARAM_IGNORED, 0, NULL, NULL},
ALIAS("ui", PARAM_BOOL, "ui_config.enabled"),
ALIAS("ui_dir", PARAM_STR, "ui_config.dir"),
ALIAS("ui_content_path", PARAM_STR, "ui_config.content_path"),
ALIAS("raft_boltdb.NoFreelistSync", PARAM_BOOL, "raft_logstore.boltdb.no_freelist_sync"),
ALIAS("recursor", PARAM_STR, "recursors"),
ALIAS("statsd_addr", PARAM_STR, "telemetry.statsd_address"),
ALIAS("statsite_addr", PARAM_STR, "telemetry.statsite_address"),
ALIAS("statsite_prefix", PARAM_STR, "telemetry.metrics_prefix"),
ALIAS("dogstatsd_addr", PARAM_STR, "telemetry.dogstatsd_addr"),
ALIAS("dogstatsd_tags", PARAM_LIST, "telemetry.dogstatsd_tags"),
ALIAS("http_api_response_headers", PARAM_MAP, "http_config.response_headers"),
{"atlas_infrastructure", NULL, PARAM_STR, NULL, NONE, PARAM_IGNORED, 0, NULL, NULL},
{"atlas_token", NULL, PARAM_STR, NULL, NONE, PARAM_IGNORED|PARAM_SECRET, 0, NULL, NULL},
{"atlas_acl_token", NULL, PARAM_STR, NULL, NONE, PARAM_IGNORED|PARAM_SECRET, 0, NULL, NULL},
{"atlas_join", NULL, PARAM_BOOL, NULL, NONE, PARAM_IGNORED, 0, NULL, NULL},
{"atlas_endpoint", NULL, PARAM_STR, NULL, NONE, PARAM_IGNORED, 0, NULL, NULL},
{"reap", NULL, PARAM_BOOL, NULL, NONE, PARAM_IGNORED, 0, NULL, NULL},

/* Enterprise */
{"audit", NULL, PARAM_ANY, NULL, NONE, PARAM_ENTERPRISE, 0, NULL, NULL},
{"license_path", NULL, PARAM_STR, NULL, NONE, PARAM_ENTERPRISE, 0, NULL, NULL},
{"partition", NULL, PARAM_STR, NULL, NONE, PARAM_ENTERPRISE, 0, NULL, NULL},
{"read_replica", "read-replica", PARAM_BOOL, NULL, NONE, PARAM_ENTERPRISE, G, NULL, NULL},
{"non_voting_server", "non-voting-server", PARAM_BOOL, NULL, NONE, PARAM_ENTERPRISE, 0, NULL, NULL},
{"reporting.license.enabled", NULL, PARAM_BOOL, NULL, NONE, PARAM_ENTERPRISE, 0, NULL, NULL},
{"segment", "segment", PARAM_STR, NULL, NONE, PARAM_ENTERPRISE, K, NULL, NULL},
{"segments", NULL, PARAM_OBJECTS, NULL, NONE, PARAM_ENTERPRISE, 0, NULL, NULL},
{"snapshot_agent", NULL, PARAM_ANY, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"license_poll_base_time", NULL, PARAM_DURATION, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"license_poll_max_time", NULL, PARAM_DURATION, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"license_update_base_time", NULL, PARAM_DURATION, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"license_update_max_time", NULL, PARAM_DURATION, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"cloud", NULL, PARAM_ANY, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},

/* Not for users: named by the decoder, dropped (config.md 3.5) */
{"ae_interval", NULL, PARAM_DURATION, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"check_deregister_interval_min", NULL, PARAM_DURATION, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"check_reap_interval", NULL, PARAM_DURATION, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"consul", NULL, PARAM_ANY, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"revision", NULL, PARAM_STR, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"segment_limit", NULL, PARAM_INT, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"segment_name_limit", NULL, PARAM_INT, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"sync_coordinate_interval_min", NULL, PARAM_DURATION, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"sync_coordinate_rate_target", NULL, PARAM_FLOAT, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"version", NULL, PARAM_STR, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"version_prerelease", NULL, PARAM_STR, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"version_metadata", NULL, PARAM_STR, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},
{"build_date", NULL, PARAM_STR, NULL, NONE, PARAM_NOT_USER, 0, NULL, NULL},

/* Flags without a key */
{"-dev", "dev", PARAM_BOOL, NULL, NONE, PARAM_FLAG_ONLY, S, NULL, "One server in memory, for development."},
{"-config-file", "config-file", PARAM_LIST, NULL, NONE, PARAM_FLAG_ONLY, S, NULL, "File or directory to read; may be repeated."},
{"-config-dir", "config-dir", PARAM_LIST, NULL, NONE, PARAM_FLAG_ONLY, S, NULL, "Directory or file to read; may be repeated."},
{"-config-format", "config-format", PARAM_STR, NULL, NONE, PARAM_FLAG_ONLY, S, NULL, "hcl or json, whatever the files are called."},
{"-hcl", "hcl", PARAM_LIST, NULL, NONE, PARAM_FLAG_ONLY, S, NULL, "A fragment of configuration, above all files; may be repeated."},
{"-dc", "dc", PARAM_STR, NULL, NONE, PARAM_FLAG_ONLY|PARAM_ALIAS, 0, "datacenter", NULL},
{"-atlas", "atlas", PARAM_STR, NULL, NONE, PARAM_FLAG_ONLY|PARAM_IGNORED, 0, NULL, NULL},
{"-atlas-token", "atlas-token", PARAM_STR, NULL, NONE, PARAM_FLAG_ONLY|PARAM_IGNORED, 0, NULL, NULL},
{"-atlas-endpoint", "atlas-endpoint", PARAM_STR, NULL, NONE, PARAM_FLAG_ONLY|PARAM_IGNORED, 0, NULL, NULL},
{"-atlas-join", "atlas-join", PARAM_BOOL, NULL, NONE, PARAM_FLAG_ONLY|PARAM_IGNORED, 0, NULL, NULL},

/* Ours, computed */
{"consuld.dev", NULL, PARAM_BOOL, "false", NONE, PARAM_DERIVED, A, NULL, "Started with -dev."},
{"consuld.version", NULL, PARAM_STR, "", NONE, PARAM_DERIVED, A, NULL, "The compatibility version."},
{"consuld.release", NULL, PARAM_STR, "", NONE, PARAM_DERIVED, A, NULL, "Our own release."},
{"consuld.pid", NULL, PARAM_INT, "0", NONE, PARAM_DERIVED, A, NULL, "Pid of consuld."},
{"consuld.syslog_facility", NULL, PARAM_INT, "-1", NONE, PARAM_DERIVED, A, NULL, "Number of the syslog facility; -1: no syslog."},
{"consuld.run_dir", NULL, PARAM_STR, "", NONE, PARAM_DERIVED, A, NULL, "The run directory."},
{"consuld.raft_dir", NULL, PARAM_STR, "", NONE, PARAM_DERIVED, R, NULL, "Where raftd keeps log and snapshots."},
{"consuld.catalog_dir", NULL, PARAM_STR, "", NONE, PARAM_DERIVED, C, NULL, "Where catalogd keeps its store."},
{"consuld.revision", NULL, PARAM_STR, "", NONE, PARAM_DERIVED, A, NULL, "First characters of the source revision."},
{"consuld.build_date", NULL, PARAM_STR, "", NONE, PARAM_DERIVED, A, NULL, "RFC 3339 time of the release."},
{"consuld.catalog_map_size", NULL, PARAM_STR, "1099511627776", NONE, PARAM_DERIVED, C, NULL, "Bytes of address space reserved for the store."},
{"consuld.catalog_reserve", NULL, PARAM_STR, "67108864", NONE, PARAM_DERIVED, C, NULL, "Free bytes on disk under which writes are refused."},
{"consuld.servers", NULL, PARAM_STR, "", NONE, PARAM_DERIVED, C, NULL, "Addresses of servers that consuld.conf names, for clients."},
{"consuld.coordinate_interval_ms", NULL, PARAM_INT, "15000", NONE, PARAM_DERIVED, C, NULL, "Least time between two updates of this node's coordinate."},
{"consuld.coordinate_period_ms", NULL, PARAM_INT, "5000", NONE, PARAM_DERIVED, C, NULL, "How often the leader writes the coordinates it was told of."},
{"consuld.state_dir", NULL, PARAM_STR, "", NONE, PARAM_DERIVED, K|G, NULL, "Where checkd and gossipd keep state; empty: nowhere."},
};
/* clang-format on */

const size_t param_count = COUNTOF(params);

int
param_index(const char *name)
{
	for (size_t i = 0; i < param_count; i++)
		if (strcmp(params[i].name, name) == 0)
			return (int)i;
	return -1;
}

int
param_by_flag(const char *flag)
{
	for (size_t i = 0; i < param_count; i++)
		if (params[i].flag != NULL && strcmp(params[i].flag, flag) == 0)
			return (int)i;
	return -1;
}

bool
param_is_block(const char *name)
{
	const size_t length = strlen(name);

	for (size_t i = 0; i < param_count; i++)
		if (strncmp(params[i].name, name, length) == 0 && params[i].name[length] == '.' &&
		    (params[i].flags & PARAM_DERIVED) == 0)
			return true;
	return false;
}

bool
param_without_effect(const struct param *p)
{
	const unsigned other = PARAM_ALIAS | PARAM_IGNORED | PARAM_ENTERPRISE | PARAM_DERIVED | PARAM_FLAG_ONLY |
			       PARAM_NOT_USER | PARAM_MOOT | PARAM_REFUSED;

	return (p->flags & PARAM_LATER) != 0 || (p->used_by == 0 && (p->flags & other) == 0);
}

const char *
param_type_name(enum param_type type)
{
	static const char *const names[] = {
	    [PARAM_BOOL] = "bool",
	    [PARAM_INT] = "int",
	    [PARAM_FLOAT] = "float",
	    [PARAM_STR] = "string",
	    [PARAM_DURATION] = "duration",
	    [PARAM_LIST] = "list",
	    [PARAM_MAP] = "map",
	    [PARAM_ANY] = "object",
	    [PARAM_OBJECTS] = "objects",
	};

	return names[type];
}
