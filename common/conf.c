/*
 * conf.c - the resolved configuration of one daemon (contract: conf.h; written by consuld, consuld-config(5))
 */
#include "conf.h"

#include <errno.h>
#include <libconfig.h>
#include <stdio.h>
#include <string.h>

#include "duration.h"
#include "mem.h"

#include <stdlib.h>

struct conf {
	config_t file;
};

struct conf *
conf_load(const char *path, char error[CONF_ERROR_MAX])
{
	struct conf *c = xcalloc(1, sizeof *c);
	FILE *f;

	config_init(&c->file);
	f = fopen(path, "re");
	if (f == NULL) {
		int saved_errno = errno;

		snprintf(error, CONF_ERROR_MAX, "open %s: %s", path, strerror(errno));
		conf_free(c);
		errno = saved_errno;
		return NULL;
	}
	if (config_read(&c->file, f) == CONFIG_FALSE) {
		snprintf(error, CONF_ERROR_MAX, "%s: line %d: %s", path, config_error_line(&c->file),
		    config_error_text(&c->file));
		fclose(f);
		conf_free(c);
		errno = EBADMSG;
		return NULL;
	}
	fclose(f);
	return c;
}

void
conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	config_destroy(&c->file);
	free(c);
}

unsigned
conf_generation(const struct conf *c)
{
	return (unsigned)conf_int(c, "consuld.generation", 0);
}

bool
conf_has(const struct conf *c, const char *name)
{
	return config_lookup(&c->file, name) != NULL;
}

const char *
conf_str(const struct conf *c, const char *name, const char *fallback)
{
	const char *value;

	return config_lookup_string(&c->file, name, &value) == CONFIG_TRUE ? value : fallback;
}

int64_t
conf_int(const struct conf *c, const char *name, int64_t fallback)
{
	const config_setting_t *s = config_lookup(&c->file, name);
	const char *text;
	char *end;
	long long value;

	if (s == NULL)
		return fallback;
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return config_setting_get_int64(s);
	case CONFIG_TYPE_STRING: /* numbers that libconfig would clamp */
		text = config_setting_get_string(s);
		errno = 0;
		value = strtoll(text, &end, 10);
		return errno != 0 || *end != '\0' || end == text ? fallback : value;
	default:
		return fallback;
	}
}

bool
conf_bool(const struct conf *c, const char *name, bool fallback)
{
	int value;

	return config_lookup_bool(&c->file, name, &value) == CONFIG_TRUE ? value != 0 : fallback;
}

double
conf_float(const struct conf *c, const char *name, double fallback)
{
	const config_setting_t *s = config_lookup(&c->file, name);

	if (s == NULL)
		return fallback;
	if (config_setting_type(s) == CONFIG_TYPE_FLOAT)
		return config_setting_get_float(s);
	return (double)conf_int(c, name, (int64_t)fallback);
}

int64_t
conf_duration(const struct conf *c, const char *name, int64_t fallback_ns)
{
	const char *text = conf_str(c, name, NULL);
	int64_t ns;

	return text != NULL && duration_parse(bytes_str(text), &ns) == DURATION_OK ? ns : fallback_ns;
}

static const config_setting_t *
element(const struct conf *c, const char *name, size_t i)
{
	const config_setting_t *list = config_lookup(&c->file, name);

	return list == NULL ? NULL : config_setting_get_elem(list, (unsigned)i);
}

size_t
conf_list_count(const struct conf *c, const char *name)
{
	const config_setting_t *list = config_lookup(&c->file, name);

	return list == NULL || !config_setting_is_aggregate(list) ? 0 : (size_t)config_setting_length(list);
}

const char *
conf_list_str(const struct conf *c, const char *name, size_t i)
{
	const config_setting_t *e = element(c, name, i);
	const char *value = e == NULL ? NULL : config_setting_get_string(e);

	return value == NULL ? "" : value;
}

/* The text member of element i of a list of groups, "" when absent. */
static const char *
member(const struct conf *c, const char *name, size_t i, const char *key)
{
	const config_setting_t *e = element(c, name, i);
	const char *value;

	return e != NULL && config_setting_lookup_string(e, key, &value) == CONFIG_TRUE ? value : "";
}

size_t
conf_map_count(const struct conf *c, const char *name)
{
	return conf_list_count(c, name);
}

const char *
conf_map_key(const struct conf *c, const char *name, size_t i)
{
	return member(c, name, i, "key");
}

const char *
conf_map_value(const struct conf *c, const char *name, size_t i)
{
	return member(c, name, i, "value");
}

size_t
conf_listen_count(const struct conf *c)
{
	return conf_list_count(c, "listen");
}

struct conf_listen
conf_listen_at(const struct conf *c, size_t i)
{
	return (struct conf_listen){
	    member(c, "listen", i, "name"), member(c, "listen", i, "address"), member(c, "listen", i, "mode")};
}
