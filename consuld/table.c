/*
 * table.c - the daemon table and the suite's own settings (contract: table.h; file: consuld.conf(5); caller: main.c)
 *
 * A row in the file changes the built-in row of the same name key by key; a file that is silent about a daemon leaves it as it
 * is. So an old file goes on working when a daemon is added.
 */
#include "table.h"

#include <ctype.h>
#include <errno.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <syslog.h>

#include "mem.h"
#include "net.h"

#define START_MS_DEFAULT (10 * 60 * 1000)
#define COORDINATE_MS_MAX (24 * 3600 * 1000)

static const struct {
	const char *name;
	enum table_role role;
} builtin[] = {
    {"raftd", TABLE_SERVER},
    {"catalogd", TABLE_ALL},
    {"gossipd", TABLE_ALL},
    {"checkd", TABLE_ALL},
    {"httpd", TABLE_ALL},
    {"dnsd", TABLE_ALL},
};

static const struct {
	const char *name;
	int code;
} facilities[] = {
    {"kern", LOG_KERN},
    {"user", LOG_USER},
    {"mail", LOG_MAIL},
    {"daemon", LOG_DAEMON},
    {"auth", LOG_AUTH},
    {"syslog", LOG_SYSLOG},
    {"lpr", LOG_LPR},
    {"news", LOG_NEWS},
    {"uucp", LOG_UUCP},
    {"cron", LOG_CRON},
    {"authpriv", LOG_AUTHPRIV},
    {"ftp", LOG_FTP},
    {"local0", LOG_LOCAL0},
    {"local1", LOG_LOCAL1},
    {"local2", LOG_LOCAL2},
    {"local3", LOG_LOCAL3},
    {"local4", LOG_LOCAL4},
    {"local5", LOG_LOCAL5},
    {"local6", LOG_LOCAL6},
    {"local7", LOG_LOCAL7},
};

int
table_facility(const char *name)
{
	for (size_t i = 0; i < COUNTOF(facilities); i++)
		if (strcasecmp(name, facilities[i].name) == 0)
			return facilities[i].code;
	return -1;
}

bool
table_row_runs(const struct table_row *row, bool server)
{
	if (row->instances == 0)
		return false;
	return row->role == TABLE_ALL || (row->role == TABLE_SERVER) == server;
}

static struct table_row *
row_named(struct table *t, const char *name)
{
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->rows[i].name, name) == 0)
			return &t->rows[i];
	return NULL;
}

static struct table *
table_builtin(void)
{
	struct table *t = xcalloc(1, sizeof *t);

	t->run_dir = xstrdup("");
	t->group = xstrdup("");
	t->servers = xstrdup("");
	for (size_t i = 0; i < COUNTOF(builtin); i++)
		t->rows[t->count++] = (struct table_row){
		    .name = xstrdup(builtin[i].name),
		    .role = builtin[i].role,
		    .instances = 1,
		    .user = xstrdup(""),
		    .group = xstrdup(""),
		    .facility = -1,
		    .sandbox = true,
		    .start_ms = START_MS_DEFAULT,
		};
	return t;
}

void
table_free(struct table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->count; i++) {
		free(t->rows[i].name);
		free(t->rows[i].user);
		free(t->rows[i].group);
	}
	free(t->run_dir);
	free(t->group);
	free(t->servers);
	free(t);
}

/* Where and why, into error. Always -1. */
static int PRINTF_LIKE(3, 4) refuse(const config_setting_t *at, char error[TABLE_ERROR_MAX], const char *fmt, ...)
{
	const char *file = config_setting_source_file(at);
	va_list args;
	int used;

	used = snprintf(
	    error, TABLE_ERROR_MAX, "%s:%u: ", file == NULL ? "consuld.conf" : file, config_setting_source_line(at));
	va_start(args, fmt);
	vsnprintf(error + used, TABLE_ERROR_MAX - (size_t)used, fmt, args);
	va_end(args);
	return -1;
}

static int
take_text(const config_setting_t *s, char **out, char error[TABLE_ERROR_MAX])
{
	const char *text = config_setting_get_string(s);

	if (text == NULL)
		return refuse(s, error, "%s: a text is wanted", config_setting_name(s));
	free(*out);
	*out = xstrdup(text);
	return 0;
}

