/*
 * config_decode.c - from a file's tree to the rows of the registry, strictly (config.md 1.4)
 *
 * All unknown keys of a file are found and reported together, those of nested blocks before those of the block around them; a wrong type
 * hides them, as in the reference. After each message stands the place: (line 3, column 5).
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "config_private.h"

static void
put_place(struct config *c, struct texts *t, const char *text, const struct value *at)
{
	if (at->line != 0)
		texts_add(c, t, "%s (line %u, column %u)", text, at->line, at->column);
	else
		texts_add(c, t, "%s", text);
}

void
decoding_unknown(struct decoding *d, const char *path, const struct value *at)
{
	const char *last = strrchr(path, '.');
	const char *text = region_printf(d->config->region, "invalid config key %s%s", path,
	    last != NULL && strcmp(last, ".script") == 0 ? " (use \"args\": [\"/bin/sh\", \"-c\", \"...\"] instead)"
							 : "");
	put_place(d->config, &d->unknown, text, at);
}

void
decoding_type(struct decoding *d, const char *path, const char *expected, const struct value *got)
{
	struct buf value = BUF_INIT(4096), text = BUF_INIT(16384);

	if (strcmp(expected, "map") == 0) {
		buf_printf(&text, "* '%s' expected a map, got '%s'", path,
		    got->kind == VALUE_LIST  ? "slice"
		    : got->kind == VALUE_MAP ? "map"
					     : value_type_name(got));
	} else if (strcmp(expected, "list") == 0) {
		buf_printf(&text, "* '%s': source data must be an array or slice, got %s", path,
		    got->kind == VALUE_MAP ? "map" : value_type_name(got));
	} else {
		value_print(got, &value);
		buf_printf(&text, "* '%s' expected type '%s', got unconvertible type '%s', value: '%.*s'", path,
		    expected, value_type_name(got), (int)value.used, value.used == 0 ? "" : (const char *)value.data);
	}
	buf_put_u8(&text, 0);
	put_place(d->config, &d->types, text.overflow ? "* a value is too long" : (const char *)text.data, got);
	buf_free(&value);
	buf_free(&text);
}

static struct value *
decode_scalar(struct decoding *d, enum param_type type, const char *path, struct value *v)
{
	const char *expected = type == PARAM_BOOL    ? "bool"
			       : type == PARAM_INT   ? "int"
			       : type == PARAM_FLOAT ? "float64"
						     : "string";
	const enum value_kind kind = type == PARAM_BOOL                         ? VALUE_BOOL
				     : type == PARAM_INT || type == PARAM_FLOAT ? VALUE_NUMBER
										: VALUE_STRING;
	struct value *copy;

	if (v->kind == VALUE_LIST && v->count == 1)
		v = v->first;
	if (v->kind != kind) {
		decoding_type(d, path, expected, v);
		return NULL;
	}
	copy = value_copy(d->config->region, v);
	if (type == PARAM_INT) {
		const double number = value_number(v);

		if (number > 9.2e18 || number < -9.2e18) {
			decoding_type(d, path, expected, v);
			return NULL;
		}
		/* a fraction is cut off, as in the reference */
		copy->text = region_printf(d->config->region, "%lld", (long long)number);
	}
	return copy;
}

static struct value *
decode_list(struct decoding *d, const char *path, struct value *v)
{
	struct value *list = value_new(d->config->region, VALUE_LIST);
	const char *element;
	size_t i = 0;

	if (v->kind != VALUE_LIST) {
		decoding_type(d, path, "list", v);
		return NULL;
	}
	list->line = v->line;
	list->column = v->column;
	for (struct value *m = v->first; m != NULL; m = m->next) {
		struct value *text;

		element = region_printf(d->config->region, "%s[%zu]", path, i++);
		if (m->kind == VALUE_NULL)
			continue;
		text = decode_scalar(d, PARAM_STR, element, m);
		if (text != NULL)
			value_append(list, text);
	}
	return list;
}

static struct value *
decode_map(struct decoding *d, enum param_type type, const char *path, struct value *v)
{
	struct value *map;
	const char *element;

	if (v->kind == VALUE_LIST && v->count == 1)
		v = v->first;
	if (v->kind != VALUE_MAP) {
		decoding_type(d, path, "map", v);
		return NULL;
	}
	if (type == PARAM_ANY)
		return value_copy(d->config->region, v);
	map = value_new(d->config->region, VALUE_MAP);
	map->line = v->line;
	map->column = v->column;
	for (struct value *m = v->first; m != NULL; m = m->next) {
		struct value *text;

		element = region_printf(d->config->region, "%s[%s]", path, m->key);
		if (m->kind == VALUE_NULL)
			continue;
		text = decode_scalar(d, PARAM_STR, element, m);
		if (text != NULL)
			value_set(map, m->key, text);
	}
	return map;
}

