/*
 * cmd_snapshot.c - snapshot save, snapshot restore (cli.md 8.19)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"
#include "output.h"

/* Exactly one file name. NULL: told. */
static const char *
file_argument(const struct invocation *in)
{
	if (in->argc == 1)
		return in->argv[0];
	if (in->argc == 0)
		command_fail("Missing FILE argument");
	else
		command_fail("Too many arguments (expected 1, got %d)", in->argc);
	return NULL;
}

static int
to_file(void *context, struct bytes piece)
{
	return fwrite(piece.data, 1, piece.size, context) == piece.size ? 0 : -1;
}

/* The answer goes into path; -1: told. */
static int
receive(struct invocation *in, struct api *api, const char *path, uint64_t *index)
{
	struct response response = {.status = 0};
	struct request r;
	FILE *file;
	int result = -1;

	umask(S_IRWXG | S_IRWXO);
	file = fopen(path, "w");
	if (file == NULL) {
		command_fail("Error writing unverified snapshot file: open %s: %s", path, input_strerror(errno));
		return -1;
	}
	request_init(&r, in->region, "GET", "/v1/snapshot");
	r.sink = to_file;
	r.context = file;
	if (api_get(api, &r, &response) == -1) {
		command_fail("Error saving snapshot: %s", response.error);
	} else if (fflush(file) == EOF || ferror(file) || fsync(fileno(file)) == -1) {
		command_fail("Error writing unverified snapshot file: write %s: %s", path, input_strerror(errno));
	} else {
		*index = response.index;
		result = 0;
	}
	fclose(file);
	response_free(&response);
	return result;
}

/* Only its outer form, which a file that was cut off does not have: gzip's head, and something behind it. */
static int
verify(const char *path)
{
	unsigned char head[2] = {0, 0};
	FILE *file = fopen(path, "r");
	size_t n = file == NULL ? 0 : fread(head, 1, sizeof head, file);

	if (file != NULL)
		fclose(file);
	if (n == sizeof head && head[0] == 0x1f && head[1] == 0x8b)
		return 0;
	command_fail("Error verifying snapshot file: failed to decompress snapshot: gzip: invalid header");
	return -1;
}

static int
save_run(struct invocation *in)
{
	const char *path = file_argument(in), *unverified;
	struct api *api;
	uint64_t index = 0;
	int result = 1;

	if (path == NULL)
		return 1;
	api = api_connect(in);
	if (api == NULL)
		return 1;
	unverified = region_printf(in->region, "%s.unverified", path);
	if (receive(in, api, unverified, &index) == -1 || verify(unverified) == -1) {
		unlink(unverified);
	} else if (rename(unverified, path) == -1) {
		command_fail("Error renaming %s: %s", unverified, input_strerror(errno));
	} else {
		output_line("Saved and verified snapshot to index %ju", (uintmax_t)index);
		result = 0;
	}
	api_free(api);
	return result;
}

static int
restore_run(struct invocation *in)
{
	const char *path = file_argument(in);
	struct buf content = BUF_INIT(INPUT_MAX);
	struct response response;
	struct request r;
	struct api *api = NULL;
	char why[512];
	int result = 0;

	if (path == NULL)
		return 1;
	if (input_file(path, &content, why, sizeof why) == -1) {
		buf_free(&content);
		return command_fail("Error opening snapshot file: %s", why);
	}
	api = api_connect(in);
	if (api == NULL) {
		buf_free(&content);
		return 1;
	}
	request_init(&r, in->region, "PUT", "/v1/snapshot");
	request_body(&r, buf_bytes(&content), NULL);
	if (api_get(api, &r, &response) == -1)
		result = command_fail("Error restoring snapshot: %s", response.error);
	else
		output_line("Restored snapshot");
	response_free(&response);
	buf_free(&content);
	api_free(api);
	return result;
}

const struct command snapshot_commands[] = {
    {"snapshot", "Saves, restores and inspects snapshots of Consul server state", NULL,
	"Saves the state of the servers into a file and brings it back."},
    {"snapshot save", "Saves snapshot of Consul server state", "[options] FILE",
	"Saves the state of the servers into FILE.", COMMAND_CLIENT | COMMAND_SERVER, NULL, save_run},
    {"snapshot restore", "Restores snapshot of Consul server state", "[options] FILE",
	"Replaces the state of the servers by that of FILE.", COMMAND_CLIENT | COMMAND_SERVER, NULL, restore_run},
    {NULL},
};
