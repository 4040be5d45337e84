/*
 * cmd_watch.c - watch (cli.md 8.10)
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api.h"
#include "duration.h"
#include "handler.h"
#include "json.h"
#include "output.h"
#include "shape.h"

#define RETRY_SECONDS 5
#define RETRY_SECONDS_MAX 180

#define HAS_KEY (1u << 0)
#define HAS_PREFIX (1u << 1)
#define HAS_SERVICE (1u << 2)
#define HAS_TAG (1u << 3)
#define HAS_PASSINGONLY (1u << 4)
#define HAS_STATE (1u << 5)
#define HAS_NAME (1u << 6)
#define HAS_FILTER (1u << 7)

static const struct parameter {
	const char *flag;
	unsigned bit;
} parameters[] = {
    {"filter", HAS_FILTER},
    {"key", HAS_KEY},
    {"name", HAS_NAME},
    {"passingonly", HAS_PASSINGONLY},
    {"prefix", HAS_PREFIX},
    {"service", HAS_SERVICE},
    {"state", HAS_STATE},
    {"tag", HAS_TAG},
};

static const struct watch_type {
	const char *name;
	const char *path;
	const char *path_flag;     /* appended to the path */
	const struct shape *shape; /* NULL: as it comes */
	const char *missing;       /* text when path_flag is not given; NULL: it may miss */
	unsigned takes;
} types[] = {
    {"key", "/v1/kv/", "key", &shape_key, "Must specify a single key to watch", HAS_KEY},
    {"keyprefix", "/v1/kv/", "prefix", &shape_key_list, "Must specify a single prefix to watch", HAS_PREFIX},
    {"services", "/v1/catalog/services", NULL, NULL, NULL, HAS_FILTER},
    {"nodes", "/v1/catalog/nodes", NULL, &shape_node_list, NULL, HAS_FILTER},
    {"service", "/v1/health/service/", "service", &shape_service_list, "Must specify a single service to watch",
	HAS_SERVICE | HAS_TAG | HAS_PASSINGONLY | HAS_FILTER},
    {"checks", "/v1/health/state/", "state", &shape_check_list, NULL, HAS_SERVICE | HAS_STATE | HAS_FILTER},
    {"event", "/v1/event/list", NULL, &shape_event_list, NULL, HAS_NAME},
};

struct watch {
	struct invocation *in;
	struct api *api;
	const struct watch_type *type;
	bool passing_only;
	uint64_t index;
	bool ran; /* the handler, for index */
};

/* ---- parameters ---- */

static const struct watch_type *
find_type(const char *name)
{
	for (size_t i = 0; i < COUNTOF(types); i++)
		if (strcmp(types[i].name, name) == 0)
			return &types[i];
	if (strcmp(name, "connect_roots") == 0 || strcmp(name, "connect_leaf") == 0 ||
	    strcmp(name, "agent_service") == 0)
		command_fail("Type %s is not supported in the CLI tool", name);
	else
		command_fail("Unsupported watch type: %s", name);
	return NULL;
}

/* -1: told. */
static int
check_parameters(struct watch *w)
{
	const struct flags *flags = w->in->flags;
	struct buf foreign = BUF_INIT(1024);
	int result = 0;

	if (w->type->missing != NULL && *flags_text(flags, w->type->path_flag, "") == '\0') {
		command_fail("%s", w->type->missing);
		return -1;
	}
	if (flags_given(flags, "passingonly") &&
	    flags_parse_bool(flags_text(flags, "passingonly", ""), &w->passing_only) == -1) {
		command_fail("Failed to parse passingonly flag: strconv.ParseBool: parsing \"%s\": invalid syntax",
		    flags_text(flags, "passingonly", ""));
		return -1;
	}
	for (size_t i = 0; i < COUNTOF(parameters); i++)
		if ((w->type->takes & parameters[i].bit) == 0 && *flags_text(flags, parameters[i].flag, "") != '\0')
			buf_printf(&foreign, "%s%s", foreign.used == 0 ? "" : " ", parameters[i].flag);
	if (foreign.used > 0) {
		command_fail("Invalid parameters: [%.*s]", (int)foreign.used, (const char *)foreign.data);
		result = -1;
	} else if (strcmp(w->type->name, "checks") == 0 && *flags_text(flags, "service", "") != '\0' &&
		   *flags_text(flags, "state", "") != '\0') {
		command_fail("Cannot specify service and state");
		result = -1;
	}
	buf_free(&foreign);
	return result;
}

