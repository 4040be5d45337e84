/*
 * route.c - which endpoint a path is (contract: route.h; caller: request.c)
 *
 * A path is split at its literal slashes; segments match in their decoded form, so an encoded slash never separates and never
 * matches. The table is found through a hash of the patterns: the exact path first, then each of its prefixes that end in a slash.
 */
#include "route.h"

#include <assert.h>

#include "api.h"
#include "params.h"

#define LATER(name) NULL, ROUTE_LATER, name
/* What catalog and health reads have in common. */
#define READ (ROUTE_OPTIONS | ROUTE_NS_FIRST | ROUTE_CONSISTENCY)
#define ACLS acl_disabled, 0, NULL

static struct route routes[] = {
    {"/v1/acl/bootstrap", "PUT", ACLS},
    {"/v1/acl/login", "POST", ACLS},
    {"/v1/acl/logout", "POST", ACLS},
    {"/v1/acl/replication", "GET", ACLS},
    {"/v1/acl/policies", "GET", ACLS},
    {"/v1/acl/policy", "PUT", ACLS},
    {"/v1/acl/policy/", "GET,PUT,DELETE", ACLS},
    {"/v1/acl/policy/name/", "GET", ACLS},
    {"/v1/acl/roles", "GET", ACLS},
    {"/v1/acl/role", "PUT", ACLS},
    {"/v1/acl/role/name/", "GET", ACLS},
    {"/v1/acl/role/", "GET,PUT,DELETE", ACLS},
    {"/v1/acl/binding-rules", "GET", ACLS},
    {"/v1/acl/binding-rule", "PUT", ACLS},
    {"/v1/acl/binding-rule/", "GET,PUT,DELETE", ACLS},
    {"/v1/acl/auth-methods", "GET", ACLS},
    {"/v1/acl/auth-method", "PUT", ACLS},
    {"/v1/acl/auth-method/", "GET,PUT,DELETE", ACLS},
    {"/v1/acl/tokens", "GET", ACLS},
    {"/v1/acl/token", "PUT", ACLS},
    {"/v1/acl/token/self", "GET", ACLS},
    {"/v1/acl/token/", "GET,PUT,DELETE", ACLS},
    {"/v1/acl/templated-policies", "GET", ACLS},
    {"/v1/acl/templated-policy/name/", "GET", ACLS},
    {"/v1/acl/templated-policy/preview/", "POST", ACLS},
    {"/v1/agent/token/", "PUT", ACLS},
    {"/v1/agent/self", "GET", agent_self, 0, NULL},
    {"/v1/agent/host", "GET", agent_host, 0, NULL},
    {"/v1/agent/version", "GET", agent_version, 0, NULL},
    {"/v1/agent/maintenance", "PUT", agent_maintenance, 0, NULL},
    {"/v1/agent/reload", "PUT", agent_reload, 0, NULL},
    {"/v1/agent/monitor", "GET", agent_monitor, 0, NULL},
    {"/v1/agent/metrics", "GET", agent_metrics, 0, NULL},
    {"/v1/agent/metrics/stream", "GET", LATER("streamed metrics")},
    {"/v1/agent/services", "GET", agent_services, ROUTE_NS_FIRST, NULL},
    {"/v1/agent/service/", "GET", agent_service, ROUTE_OPTIONS | ROUTE_NS_AFTER, NULL},
    {"/v1/agent/checks", "GET", agent_checks, ROUTE_NS_FIRST, NULL},
    {"/v1/agent/members", "GET", agent_members, ROUTE_PARTITION, NULL},
    {"/v1/agent/join/", "PUT", agent_join, ROUTE_PARTITION, NULL},
    {"/v1/agent/leave", "PUT", agent_leave, 0, NULL},
    {"/v1/agent/force-leave/", "PUT", agent_force_leave, ROUTE_PARTITION, NULL},
    {"/v1/agent/health/service/id/", "GET", agent_health_id, ROUTE_NS_FIRST, NULL},
    {"/v1/agent/health/service/name/", "GET", agent_health_name, ROUTE_NS_FIRST, NULL},
    {"/v1/agent/check/register", "PUT", agent_check_register, ROUTE_NS_FIRST, NULL},
    {"/v1/agent/check/deregister/", "PUT", agent_check_deregister, ROUTE_NS_FIRST, NULL},
    {"/v1/agent/check/pass/", "PUT", agent_check_pass, ROUTE_NS_FIRST, NULL},
    {"/v1/agent/check/warn/", "PUT", agent_check_warn, ROUTE_NS_FIRST, NULL},
    {"/v1/agent/check/fail/", "PUT", agent_check_fail, ROUTE_NS_FIRST, NULL},
    {"/v1/agent/check/update/", "PUT", agent_check_update, ROUTE_NS_FIRST, NULL},
    {"/v1/agent/connect/authorize", "POST", LATER("service mesh")},
    {"/v1/agent/connect/ca/roots", "GET", LATER("service mesh")},
    {"/v1/agent/connect/ca/leaf/", "GET", LATER("service mesh")},
    {"/v1/agent/service/register", "PUT", agent_service_register, ROUTE_NS_FIRST, NULL},
    {"/v1/agent/service/deregister/", "PUT", agent_service_deregister, ROUTE_NS_FIRST, NULL},
    {"/v1/agent/service/maintenance/", "PUT", agent_service_maintenance, ROUTE_NS_FIRST, NULL},
    {"/v1/catalog/register", "PUT", catalog_register, ROUTE_NS_FIRST, NULL},
    {"/v1/catalog/connect/", "GET", catalog_connect, READ | ROUTE_CACHED | ROUTE_META_ALWAYS, NULL},
    {"/v1/catalog/deregister", "PUT", catalog_deregister, ROUTE_NS_FIRST, NULL},
    {"/v1/catalog/datacenters", "GET", catalog_datacenters, ROUTE_CACHED, NULL},
    {"/v1/catalog/nodes", "GET", catalog_nodes, ROUTE_OPTIONS | ROUTE_PARTITION | ROUTE_CONSISTENCY | ROUTE_META_ALWAYS,
	NULL},
    {"/v1/catalog/services", "GET", catalog_services, READ | ROUTE_CACHED | ROUTE_META_ALWAYS, NULL},
    {"/v1/catalog/service/", "GET", catalog_service, READ | ROUTE_CACHED | ROUTE_META_ALWAYS, NULL},
    {"/v1/catalog/node/", "GET", catalog_node, READ | ROUTE_META_ALWAYS, NULL},
    {"/v1/catalog/node-services/", "GET", catalog_node_services, READ | ROUTE_META_ALWAYS, NULL},
    {"/v1/catalog/gateway-services/", "GET", LATER("service mesh")},
    {"/v1/config/", "GET,DELETE", LATER("configuration entries")},
    {"/v1/config", "PUT", LATER("configuration entries")},
    {"/v1/connect/ca/configuration", "GET,PUT", LATER("service mesh")},
    {"/v1/connect/ca/roots", "GET", LATER("service mesh")},
    {"/v1/connect/intentions", "GET,POST", LATER("service mesh")},
    {"/v1/connect/intentions/match", "GET", LATER("service mesh")},
    {"/v1/connect/intentions/check", "GET", LATER("service mesh")},
    {"/v1/connect/intentions/exact", "GET,PUT,DELETE", LATER("service mesh")},
    {"/v1/connect/intentions/", "GET,PUT,DELETE", LATER("service mesh")},
    {"/v1/coordinate/datacenters", "GET", coordinate_datacenters, 0, NULL},
    {"/v1/coordinate/nodes", "GET", coordinate_nodes, ROUTE_OPTIONS, NULL},
    {"/v1/coordinate/node/", "GET", coordinate_node, ROUTE_OPTIONS, NULL},
    {"/v1/coordinate/update", "PUT", coordinate_update, 0, NULL},
    {"/v1/internal/federation-states", "GET", LATER("federation states")},
    {"/v1/internal/federation-states/mesh-gateways", "GET", LATER("federation states")},
    {"/v1/internal/federation-state/", "GET", LATER("federation states")},
    {"/v1/discovery-chain/", "GET,POST", LATER("service mesh")},
    {"/v1/exported-services", "GET", LATER("peering")},
    {"/v1/event/fire/", "PUT", event_fire, 0, NULL},
    {"/v1/event/list", "GET", event_list, ROUTE_OPTIONS, NULL},
    {"/v1/health/node/", "GET", health_node, READ | ROUTE_META_ALWAYS, NULL},
    {"/v1/health/checks/", "GET", health_checks, READ | ROUTE_META_ALWAYS, NULL},
    {"/v1/health/state/", "GET", health_state, READ | ROUTE_META_ALWAYS, NULL},
    {"/v1/health/service/", "GET", health_service, READ | ROUTE_CACHED, NULL},
    {"/v1/health/connect/", "GET", health_connect, READ | ROUTE_CACHED, NULL},
    {"/v1/health/ingress/", "GET", health_ingress, READ | ROUTE_CACHED, NULL},
    {"/v1/internal/ui/metrics-proxy/", "GET", LATER("metrics proxy")},
    {"/v1/internal/ui/nodes", "GET", ui_nodes, ROUTE_OPTIONS | ROUTE_NS_FIRST | ROUTE_META_ALWAYS, NULL},
    {"/v1/internal/ui/node/", "GET", ui_node, ROUTE_OPTIONS | ROUTE_NS_FIRST | ROUTE_META_ALWAYS, NULL},
    {"/v1/internal/ui/services", "GET", ui_services, ROUTE_OPTIONS | ROUTE_NS_FIRST | ROUTE_META_ALWAYS, NULL},
    {"/v1/internal/ui/exported-services", "GET", LATER("peering")},
    {"/v1/internal/ui/catalog-overview", "GET", LATER("catalog overview")},
    {"/v1/internal/ui/gateway-services-nodes/", "GET", LATER("service mesh")},
    {"/v1/internal/ui/gateway-intentions/", "GET", LATER("service mesh")},
    {"/v1/internal/ui/service-topology/", "GET", LATER("service mesh")},
    {"/v1/internal/acl/authorize", "POST", ACLS},
    {"/v1/internal/service-virtual-ip", "PUT", LATER("service mesh")},
    {"/v1/kv/", "GET,PUT,DELETE", kv_endpoint, ROUTE_OPTIONS, NULL},
    {"/v1/operator/raft/configuration", "GET", operator_raft_configuration, ROUTE_OPTIONS, NULL},
    {"/v1/operator/raft/transfer-leader", "POST", operator_transfer_leader, 0, NULL},
    {"/v1/operator/raft/peer", "DELETE", operator_raft_peer, 0, NULL},
    {"/v1/operator/keyring", "GET,POST,PUT,DELETE", operator_keyring, 0, NULL},
    {"/v1/operator/usage", "GET", LATER("usage counts")},
    {"/v1/operator/autopilot/configuration", "GET,PUT", operator_autopilot_configuration, ROUTE_OPTIONS, NULL},
    {"/v1/operator/autopilot/health", "GET", operator_autopilot_health, ROUTE_OPTIONS, NULL},
    {"/v1/operator/autopilot/state", "GET", operator_autopilot_state, ROUTE_OPTIONS, NULL},
    {"/v1/peering/token", "POST", LATER("peering")},
    {"/v1/peering/establish", "POST", LATER("peering")},
    {"/v1/peering/", "GET,DELETE", LATER("peering")},
    {"/v1/peerings", "GET", LATER("peering")},
    {"/v1/query", "GET,POST", LATER("prepared queries")},
    {"/v1/query/", "GET,PUT,DELETE", NULL, ROUTE_LATER | ROUTE_OWN_OPTIONS, "prepared queries"},
    {"/v1/session/create", "PUT", session_create, ROUTE_NS_AFTER, NULL},
    {"/v1/session/destroy/", "PUT", session_destroy, ROUTE_NS_AFTER, NULL},
    {"/v1/session/renew/", "PUT", session_renew, ROUTE_OPTIONS | ROUTE_NS_AFTER, NULL},
    {"/v1/session/info/", "GET", session_info, ROUTE_OPTIONS | ROUTE_NS_AFTER | ROUTE_META_ALWAYS, NULL},
    {"/v1/session/node/", "GET", session_node, ROUTE_OPTIONS | ROUTE_NS_AFTER | ROUTE_META_ALWAYS, NULL},
    {"/v1/session/list", "GET", session_list, ROUTE_OPTIONS | ROUTE_NS_AFTER | ROUTE_META_ALWAYS, NULL},
    {"/v1/status/leader", "GET", status_leader, ROUTE_OPTIONS, NULL},
    {"/v1/status/peers", "GET", status_peers, ROUTE_OPTIONS, NULL},
    {"/v1/snapshot", "GET,PUT", LATER("snapshots over HTTP")},
    {"/v1/txn", "PUT", NULL, ROUTE_LATER | ROUTE_BODY_TXN, "transactions"},
};