struct value *
decode_typed(struct decoding *d, enum param_type type, const char *path, struct value *v)
{
	switch (type) {
	case PARAM_LIST:
		return decode_list(d, path, v);
	case PARAM_MAP:
	case PARAM_ANY:
		return decode_map(d, type, path, v);
	case PARAM_BOOL:
	case PARAM_INT:
	case PARAM_FLOAT:
	case PARAM_STR:
	case PARAM_DURATION:
		return decode_scalar(d, type, path, v);
	case PARAM_OBJECTS:
		break;
	}
	return NULL;
}

static struct value *
decode_object(struct decoding *d, const struct param *row, const char *path, struct value *v)
{
	if (v->kind == VALUE_LIST && v->count == 1)
		v = v->first;
	if (v->kind != VALUE_MAP) {
		decoding_type(d, path, "map", v);
		return NULL;
	}
	if (strncmp(row->name, "service", 7) == 0)
		return definition_decode(d, true, path, v);
	if (strncmp(row->name, "check", 5) == 0)
		return definition_decode(d, false, path, v);
	return value_copy(d->config->region, v);
}

static struct value *
decode_objects(struct decoding *d, const struct param *row, const char *path, struct value *v)
{
	struct value *list = value_new(d->config->region, VALUE_LIST), *object;
	const char *element;
	size_t i = 0;

	if ((row->flags & PARAM_SINGLE) != 0) {
		object = decode_object(d, row, path, v);
		if (object != NULL)
			value_append(list, object);
		return list;
	}
	if (v->kind != VALUE_LIST) {
		decoding_type(d, path, "list", v);
		return NULL;
	}
	for (struct value *m = v->first; m != NULL; m = m->next) {
		element = region_printf(d->config->region, "%s[%zu]", path, i++);
		if (m->kind == VALUE_NULL)
			continue;
		object = decode_object(d, row, element, m);
		if (object != NULL)
			value_append(list, object);
	}
	return list;
}

/* Keys match whatever their case; the row's own spelling is what messages use. */
static int
find_row(const char *path)
{
	for (size_t i = 0; i < param_count; i++)
		if ((params[i].flags & (PARAM_DERIVED | PARAM_FLAG_ONLY)) == 0 && strcasecmp(params[i].name, path) == 0)
			return (int)i;
	return -1;
}

/* Does the map hold this key in the registry's own spelling, besides this other one? */
static bool
shadowed(const struct value *map, const struct value *m, const char *exact)
{
	return strcmp(m->key, exact) != 0 && value_member(map, exact) != NULL;
}

static void
decode_block(struct decoding *d, struct value *map, const char *prefix, struct source *s)
{
	const char *path;
	char *lower;

	for (struct value *m = map->first; m != NULL; m = m->next) {
		struct value *block;
		const char *last;
		int row;

		path = region_printf(d->config->region, "%s%s", prefix, m->key);
		row = find_row(path);
		if (row != -1) {
			last = strrchr(params[row].name + strlen(prefix), '.');
			m->taken = !shadowed(map, m, last == NULL ? params[row].name + strlen(prefix) : last + 1);
			if (!m->taken || m->kind == VALUE_NULL)
				continue;
			m->line = m->line == 0 ? map->line : m->line;
			s->values[row] = params[row].type == PARAM_OBJECTS
					     ? decode_objects(d, &params[row], params[row].name, m)
					     : decode_typed(d, params[row].type, params[row].name, m);
			continue;
		}
		lower = region_strndup(d->config->region, path, strlen(path));
		for (char *p = lower; *p != '\0'; p++)
			*p = (char)tolower((unsigned char)*p);
		if (!param_is_block(lower))
			continue;
		m->taken = true;
		if (m->kind == VALUE_NULL)
			continue;
		block = m->kind == VALUE_LIST && m->count == 1 ? m->first : m;
		if (block->kind != VALUE_MAP) {
			decoding_type(d, lower, "map", block);
			continue;
		}
		decode_block(d, block, region_printf(d->config->region, "%s.", lower), s);
	}
	for (struct value *m = map->first; m != NULL; m = m->next) {
		if (m->taken)
			continue;
		path = region_printf(d->config->region, "%s%s", prefix, m->key);
		decoding_unknown(d, path, m);
	}
}

static int
compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int
config_decode(struct config *c, struct value *root, struct source *s, struct config_error *e)
{
	struct decoding d = {.config = c, .file = s->name};
	struct buf list = BUF_INIT(CONFIG_ERROR_BYTES_MAX);
	int result = 0;

	decode_block(&d, root, "", s);
	if (d.types.count > 0) {
		qsort(d.types.at, d.types.count, sizeof *d.types.at, compare_texts);
		buf_printf(&list, "%zu error(s) decoding:\n", d.types.count);
		for (size_t i = 0; i < d.types.count; i++)
			buf_printf(&list, "\n%s", d.types.at[i]);
		result = -1;
	} else if (d.unknown.count > 0) {
		texts_list(&d.unknown, &list);
		result = -1;
	}
	if (result == -1)
		config_fail(e, "failed to parse %s: %.*s", s->name, (int)list.used, (const char *)list.data);
	buf_free(&list);
	return result;
}

