/*
 * api_coordinate.c - /v1/coordinate (http-api.md 16)
 */
#include "api.h"
#include "ask.h"
#include "reply.h"

#include <stdlib.h>
#include <string.h>

/* true: coordinates are switched off here, the request is refused. */
static bool
refused(struct request *r)
{
	if (!conf_bool(daemon_conf(config.daemon), "disable_coordinates", false))
		return false;
	reply_error(r->x, 401, "Coordinate support disabled");
	return true;
}

/* ---- answers ---- */

/* A form of one request: only coordinates of this segment are shown. Of its own, so that no two requests share an answer. */
struct segment_form {
	struct ask_form form;
	size_t size;
	char segment[];
};

static void
segment_form_free(struct exchange *x)
{
	free(x->more);
	x->more = NULL;
}

/* The list in in without those of other segments, appended to out. -1: it is no list. */
static int
put_selected(const struct segment_form *s, struct mp *in, struct buf *out)
{
	size_t place = mp_open_array(out);
	uint32_t count = 0;

	for (uint32_t n = mp_array(in); n > 0 && mp_ok(in); n--) {
		struct bytes one = mp_raw(in);

		if (!bytes_equal(mp_find_str(one, "Segment"), bytes_of(s->segment, s->size)))
			continue;
		buf_put_bytes(out, one);
		count++;
	}
	mp_close(out, place, count);
	return mp_ok(in) ? 0 : -1;
}

static int
encode_nodes_of_segment(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	struct buf selected = BUF_INIT(REPLY_BODY_BYTES_MAX);
	struct mp list;
	int status = -1;

	if (put_selected((const struct segment_form *)form, in, &selected) == 0) {
		list = mp_of(buf_bytes(&selected));
		status = ask_list(x, form, &list, out);
	}
	buf_free(&selected);
	return status;
}

/* A node without coordinates is not found. */
static int
encode_node(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	struct mp peeked = *in;

	if (mp_array(&peeked) > 0)
		return ask_list(x, form, in, out);
	mp_skip(in);
	return ASK_GONE;
}

static int
encode_node_of_segment(struct exchange *x, const struct ask_form *form, struct mp *in, struct buf *out)
{
	struct buf selected = BUF_INIT(REPLY_BODY_BYTES_MAX);
	struct mp list;
	int status = -1;

	if (put_selected((const struct segment_form *)form, in, &selected) == 0) {
		list = mp_of(buf_bytes(&selected));
		status = encode_node(x, form, &list, out);
	}
	buf_free(&selected);
	return status;
}

static const struct ask_form NODES = {"Coordinates", ask_list, &node_coordinate_schema};
static const struct ask_form NODE = {"Coordinates", encode_node, &node_coordinate_schema};
static const struct ask_form NODES_OF_SEGMENT = {"Coordinates", encode_nodes_of_segment, &node_coordinate_schema};
static const struct ask_form NODE_OF_SEGMENT = {"Coordinates", encode_node_of_segment, &node_coordinate_schema};

/* all, or with ?segment a form of this request. */
static const struct ask_form *
form_of(struct request *r, const struct ask_form *all, const struct ask_form *of_segment)
{
	struct bytes segment = request_value(r, "segment");
	struct segment_form *s;

	if (!request_has(r, "segment"))
		return all;
	s = xmalloc(sizeof *s + segment.size);
	*s = (struct segment_form){.form = *of_segment, .size = segment.size};
	if (segment.size > 0)
		memcpy(s->segment, segment.data, segment.size);
	r->x->more = s;
	r->x->ended = segment_form_free;
	return &s->form;
}

/* ---- reading ---- */

void
coordinate_nodes(struct request *r)
{
	struct dc_request args;

	if (refused(r) || request_refuses_enterprise(r, true))
		return;
	memset(&args, 0, sizeof args);
	REQUEST_OPTIONS(r, &args);
	ask_read(
	    r, "catalogd", "Coordinate.ListNodes", &dc_request_schema, &args, form_of(r, &NODES, &NODES_OF_SEGMENT));
}

void
coordinate_node(struct request *r)
{
	struct node_request args = {.node = r->arg};

	if (refused(r) || request_refuses_enterprise(r, true))
		return;
	REQUEST_OPTIONS(r, &args);
	ask_read(r, "catalogd", "Coordinate.Node", &node_request_schema, &args, form_of(r, &NODE, &NODE_OF_SEGMENT));
}

static const struct ask_form DATACENTERS = {NULL, ask_list, &datacenter_map_schema};

void
coordinate_datacenters(struct request *r)
{
	if (refused(r))
		return;
	r->x->form = &DATACENTERS;
	ask_again(r->x, "catalogd", "Coordinate.ListDatacenters", bytes_of(NULL, 0), 0, ask_formed);
}

/* ---- writing ---- */

/* As JSON names its kind; NULL: it may stand where a number is wanted. */
static const char *
not_a_number(enum mp_type type)
{
	switch (type) {
	case MP_STR:
		return "string";
	case MP_BOOL:
		return "bool";
	case MP_ARRAY:
		return "array";
	case MP_MAP:
		return "object";
	default:
		return NULL;
	}
}

/* true: the vector is no list of numbers, the request is refused. The table of the struct leaves that open. */
static bool
refuses_vector(struct request *r, struct bytes coord)
{
	struct mp in = mp_of(mp_find_raw(coord, "Vec"));
	bool list = mp_peek(&in) == MP_ARRAY;
	const char *kind = NULL;

	if (mp_peek(&in) == MP_NIL || mp_peek(&in) == MP_END)
		return false;
	if (!list)
		kind = not_a_number(mp_peek(&in)) == NULL ? "number" : not_a_number(mp_peek(&in));
	for (uint32_t n = list ? mp_array(&in) : 0; n > 0 && kind == NULL; n--, mp_skip(&in))
		kind = not_a_number(mp_peek(&in));
	if (kind == NULL)
		return false;
	reply_error(r->x, 400,
	    "Request decode failed: json: cannot unmarshal %s into Go struct field CoordinateUpdateRequest.Coord.Vec "
	    "of type %sfloat64",
	    kind, list ? "" : "[]");
	return true;
}

void
coordinate_update(struct request *r)
{
	struct buf decoded = BUF_INIT(CONN_BODY_BYTES_MAX), *b;
	struct coordinate_update_request args;
	const char *error;

	if (refused(r) || request_refuses_enterprise(r, false) ||
	    !request_decode(r, &coordinate_update_request_schema, &decoded))
		goto done;
	if (schema_decode(&coordinate_update_request_schema, buf_bytes(&decoded), &args, &error) == -1) {
		reply_error(r->x, 400, "Request decode failed: %s", error);
		goto done;
	}
	if (args.coord.size > 0 && refuses_vector(r, args.coord))
		goto done;
	args.token = r->token;
	if (r->dc.size > 0)
		args.datacenter = r->dc;
	b = ask_args();
	schema_encode(&coordinate_update_request_schema, &args, b);
	if (b->overflow)
		reply_error(r->x, 413, "Request body(%llu bytes) too large.", (unsigned long long)r->body_size);
	else
		ask_once(r->x, "catalogd", "Coordinate.Update", buf_bytes(b), ask_done);
done:
	buf_free(&decoded);
}
