/*
 * assets.c - the web UI's files and the other paths outside /v1 (contract: assets.h; caller: request.c)
 *
 * The files are few and small, so they are read once at start: later httpd can not open files. Unknown paths below the UI's own are
 * answered with its index page, as a page of the UI may have any path; so that page's references are absolute: CONTENT_PATH_MARK in it stands for
 * the content path.
 */
#include "assets.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "log.h"
#include "mem.h"
#include "reply.h"
#include "request.h"

#define MODULE "agent.http"
#define FILES_MAX 512
#define FILE_BYTES_MAX (4u * 1024 * 1024)
#define ALL_BYTES_MAX (32u * 1024 * 1024)
#define DEPTH_MAX 6
#define INDEX "index.html"
#define CONTENT_PATH_MARK "@CONTENT_PATH@"
/* What the suite's own UI lives with. Trusted types: a script that tries to make markup out of text fails. */
#define POLICY                                                                                                         \
	"default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; "         \
	"require-trusted-types-for 'script'; trusted-types 'none'"

struct asset {
	char *path; /* below the content path, without a leading slash */
	const char *type;
	uint8_t *data;
	size_t size;
};

static struct {
	struct asset files[FILES_MAX];
	size_t count, bytes;
	bool own; /* the suite's own files: POLICY holds */
} state;

static const char *
type_of(const char *path)
{
	static const struct {
		const char *ending, *type;
	} TYPES[] = {
	    {".html", "text/html; charset=utf-8"},
	    {".css", "text/css; charset=utf-8"},
	    {".js", "text/javascript; charset=utf-8"},
	    {".json", "application/json"},
	    {".svg", "image/svg+xml"},
	    {".png", "image/png"},
	    {".ico", "image/x-icon"},
	    {".txt", "text/plain; charset=utf-8"},
	    {".woff2", "font/woff2"},
	};
	size_t n = strlen(path);

	for (size_t i = 0; i < COUNTOF(TYPES); i++) {
		size_t e = strlen(TYPES[i].ending);

		if (n > e && strcmp(path + n - e, TYPES[i].ending) == 0)
			return TYPES[i].type;
	}
	return "application/octet-stream";
}

static void
put_content_path(struct asset *a)
{
	const size_t mark = strlen(CONTENT_PATH_MARK);
	const uint8_t *from = a->data, *end = a->data + a->size, *at;
	struct buf out = BUF_INIT(ALL_BYTES_MAX);

	while ((at = memmem(from, (size_t)(end - from), CONTENT_PATH_MARK, mark)) != NULL) {
		buf_put(&out, from, (size_t)(at - from));
		buf_put_str(&out, config.content_path);
		from = at + mark;
	}
	buf_put(&out, from, (size_t)(end - from));
	if (out.overflow)
		buf_free(&out);
	else {
		free(a->data);
		a->data = out.data;
		a->size = out.used;
	}
}

static void
load_file(int dirfd, const char *name, const char *path)
{
	struct asset *a = &state.files[state.count];
	struct stat st;
	size_t size = 0;
	int fd;

	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1 || !S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX ||
	    state.bytes + (size_t)st.st_size > ALL_BYTES_MAX) {
		log_warnx(MODULE, "UI file left out: path=%s", log_quote(path));
		goto done;
	}
	a->data = xmalloc((size_t)st.st_size + 1);
	while (size < (size_t)st.st_size) {
		ssize_t n = read(fd, a->data + size, (size_t)st.st_size - size);

		if (n <= 0)
			break;
		size += (size_t)n;
	}
	a->size = size;
	a->path = xstrdup(path);
	a->type = type_of(path);
	if (strcmp(path, INDEX) == 0)
		put_content_path(a);
	state.bytes += size;
	state.count++;
done:
	if (fd != -1)
		close(fd);
}

