/*
 * config.c - the agent's configuration as a whole: loading in order, merging, values, reload (contract: config.h)
 *
 * Order and merge rules: config.md 1.1, 1.2. Everything a configuration owns lives in its region and goes with config_free.
 */
#include "config.h"

#include <stdarg.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "config_private.h"
#include "duration.h"

/* ---- errors and texts ---- */

int
config_fail(struct config_error *e, const char *fmt, ...)
{
	struct buf text = BUF_INIT(CONFIG_ERROR_BYTES_MAX);
	va_list args;

	va_start(args, fmt);
	buf_vprintf(&text, fmt, args);
	va_end(args);
	while (text.used > 0 && text.data[text.used - 1] == '\n')
		text.used--;
	free(e->text);
	e->text = text.overflow ? xstrdup("the error text is too long") : bytes_dup(buf_bytes(&text));
	buf_free(&text);
	return -1;
}

void
config_error_free(struct config_error *e)
{
	free(e->text);
	*e = (struct config_error){NULL, false};
}

void
texts_add(struct config *c, struct texts *t, const char *fmt, ...)
{
	struct buf text = BUF_INIT(CONFIG_ERROR_BYTES_MAX);
	const char **at;
	va_list args;

	if (t->count >= CONFIG_TEXTS_MAX)
		return;
	if ((t->count & (t->count - 1)) == 0) { /* 0, 1, 2, 4, ...: full */
		at = region_alloc(c->region, (t->count == 0 ? 1 : t->count * 2) * sizeof *at);
		if (t->count > 0)
			memcpy(at, t->at, t->count * sizeof *at);
		t->at = at;
	}
	va_start(args, fmt);
	buf_vprintf(&text, fmt, args);
	va_end(args);
	t->at[t->count++] = region_strndup(c->region, text.data == NULL ? (const uint8_t *)"" : text.data, text.used);
	buf_free(&text);
}

void
texts_list(const struct texts *t, struct buf *out)
{
	buf_printf(out, t->count == 1 ? "%zu error occurred:" : "%zu errors occurred:", t->count);
	for (size_t i = 0; i < t->count; i++)
		buf_printf(out, "\n\t* %s", t->at[i]);
}

/* ---- values ---- */

int
config_row(const char *name)
{
	const int row = param_index(name);

	if (row == -1)
		panic("no such parameter: %s", name);
	return row;
}

struct value *
config_value(const struct config *c, const char *name)
{
	return c->values[config_row(name)];
}

bool
config_is_set(const struct config *c, const char *name)
{
	return c->user[config_row(name)];
}

const char *
config_str(const struct config *c, const char *name)
{
	const struct value *v = config_value(c, name);

	return v == NULL ? "" : v->text;
}

int64_t
config_int(const struct config *c, const char *name)
{
	return strtoll(config_str(c, name), NULL, 10);
}

bool
config_bool(const struct config *c, const char *name)
{
	const struct value *v = config_value(c, name);

	return v != NULL && v->boolean;
}

int64_t
config_duration(const struct config *c, const char *name)
{
	int64_t ns;

	return duration_parse(bytes_str(config_str(c, name)), &ns) == DURATION_OK ? ns : 0;
}

static const struct value *
element(const struct config *c, const char *name, size_t i)
{
	const struct value *v = config_value(c, name), *m = v == NULL ? NULL : v->first;

	while (m != NULL && i-- > 0)
		m = m->next;
	if (m == NULL)
		panic("%s has no such element", name);
	return m;
}

size_t
config_list_count(const struct config *c, const char *name)
{
	const struct value *v = config_value(c, name);

	return v == NULL ? 0 : v->count;
}

const char *
config_list_at(const struct config *c, const char *name, size_t i)
{
	return element(c, name, i)->text;
}

size_t
config_map_count(const struct config *c, const char *name)
{
	return config_list_count(c, name);
}

const char *
config_map_key(const struct config *c, const char *name, size_t i)
{
	return element(c, name, i)->key;
}

const char *
config_map_value(const struct config *c, const char *name, size_t i)
{
	return element(c, name, i)->text;
}

void
config_set_str(struct config *c, const char *name, const char *text)
{
	c->values[config_row(name)] = value_string(c->region, text);
}

