/*
 * main.c - dnsd, the DNS front: declares and hands over
 */
#include "daemon.h"
#include "log.h"
#include "resolve.h"
#include "server.h"

struct dnsd {
	struct settings *settings, *next; /* in force; prepared by a reload */
	struct resolver *resolver;
	struct server *server;
};

static int
start(struct daemon *d)
{
	struct dnsd *state = daemon_state(d);
	char error[CONF_ERROR_MAX] = "";

	state->settings = settings_new(daemon_conf(d), error);
	if (state->settings == NULL) {
		log_errorx("agent.dns", "configuration: error=%s", log_quote(error));
		return -1;
	}
	state->resolver = resolver_new(d, state->settings);
	state->server = server_new(d, state->resolver);
	if (state->server == NULL)
		return -1;
	daemon_ready(d);
	return 0;
}

static int
prepare(struct daemon *d, const struct conf *next, char error[CONF_ERROR_MAX])
{
	struct dnsd *state = daemon_state(d);

	settings_unref(state->next);
	state->next = settings_new(next, error);
	return state->next == NULL ? -1 : 0;
}

static void
commit(struct daemon *d, const struct conf *old)
{
	struct dnsd *state = daemon_state(d);

	(void)old;
	if ((state->settings->recursor_count > 0) != (state->next->recursor_count > 0))
		log_debug("agent.dns", state->next->recursor_count > 0 ? "recursor enabled" : "recursor disabled");
	resolver_reload(state->resolver, state->next);
	settings_unref(state->settings);
	state->settings = state->next;
	state->next = NULL;
}

static void
stop(struct daemon *d, bool leave)
{
	struct dnsd *state = daemon_state(d);

	(void)leave;
	server_free(state->server); /* answers under way are given up with the process */
	daemon_exit(d, 0);
}

int
main(int argc, char **argv)
{
	static struct dnsd state;
	static const struct daemon_ops ops = {
	    .name = "dnsd", .module = "agent.dns", .start = start, .prepare = prepare, .commit = commit, .stop = stop};

	return daemon_main(argc, argv, &ops, &state);
}
