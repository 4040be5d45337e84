/*
 * cmd_monitor.c - monitor (cli.md 8.14)
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api.h"
#include "output.h"

/* An interrupted monitor has done its job; what was received is out already. */
static void
on_interrupt(int number)
{
	(void)number;
	_exit(0);
}

static int
print_piece(void *context, struct bytes piece)
{
	(void)context;
	output_bytes(piece);
	return fflush(stdout) == EOF ? -1 : 0;
}

static int
monitor_run(struct invocation *in)
{
	struct response response;
	struct request r;
	struct api *api = api_connect(in);
	int result;

	if (api == NULL)
		return 1;
	signal(SIGINT, on_interrupt);
	signal(SIGTERM, on_interrupt);
	request_init(&r, in->region, "GET", "/v1/agent/monitor");
	request_param(&r, "loglevel", flags_text(in->flags, "log-level", "INFO"));
	if (flags_bool(in->flags, "log-json"))
		request_param(&r, "logjson", NULL);
	r.sink = print_piece;
	/* a stream that was open and broke off is no failure to start it */
	if (api_get(api, &r, &response) == -1 && response.status != 200) {
		result = command_fail("Error starting monitor: %s", response.error);
	} else {
		result = command_fail(
		    "\nRemote side ended the monitor! This usually means that the\nremote side has exited or crashed.");
	}
	response_free(&response);
	api_free(api);
	return result;
}

static const struct flag monitor_flags[] = {
    {"log-level", FLAG_STRING, "Lowest level to show: trace, debug, info, warn, err. The default is info."},
    {"log-json", FLAG_BOOL, "Show the lines as JSON."},
    {NULL},
};

const struct command monitor_commands[] = {
    {"monitor", "Stream logs from a Consul agent", "[options]",
	"Shows recent log lines of the agent and then every new one, until it is\ninterrupted. The level may be finer "
	"than that of "
	"the agent's own log.",
	COMMAND_CLIENT, monitor_flags, monitor_run},
    {NULL},
};