static int
take_number(const config_setting_t *s, long long min, long long max, uint64_t *out, char error[TABLE_ERROR_MAX])
{
	long long value;

	if (config_setting_type(s) != CONFIG_TYPE_INT && config_setting_type(s) != CONFIG_TYPE_INT64)
		return refuse(s, error, "%s: a number is wanted", config_setting_name(s));
	value = config_setting_get_int64(s);
	if (value < min || value > max)
		return refuse(s, error, "%s: %lld is not in %lld..%lld", config_setting_name(s), value, min, max);
	*out = (uint64_t)value;
	return 0;
}

static int
take_bool(const config_setting_t *s, bool *out, char error[TABLE_ERROR_MAX])
{
	if (config_setting_type(s) != CONFIG_TYPE_BOOL)
		return refuse(s, error, "%s: true or false is wanted", config_setting_name(s));
	*out = config_setting_get_bool(s);
	return 0;
}

static int
take_role(const config_setting_t *s, enum table_role *out, char error[TABLE_ERROR_MAX])
{
	static const char *const names[] = {[TABLE_ALL] = "all", [TABLE_SERVER] = "server", [TABLE_CLIENT] = "client"};
	const char *text = config_setting_get_string(s);

	for (size_t i = 0; text != NULL && i < COUNTOF(names); i++)
		if (strcmp(text, names[i]) == 0) {
			*out = (enum table_role)i;
			return 0;
		}
	return refuse(s, error, "role: one of all, server, client is wanted");
}

static int
take_limits(const config_setting_t *limits, struct table_row *row, char error[TABLE_ERROR_MAX])
{
	int result = 0;

	if (config_setting_type(limits) != CONFIG_TYPE_GROUP)
		return refuse(limits, error, "limits: a group is wanted");
	for (int i = 0; i < config_setting_length(limits) && result == 0; i++) {
		config_setting_t *s = config_setting_get_elem(limits, (unsigned)i);
		const char *key = config_setting_name(s);

		if (strcmp(key, "files") == 0)
			result = take_number(s, 0, 1 << 24, &row->files_max, error);
		else if (strcmp(key, "memory") == 0)
			result = take_number(s, 0, INT64_MAX, &row->memory_max, error);
		else if (strcmp(key, "core") == 0)
			result = take_bool(s, &row->core, error);
		else
			result = refuse(s, error, "limits: unknown key %s", key);
	}
	return result;
}

static int
take_row_key(const config_setting_t *s, struct table_row *row, char error[TABLE_ERROR_MAX])
{
	const char *key = config_setting_name(s);
	uint64_t number = 0;

	if (strcmp(key, "name") == 0)
		return 0;
	if (strcmp(key, "role") == 0)
		return take_role(s, &row->role, error);
	if (strcmp(key, "user") == 0)
		return take_text(s, &row->user, error);
	if (strcmp(key, "group") == 0)
		return take_text(s, &row->group, error);
	if (strcmp(key, "limits") == 0)
		return take_limits(s, row, error);
	if (strcmp(key, "sandbox") == 0)
		return take_bool(s, &row->sandbox, error);
	if (strcmp(key, "instances") == 0) {
		if (take_number(s, 0, TABLE_INSTANCES_MAX, &number, error) == -1)
			return -1;
		row->instances = (unsigned)number;
		return 0;
	}
	if (strcmp(key, "start_seconds") == 0) {
		if (take_number(s, 1, 86400, &number, error) == -1)
			return -1;
		row->start_ms = (int64_t)number * 1000;
		return 0;
	}
	if (strcmp(key, "facility") == 0) {
		const char *text = config_setting_get_string(s);

		if (text == NULL || (*text != '\0' && table_facility(text) == -1))
			return refuse(s, error, "invalid syslog facility: %s", text == NULL ? "" : text);
		row->facility = *text == '\0' ? -1 : table_facility(text);
		return 0;
	}
	return refuse(s, error, "daemons: unknown key %s", key);
}