void
config_set_int(struct config *c, const char *name, int64_t number)
{
	struct value *v = value_new(c->region, VALUE_NUMBER);

	v->text = region_printf(c->region, "%lld", (long long)number);
	c->values[config_row(name)] = v;
}

void
config_set_bool(struct config *c, const char *name, bool on)
{
	struct value *v = value_new(c->region, VALUE_BOOL);

	v->boolean = on;
	c->values[config_row(name)] = v;
}

/* ---- sources ---- */

struct source *
source_new(struct config *c, const char *name)
{
	struct source *s = region_alloc(c->region, sizeof *s);

	s->name = name;
	s->values = region_alloc(c->region, param_count * sizeof *s->values);
	memset(s->values, 0, param_count * sizeof *s->values);
	return s;
}

/* service -> services: appended to the plural of the same source. */
static void
merge_singulars(struct source *s)
{
	for (size_t i = 0; i < param_count; i++) {
		int plural;

		if ((params[i].flags & PARAM_SINGLE) == 0 || s->values[i] == NULL)
			continue;
		plural = config_row(params[i].other);
		if (s->values[plural] == NULL) {
			s->values[plural] = s->values[i];
		} else {
			for (struct value *m = s->values[i]->first, *next; m != NULL; m = next) {
				next = m->next;
				value_append(s->values[plural], m);
			}
		}
		s->values[i] = NULL;
	}
}

void
config_merge(struct config *c, const struct source *s)
{
	merge_singulars((struct source *)s);
	for (size_t i = 0; i < param_count; i++) {
		struct value *v = s->values[i], *old = c->values[i];

		if (v == NULL)
			continue;
		c->user[i] = true;
		c->origins[i] = s->name;
		switch (params[i].type) {
		case PARAM_LIST:
		case PARAM_OBJECTS:
			if (old == NULL)
				c->values[i] = old = value_new(c->region, VALUE_LIST);
			for (const struct value *m = v->first; m != NULL; m = m->next)
				value_append(old, value_copy(c->region, m));
			break;
		case PARAM_MAP:
		case PARAM_ANY:
			if (old == NULL)
				c->values[i] = old = value_new(c->region, VALUE_MAP);
			for (const struct value *m = v->first; m != NULL; m = m->next)
				value_set(
				    old, region_strndup(c->region, m->key, strlen(m->key)), value_copy(c->region, m));
			break;
		default:
			c->values[i] = v;
		}
	}
}

static void
set_default(struct config *c, size_t row, const char *text)
{
	struct value *v;

	switch (params[row].type) {
	case PARAM_BOOL:
		v = value_new(c->region, VALUE_BOOL);
		v->boolean = strcmp(text, "true") == 0;
		break;
	case PARAM_INT:
	case PARAM_FLOAT:
		v = value_new(c->region, VALUE_NUMBER);
		v->text = text;
		break;
	default:
		v = value_new(c->region, VALUE_STRING);
		v->text = text;
	}
	c->values[row] = v;
}

static void
set_defaults(struct config *c)
{
	static const char *const dev[][2] = {
	    {"bind_addr", "127.0.0.1"},
	    {"log_level", "DEBUG"},
	    {"server", "true"},
	    {"ui_config.enabled", "true"},
	    {"enable_debug", "true"},
	    {"disable_anonymous_signature", "true"},
	    {"disable_keyring_file", "true"},
	    {"disable_update_check", "true"},
	    {"ports.grpc", "8502"},
	    {"performance.raft_multiplier", "1"},
	    {"gossip_lan.gossip_interval", "100ms"},
	    {"gossip_lan.probe_interval", "100ms"},
	    {"gossip_lan.probe_timeout", "100ms"},
	    {"gossip_lan.suspicion_mult", "3"},
	    {"gossip_wan.gossip_interval", "100ms"},
	    {"gossip_wan.probe_interval", "100ms"},
	    {"gossip_wan.probe_timeout", "100ms"},
	    {"gossip_wan.suspicion_mult", "3"},
	    {"consuld.coordinate_period_ms", "100"},
	    {"consuld.dev", "true"},
	};

	for (size_t i = 0; i < param_count; i++)
		if (params[i].fallback != NULL)
			set_default(c, i, params[i].fallback);
	if (c->dev)
		for (size_t i = 0; i < COUNTOF(dev); i++)
			set_default(c, (size_t)config_row(dev[i][0]), dev[i][1]);
}

