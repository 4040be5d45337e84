/*
 * persist.c - registrations in files (contract: persist.h; callers: register.c, serve.c, main.c)
 */
#include "persist.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json.h"
#include "log.h"
#include "mem.h"
#include "replace.h"
#include "run.h"
#include "sha256.h"

#define LOG "agent"
#define FILE_BYTES_MAX (16u * 1024 * 1024)

SCHEMA_DEFINE(persisted_service, "agent.persistedService", PERSISTED_SERVICE_FIELDS, SCHEMA_OPEN)
SCHEMA_DEFINE(persisted_check, "agent.persistedCheck", PERSISTED_CHECK_FIELDS, SCHEMA_OPEN)
SCHEMA_DEFINE(persisted_state, "agent.persistedCheckState", PERSISTED_STATE_FIELDS, SCHEMA_OPEN)

enum place { SERVICES, CHECKS, STATES, PLACES };
static const char *const place_names[PLACES] = {"services", "checks", "checks/state"};

struct persist {
	int dirs[PLACES];
	bool durable;
};

static int
make_tree(const char *dir)
{
	char part[4096];

	if (snprintf(part, sizeof part, "%s", dir) >= (int)sizeof part) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(part, 0755) == -1 && errno != EEXIST)
			return -1;
		*slash = '/';
	}
	return mkdir(part, 0755) == -1 && errno != EEXIST ? -1 : 0;
}

struct persist *
persist_open(const char *dir, bool durable)
{
	struct persist *p = xcalloc(1, sizeof *p);
	int top = -1, saved_errno;

	p->durable = durable;
	for (size_t i = 0; i < PLACES; i++)
		p->dirs[i] = -1;
	if (make_tree(dir) == -1)
		goto fail;
	top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (top == -1)
		goto fail;
	for (size_t i = 0; i < PLACES; i++) {
		if (mkdirat(top, place_names[i], 0700) == -1 && errno != EEXIST)
			goto fail;
		p->dirs[i] = openat(top, place_names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (p->dirs[i] == -1)
			goto fail;
	}
	close(top);
	return p;

fail:
	saved_errno = errno;
	if (top != -1)
		close(top);
	persist_close(p);
	errno = saved_errno;
	return NULL;
}

void
persist_close(struct persist *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < PLACES; i++)
		if (p->dirs[i] != -1)
			close(p->dirs[i]);
	free(p);
}

/* ---- writing ---- */

static int
content_write(struct persist *p, enum place place, const char *id, struct bytes content, bool durable)
{
	char name[SHA256_TEXT_MAX];

	sha256_text(bytes_str(id), name);
	return replace_file(p->dirs[place], name, content, 0600, durable && p->durable);
}

static int
write_form(
    struct persist *p, enum place place, const char *id, const struct schema *schema, const void *form, bool durable)
{
	struct buf message = BUF_INIT(FILE_BYTES_MAX), json = BUF_INIT(FILE_BYTES_MAX);
	struct mp in;
	int result = -1;

	schema_encode(schema, form, &message);
	in = mp_of(buf_bytes(&message));
	if (message.overflow || schema_to_json(schema, &in, &json, 0) == -1 || json.overflow)
		errno = EFBIG;
	else
		result = content_write(p, place, id, buf_bytes(&json), durable);
	buf_free(&message);
	buf_free(&json);
	return result;
}

int
persist_service(struct persist *p, const struct local_service *s)
{
	struct persisted_service form = {
	    .token = bytes_str(s->token),
	    .service = buf_bytes(&s->message),
	    .source = bytes_str("remote"),
	    .sidecar = s->sidecar,
	};

	return p == NULL ? 0 : write_form(p, SERVICES, s->id, &persisted_service_schema, &form, true);
}

int
persist_check(struct persist *p, const struct local *l, const struct local_check *c)
{
	struct buf check = BUF_INIT(FILE_BYTES_MAX);
	struct persisted_check form = {
	    .type = buf_bytes(&c->message),
	    .token = bytes_str(c->token),
	    .source = bytes_str("remote"),
	};
	int result;

	if (p == NULL)
		return 0;
	local_encode_check(l, c, &check);
	form.check = buf_bytes(&check);
	result = write_form(p, CHECKS, c->id, &persisted_check_schema, &form, true);
	buf_free(&check);
	return result;
}

void
persist_state(struct persist *p, const struct local_check *c, int64_t expires)
{
	struct persisted_state form = {
	    .check_id = bytes_str(c->id),
	    .output = buf_bytes(&c->output),
	    .status = bytes_str(status_text(c->status)),
	    .expires = expires,
	};

	if (p != NULL && write_form(p, STATES, c->id, &persisted_state_schema, &form, false) == -1)
		log_error(LOG, "failed persisting state for check: check=%s", log_quote(c->id));
}

static void
drop(struct persist *p, enum place place, const char *id)
{
	char name[SHA256_TEXT_MAX];

	if (p == NULL)
		return;
	if (unlinkat(p->dirs[place], sha256_text(bytes_str(id), name), 0) == -1 && errno != ENOENT)
		log_error(LOG, "failed removing persisted registration: id=%s", log_quote(id));
}

void
persist_drop_service(struct persist *p, const char *id)
{
	drop(p, SERVICES, id);
}

void
persist_drop_check(struct persist *p, const char *id)
{
	drop(p, CHECKS, id);
	drop(p, STATES, id);
}

/* ---- reading ---- */