#define BUCKETS 512 /* a power of two, some four times the routes */

static const struct route *buckets[BUCKETS];
static size_t pattern_bytes_max;

static uint32_t
hash_add(uint32_t h, uint8_t c)
{
	return (h ^ c) * 16777619u;
}
#define HASH_START 2166136261u

static const struct route *
find(struct bytes pattern, uint32_t h)
{
	for (size_t at = h % BUCKETS; buckets[at] != NULL; at = (at + 1) % BUCKETS)
		if (bytes_is(pattern, buckets[at]->path))
			return buckets[at];
	return NULL;
}

static unsigned
methods_of(const char *allow)
{
	static const char *const NAMES[] = {"GET", "PUT", "POST", "DELETE"}; /* as enum http1_method */
	unsigned set = 0;

	while (*allow != '\0') {
		size_t n = strcspn(allow, ",");

		for (size_t i = 0; i < COUNTOF(NAMES); i++)
			if (strlen(NAMES[i]) == n && strncmp(NAMES[i], allow, n) == 0)
				set |= 1u << i;
		allow += n + (allow[n] == ',');
	}
	return set;
}

void
route_init(void)
{
	if (pattern_bytes_max > 0)
		return;
	for (size_t i = 0; i < COUNTOF(routes); i++) {
		uint32_t h = HASH_START;
		size_t n = strlen(routes[i].path), at;

		routes[i].methods = methods_of(routes[i].allow);
		assert(routes[i].handler != NULL || (routes[i].flags & ROUTE_LATER) != 0);
		for (size_t k = 0; k < n; k++)
			h = hash_add(h, (uint8_t)routes[i].path[k]);
		for (at = h % BUCKETS; buckets[at] != NULL; at = (at + 1) % BUCKETS)
			;
		buckets[at] = &routes[i];
		pattern_bytes_max = MAX(pattern_bytes_max, n);
	}
}