const char *
value_where(struct config *c, const struct value *v)
{
	if (v == NULL || v->file == NULL || v->line == 0)
		return "";
	return region_printf(c->region, " (%s, line %u, column %u)", v->file, v->line, v->column);
}

const char *
config_where(struct config *c, const char *name)
{
	const int row = config_row(name);
	const struct value *v = c->values[row];

	if (v == NULL || c->origins[row] == NULL || *c->origins[row] == '\0')
		return "";
	if (v->line == 0)
		return region_printf(c->region, " (%s)", c->origins[row]);
	return region_printf(c->region, " (%s, line %u, column %u)", c->origins[row], v->line, v->column);
}

const char *
config_absolute(struct config *c, const char *path)
{
	if (*path == '\0' || *path == '/')
		return path;
	return region_printf(c->region, "%s/%s", c->cwd, path);
}

/* ---- loading ---- */

struct config *
config_new(const char *cwd, int argc, char *const *argv)
{
	struct config *c = xcalloc(1, sizeof *c);

	c->region = region_new();
	c->values = xcalloc(param_count, sizeof *c->values);
	c->origins = xcalloc(param_count, sizeof *c->origins);
	c->user = xcalloc(param_count, sizeof *c->user);
	c->cwd = xstrdup(cwd);
	c->argc = argc;
	c->argv = xcalloc((size_t)argc + 1, sizeof *c->argv);
	for (int i = 0; i < argc; i++)
		c->argv[i] = xstrdup(argv[i]);
	c->node_id = "";
	return c;
}

void
config_free(struct config *c)
{
	if (c == NULL)
		return;
	for (int i = 0; i < c->argc; i++)
		free(c->argv[i]);
	free(c->argv);
	free(c->cwd);
	free(c->values);
	free(c->origins);
	free(c->user);
	free(c->listens);
	region_free(c->region);
	free(c);
}

int
config_assemble(struct config *c, struct flag_sources *f, struct config_error *e)
{
	size_t number = 0;

	set_defaults(c);
	config_merge(c, f->lists);
	if (config_files(c, f->paths, f->format, e) == -1)
		return -1;
	config_aliases(c, f->scalars);
	config_merge(c, f->scalars);
	for (const struct value *v = f->fragments->first; v != NULL; v = v->next)
		if (config_fragment(c, region_printf(c->region, "flags-%zu.hcl", ++number), v->text, e) == -1)
			return -1;
	return config_build(c, e);
}

static struct config *
load(const char *cwd, int argc, char *const *argv, const struct config *running, struct config_error *e)
{
	struct config *c = config_new(cwd, argc, argv);
	struct flag_sources f = {0};

	c->running = running;
	if (config_flags(c, &f, e) == 0 && config_assemble(c, &f, e) == 0) {
		c->running = NULL;
		return c;
	}
	config_free(c);
	return NULL;
}

struct config *
config_load(int argc, char *const *argv, struct config_error *e)
{
	char *cwd = getcwd(NULL, 0);
	struct config *c = load(cwd == NULL ? "/" : cwd, argc, argv, NULL, e);

	free(cwd);
	return c;
}

/* ---- reload ---- */

static bool
equal(const struct value *a, const struct value *b)
{
	struct buf left = BUF_INIT(VALUE_FILE_MAX), right = BUF_INIT(VALUE_FILE_MAX);
	bool same;

	if (a == NULL || b == NULL)
		return a == b || (a == NULL ? b->count == 0 && *b->text == '\0' : a->count == 0 && *a->text == '\0');
	value_json(a, &left);
	value_json(b, &right);
	same = bytes_equal(buf_bytes(&left), buf_bytes(&right));
	buf_free(&left);
	buf_free(&right);
	return same;
}