/* The file's message; message keeps what form points into. */
static int
read_form(int dir, const char *name, const struct schema *schema, struct buf *message, void *form, const char **why)
{
	static struct json_error error;
	struct buf json = BUF_INIT(FILE_BYTES_MAX);
	int result = -1;

	if (run_read_file(dir, name, &json) == -1)
		*why = strerror(errno);
	else if (schema_from_json(schema, buf_bytes(&json), message, &error) == -1)
		*why = error.text;
	else
		result = schema_decode(schema, buf_bytes(message), form, why);
	buf_free(&json);
	return result;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of the files of one place, sorted; NULL-terminated. */
static char **
list(struct persist *p, enum place place)
{
	char **names = xcalloc(1, sizeof *names);
	size_t count = 0;
	int fd = openat(p->dirs[place], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (dir == NULL) {
		log_error(LOG, "failed reading persisted registrations: dir=%s", place_names[place]);
		if (fd != -1)
			close(fd);
		return names;
	}
	while ((entry = readdir(dir)) != NULL) {
		size_t size = strlen(entry->d_name);
		struct stat st;
		if (fstatat(p->dirs[place], entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == -1 || !S_ISREG(st.st_mode))
			continue;
		if (size >= 3 && strcmp(entry->d_name + size - 3, "tmp") == 0) {
			log_warnx(LOG, "Ignoring temporary registration file: file=%s/%s", place_names[place],
			    log_quote(entry->d_name));
			continue;
		}
		names = xreallocarray(names, count + 2, sizeof *names);
		names[count++] = xstrdup(entry->d_name);
		names[count] = NULL;
	}
	closedir(dir);
	qsort(names, count, sizeof *names, compare_names);
	return names;
}

static void
free_list(char **names)
{
	for (size_t i = 0; names[i] != NULL; i++)
		free(names[i]);
	free(names);
}

/* Older releases named the files otherwise. */
static void
settle_name(struct persist *p, enum place place, const char *name, struct bytes id)
{
	char right[SHA256_TEXT_MAX];

	if (strcmp(sha256_text(id, right), name) != 0 && renameat(p->dirs[place], name, p->dirs[place], right) == -1)
		log_error(
		    LOG, "failed renaming persisted registration: file=%s/%s", place_names[place], log_quote(name));
}

void
persist_load_services(struct persist *p, const struct persist_loader *loader)
{
	char **names;

	if (p == NULL)
		return;
	names = list(p, SERVICES);
	for (size_t i = 0; names[i] != NULL; i++) {
		struct buf message = BUF_INIT(FILE_BYTES_MAX);
		struct persisted_service form;
		struct node_service service = {0};
		const char *why = NULL;

		if (read_form(p->dirs[SERVICES], names[i], &persisted_service_schema, &message, &form, &why) == -1 ||
		    form.service.size == 0 || schema_decode(&node_service_schema, form.service, &service, &why) == -1 ||
		    service.id.size == 0) {
			log_errorx(LOG, "Failed decoding service file: file=services/%s error=%s", log_quote(names[i]),
			    log_quote(why != NULL ? why : "nothing in it"));
		} else {
			settle_name(p, SERVICES, names[i], service.id);
			if (!loader->service(loader->ctx, &form, &service)) {
				char *id = bytes_dup(service.id);
				drop(p, SERVICES, id);
				free(id);
			}
		}
		buf_free(&message);
	}
	free_list(names);
}

static void
load_state(struct persist *p, struct bytes id, struct buf *message, struct persisted_state *state)
{
	char name[SHA256_TEXT_MAX];
	const char *why;

	sha256_text(id, name);
	if (faccessat(p->dirs[STATES], name, F_OK, 0) == -1)
		return;
	if (read_form(p->dirs[STATES], name, &persisted_state_schema, message, state, &why) == -1) {
		log_errorx(
		    LOG, "failed decoding persisted check state: file=%s error=%s", log_quote(name), log_quote(why));
		*state = (struct persisted_state){0};
	}
}

void
persist_load_checks(struct persist *p, const struct persist_loader *loader)
{
	char **names;

	if (p == NULL)
		return;
	names = list(p, CHECKS);
	for (size_t i = 0; names[i] != NULL; i++) {
		struct buf message = BUF_INIT(FILE_BYTES_MAX), state_message = BUF_INIT(FILE_BYTES_MAX);
		struct persisted_check form;
		struct persisted_state state = {0};
		struct health_check check = {0};
		const char *why = NULL;

		if (read_form(p->dirs[CHECKS], names[i], &persisted_check_schema, &message, &form, &why) == -1 ||
		    form.check.size == 0 || schema_decode(&health_check_schema, form.check, &check, &why) == -1 ||
		    check.check_id.size == 0) {
			log_errorx(LOG, "Failed decoding check file: file=checks/%s error=%s", log_quote(names[i]),
			    log_quote(why != NULL ? why : "nothing in it"));
		} else {
			settle_name(p, CHECKS, names[i], check.check_id);
			load_state(p, check.check_id, &state_message, &state);
			if (!loader->check(loader->ctx, &form, &check, &state)) {
				char *id = bytes_dup(check.check_id);
				persist_drop_check(p, id);
				free(id);
			}
		}
		buf_free(&message);
		buf_free(&state_message);
	}
	free_list(names);
}

void
persist_clear(struct persist *p)
{
	for (int place = STATES; place >= 0; place--) {
		char **names = list(p, (enum place)place);
		for (size_t i = 0; names[i] != NULL; i++)
			unlinkat(p->dirs[place], names[i], 0);
		free_list(names);
	}
}