const struct route *
route_table(size_t *count)
{
	*count = COUNTOF(routes);
	return routes;
}

/* Something that path cleaning would change stands in path. */
static bool
is_dirty(struct bytes path)
{
	for (size_t i = 0; i < path.size; i++) {
		if (path.data[i] != '/' || i + 1 == path.size)
			continue;
		if (path.data[i + 1] == '/')
			return true;
		if (path.data[i + 1] != '.')
			continue;
		if (i + 2 == path.size || path.data[i + 2] == '/')
			return true;
		if (path.data[i + 2] == '.' && (i + 3 == path.size || path.data[i + 3] == '/'))
			return true;
	}
	return false;
}

struct bytes
route_clean(struct bytes path, struct region *r)
{
	uint8_t *out;
	size_t n = 0;
	bool slash_last;

	if (!is_dirty(path))
		return path;
	slash_last = path.data[path.size - 1] == '/';
	out = region_alloc(r, path.size + 2);
	for (size_t at = 0; at < path.size;) {
		size_t start = at + 1, end;

		for (end = start; end < path.size && path.data[end] != '/'; end++)
			;
		at = end;
		if (end == start || (end == start + 1 && path.data[start] == '.'))
			continue;
		if (end == start + 2 && path.data[start] == '.' && path.data[start + 1] == '.') {
			while (n > 0 && out[--n] != '/')
				;
			continue;
		}
		out[n++] = '/';
		memcpy(out + n, path.data + start, end - start);
		n += end - start;
	}
	if (n == 0 || slash_last)
		out[n++] = '/';
	return bytes_of(out, n);
}