/* ---- asking ---- */

static void
make_request(const struct watch *w, struct request *r, struct region *region)
{
	const struct flags *flags = w->in->flags;
	const char *name = w->type->name, *service = flags_text(flags, "service", "");

	request_init(r, region, "GET", w->type->path);
	if (strcmp(name, "checks") == 0 && *service != '\0') {
		r->path = "/v1/health/checks/";
		request_path(r, service, false);
	} else if (w->type->path_flag != NULL) {
		const char *what = flags_text(flags, w->type->path_flag, "any");

		request_path(r, *what == '\0' ? "any" : what, (w->type->takes & (HAS_KEY | HAS_PREFIX)) != 0);
	}
	if (strcmp(name, "keyprefix") == 0)
		request_param(r, "recurse", NULL);
	if (strcmp(name, "service") == 0) {
		if (w->passing_only)
			request_param(r, "passing", "1");
		for (size_t i = 0; i < flags_count(flags, "tag"); i++)
			request_param(r, "tag", flags_at(flags, "tag", i));
	}
	if (strcmp(name, "event") == 0 && flags_given(flags, "name"))
		request_param(r, "name", flags_text(flags, "name", ""));
	if (flags_given(flags, "filter"))
		request_param(r, "filter", flags_text(flags, "filter", ""));
	if (w->index > 0)
		request_param(r, "index", region_printf(region, "%ju", (uintmax_t)w->index));
}

/* The data as handlers get it. -1: *error (the caller frees). */
static int
ask(struct watch *w, struct buf *out, uint64_t *index, char **error)
{
	struct region *region = region_new();
	struct response response;
	struct request r;
	struct mp data;
	int result = -1;

	make_request(w, &r, region);
	if (api_send(w->api, &r, &response) == -1)
		goto out;
	*index = response.index;
	if (response.status == 404 && (w->type->takes & (HAS_KEY | HAS_PREFIX)) != 0) {
		buf_put_str(out, "null");
		result = 0;
		goto out;
	}
	if ((response.status != 200 && api_unexpected(&response) == -1) || api_parse(&response) == -1)
		goto out;
	data = response.json;
	if (w->type->takes == HAS_KEY && json_elements(response.json, &data) == 0)
		buf_put_str(out, "null");
	else if (w->type->shape != NULL)
		shape_write(w->type->shape, data, out);
	else
		json_render(data, "", out);
	result = 0;
out:
	*error = response.error;
	response.error = NULL;
	response_free(&response);
	region_free(region);
	return result;
}

/* ---- telling ---- */

static void
print_indented(struct bytes compact)
{
	struct buf tape = BUF_INIT(JSON_TAPE_FACTOR * compact.size + 64), text = BUF_INIT(OUTPUT_MAX);
	struct json_error error;

	if (json_parse(compact, &tape, &error) == 0)
		json_render(mp_of(buf_bytes(&tape)), "    ", &text);
	output_bytes_line(buf_bytes(&text));
	buf_free(&tape);
	buf_free(&text);
}

/* A file without a name that holds the text and a newline: the handler's standard input. */
static int
input_of(struct bytes text)
{
	FILE *file = tmpfile();
	int fd = -1;

	if (file == NULL)
		return -1;
	if (fwrite(text.data, 1, text.size, file) == text.size && fputc('\n', file) != EOF && fflush(file) == 0 &&
	    fseek(file, 0, SEEK_SET) == 0)
		fd = dup(fileno(file));
	fclose(file);
	return fd;
}

