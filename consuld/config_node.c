/*
 * config_node.c - what a start makes on disk: directories, the node ID (config.md 14.1-14.3)
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_private.h"
#include "replace.h"
#include "sha512.h"
#include "uuid.h"

const char *
uuid_problem(const char *text)
{
	const size_t length = strlen(text);

	if (length != 36)
		return "uuid string is wrong length";
	if (text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-')
		return "uuid is improperly formatted";
	return uuid_is_valid(bytes_str(text)) ? NULL : "encoding/hex: invalid byte";
}

/* mkdir -p; 0 or -1 with errno. */
static int
make_directories(const char *path)
{
	char *copy = xstrdup(path);
	int result = 0;

	for (char *p = copy + 1; result == 0; p++) {
		const char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(copy, 0755) == -1 && errno != EEXIST && !(errno == EROFS && access(copy, F_OK) == 0))
			result = -1;
		*p = c;
		if (c == '\0')
			break;
	}
	free(copy);
	return result;
}

static int
make_parent(const char *path, struct config_error *e)
{
	const char *slash = strrchr(path, '/');
	char *parent;
	int result = 0;

	if (slash == NULL || slash == path)
		return 0;
	parent = xstrndup(path, (size_t)(slash - path));
	if (make_directories(parent) == -1)
		result = config_fail(e, "mkdir %s: %s", parent, strerror(errno));
	free(parent);
	return result;
}

static int
write_node_id(int dir, const char *id, struct config_error *e)
{
	if (replace_file(dir, "node-id", bytes_str(id), 0600, true) == -1)
		return config_fail(e, "failed to setup node ID: node-id: %s", strerror(errno));
	return 0;
}

/* 1: id was read, 0: there is none, -1: *e. */
static int
read_node_id(struct config *c, int dir, char id[UUID_TEXT_SIZE], struct config_error *e)
{
	const int fd = openat(dir, "node-id", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char text[128];
	ssize_t got;

	if (fd == -1)
		return errno == ENOENT ? 0
				       : config_fail(e, "failed to setup node ID: open %s/node-id: %s",
					     config_str(c, "data_dir"), strerror(errno));
	got = read(fd, text, sizeof text - 1);
	close(fd);
	if (got == -1)
		return config_fail(
		    e, "failed to setup node ID: read %s/node-id: %s", config_str(c, "data_dir"), strerror(errno));
	while (got > 0 && isspace((unsigned char)text[got - 1]))
		got--;
	text[got] = '\0';
	if (uuid_problem(text) != NULL)
		return config_fail(e, "failed to setup node ID: NodeID in %s/node-id is invalid: %s",
		    config_str(c, "data_dir"), uuid_problem(text));
	for (int i = 0; i < 36; i++)
		id[i] = (char)tolower((unsigned char)text[i]);
	id[36] = '\0';
	return 1;
}

/* From the machine's own identifier, so that a reinstalled machine keeps its ID. */
static bool
host_node_id(char id[UUID_TEXT_SIZE])
{
	static const char *const files[] = {"/sys/class/dmi/id/product_uuid", "/etc/machine-id"};
	static const uint8_t dashes[] = {8, 13, 18, 23};

	for (size_t i = 0; i < COUNTOF(files); i++) {
		const int fd = open(files[i], O_RDONLY | O_CLOEXEC);
		uint8_t digest[64];
		char text[128];
		ssize_t got = fd == -1 ? -1 : read(fd, text, sizeof text);
		size_t length = 0;

		if (fd != -1)
			close(fd);
		for (ssize_t j = 0; j < got && !isspace((unsigned char)text[j]); j++)
			text[length++] = (char)tolower((unsigned char)text[j]);
		if (length < 32)
			continue;
		sha512((const uint8_t *)text, length, digest);
		for (size_t j = 0, k = 0; j < 36; j++) {
			if (memchr(dashes, (int)j, sizeof dashes) != NULL) {
				id[j] = '-';
			} else {
				id[j] = "0123456789abcdef"[k % 2 == 0 ? digest[k / 2] >> 4 : digest[k / 2] & 15];
				k++;
			}
		}
		id[36] = '\0';
		return true;
	}
	return false;
}

static int
settle_node_id(struct config *c, int dir, struct config_error *e)
{
	const char *given = config_str(c, "node_id");
	char id[UUID_TEXT_SIZE];
	int known = 0;

	if (*given != '\0') {
		snprintf(id, sizeof id, "%s", given);
	} else {
		known = dir == -1 ? 0 : read_node_id(c, dir, id, e);
		if (known == -1)
			return -1;
		if (known == 0 && (config_bool(c, "disable_host_node_id") || !host_node_id(id)))
			uuid_new(id);
	}
	if (dir != -1 && known == 0 && write_node_id(dir, id, e) == -1)
		return -1;
	config_set_str(c, "node_id", id);
	c->node_id = config_str(c, "node_id");
	return 0;
}

int
config_prepare(struct config *c, struct config_error *e)
{
	const char *data_dir = config_str(c, "data_dir");
	int dir = -1, result;

	if (*data_dir != '\0') {
		if (make_directories(data_dir) == -1)
			return config_fail(e, "failed to create data_dir: mkdir %s: %s", data_dir, strerror(errno));
		dir = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir == -1)
			return config_fail(e, "failed to open data_dir: open %s: %s", data_dir, strerror(errno));
	}
	result = make_parent(config_str(c, "log_file"), e) == -1 || make_parent(config_str(c, "pid_file"), e) == -1 ||
			 settle_node_id(c, dir, e) == -1
		     ? -1
		     : 0;
	if (dir != -1)
		close(dir);
	return result;
}