/* path decoded segment by segment: an encoded slash becomes a byte that no pattern has. Only as far as patterns reach. */
static struct bytes
literal_of(struct bytes path, struct bytes decoded, struct region *r)
{
	uint8_t *out;
	size_t from = 0;

	if (decoded.data == path.data) /* nothing was encoded */
		return path;
	out = region_alloc(r, decoded.size);
	for (size_t i = 0; i < decoded.size; i++) {
		bool encoded = path.data[from] == '%';

		out[i] = encoded && decoded.data[i] == '/' ? 0 : decoded.data[i];
		from += encoded ? 3 : 1;
	}
	return bytes_of(out, decoded.size);
}

struct route_match
route_find(struct bytes path, struct region *r)
{
	struct route_match m = {.kind = ROUTE_UNKNOWN};
	struct bytes clean = route_clean(path, r), literal;
	const struct route *prefix = NULL, *found;
	uint32_t h = HASH_START;

	if (params_unescape(path, false, r, &m.path) == -1)
		m.path = path; /* the caller has checked the escapes */
	if (clean.data != path.data) {
		m.kind = ROUTE_REDIRECT;
		m.location = clean;
		return m;
	}
	literal = literal_of(path, m.path, r);
	for (size_t i = 0; i < literal.size; i++) {
		h = hash_add(h, literal.data[i]);
		if (i >= pattern_bytes_max)
			break;
		if (literal.data[i] == '/' && (found = find(bytes_of(literal.data, i + 1), h)) != NULL)
			prefix = found;
	}
	if (literal.size < pattern_bytes_max + 1) {
		if ((found = find(literal, h)) != NULL && literal.data[literal.size - 1] != '/') {
			m.kind = ROUTE_FOUND;
			m.route = found;
			return m;
		}
		if (literal.data[literal.size - 1] != '/') {
			uint8_t *with = region_alloc(r, literal.size + 1);

			memcpy(with, literal.data, literal.size);
			with[literal.size] = '/';
			if (find(bytes_of(with, literal.size + 1), hash_add(h, '/')) != NULL) {
				uint8_t *location = region_alloc(r, path.size + 1);

				memcpy(location, path.data, path.size);
				location[path.size] = '/';
				m.kind = ROUTE_REDIRECT;
				m.location = bytes_of(location, path.size + 1);
				return m;
			}
		}
	}
	if (prefix == NULL)
		return m;
	m.kind = ROUTE_FOUND;
	m.route = prefix;
	m.arg = bytes_of(m.path.data + strlen(prefix->path), m.path.size - strlen(prefix->path));
	return m;
}
