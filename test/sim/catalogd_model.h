/*
 * catalogd_model.h - what spec/behaviour.md and spec/http-api*.md say about catalog, KV and sessions, in plain arrays
 *
 * No line of this comes from catalogd's code, and nothing of it is used. It follows operations (catalogd_history.h), says for a
 * question what the answer is and its index, and whether an entry concerns it: MUST_WAKE (something that it watches has changed),
 * MAY_WAKE (the spec allows a wake-up), or not at all.
 */
#ifndef TEST_CATALOGD_MODEL_H
#define TEST_CATALOGD_MODEL_H

#include "catalogd_history.h"

#define NAMES 3 /* of services; nothing is ever called "none" */

static const char *const asked_names[NAMES] = {"db", "web", "none"};
static const unsigned name_of_service[SERVICES] = {0, 1, 1};

enum question_kind {
	ASK_KEY,
	ASK_LIST,
	ASK_KEYS,
	ASK_SESSION,
	ASK_SESSIONS,
	ASK_NODE_SESSIONS,
	ASK_NODES,
	ASK_SERVICES,
	ASK_SERVICE,
	ASK_NODE,
	ASK_HEALTH,
	ASK_NODE_CHECKS,
	ASK_SERVICE_CHECKS,
	ASK_STATE,
	QUESTION_KINDS
};

struct question {
	enum question_kind kind;
	uint32_t what; /* key, prefix, session, node, name or status (3: any) */
};

struct model_key {
	bool there;
	unsigned value;
	uint64_t flags, lock, create, modify;
	uint32_t session; /* NO_SESSION: not held */
	int64_t delay_until;
};

struct model_session {
	bool there;
	unsigned node;
	bool deletes, bound;
	int64_t delay_ns;
	uint64_t create;
};

struct model_record {
	bool there;
	unsigned text, status; /* address, port, output */
	uint64_t create, modify;
};

/* What one batch has changed. */
struct model_touched {
	bool keys[KEYS];
	bool sessions[SESSIONS_MAX], any_session;
	bool node_records[NODES], any_node_record;
	bool nodes[NODES]; /* the record or the instances */
	bool any_instance;
	bool services[NAMES], healths[NAMES];
	bool node_checks[NODES], name_checks[NAMES], states[3], any_check;
	bool all; /* the whole state was replaced */
};

struct model {
	uint64_t index;
	struct model_key keys[KEYS];
	uint64_t key_tombstones[KEYS], prefix_tombstones[PREFIXES]; /* 0: none */
	struct model_session sessions[SESSIONS_MAX];
	struct model_record nodes[NODES], services[NODES][SERVICES], checks[NODES][CHECKS];
	/* counters */
	uint64_t kvs, tombstones, session_table, node_table, service_table, check_table;
	uint64_t node_counters[NODES], name_counters[NAMES], service_extinction, node_extinction;
	struct model_touched touched;
};

/* ---- KV ---- */

