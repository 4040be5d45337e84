/*
 * shape.c - shapes (contract: shape.h)
 */
#include "shape.h"

#include "json.h"
#include "json_value.h"

struct shape_field {
	const char *name; /* NULL ends a list */
	const char *zero; /* JSON text for an absent or null member; NULL: the member is then left out */
	const struct shape *inner;
};

struct shape {
	const struct shape_field *fields; /* of an object */
	const struct shape *element;      /* or: an array of these */
};

static const struct shape_field key_fields[] = {{"Key", "\"\""}, {"CreateIndex", "0"}, {"ModifyIndex", "0"},
    {"LockIndex", "0"}, {"Flags", "0"}, {"Value", "null"}, {"Session", "\"\""}, {NULL}};
const struct shape shape_key = {key_fields, NULL};
const struct shape shape_key_list = {NULL, &shape_key};

static const struct shape_field node_fields[] = {{"ID", "\"\""}, {"Node", "\"\""}, {"Address", "\"\""},
    {"Datacenter", "\"\""}, {"TaggedAddresses", "null"}, {"Meta", "null"}, {"CreateIndex", "0"}, {"ModifyIndex", "0"},
    {"Partition", NULL}, {"PeerName", NULL}, {"Locality", NULL}, {NULL}};
static const struct shape shape_node = {node_fields, NULL};
const struct shape shape_node_list = {NULL, &shape_node};

static const struct shape_field definition_fields[] = {{"HTTP", "\"\""}, {"Header", "null"}, {"Method", "\"\""},
    {"Body", "\"\""}, {"TLSServerName", "\"\""}, {"TLSSkipVerify", "false"}, {"TCP", "\"\""}, {"TCPUseTLS", "false"},
    {"UDP", "\"\""}, {"GRPC", "\"\""}, {"OSService", "\"\""}, {"GRPCUseTLS", "false"}, {"Interval", "\"0s\""},
    {"Timeout", "\"0s\""}, {"DeregisterCriticalServiceAfter", "\"0s\""}, {NULL}};
static const struct shape shape_definition = {definition_fields, NULL};
static const struct shape_field check_fields[] = {{"Node", "\"\""}, {"CheckID", "\"\""}, {"Name", "\"\""},
    {"Status", "\"\""}, {"Notes", "\"\""}, {"Output", "\"\""}, {"ServiceID", "\"\""}, {"ServiceName", "\"\""},
    {"ServiceTags", "null"}, {"Type", "\"\""}, {"Namespace", NULL}, {"Partition", NULL}, {"ExposedPort", "0"},
    {"PeerName", NULL}, {"Definition", "{}", &shape_definition}, {"CreateIndex", "0"}, {"ModifyIndex", "0"}, {NULL}};
static const struct shape shape_check = {check_fields, NULL};
const struct shape shape_check_list = {NULL, &shape_check};

static const struct shape_field weights_fields[] = {{"Passing", "0"}, {"Warning", "0"}, {NULL}};
static const struct shape shape_weights = {weights_fields, NULL};
static const struct shape_field proxy_fields[] = {{"EnvoyExtensions", NULL}, {"DestinationServiceName", NULL},
    {"DestinationServiceID", NULL}, {"LocalServiceAddress", NULL}, {"LocalServicePort", NULL},
    {"LocalServiceSocketPath", NULL}, {"Mode", NULL}, {"TransparentProxy", NULL}, {"Config", NULL}, {"Upstreams", NULL},
    {"MeshGateway", "{}"}, {"Expose", "{}"}, {"AccessLogs", NULL}, {NULL}};
static const struct shape shape_proxy = {proxy_fields, NULL};
static const struct shape_field service_fields[] = {{"Kind", NULL}, {"ID", "\"\""}, {"Service", "\"\""},
    {"Tags", "null"}, {"Meta", "null"}, {"Port", "0"}, {"Address", "\"\""}, {"SocketPath", NULL},
    {"TaggedAddresses", NULL}, {"Weights", "{}", &shape_weights}, {"EnableTagOverride", "false"}, {"CreateIndex", "0"},
    {"ModifyIndex", "0"}, {"ContentHash", NULL}, {"Proxy", "{}", &shape_proxy}, {"Connect", "{}"}, {"PeerName", NULL},
    {"Namespace", NULL}, {"Partition", NULL}, {"Datacenter", NULL}, {"Locality", NULL}, {NULL}};
static const struct shape shape_service = {service_fields, NULL};
static const struct shape_field entry_fields[] = {
    {"Node", "null", &shape_node}, {"Service", "null", &shape_service}, {"Checks", "null", &shape_check_list}, {NULL}};
static const struct shape shape_entry = {entry_fields, NULL};
const struct shape shape_service_list = {NULL, &shape_entry};

static const struct shape_field event_fields[] = {{"ID", "\"\""}, {"Name", "\"\""}, {"Payload", "null"},
    {"NodeFilter", "\"\""}, {"ServiceFilter", "\"\""}, {"TagFilter", "\"\""}, {"Version", "0"}, {"LTime", "0"}, {NULL}};
static const struct shape shape_event = {event_fields, NULL};
const struct shape shape_event_list = {NULL, &shape_event};

/* What omitempty leaves out. */
static bool
is_zero(struct mp value)
{
	struct mp at = value;

	switch (mp_peek(&value)) {
	case MP_STR:
		return json_tape_number(&value) ? json_uint(value) == 0 && bytes_is(json_text(value), "0")
						: mp_str(&value).size == 0;
	case MP_BOOL:
		return !mp_bool(&value);
	case MP_ARRAY:
		return mp_array(&at) == 0;
	case MP_MAP:
		return mp_map(&at) == 0;
	default:
		return true;
	}
}

static void
write_field(const struct shape_field *f, struct mp value, bool *first, struct buf *out)
{
	struct mp empty = mp_of(bytes_of("\x80", 1)); /* {} */

	if (f->zero == NULL && is_zero(value))
		return;
	if (!*first)
		buf_put_u8(out, ',');
	*first = false;
	buf_printf(out, "\"%s\":", f->name);
	if (f->inner != NULL && (!json_is_null(value) || (f->zero != NULL && f->zero[0] == '{')))
		shape_write(f->inner, json_is_null(value) ? empty : value, out);
	else if (json_is_null(value))
		buf_put_str(out, f->zero);
	else
		json_render(value, "", out);
}

void
shape_write(const struct shape *s, struct mp value, struct buf *out)
{
	struct mp at;
	bool first = true;

	if (json_is_null(value)) {
		buf_put_str(out, "null");
	} else if (s->element != NULL) {
		buf_put_u8(out, '[');
		for (uint32_t n = json_elements(value, &at); n > 0; n--, mp_skip(&at)) {
			if (!first)
				buf_put_u8(out, ',');
			first = false;
			shape_write(s->element, at, out);
		}
		buf_put_u8(out, ']');
	} else {
		buf_put_u8(out, '{');
		for (const struct shape_field *f = s->fields; f->name != NULL; f++)
			write_field(f, json_member(value, f->name), &first, out);
		buf_put_u8(out, '}');
	}
}