/* What needs a restart keeps the running value; the user hears which keys differ. */
static void
keep_running(struct config *c, const struct config *running)
{
	for (size_t i = 0; i < param_count; i++) {
		const struct value *old = running->values[i];

		if ((params[i].flags & (PARAM_RELOAD | PARAM_FLAG_ONLY)) != 0)
			continue;
		if ((params[i].flags & PARAM_DERIVED) == 0 && params[i].used_by != 0 && !equal(old, c->values[i]) &&
		    (strcmp(params[i].name, "node_id") != 0 || c->user[i]))
			texts_add(c, &c->notices, "Configuration change needs a restart: key=%s", params[i].name);
		c->values[i] = old == NULL ? NULL : value_copy(c->region, old);
	}
	c->node_id = region_strndup(c->region, running->node_id, strlen(running->node_id));
	free(c->listens);
	c->listens = xcalloc(running->listen_count + 1, sizeof *c->listens);
	c->listen_count = running->listen_count;
	for (size_t i = 0; i < c->listen_count; i++) {
		c->listens[i] = running->listens[i];
		c->listens[i].address = value_string(c->region, c->listens[i].address)->text;
		c->listens[i].mode = value_string(c->region, c->listens[i].mode)->text;
	}
}

struct config *
config_reload(const struct config *running, struct config_error *e)
{
	struct config *c = load(running->cwd, running->argc, running->argv, running, e);

	if (c == NULL)
		return NULL;
	c->shown = value_new(c->region, VALUE_MAP);
	for (size_t i = 0; i < param_count; i++)
		if (c->values[i] != NULL)
			value_set(c->shown, params[i].name, value_copy(c->region, c->values[i]));
	keep_running(c, running);
	return c;
}

/* ---- what the caller asks ---- */

size_t
config_warning_count(const struct config *c)
{
	return c->warnings.count;
}

const char *
config_warning(const struct config *c, size_t i)
{
	return c->warnings.at[i];
}

size_t
config_notice_count(const struct config *c)
{
	return c->notices.count;
}

const char *
config_notice(const struct config *c, size_t i)
{
	return c->notices.at[i];
}

bool
config_is_dev(const struct config *c)
{
	return c->dev;
}

const char *
config_node_id(const struct config *c)
{
	return c->node_id;
}

enum log_level
config_log_level(const struct config *c)
{
	enum log_level level;

	return log_level_parse(config_str(c, "log_level"), &level) == 0 ? level : LOG_INFO_LEVEL;
}

int
config_syslog_facility(const struct config *c)
{
	return config_bool(c, "enable_syslog") ? syslog_facility_parse(config_str(c, "syslog_facility")) : -1;
}

size_t
config_listen_count(const struct config *c)
{
	return c->listen_count;
}

struct config_listen
config_listen_at(const struct config *c, size_t i)
{
	return c->listens[i];
}

void
config_set_servers(struct config *c, const char *servers)
{
	config_set_str(c, "consuld.servers", servers);
}

static void
set_number(struct config *c, const char *key, uint64_t value)
{
	if (value > 0)
		config_set_str(c, key, region_printf(c->region, "%llu", (unsigned long long)value));
}

void
config_set_coordinates(struct config *c, uint64_t interval_ms, uint64_t period_ms)
{
	set_number(c, "consuld.coordinate_interval_ms", interval_ms);
	set_number(c, "consuld.coordinate_period_ms", period_ms);
}

void
config_set_run_dir(struct config *c, const char *run_dir)
{
	const char *data = config_str(c, "data_dir");
	const char *state = c->dev ? run_dir : data;

	config_set_str(c, "consuld.run_dir", run_dir);
	config_set_str(c, "consuld.raft_dir", region_printf(c->region, "%s/raft", state));
	config_set_str(c, "consuld.catalog_dir", region_printf(c->region, "%s/catalog", state));
	config_set_str(c, "consuld.state_dir", data);
	config_set_int(c, "consuld.pid", getpid());
	config_set_int(c, "consuld.syslog_facility", config_syslog_facility(c));
}

void
config_set_own(struct config *c, const char *name, const char *value)
{
	const int row = config_row(name);

	if ((params[row].flags & PARAM_DERIVED) == 0)
		panic("%s is not ours to set", name);
	set_default(c, (size_t)row, region_strndup(c->region, value, strlen(value)));
}
