/*
 * pools.c - what a server does in its gossip pools for others (contract: pools.h; facts: wire-rpc.md 11.2-11.4; caller: serve.c's table)
 */
#include "pools.h"

#include <stdlib.h>

#include "catalogd.h"
#include "frame.h"
#include "mem.h"
#include "neighbour.h"
#include "remote.h"
#include "structs_gossip.h"

#define EVENT_PREFIX "consul:event:"
#define EVENT_TIMEOUT_MS 5000
#define KEYS_TIMEOUT_MS 60000 /* all members of both pools answer, or their queries end before */
#define COORDINATES_TIMEOUT_MS 5000
#define MAPS_BYTES_MAX (16u * 1024 * 1024)

/* NULL: s is refused, or asked of a server. read: it may be sent again whatever became of it. */
static struct catalogd *
here(struct ipc_stream *s, struct bytes args, void *ctx, bool read)
{
	struct catalogd *c = daemon_state(ctx);
	struct bytes datacenter = mp_find_str(args, "Datacenter");

	if (!c->server) {
		remote_request(c->remote, s, args, read);
		return NULL;
	}
	if (datacenter.size == 0 || bytes_is(datacenter, c->datacenter))
		return c;
	ipc_fail(s, 0, "No path to datacenter");
	return NULL;
}

/* The answer is gossipd's. */
static void
on_answer(void *ctx, const struct ipc_answer *answer)
{
	struct neighbour_asker asker = neighbour_end(ctx);

	if (answer->status == IPC_OK)
		ipc_reply(asker.stream, answer->body);
	else
		neighbour_fail(asker.stream, answer, "");
}

/* ---- events ---- */

static void
on_fired(void *ctx, const struct ipc_answer *answer)
{
	struct neighbour_asker asker = neighbour_end(ctx);

	if (answer->status == IPC_OK)
		ipc_reply(asker.stream, bytes_of(NULL, 0));
	else
		neighbour_fail(asker.stream, answer, "error broadcasting event: ");
}

void
pools_event_fire(struct ipc_stream *s, struct bytes args, void *ctx)
{
	/* Never sent twice: it would be two events. */
	struct catalogd *c = here(s, args, ctx, false);
	struct buf name = BUF_INIT(FRAME_REQUEST_BYTES_MAX), body = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	struct gossip_fire_request fire;
	struct event_fire_request request;
	const char *error;

	if (c == NULL)
		return;
	if (schema_decode(&event_fire_request_schema, args, &request, &error) == -1) {
		ipc_fail(s, 400, "rpc: bad arguments: %s", error);
		return;
	}
	buf_put_str(&name, EVENT_PREFIX);
	buf_put_bytes(&name, request.name);
	fire = (struct gossip_fire_request){.name = buf_bytes(&name), .payload = request.payload};
	schema_encode(&gossip_fire_request_schema, &fire, &body);
	if (name.overflow || body.overflow)
		ipc_fail(s, 413, "rpc: the arguments are too large");
	else
		neighbour_ask(c, s,
		    &(struct neighbour_ask){.peer = "gossipd",
			.method = "Gossip.Event",
			.args = buf_bytes(&body),
			.timeout_ms = EVENT_TIMEOUT_MS},
		    on_fired);
	buf_free(&name);
	buf_free(&body);
}

/* ---- keys ---- */

void
pools_keyring_operation(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct catalogd *c = here(s, args, ctx, true);
	struct buf body = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	struct gossip_keyring_request keys;
	struct keyring_request request;
	const char *error;

	if (c == NULL)
		return;
	if (schema_decode(&keyring_request_schema, args, &request, &error) == -1) {
		ipc_fail(s, 400, "rpc: bad arguments: %s", error);
		return;
	}
	if (request.local_only && !bytes_is(request.operation, "list")) {
		ipc_fail(s, 0, "argument error: LocalOnly can only be used for List operations");
		return;
	}
	keys = (struct gossip_keyring_request){
	    .operation = request.operation,
	    .key = request.key,
	    .relay_factor = request.relay_factor,
	    .local_only = request.local_only || request.forwarded,
	};
	schema_encode(&gossip_keyring_request_schema, &keys, &body);
	neighbour_ask(c, s,
	    &(struct neighbour_ask){
		.peer = "gossipd", .method = "Gossip.Keyring", .args = buf_bytes(&body), .timeout_ms = KEYS_TIMEOUT_MS},
	    on_answer);
	if (body.size > 0)
		explicit_bzero(body.data, body.size);
	buf_free(&body);
}