static inline bool
has_prefix(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static inline void
model_store(struct model *m, unsigned key, struct model_key is)
{
	struct model_key *k = &m->keys[key];

	if (k->there && k->value == is.value && k->flags == is.flags && k->lock == is.lock && k->session == is.session)
		return;
	is.there = true;
	is.create = k->there ? k->create : m->index;
	is.modify = m->index;
	is.delay_until = k->delay_until;
	*k = is;
	m->kvs = m->index;
	m->touched.keys[key] = true;
}

static inline void
model_forget_key(struct model *m, unsigned key)
{
	m->keys[key] = (struct model_key){.session = NO_SESSION, .delay_until = m->keys[key].delay_until};
	m->kvs = m->index;
	m->touched.keys[key] = true;
}

static inline void
model_delete(struct model *m, unsigned key)
{
	model_forget_key(m, key);
	m->key_tombstones[key] = m->tombstones = m->index;
}

static inline void
model_tree(struct model *m, unsigned prefix)
{
	bool any = false;

	for (unsigned i = 0; i < KEYS; i++)
		if (m->keys[i].there && has_prefix(key_names[i], prefix_names[prefix])) {
			model_forget_key(m, i);
			any = true;
		}
	if (!any || prefix == 0)
		return;
	m->tombstones = m->index;
	/* The same place as a key's of that name. */
	for (unsigned i = 0; i < KEYS; i++)
		if (strcmp(key_names[i], prefix_names[prefix]) == 0) {
			m->key_tombstones[i] = m->index;
			return;
		}
	m->prefix_tombstones[prefix] = m->index;
}

static inline bool
model_session_there(const struct model *m, uint32_t session)
{
	return session < SESSIONS_MAX && m->sessions[session].there;
}

static inline void
model_kv(struct model *m, const struct op *o)
{
	struct model_key *k = &m->keys[o->key];
	struct model_key is = {.value = o->value, .flags = o->flags, .session = k->session};

	switch (o->kind) {
	case DO_CAS:
		if (o->index == 0 ? k->there : !k->there || k->modify != o->index)
			return;
		model_store(m, o->key, is);
		return;
	case DO_DELETE_CAS:
		if (k->there && k->modify != o->index)
			return;
		if (k->there)
			model_delete(m, o->key);
		return;
	case DO_DELETE:
		if (k->there)
			model_delete(m, o->key);
		return;
	case DO_LOCK:
		if (!model_session_there(m, o->session) || (k->session != NO_SESSION && k->session != o->session) ||
		    o->time_ns < k->delay_until)
			return;
		is.lock = k->session == o->session ? k->lock : k->lock + 1;
		is.session = o->session;
		model_store(m, o->key, is);
		return;
	case DO_UNLOCK:
		if (!k->there || k->session != o->session)
			return;
		is.lock = k->lock;
		is.session = NO_SESSION;
		model_store(m, o->key, is);
		return;
	default:
		model_store(m, o->key, is);
		return;
	}
}

static inline void
model_reap(struct model *m, uint64_t index)
{
	for (unsigned i = 0; i < KEYS; i++)
		if (m->key_tombstones[i] <= index)
			m->key_tombstones[i] = 0;
	for (unsigned i = 0; i < PREFIXES; i++)
		if (m->prefix_tombstones[i] <= index)
			m->prefix_tombstones[i] = 0;
}

/* ---- sessions ---- */

static inline void
model_session_end(struct model *m, uint32_t session, int64_t now_ns)
{
	struct model_session *s = &m->sessions[session];

	s->there = false;
	m->session_table = m->index;
	m->touched.sessions[session] = m->touched.any_session = true;
	for (unsigned i = 0; i < KEYS; i++) {
		struct model_key is = m->keys[i];

		if (!is.there || is.session != session)
			continue;
		if (s->delay_ns > 0)
			m->keys[i].delay_until = now_ns + s->delay_ns;
		if (s->deletes) {
			model_delete(m, i);
		} else {
			is.session = NO_SESSION;
			model_store(m, i, is);
		}
	}
}

static inline void
model_create(struct model *m, const struct op *o)
{
	const struct model_record *check = &m->checks[o->node][0];

	if (!m->nodes[o->node].there || (o->bound && (!check->there || check->status == 2)))
		return;
	m->sessions[o->session] = (struct model_session){.there = true,
	    .node = o->node,
	    .deletes = o->deletes,
	    .bound = o->bound,
	    .delay_ns = o->delay_ns,
	    .create = m->index};
	m->session_table = m->index;
	m->touched.sessions[o->session] = m->touched.any_session = true;
}

/* All of a node, or those bound to its check c0. */
static inline void
model_sessions_end(struct model *m, unsigned node, bool bound_only, int64_t now_ns)
{
	for (uint32_t i = 0; i < SESSIONS_MAX; i++)
		if (m->sessions[i].there && m->sessions[i].node == node && (!bound_only || m->sessions[i].bound))
			model_session_end(m, i, now_ns);
}

/* ---- catalog ---- */

static inline bool
model_name_on(const struct model *m, unsigned node, unsigned name)
{
	for (unsigned s = 0; s < SERVICES; s++)
		if (name_of_service[s] == name && m->services[node][s].there)
			return true;
	return false;
}

static inline bool
model_name_there(const struct model *m, unsigned name)
{
	return model_name_on(m, 0, name) || model_name_on(m, 1, name) || model_name_on(m, 2, name);
}

static inline void
model_name_changed(struct model *m, unsigned name, bool instances)
{
	m->name_counters[name] = m->index;
	m->touched.healths[name] = true;
	m->touched.services[name] |= instances;
}

/* The record, or a check, of the node: its names are concerned. */
static inline void
model_names_changed(struct model *m, unsigned node, bool instances)
{
	for (unsigned name = 0; name < NAMES; name++)
		if (model_name_on(m, node, name))
			model_name_changed(m, name, instances);
}

static inline void
model_put_node(struct model *m, unsigned node, unsigned address)
{
	struct model_record *n = &m->nodes[node];

	if (n->there && n->text == address)
		return;
	*n = (struct model_record){
	    .there = true, .text = address, .create = n->there ? n->create : m->index, .modify = m->index};
	m->node_table = m->node_counters[node] = m->index;
	m->touched.node_records[node] = m->touched.any_node_record = m->touched.nodes[node] = true;
	model_names_changed(m, node, true);
}

static inline void
model_put_service(struct model *m, unsigned node, unsigned service, unsigned port)
{
	struct model_record *s = &m->services[node][service];

	if (s->there && s->text == port)
		return;
	*s = (struct model_record){
	    .there = true, .text = port, .create = s->there ? s->create : m->index, .modify = m->index};
	m->node_table = m->service_table = m->node_counters[node] = m->index;
	m->touched.any_instance = m->touched.nodes[node] = true;
	model_name_changed(m, name_of_service[service], true);
}

static inline void
model_check_changed(struct model *m, unsigned node, unsigned check)
{
	m->check_table = m->index;
	m->touched.any_check = m->touched.node_checks[node] = true;
	if (check_services[check] == NODE_LEVEL) {
		model_names_changed(m, node, false);
	} else {
		m->touched.name_checks[name_of_service[check_services[check]]] = true;
		model_name_changed(m, name_of_service[check_services[check]], false);
	}
}

static inline void
model_put_check(struct model *m, const struct op *o)
{
	struct model_record *c = &m->checks[o->node][o->check];

	if (c->there && c->text == o->text && c->status == o->status)
		return;
	if (c->there)
		m->touched.states[c->status] = true;
	m->touched.states[o->status] = true;
	*c = (struct model_record){.there = true,
	    .text = o->text,
	    .status = o->status,
	    .create = c->there ? c->create : m->index,
	    .modify = m->index};
	model_check_changed(m, o->node, o->check);
	if (o->status == 2 && o->check == 0)
		model_sessions_end(m, o->node, true, o->time_ns);
}

static inline void
model_drop_check(struct model *m, unsigned node, unsigned check, int64_t now_ns)
{
	struct model_record *c = &m->checks[node][check];

	if (!c->there)
		return;
	c->there = false;
	m->touched.states[c->status] = true;
	model_check_changed(m, node, check);
	if (check_services[check] == NODE_LEVEL)
		m->service_table = m->index;
	if (check == 0)
		model_sessions_end(m, node, true, now_ns);
}

static inline void
model_drop_service(struct model *m, unsigned node, unsigned service, int64_t now_ns)
{
	unsigned name = name_of_service[service];

	if (!m->services[node][service].there)
		return;
	for (unsigned c = 0; c < CHECKS; c++)
		if (check_services[c] == service)
			model_drop_check(m, node, c, now_ns);
	m->services[node][service].there = false;
	m->node_table = m->service_table = m->check_table = m->node_counters[node] = m->index;
	m->touched.any_instance = m->touched.nodes[node] = true;
	model_name_changed(m, name, true);
	if (!model_name_there(m, name)) {
		m->name_counters[name] = 0;
		m->service_extinction = m->index;
	}
}

static inline void
model_drop_node(struct model *m, unsigned node, int64_t now_ns)
{
	if (!m->nodes[node].there)
		return;
	model_sessions_end(m, node, false, now_ns);
	for (unsigned s = 0; s < SERVICES; s++)
		model_drop_service(m, node, s, now_ns);
	for (unsigned c = 0; c < CHECKS; c++)
		model_drop_check(m, node, c, now_ns);
	m->nodes[node].there = false;
	m->node_table = m->node_extinction = m->index;
	m->node_counters[node] = 0;
	m->touched.node_records[node] = m->touched.any_node_record = m->touched.nodes[node] = true;
}

/* ---- an entry ---- */

static inline void
model_init(struct model *m)
{
	memset(m, 0, sizeof *m);
	for (unsigned i = 0; i < KEYS; i++)
		m->keys[i].session = NO_SESSION;
}

static inline void
model_apply(struct model *m, const struct op *o, uint64_t index)
{
	m->index = index;
	switch (o->kind) {
	case DO_TREE:
		model_tree(m, o->prefix);
		break;
	case DO_REAP:
		model_reap(m, o->index);
		break;
	case DO_CREATE:
		model_create(m, o);
		break;
	case DO_DESTROY:
		if (model_session_there(m, o->session))
			model_session_end(m, o->session, o->time_ns);
		break;
	case DO_CHECK:
		if (check_services[o->check] != NODE_LEVEL && !m->services[o->node][check_services[o->check]].there)
			break; /* refused as a whole */
		model_put_node(m, o->node, o->address);
		model_put_check(m, o);
		break;
	case DO_NODE:
	case DO_SERVICE:
		model_put_node(m, o->node, o->address);
		if (o->kind == DO_SERVICE)
			model_put_service(m, o->node, o->service, 1 + o->text);
		break;
	case DO_DROP_NODE:
		model_drop_node(m, o->node, o->time_ns);
		break;
	case DO_DROP_SERVICE:
		model_drop_service(m, o->node, o->service, o->time_ns);
		break;
	case DO_DROP_CHECK:
		model_drop_check(m, o->node, o->check, o->time_ns);
		break;
	case DO_COORDINATES:
		break; /* nobody is asked about them: they must change nothing else */
	default:
		model_kv(m, o);
		break;
	}
}

/* ---- what an entry means to a question ---- */

enum concern { NO_CONCERN, MAY_WAKE, MUST_WAKE };

static inline enum concern
model_concern(const struct model *m, struct question q)
{
	const struct model_touched *t = &m->touched;

	if (t->all)
		return MUST_WAKE;
	switch (q.kind) {
	case ASK_KEY:
		return t->keys[q.what] ? MUST_WAKE : NO_CONCERN;
	case ASK_LIST:
	case ASK_KEYS:
		for (unsigned i = 0; i < KEYS; i++)
			if (t->keys[i] && has_prefix(key_names[i], prefix_names[q.what]))
				return MUST_WAKE;
		return NO_CONCERN;
	case ASK_SESSION:
		return t->sessions[q.what] ? MUST_WAKE : NO_CONCERN;
	case ASK_SESSIONS:
		return t->any_session ? MUST_WAKE : NO_CONCERN;
	case ASK_NODE_SESSIONS:
		for (unsigned i = 0; i < SESSIONS_MAX; i++)
			if (t->sessions[i] && m->sessions[i].create != 0 && m->sessions[i].node == q.what)
				return MUST_WAKE;
		return t->any_session ? MAY_WAKE : NO_CONCERN;
	case ASK_NODES:
		return t->any_node_record ? MUST_WAKE : NO_CONCERN;
	case ASK_SERVICES:
		return t->any_instance ? MUST_WAKE : NO_CONCERN;
	case ASK_SERVICE:
		return t->services[q.what] ? MUST_WAKE : NO_CONCERN;
	case ASK_NODE:
		/* The name may be the beginning of a node's ID: nodes that come and go may concern it. */
		return t->nodes[q.what] ? MUST_WAKE : t->any_node_record ? MAY_WAKE : NO_CONCERN;
	case ASK_HEALTH:
		return t->healths[q.what] ? MUST_WAKE : NO_CONCERN;
	case ASK_NODE_CHECKS:
		return t->node_checks[q.what] ? MUST_WAKE : t->any_check ? MAY_WAKE : NO_CONCERN;
	case ASK_SERVICE_CHECKS:
		return t->name_checks[q.what] ? MUST_WAKE : NO_CONCERN;
	default:
		return t->any_check && (q.what == 3 || t->states[q.what]) ? MUST_WAKE
		       : t->any_check                                     ? MAY_WAKE
									  : NO_CONCERN;
	}
}

/* ---- answers ---- */

static inline uint64_t
model_index(const struct model *m, struct question q)
{
	uint64_t all = MAX(m->kvs, m->tombstones), index = 0;

	switch (q.kind) {
	case ASK_KEY:
		index = m->keys[q.what].there ? m->keys[q.what].modify : all;
		break;
	case ASK_LIST:
	case ASK_KEYS:
		for (unsigned i = 0; i < KEYS && q.what != 0; i++)
			if (has_prefix(key_names[i], prefix_names[q.what])) {
				index = MAX(index, m->key_tombstones[i]);
				index = MAX(index, m->keys[i].there ? m->keys[i].modify : 0);
			}
		for (unsigned i = 0; i < PREFIXES && q.what != 0; i++)
			if (has_prefix(prefix_names[i], prefix_names[q.what]))
				index = MAX(index, m->prefix_tombstones[i]);
		index = index == 0 ? all : index;
		break;
	case ASK_SESSION:
	case ASK_SESSIONS:
	case ASK_NODE_SESSIONS:
		index = m->session_table;
		break;
	case ASK_NODES:
		index = m->node_table;
		break;
	case ASK_SERVICES:
		index = m->service_table;
		break;
	case ASK_SERVICE:
	case ASK_HEALTH:
		index = model_name_there(m, q.what) ? m->name_counters[q.what] : m->service_extinction;
		if (index == 0)
			index = MAX(m->node_table, m->service_table);
		if (index == MAX(m->node_table, m->service_table) && q.kind == ASK_HEALTH &&
		    !model_name_there(m, q.what) && m->service_extinction == 0)
			index = MAX(index, m->check_table);
		break;
	case ASK_NODE:
		index = m->nodes[q.what].there ? m->node_counters[q.what] : m->node_extinction;
		break;
	default:
		index = m->check_table;
		break;
	}
	return MAX(index, 1);
}

/* A single thing that is not there, and whose coming alone is news. */
static inline bool
model_not_found(const struct model *m, struct question q)
{
	return (q.kind == ASK_KEY && !m->keys[q.what].there) ||
	       (q.kind == ASK_SESSION && !model_session_there(m, q.what));
}

static inline void
text_key(const struct model *m, unsigned key, struct buf *out)
{
	const struct model_key *k = &m->keys[key];
	char id[40] = "";

	buf_printf(out, "%s=", key_names[key]);
	value_put(out, k->value);
	buf_printf(out, " %llu %llu %s %llu %llu\n", (unsigned long long)k->flags, (unsigned long long)k->lock,
	    k->session == NO_SESSION ? "" : session_text(k->session, id), (unsigned long long)k->create,
	    (unsigned long long)k->modify);
}

static inline void
text_keys(const struct model *m, const char *prefix, struct buf *out)
{
	char last[LONG_TAIL + 8] = "", cut[LONG_TAIL + 8];

	for (unsigned i = 0; i < KEYS; i++) {
		const char *slash;

		if (!m->keys[i].there || !has_prefix(key_names[i], prefix))
			continue;
		snprintf(cut, sizeof cut, "%s", key_names[i]);
		slash = strchr(cut + strlen(prefix), '/');
		if (slash != NULL)
			cut[slash - cut + 1] = '\0';
		if (strcmp(cut, last) != 0)
			buf_printf(out, "%s\n", cut);
		memcpy(last, cut, sizeof last);
	}
}

static inline void
text_session(const struct model *m, uint32_t session, struct buf *out)
{
	const struct model_session *s = &m->sessions[session];
	char id[40];

	if (s->there)
		buf_printf(out, "%s %s %s %lld %llu\n", session_text(session, id), node_names[s->node],
		    s->deletes ? "delete" : "release", (long long)s->delay_ns, (unsigned long long)s->create);
}

static inline void
text_record(const char *first, const char *second, const struct model_record *r, struct buf *out)
{
	buf_printf(out, "%s %s %u %llu %llu\n", first, second, r->text, (unsigned long long)r->create,
	    (unsigned long long)r->modify);
}

static inline void
text_node(const struct model *m, unsigned node, struct buf *out)
{
	text_record("node", node_names[node], &m->nodes[node], out);
}

static inline void
text_check(const struct model *m, unsigned node, unsigned check, struct buf *out)
{
	const struct model_record *c = &m->checks[node][check];
	unsigned service = check_services[check];

	if (!c->there)
		return;
	buf_printf(out, "%s %s %s %s %s ", node_names[node], check_ids[check], statuses[c->status],
	    service == NODE_LEVEL ? "-" : service_ids[service], service == NODE_LEVEL ? "-" : service_names[service]);
	text_record("check", "", c, out);
}

static inline void
text_health(const struct model *m, unsigned name, struct buf *out)
{
	for (unsigned n = 0; n < NODES; n++)
		for (unsigned s = 0; s < SERVICES; s++) {
			if (!m->services[n][s].there || name_of_service[s] != name)
				continue;
			text_node(m, n, out);
			text_record("service", service_ids[s], &m->services[n][s], out);
			for (unsigned c = 0; c < CHECKS; c++)
				if (check_services[c] == NODE_LEVEL)
					text_check(m, n, c, out);
			for (unsigned c = 0; c < CHECKS; c++)
				if (check_services[c] == s)
					text_check(m, n, c, out);
		}
}

static inline void
text_services_of(const struct model *m, unsigned node, struct buf *out)
{
	if (!m->nodes[node].there)
		return;
	text_node(m, node, out);
	for (unsigned s = 0; s < SERVICES; s++)
		if (m->services[node][s].there)
			text_record("service", service_ids[s], &m->services[node][s], out);
}

static inline void
text_checks(const struct model *m, struct question q, struct buf *out)
{
	for (unsigned n = 0; n < NODES; n++)
		for (unsigned c = 0; c < CHECKS; c++) {
			bool wanted = q.kind == ASK_NODE_CHECKS ? n == q.what
				      : q.kind == ASK_STATE     ? q.what == 3 || m->checks[n][c].status == q.what
								: check_services[c] != NODE_LEVEL &&
								  name_of_service[check_services[c]] == q.what;

			if (wanted)
				text_check(m, n, c, out);
		}
}

/* The answer's content, as text. */
static inline void
model_answer(const struct model *m, struct question q, struct buf *out)
{
	switch (q.kind) {
	case ASK_KEY:
		if (m->keys[q.what].there)
			text_key(m, q.what, out);
		return;
	case ASK_LIST:
		for (unsigned i = 0; i < KEYS; i++)
			if (m->keys[i].there && has_prefix(key_names[i], prefix_names[q.what]))
				text_key(m, i, out);
		return;
	case ASK_KEYS:
		text_keys(m, prefix_names[q.what], out);
		return;
	case ASK_SESSION:
		text_session(m, q.what, out);
		return;
	case ASK_SESSIONS:
	case ASK_NODE_SESSIONS:
		for (uint32_t i = 0; i < SESSIONS_MAX; i++)
			if (q.kind == ASK_SESSIONS || m->sessions[i].node == q.what)
				text_session(m, i, out);
		return;
	case ASK_NODES:
		for (unsigned n = 0; n < NODES; n++)
			if (m->nodes[n].there)
				text_node(m, n, out);
		return;
	case ASK_SERVICES:
		for (unsigned name = 0; name < NAMES; name++)
			if (model_name_there(m, name))
				buf_printf(out, "%s\n", asked_names[name]);
		return;
	case ASK_SERVICE:
		for (unsigned n = 0; n < NODES; n++)
			for (unsigned s = 0; s < SERVICES; s++)
				if (m->services[n][s].there && name_of_service[s] == q.what) {
					buf_printf(out, "%s 10.0.0.%u ", node_names[n], m->nodes[n].text);
					text_record("service", service_ids[s], &m->services[n][s], out);
				}
		return;
	case ASK_NODE:
		text_services_of(m, q.what, out);
		return;
	case ASK_HEALTH:
		text_health(m, q.what, out);
		return;
	default:
		text_checks(m, q, out);
		return;
	}
}

#endif