/* Runs the child to its end. -1: told. */
static int
run_handler(struct watch *w, struct bytes data, uint64_t index)
{
	char *variable = xasprintf("CONSUL_INDEX=%ju", (uintmax_t)index), why[512];
	struct handler h = {
	    w->in->argv, w->in->argc, flags_bool_or(w->in->flags, "shell", true), variable, input_of(data)};
	int status = 0;
	pid_t child;

	if (h.input == -1) {
		command_fail("Failed to run handler: %s", input_strerror(errno));
		free(variable);
		return -1;
	}
	child = handler_start(&h, why, sizeof why);
	close(h.input);
	free(variable);
	if (child != -1) {
		while (waitpid(child, &status, 0) == -1 && errno == EINTR)
			;
		handler_outcome(status, why, sizeof why);
		if (*why == '\0')
			return 0;
	}
	command_fail("Error executing handler: %s", why);
	return -1;
}

static void
wait_to_retry(const struct watch *w, unsigned failures, const char *error)
{
	unsigned seconds =
	    failures > 6 ? RETRY_SECONDS_MAX : MIN(RETRY_SECONDS * failures * failures, RETRY_SECONDS_MAX);
	char now[RFC3339_TEXT_MAX];

	fprintf(stderr, "%s [ERROR] watch: Watch errored: type=%s error=\"%s\" retry=%us\n",
	    rfc3339_format(walltime_ns(), now), w->type->name, error, seconds);
	sleep(seconds);
}

/* One round. 0: again, 1: done, -1: told. */
static int
watch_once(struct watch *w, unsigned *failures)
{
	struct buf data = BUF_INIT(OUTPUT_MAX);
	char *error = NULL;
	uint64_t index = 0;
	int result = 0;

	if (ask(w, &data, &index, &error) == -1) {
		wait_to_retry(w, ++*failures, error);
	} else {
		*failures = 0;
		if (w->in->argc == 0) {
			print_indented(buf_bytes(&data));
			result = 1;
		} else if (!w->ran || index != w->index) {
			w->ran = true;
			result = run_handler(w, buf_bytes(&data), index);
		}
		/* an index that goes back, or none at all, begins anew */
		w->index = index < w->index ? 0 : index;
	}
	free(error);
	buf_free(&data);
	return result;
}

static void
on_interrupt(int number)
{
	(void)number;
	_exit(0);
}

static int
watch_run(struct invocation *in)
{
	struct watch w = {.in = in};
	struct response response;
	unsigned failures = 0;
	int result = 1;

	if (*flags_text(in->flags, "type", "") == '\0')
		return command_misuse(in, "Watch type must be specified");
	w.type = find_type(flags_text(in->flags, "type", ""));
	if (w.type == NULL || check_parameters(&w) == -1)
		return 1;
	w.api = api_connect(in);
	if (w.api == NULL)
		return 1;
	signal(SIGINT, on_interrupt);
	if (api_json_of(w.api, "/v1/status/leader", &response) == -1) {
		command_fail("Error querying Consul agent: %s", response.error);
		response_free(&response);
		goto out;
	}
	response_free(&response);
	do
		result = watch_once(&w, &failures);
	while (result == 0);
	result = result == 1 ? 0 : 1;
out:
	api_free(w.api);
	return result;
}

static const struct flag watch_flags[] = {
    {"type", FLAG_STRING, "What to watch: key, keyprefix, services, nodes, service, checks or event."},
    {"key", FLAG_STRING, "The key, for -type=key."},
    {"prefix", FLAG_STRING, "The prefix, for -type=keyprefix."},
    {"service", FLAG_STRING, "The service, for -type=service and -type=checks."},
    {"tag", FLAG_LIST, "Only instances with this tag, for -type=service. May be repeated."},
    {"passingonly", FLAG_STRING, "Only instances all of whose checks pass, true or false, for -type=service."},
    {"state", FLAG_STRING, "Only checks in this state, for -type=checks. The default is any."},
    {"name", FLAG_STRING, "Only events with this name, for -type=event."},
    {"filter", FLAG_STRING, "Filter expression, for -type=services, nodes, service and checks."},
    {"shell", FLAG_BOOL, "Run CHILD by a shell. The default is true."},
    {NULL},
};

const struct command watch_commands[] = {
    {"watch", "Watch for changes in Consul", "[options] [CHILD...]",
	"Without CHILD prints what is watched, once. With CHILD runs it now and after\nevery change, with the data as "
	"JSON on its "
	"standard input and the index in\nthe environment variable CONSUL_INDEX.",
	COMMAND_CLIENT | COMMAND_SERVER, watch_flags, watch_run},
    {NULL},
};
