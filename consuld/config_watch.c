/*
 * config_watch.c - watches are checked here, before anything starts (config.md 9)
 */
#include "config_private.h"

int
watch_check(struct config *c, struct config_error *e)
{
	static const char *const types[] = {
	    "key", "keyprefix", "services", "nodes", "service", "checks", "event", "agent_service"};
	bool known;

	for (const struct value *w = c->watches == NULL ? NULL : c->watches->first; w != NULL; w = w->next) {
		const struct value *type = value_member(w, "type");

		if (type == NULL || type->kind != VALUE_STRING)
			return config_fail(e, "Failed to parse watch: Watch type must be specified");
		if (strncmp(type->text, "connect_", 8) == 0)
			return config_fail(e, "Watch type %s is not allowed in agent config", type->text);
		known = false;
		for (size_t i = 0; i < COUNTOF(types); i++)
			known = known || strcmp(types[i], type->text) == 0;
		if (!known)
			return config_fail(e, "Failed to parse watch: Unsupported watch type: %s", type->text);
	}
	return 0;
}