static void
load_dir(int dirfd, const char *prefix, unsigned depth)
{
	DIR *d = fdopendir(dirfd);
	struct dirent *e;

	if (d == NULL) {
		close(dirfd);
		return;
	}
	while (state.count < FILES_MAX && (e = readdir(d)) != NULL) {
		char *path;
		struct stat st;

		if (e->d_name[0] == '.')
			continue;
		path = xasprintf("%s%s", prefix, e->d_name);
		if (fstatat(dirfd, e->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode)) {
			int sub = depth < DEPTH_MAX ? openat(dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
			char *below = xasprintf("%s/", path);

			if (sub != -1)
				load_dir(sub, below, depth + 1);
			free(below);
		} else
			load_file(dirfd, e->d_name, path);
		free(path);
	}
	closedir(d);
}

/* share/consuld-ui beside the libexec directory that this program lies in. */
static char *
own_directory(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n <= 0)
		return NULL;
	for (int up = 0; up < 3; up++) {
		while (n > 0 && self[n - 1] != '/')
			n--;
		while (n > 0 && self[n - 1] == '/')
			n--;
	}
	self[n] = '\0';
	return xasprintf("%s/share/consuld-ui", self);
}

void
assets_load(const char *dir)
{
	char *own = dir == NULL || dir[0] == '\0' ? own_directory() : NULL;
	const char *from = own != NULL ? own : dir;
	int fd = from == NULL ? -1 : open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	state.own = own != NULL;
	if (fd == -1)
		log_warn(MODULE, "no UI files: dir=%s", log_quote(from == NULL ? "" : from));
	else
		load_dir(fd, "", 0);
	free(own);
}

static const struct asset *
find(struct bytes path)
{
	for (size_t i = 0; i < state.count; i++)
		if (bytes_is(path, state.files[i].path))
			return &state.files[i];
	return NULL;
}

/* Names of nodes and services have dots, but only from the third segment on (DATACENTER/nodes/NAME): one before is that of a file. */
static bool
names_page(struct bytes path)
{
	for (size_t i = 0, slashes = 0; i < path.size && slashes < 2; i++) {
		if (path.data[i] == '.')
			return false;
		slashes += path.data[i] == '/';
	}
	return true;
}

static bool
only_get(struct exchange *x, const struct http1_head *head)
{
	if (head->method == HTTP1_GET || head->method == HTTP1_HEAD)
		return true;
	reply_header("Allow", "GET, HEAD");
	reply_error(x, 405, "method %.*s not allowed", (int)MIN(head->method_text.size, (size_t)64),
	    (const char *)head->method_text.data);
	return false;
}

static void
send_asset(struct exchange *x, const struct asset *a)
{
	reply_header("X-Content-Type-Options", "nosniff");
	reply_header("Cache-Control", "no-cache");
	if (state.own)
		reply_header("Content-Security-Policy", POLICY);
	if (a == NULL)
		reply_error(x, 404, "404 page not found\n");
	else
		reply_send(x, 200, a->type, bytes_of(a->data, a->size));
}

bool
assets_answer(struct exchange *x, const struct http1_head *head, struct bytes path, struct bytes *location)
{
	static const char DISABLED[] =
	    "Consul Agent: UI disabled. To enable, set ui_config.enabled=true in the agent configuration and restart.";
	struct bytes content = bytes_str(config.content_path), rest;
	const struct asset *a;

	*location = bytes_of(NULL, 0);
	if (bytes_has_prefix(path, bytes_str("/debug/pprof/")) || bytes_is(path, "/debug/pprof")) {
		reply_send(x, 404, NULL, bytes_of(NULL, 0));
		return true;
	}
	if (bytes_has_prefix(path, bytes_str("/api/"))) {
		reply_error(x, 404, "404 page not found\n");
		return true;
	}
	if (!config.ui) {
		if (!bytes_is(path, "/"))
			return false;
		reply_error(x, 200, "%s", DISABLED);
		return true;
	}
	if (bytes_is(path, "/") ||
	    (content.size > 1 && path.size == content.size - 1 && bytes_has_prefix(content, path))) {
		*location = content;
		return true;
	}
	if (bytes_is(path, "/robots.txt")) {
		if (only_get(x, head))
			reply_send(x, 200, REPLY_TEXT, bytes_str("User-agent: *\nDisallow: /\n"));
		return true;
	}
	if (!bytes_has_prefix(path, content))
		return false;
	if (!only_get(x, head))
		return true;
	rest = bytes_of(path.data + content.size, path.size - content.size);
	a = find(rest);
	/* A missing file stays missing; any other path is a page of the UI. */
	if (a == NULL && names_page(rest))
		a = find(bytes_str(INDEX));
	send_asset(x, a);
	return true;
}