static int
take_rows(const config_setting_t *list, struct table *t, char error[TABLE_ERROR_MAX])
{
	if (config_setting_type(list) != CONFIG_TYPE_LIST)
		return refuse(list, error, "daemons: a list of groups is wanted");
	for (int i = 0; i < config_setting_length(list); i++) {
		config_setting_t *s = config_setting_get_elem(list, (unsigned)i);
		struct table_row *row;
		const char *name;

		if (config_setting_type(s) != CONFIG_TYPE_GROUP ||
		    config_setting_lookup_string(s, "name", &name) != CONFIG_TRUE)
			return refuse(s, error, "daemons: each one is a group with a name");
		row = row_named(t, name);
		if (row == NULL)
			return refuse(s, error, "daemons: there is no daemon called %s", name);
		for (int k = 0; k < config_setting_length(s); k++)
			if (take_row_key(config_setting_get_elem(s, (unsigned)k), row, error) == -1)
				return -1;
	}
	return 0;
}

static int
take_servers(const config_setting_t *list, char **out, char error[TABLE_ERROR_MAX])
{
	if (config_setting_type(list) != CONFIG_TYPE_LIST && config_setting_type(list) != CONFIG_TYPE_ARRAY)
		return refuse(list, error, "servers: a list of addresses with ports is wanted");
	for (int i = 0; i < config_setting_length(list); i++) {
		const config_setting_t *s = config_setting_get_elem(list, (unsigned)i);
		const char *text = config_setting_get_string(s);
		union net_addr address;
		char *all;

		if (text == NULL || net_addr_parse_port(text, &address) == -1)
			return refuse(list, error, "servers: not an address with a port: %s", text == NULL ? "" : text);
		all = xasprintf("%s%s%s", *out, **out == '\0' ? "" : " ", text);
		free(*out);
		*out = all;
	}
	return 0;
}

static int
take_root(const config_setting_t *root, struct table *t, char error[TABLE_ERROR_MAX])
{
	for (int i = 0; i < config_setting_length(root); i++) {
		config_setting_t *s = config_setting_get_elem(root, (unsigned)i);
		const char *key = config_setting_name(s), *text;
		int result = 0;

		if (strcmp(key, "run_dir") == 0) {
			result = take_text(s, &t->run_dir, error);
		} else if (strcmp(key, "group") == 0) {
			result = take_text(s, &t->group, error);
		} else if (strcmp(key, "servers") == 0) {
			result = take_servers(s, &t->servers, error);
		} else if (strcmp(key, "coordinate_interval_ms") == 0) {
			result = take_number(s, 1, COORDINATE_MS_MAX, &t->coordinate_interval_ms, error);
		} else if (strcmp(key, "coordinate_period_ms") == 0) {
			result = take_number(s, 1, COORDINATE_MS_MAX, &t->coordinate_period_ms, error);
		} else if (strcmp(key, "daemons") == 0) {
			result = take_rows(s, t, error);
		} else if (strcmp(key, "supervise") == 0) {
			text = config_setting_get_string(s);
			if (text == NULL || (strcmp(text, "internal") != 0 && strcmp(text, "external") != 0))
				return refuse(s, error, "supervise: internal or external is wanted");
			t->external = strcmp(text, "external") == 0;
		} else {
			result = refuse(s, error, "unknown key %s", key);
		}
		if (result == -1)
			return -1;
	}
	return 0;
}

struct table *
table_load(const char *path, char error[TABLE_ERROR_MAX])
{
	struct table *t = table_builtin();
	config_t file;

	if (path == NULL)
		return t;
	config_init(&file);
	if (config_read_file(&file, path) != CONFIG_TRUE) {
		if (config_error_type(&file) == CONFIG_ERR_FILE_IO)
			snprintf(error, TABLE_ERROR_MAX, "open %s: %s", path, strerror(errno));
		else
			snprintf(error, TABLE_ERROR_MAX, "%s:%d: %s", path, config_error_line(&file),
			    config_error_text(&file));
		goto fail;
	}
	if (take_root(config_root_setting(&file), t, error) == -1)
		goto fail;
	config_destroy(&file);
	return t;

fail:
	config_destroy(&file);
	table_free(t);
	return NULL;
}
