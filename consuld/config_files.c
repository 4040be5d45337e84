/*
 * config_files.c - configuration files and directories (config.md 1.3)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_private.h"

#define DIRECTORY_ENTRIES_MAX 100000

/* Go spells errors in lower case. */
static const char *
why(int number)
{
	static char text[128];

	snprintf(text, sizeof text, "%s", strerror(number));
	if (text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a')
		text[0] = (char)(text[0] - 'A' + 'a');
	return text;
}

static const char *
format_of(const char *path, const char *forced)
{
	const char *dot = strrchr(path, '.');

	if (*forced != '\0')
		return forced;
	if (dot != NULL && strcmp(dot, ".json") == 0)
		return "json";
	if (dot != NULL && strcmp(dot, ".hcl") == 0)
		return "hcl";
	return NULL;
}

static int
parse(struct config *c, const char *name, struct bytes text, bool hcl, struct config_error *e)
{
	struct source *s = source_new(c, name);
	char error[VALUE_ERROR_MAX];
	struct value *root;
	bool blank = true;

	for (size_t i = 0; i < text.size && blank; i++)
		blank = strchr(" \t\r\n", text.data[i]) != NULL && text.data[i] != 0;
	if (blank)
		return 0;
	root = hcl ? hcl_read(c->region, text, error) : json_read(c->region, text, error);
	if (root == NULL)
		return config_fail(e, "failed to parse %s: %s", name, error);
	if (config_decode(c, root, s, e) == -1)
		return -1;
	config_aliases(c, s);
	config_merge(c, s);
	return 0;
}

/* shown: the name in messages; path: what to open. */
static int
read_file(struct config *c, const char *shown, const char *path, const char *format, struct config_error *e)
{
	struct buf text = BUF_INIT(VALUE_FILE_MAX + 1);
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	ssize_t got = 1;
	int result = -1;

	if (fd == -1)
		return config_fail(e, "config: failed to read %s: open %s: %s", shown, shown, why(errno));
	while (got > 0) {
		uint8_t *room = buf_space(&text, 65536);

		if (room == NULL) {
			config_fail(
			    e, "config: failed to read %s: file is larger than %u bytes", shown, VALUE_FILE_MAX);
			goto out;
		}
		do
			got = read(fd, room, 65536);
		while (got == -1 && errno == EINTR);
		if (got == -1) {
			config_fail(e, "config: failed to read %s: read %s: %s", shown, shown, why(errno));
			goto out;
		}
		buf_commit(&text, (size_t)got);
	}
	result = parse(c, shown, buf_bytes(&text), strcmp(format, "hcl") == 0, e);
out:
	close(fd);
	buf_free(&text);
	return result;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of a directory in byte order; NULL with errno. */
static const char **
list_directory(struct config *c, const char *path, size_t *count)
{
	DIR *dir = opendir(path);
	const char **names = NULL;
	struct dirent *entry;

	*count = 0;
	if (dir == NULL)
		return NULL;
	names = xreallocarray(NULL, 16, sizeof *names);
	while (*count < DIRECTORY_ENTRIES_MAX && (entry = readdir(dir)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (*count >= 16 && (*count & (*count - 1)) == 0)
			names = xreallocarray(names, *count * 2, sizeof *names);
		names[(*count)++] = region_strndup(c->region, entry->d_name, strlen(entry->d_name));
	}
	closedir(dir);
	if (*count > 1)
		qsort(names, *count, sizeof *names, compare_names);
	return names;
}

/* One entry: links are followed first, and the target's name decides about the format. */
static int
read_entry(struct config *c, const char *shown, const char *path, const char *forced, struct config_error *e)
{
	char target[PATH_MAX], real[PATH_MAX];
	struct stat st;
	const char *name = shown, *format;
	ssize_t length;

	if (lstat(path, &st) == -1)
		return config_fail(e, "lstat %s: %s", shown, why(errno));
	if (S_ISLNK(st.st_mode)) {
		length = readlink(path, target, sizeof target - 1);
		if (length == -1)
			return config_fail(e, "readlink %s: %s", shown, why(errno));
		target[length] = '\0';
		if (realpath(path, real) == NULL)
			return config_fail(e, "lstat %s: %s", target, why(errno));
		name = region_strndup(c->region, real, strlen(real));
		path = name;
		if (stat(path, &st) == -1)
			return config_fail(e, "stat %s: %s", name, why(errno));
	}
	if (S_ISDIR(st.st_mode))
		return 0;
	format = format_of(name, forced);
	if (format == NULL) {
		texts_add(c, &c->warnings,
		    "skipping file %s, extension must be .hcl or .json, or config format must be set", name);
		return 0;
	}
	return read_file(c, name, path, format, e);
}

static int
read_path(struct config *c, const char *given, const char *forced, struct config_error *e)
{
	const char *path = config_absolute(c, given), *format;
	size_t count, length = strlen(given);
	const char **names;
	struct stat st;
	int result = 0;

	if (stat(path, &st) == -1)
		return config_fail(e, "config: Open failed on %s. open %s: %s", given, given, why(errno));
	if (!S_ISDIR(st.st_mode)) {
		format = format_of(given, forced);
		if (format == NULL)
			return config_fail(e,
			    "file %s has unknown extension; must be .hcl or .json, or config format must be set",
			    given);
		return read_file(c, given, path, format, e);
	}
	names = list_directory(c, path, &count);
	if (names == NULL)
		return config_fail(e, "config: Open failed on %s. open %s: %s", given, given, why(errno));
	while (length > 1 && given[length - 1] == '/')
		length--;
	for (size_t i = 0; i < count && result == 0; i++)
		result = read_entry(c, region_printf(c->region, "%.*s/%s", (int)length, given, names[i]),
		    region_printf(c->region, "%s/%s", path, names[i]), forced, e);
	free(names);
	return result;
}

int
config_files(struct config *c, struct value *paths, const char *format, struct config_error *e)
{
	if (*format != '\0' && strcmp(format, "json") != 0 && strcmp(format, "hcl") != 0)
		return config_fail(e, c->validating ? "-config-format must be either 'hcl' or 'json"
						    : "config: -config-format must be either 'hcl' or 'json'");
	for (const struct value *p = paths->first; p != NULL; p = p->next)
		if (read_path(c, p->text, format, e) == -1)
			return -1;
	return 0;
}

int
config_fragment(struct config *c, const char *name, const char *text, struct config_error *e)
{
	return parse(c, name, bytes_str(text), true, e);
}
