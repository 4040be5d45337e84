/*
 * config_watch.c - watches are checked completely before anything starts (config.md 9)
 *
 * Texts are those of the reference at start; a watch is shown as Go prints its map.
 */
#include <stdlib.h>

#include "config_private.h"
#include "duration.h"

struct watch_type {
	const char *name;
	const char *parameters; /* its own, blank-separated */
	const char *required;   /* one of them, or NULL */
	const char *missing;    /* what is said then */
};

static const struct watch_type types[] = {
    {"key", "key", "key", "Must specify a single key to watch"},
    {"keyprefix", "prefix", "prefix", "Must specify a single prefix to watch"},
    {"services", "filter", NULL, NULL},
    {"nodes", "filter", NULL, NULL},
    {"service", "service tag passingonly filter", "service", "Must specify a single service to watch"},
    {"checks", "service state filter", NULL, NULL},
    {"event", "name", NULL, NULL},
    {"agent_service", "service_id", "service_id", "Must specify a single service ID to watch"},
};

static const char common[] = "type datacenter token stale args handler handler_type http_handler_config";

static bool
listed(const char *list, const char *word)
{
	const size_t length = strlen(word);

	while (*list != '\0') {
		const size_t here = strcspn(list, " ");

		if (here == length && strncmp(list, word, length) == 0)
			return true;
		list += here + (list[here] == ' ');
	}
	return false;
}

/* A list of one element counts as that element. */
static const struct value *
scalar(const struct value *v)
{
	return v != NULL && v->kind == VALUE_LIST && v->count == 1 ? v->first : v;
}

static int
fail(struct config *c, const struct value *w, const char *text, struct config_error *e)
{
	struct buf shown = BUF_INIT(65536);

	value_print(w, &shown);
	config_fail(e, "Failed to parse watch (%.*s): %s%s", (int)shown.used, (const char *)shown.data, text,
	    value_where(c, w));
	buf_free(&shown);
	return -1;
}

static int
check_handler(const struct value *w, struct config_error *e)
{
	const struct value *handler = value_member(w, "handler"), *args = value_member(w, "args"),
			   *type = scalar(value_member(w, "handler_type")),
			   *http = scalar(value_member(w, "http_handler_config")), *path;
	const char *how = type == NULL ? "script" : type->text;
	bool texts = true;
	int64_t ns;

	if (handler != NULL && scalar(handler)->kind != VALUE_STRING)
		return config_fail(e, "Watch handler must be a string");
	for (const struct value *a = args != NULL && args->kind == VALUE_LIST ? args->first : NULL; a != NULL;
	     a = a->next)
		texts = texts && a->kind == VALUE_STRING;
	if (args != NULL && (!texts || (args->kind != VALUE_LIST && args->kind != VALUE_STRING)))
		return config_fail(e, "Watch args must be a list of strings");
	if (handler != NULL && args != NULL)
		return config_fail(e, "Only one watch handler allowed");
	if (strcmp(how, "script") == 0)
		return handler == NULL && args == NULL ? config_fail(e, "Must define a watch handler") : 0;
	if (strcmp(how, "http") != 0)
		return config_fail(e, "Handler type '%s' not recognized", how);
	if (http == NULL || http->kind != VALUE_MAP)
		return config_fail(e, "Handler type 'http' requires 'http_handler_config' to be set");
	path = scalar(value_member(http, "path"));
	if (path == NULL || *path->text == '\0')
		return config_fail(e, "Failed to parse 'http_handler_config': Requires 'path' to be set");
	path = scalar(value_member(http, "timeout"));
	if (path != NULL && duration_parse(bytes_str(path->text), &ns) != DURATION_OK)
		return config_fail(
		    e, "Failed to parse 'http_handler_config': time: invalid duration \"%s\"", path->text);
	return 0;
}

int
watch_check(struct config *c, struct config_error *e)
{
	for (const struct value *w = c->watches == NULL ? NULL : c->watches->first; w != NULL; w = w->next) {
		const struct value *type = scalar(value_member(w, "type")), *wanted;
		const struct watch_type *known = NULL;
		struct buf unknown = BUF_INIT(65536);

		if (config_int(c, "ports.http") <= 0 && config_int(c, "ports.https") <= 0)
			return config_fail(e, "watch plans require an HTTP or HTTPS endpoint");
		if (check_handler(w, e) == -1)
			return -1;
		if (value_member(w, "handler") != NULL)
			texts_add(c, &c->warnings,
			    "The 'handler' field in watches has been deprecated and replaced with the 'args' field. "
			    "See "
			    "consuld-config(5)");
		if (type == NULL || type->kind != VALUE_STRING)
			return fail(c, w, "Watch type must be specified", e);
		if (strncmp(type->text, "connect_", 8) == 0)
			return config_fail(e, "Watch type %s is not allowed in agent config", type->text);
		for (size_t i = 0; i < COUNTOF(types); i++)
			if (strcmp(types[i].name, type->text) == 0)
				known = &types[i];
		if (known == NULL)
			return fail(c, w, region_printf(c->region, "Unsupported watch type: %s", type->text), e);
		wanted = known->required == NULL ? type : scalar(value_member(w, known->required));
		if (wanted == NULL || wanted->kind != VALUE_STRING || *wanted->text == '\0')
			return fail(c, w, known->missing, e);
		for (const struct value *m = w->first; m != NULL; m = m->next)
			if (!listed(common, m->key) && !listed(known->parameters, m->key))
				buf_printf(&unknown, "%s%s", unknown.used == 0 ? "" : " ", m->key);
		if (unknown.used > 0) {
			fail(c, w,
			    region_printf(
				c->region, "Invalid parameters: [%.*s]", (int)unknown.used, (const char *)unknown.data),
			    e);
			buf_free(&unknown);
			return -1;
		}
	}
	return 0;
}