/* ---- coordinates of the servers of all datacenters ---- */

/* Of "node.datacenter"; the whole name if it has no dot. */
static struct bytes
datacenter_of(struct bytes name)
{
	size_t at = name.size;

	while (at > 0 && name.data[at - 1] != '.')
		at--;
	return bytes_of(name.data + at, name.size - at);
}

/* Appends one datacenter with its servers. */
static void
put_datacenter(struct bytes all, struct bytes datacenter, struct buf *out)
{
	struct buf list = BUF_INIT(MAPS_BYTES_MAX);
	struct datacenter_map map = {.datacenter = datacenter, .area = bytes_str("wan")};
	size_t place = mp_open_array(&list);
	struct gossip_coordinate c;
	struct mp in = mp_of(all);
	const char *error;
	uint32_t count = 0;

	for (uint32_t n = mp_array(&in); n > 0; n--) {
		struct node_coordinate one = {.node = {NULL, 0}};

		if (schema_decode_at(&gossip_coordinate_schema, &in, &c, &error) == -1)
			break;
		if (!bytes_equal(datacenter_of(c.node), datacenter))
			continue;
		one.node = bytes_of(c.node.data, c.node.size - datacenter.size - 1);
		one.coord = c.coord;
		schema_encode(&node_coordinate_schema, &one, &list);
		count++;
	}
	mp_close(&list, place, count);
	map.coordinates = buf_bytes(&list);
	schema_encode(&datacenter_map_schema, &map, out);
	buf_free(&list);
}

/* Was this datacenter among the first `before` elements? */
static bool
seen_before(struct bytes all, uint32_t before, struct bytes datacenter)
{
	struct gossip_coordinate c;
	struct mp in = mp_of(all);
	const char *error;

	(void)mp_array(&in);
	for (; before > 0; before--)
		if (schema_decode_at(&gossip_coordinate_schema, &in, &c, &error) == 0 &&
		    bytes_equal(datacenter_of(c.node), datacenter))
			return true;
	return false;
}

static void
on_coordinates(void *ctx, const struct ipc_answer *answer)
{
	struct neighbour_asker asker = neighbour_end(ctx);
	struct buf maps = BUF_INIT(MAPS_BYTES_MAX);
	struct gossip_coordinates all;
	struct gossip_coordinate c;
	uint32_t count, found = 0;
	const char *error;
	struct mp in;
	size_t place;

	if (answer->status != IPC_OK) {
		neighbour_fail(asker.stream, answer, "");
		return;
	}
	if (schema_decode(&gossip_coordinates_schema, answer->body, &all, &error) == -1) {
		ipc_fail(asker.stream, 0, "rpc error: malformed answer of gossipd: %s", error);
		return;
	}
	in = mp_of(all.coordinates);
	count = all.coordinates.size == 0 ? 0 : mp_array(&in);
	place = mp_open_array(&maps);
	for (uint32_t i = 0; i < count && schema_decode_at(&gossip_coordinate_schema, &in, &c, &error) == 0; i++) {
		struct bytes datacenter = datacenter_of(c.node);

		if (datacenter.size == c.node.size || seen_before(all.coordinates, i, datacenter))
			continue;
		put_datacenter(all.coordinates, datacenter, &maps);
		found++;
	}
	mp_close(&maps, place, found);
	ipc_reply(asker.stream, buf_bytes(&maps));
	buf_free(&maps);
}

void
pools_list_datacenters(struct ipc_stream *s, struct bytes args, void *ctx)
{
	struct catalogd *c = here(s, args, ctx, true);
	const struct gossip_coordinates_request wan = {.wan = true};
	struct buf body = BUF_INIT(64);

	if (c == NULL)
		return;
	schema_encode(&gossip_coordinates_request_schema, &wan, &body);
	neighbour_ask(c, s,
	    &(struct neighbour_ask){.peer = "gossipd",
		.method = "Gossip.Coordinates",
		.args = buf_bytes(&body),
		.timeout_ms = COORDINATES_TIMEOUT_MS,
		.flags = IPC_RESEND},
	    on_coordinates);
	buf_free(&body);
}
