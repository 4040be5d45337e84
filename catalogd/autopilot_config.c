/*
 * autopilot_config.c - autopilot's settings (contract: autopilot_config.h; facts: http-api.md 17.6; callers: the endpoint and apply tables, autopilot_run.c)
 *
 * One record. The first leader writes it, from its configuration; from then on it is changed by requests alone, whatever configuration
 * files say.
 *
 * Counter: "autopilot-config".
 */
#include "autopilot_config.h"

#include "frame.h"
#include "query.h"

#define KEY "config"

bool
autopilot_config_find(struct store_txn *t, struct autopilot_config *out)
{
	struct bytes record;
	const char *error;

	*out = (struct autopilot_config){0};
	return store_get(t, STORE_AUTOPILOT, bytes_str(KEY), &record) &&
	       schema_decode(&autopilot_config_schema, record, out, &error) == 0;
}

struct autopilot_config
autopilot_config_initial(const struct conf *conf)
{
	return (struct autopilot_config){
	    .cleanup_dead_servers = conf_bool(conf, "autopilot.cleanup_dead_servers", true),
	    .last_contact_threshold =
		conf_duration(conf, "autopilot.last_contact_threshold", AUTOPILOT_LAST_CONTACT_NS),
	    .max_trailing_logs =
		(uint64_t)MAX(conf_int(conf, "autopilot.max_trailing_logs", AUTOPILOT_MAX_TRAILING_LOGS), 0),
	    .min_quorum = (uint64_t)MAX(conf_int(conf, "autopilot.min_quorum", 0), 0),
	    .server_stabilization_time =
		conf_duration(conf, "autopilot.server_stabilization_time", AUTOPILOT_STABILIZATION_NS),
	};
}

void
autopilot_config_body(const struct autopilot_config *config, bool cas, struct buf *out)
{
	struct autopilot_set_config_request request = {.cas = cas};
	struct buf encoded = BUF_INIT(FRAME_REQUEST_BYTES_MAX);

	schema_encode(&autopilot_config_schema, config, &encoded);
	request.config = buf_bytes(&encoded);
	schema_encode(&autopilot_set_config_request_schema, &request, out);
	buf_free(&encoded);
}

/* ---- applying ---- */

int
autopilot_config_apply(struct apply *a, struct bytes body)
{
	struct autopilot_set_config_request request;
	struct autopilot_config config, old;
	struct buf record = BUF_INIT(FRAME_REQUEST_BYTES_MAX);
	const char *error;

	if (schema_decode(&autopilot_set_config_request_schema, body, &request, &error) == -1 ||
	    schema_decode(&autopilot_config_schema, request.config, &config, &error) == -1)
		return apply_refuse(a, 0, "bad entry: %s", error);
	(void)autopilot_config_find(a->txn, &old);
	if (request.cas && config.modify_index != old.modify_index) {
		mp_put_bool(a->reply, false);
		return 0;
	}
	config.create_index = old.create_index == 0 ? a->index : old.create_index;
	config.modify_index = a->index;
	schema_encode(&autopilot_config_schema, &config, &record);
	store_put(a->txn, STORE_AUTOPILOT, bytes_str(KEY), buf_bytes(&record));
	buf_free(&record);
	store_index_set(a->txn, bytes_str("autopilot-config"), a->index);
	mp_put_bool(a->reply, true);
	return 0;
}

/* ---- endpoints ---- */

int
autopilot_config_write(struct write *w)
{
	struct autopilot_set_config_request request;
	struct autopilot_config config;
	const char *error;

	if (write_args(w, &autopilot_set_config_request_schema, &request) == -1)
		return -1;
	if (schema_decode(&autopilot_config_schema, request.config, &config, &error) == -1)
		return write_fail(w, 400, "rpc: bad arguments: %s", error);
	autopilot_config_body(&config, request.cas, w->body);
	w->type = APPLY_TYPE_AUTOPILOT;
	return 0;
}

/* The record's pairs stand in the reply itself; clients skip the metadata behind them. */
int
autopilot_config_get(struct query *q)
{
	struct bytes record;
	struct mp in;

	if (!store_get(q->txn, STORE_AUTOPILOT, bytes_str(KEY), &record))
		return query_fail(q, 0, "autopilot config not initialized yet");
	query_index(q, store_index(q->txn, bytes_str("autopilot-config")));
	in = mp_of(record);
	query_begin(q, mp_map(&in));
	buf_put_bytes(q->out, bytes_of(in.at, (size_t)(in.end - in.at)));
	return 0;
}