/* ---- old names ---- */

static void
alias_warning(struct config *c, const struct param *row)
{
	if ((row->flags & PARAM_ENTERPRISE) != 0) {
		const bool replica =
		    strcmp(row->name, "read_replica") == 0 || strcmp(row->name, "non_voting_server") == 0;
		const char *name =
		    strncmp(row->name, "acl.tokens.", 11) == 0 || strncmp(row->name, "reporting.", 10) != 0
			? row->name
			: "reporting.license.enabled";

		if (replica)
			texts_add(c, &c->warnings,
			    "\"read_replica (or the deprecated non_voting_server)\" is a Consul Enterprise "
			    "configuration and "
			    "will have no effect");
		else
			texts_add(c, &c->warnings,
			    "\"%s\" is a Consul Enterprise configuration and will have no effect", name);
		return;
	}
	if (strcmp(row->name, "acl_enforce_version_8") == 0)
		texts_add(c, &c->warnings, "config key \"acl_enforce_version_8\" is deprecated and should be removed");
	else if (strcmp(row->name, "tls_prefer_server_cipher_suites") == 0)
		texts_add(c, &c->warnings, "The '%s' field is deprecated and will be ignored.", row->name);
	else if ((row->flags & PARAM_IGNORED) != 0)
		texts_add(c, &c->warnings, "The '%s' field is no longer supported and is ignored.", row->name);
	else if (strncmp(row->name, "raft_boltdb.", 12) == 0)
		texts_add(c, &c->warnings,
		    "The 'raft_boltdb' field is deprecated. Use the 'raft_logstore.boltdb' field instead.");
	else
		texts_add(c, &c->warnings, "The '%s' field is deprecated. Use the '%s' field instead.", row->name,
		    row->other);
}

static struct value *
as_bool(struct config *c, bool on)
{
	struct value *v = value_new(c->region, VALUE_BOOL);

	v->boolean = on;
	return v;
}

/* What an old name does besides standing for the new one. */
static struct value *
alias_effect(struct config *c, struct source *s, const struct param *row, struct value *v)
{
	static const char *const versions[][2] = {
	    {"", "TLS_AUTO"}, {"tls10", "TLSv1_0"}, {"tls11", "TLSv1_1"}, {"tls12", "TLSv1_2"}, {"tls13", "TLSv1_3"}};
	const int enabled = config_row("acl.enabled"), replication = config_row("acl.enable_token_replication"),
		  grpc = config_row("tls.grpc.verify_incoming");

	if (strcmp(row->name, "acl_datacenter") == 0 && s->values[enabled] == NULL)
		s->values[enabled] = as_bool(c, true);
	if (strcmp(row->name, "acl_replication_token") == 0 && s->values[replication] == NULL)
		s->values[replication] = as_bool(c, true);
	if (strcmp(row->name, "verify_incoming") == 0 && s->values[grpc] == NULL)
		s->values[grpc] = as_bool(c, false);
	if (strcmp(row->name, "tls_min_version") == 0)
		for (size_t i = 0; i < COUNTOF(versions); i++)
			if (strcmp(v->text, versions[i][0]) == 0) {
				texts_add(c, &c->warnings,
				    "'tls_min_version' value '%s' is deprecated, please specify '%s' instead",
				    versions[i][0], versions[i][1]);
				return value_string(c->region, versions[i][1]);
			}
	if (strcmp(row->name, "recursor") == 0) {
		struct value *list = value_new(c->region, VALUE_LIST);

		value_append(list, value_copy(c->region, v));
		return list;
	}
	return v;
}

void
config_aliases(struct config *c, struct source *s)
{
	for (size_t i = 0; i < param_count; i++) {
		const struct param *row = &params[i];
		struct value *v = s->values[i];
		int target;

		if (v == NULL || (row->flags & (PARAM_ALIAS | PARAM_IGNORED | PARAM_ENTERPRISE | PARAM_NOT_USER)) == 0)
			continue;
		s->values[i] = NULL;
		if ((row->flags & (PARAM_NOT_USER | PARAM_QUIET)) == 0)
			alias_warning(c, row);
		if ((row->flags & PARAM_ALIAS) == 0)
			continue;
		target = config_row(row->other);
		v = alias_effect(c, s, row, v);
		if (s->values[target] == NULL)
			s->values[target] = v;
		else if (params[target].type == PARAM_LIST)
			for (struct value *m = v->first; m != NULL; m = m->next)
				value_append(s->values[target], value_copy(c->region, m));
	}
}
