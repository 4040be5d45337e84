/*
 * snapshot.c - what a pool remembers across restarts (contract: snapshot.h; caller: pool.c)
 */
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hash.h"
#include "mem.h"
#include "ring.h"

#define FILE_BYTES_MAX (256u * 1024 * 1024)
#define PENDING_BYTES_MAX (4u * 1024 * 1024)
#define COMPACT_BYTES_MIN (128u * 1024)
#define COMPACT_BYTES_NODE 256u /* twice what one node needs */
#define PATH_BYTES_MAX 4096
#define LOG_BURST 3

struct snapshot {
	struct snapshot_config config;
	char path[PATH_BYTES_MAX];
	int fd;
	size_t size;
	struct buf pending;
	enum snapshot_pending what;
	struct serf_clocks noted;
	bool leaving;
	bool stale; /* the file misses something: it has to be written anew */
	struct log_limit failures;
};

/* ---- replay ---- */

struct past_node {
	struct hash_node by_name;
	struct ring by_age;
	size_t name_size, address_size;
	char text[]; /* name, address */
};

struct replay {
	struct hash_table names;
	struct ring nodes;
	size_t count;
	struct snapshot_past *out;
};

static struct past_node *
past_find(const struct replay *r, struct bytes name)
{
	for (struct hash_node *h = hash_first(&r->names, hash_bytes(4, name)); h != NULL; h = hash_next(h)) {
		struct past_node *n = RING_ENTRY(h, struct past_node, by_name);

		if (bytes_equal(bytes_of(n->text, n->name_size), name))
			return n;
	}
	return NULL;
}

static void
past_remove(struct replay *r, struct bytes name)
{
	struct past_node *n = past_find(r, name);

	if (n == NULL)
		return;
	hash_remove(&r->names, &n->by_name);
	ring_remove(&n->by_age);
	r->count--;
	free(n);
}

static void
past_clear(struct replay *r)
{
	while (!ring_empty(&r->nodes)) {
		struct past_node *n = RING_ENTRY(r->nodes.next, struct past_node, by_age);

		past_remove(r, bytes_of(n->text, n->name_size));
	}
}

/* "name with blanks 127.0.0.1:8301" */
static void
past_alive(struct replay *r, struct bytes rest)
{
	struct past_node *n;
	size_t at = rest.size;

	while (at > 0 && rest.data[at - 1] != ' ')
		at--;
	if (at < 2 || at == rest.size || at - 1 >= SWIM_NAME_MAX || rest.size - at >= SWIM_ADDRESS_TEXT_MAX ||
	    memchr(rest.data, 0, rest.size) != NULL)
		return;
	past_remove(r, bytes_of(rest.data, at - 1));
	n = xcalloc(1, sizeof *n + rest.size);
	n->name_size = at - 1;
	n->address_size = rest.size - at;
	memcpy(n->text, rest.data, n->name_size);
	memcpy(n->text + n->name_size, rest.data + at, n->address_size);
	n->by_name.hash = hash_bytes(4, bytes_of(n->text, n->name_size));
	hash_insert(&r->names, &n->by_name);
	ring_append(&r->nodes, &n->by_age);
	r->count++;
}

static void
past_line(struct replay *r, struct bytes line, bool keep_after_leave)
{
	static const char *const clocks[] = {"clock: ", "event-clock: ", "query-clock: "};
	uint64_t *const values[] = {&r->out->clocks.member, &r->out->clocks.event, &r->out->clocks.query};

	if (bytes_is(line, "leave")) {
		r->out->left = true;
		if (!keep_after_leave) {
			past_clear(r);
			r->out->clocks = (struct serf_clocks){0, 0, 0};
		}
	}
	if (bytes_has_prefix(line, bytes_str("alive: ")))
		past_alive(r, bytes_of(line.data + 7, line.size - 7));
	else if (bytes_has_prefix(line, bytes_str("not-alive: ")))
		past_remove(r, bytes_of(line.data + 11, line.size - 11));
	for (size_t i = 0; i < COUNTOF(clocks); i++)
		if (bytes_has_prefix(line, bytes_str(clocks[i]))) {
			size_t skip = strlen(clocks[i]);
			uint64_t value;

			if (bytes_to_u64(bytes_of(line.data + skip, line.size - skip), &value) == 0)
				*values[i] = value;
		}
}

void
snapshot_replay(struct bytes text, bool keep_after_leave, struct snapshot_past *out)
{
	struct replay r = {.out = out};
	const uint8_t *end;

	*out = (struct snapshot_past){.count = 0};
	ring_init(&r.nodes);
	/* what stands behind the last line feed was cut off in the writing */
	while (text.size > 0 && (end = memchr(text.data, '\n', text.size)) != NULL) {
		size_t size = (size_t)(end - text.data);

		past_line(&r, bytes_of(text.data, size), keep_after_leave);
		text = bytes_of(text.data + size + 1, text.size - size - 1);
	}
	out->nodes = xcalloc(r.count + 1, sizeof *out->nodes);
	for (const struct ring *at = r.nodes.next; at != &r.nodes; at = at->next) {
		const struct past_node *n = RING_ENTRY(at, struct past_node, by_age);

		out->nodes[out->count++] = (struct snapshot_node){
		    xstrndup(n->text, n->name_size), xstrndup(n->text + n->name_size, n->address_size)};
	}
	past_clear(&r);
	hash_free(&r.names);
}

void
snapshot_past_free(struct snapshot_past *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free(p->nodes[i].name);
		free(p->nodes[i].address);
	}
	free(p->nodes);
	*p = (struct snapshot_past){.count = 0};
}

/* ---- the file ---- */

static void
failed(struct snapshot *s, const char *what)
{
	unsigned suppressed;

	s->stale = true;
	if (log_allowed(&s->failures, LOG_BURST, &suppressed))
		log_error(s->config.module, "serf: Failed to update snapshot: %s: path=%s suppressed=%u", what, s->path,
		    suppressed);
}

static int
write_whole(int fd, struct bytes text)
{
	for (size_t at = 0; at < text.size;) {
		ssize_t n = write(fd, text.data + at, text.size - at);

		if (n == -1)
			return -1;
		at += (size_t)n;
	}
	return 0;
}

static int
read_past(struct snapshot *s, struct snapshot_past *past)
{
	struct buf text = BUF_INIT(FILE_BYTES_MAX);
	struct stat st;
	ssize_t n = 1;

	if (fstat(s->fd, &st) == -1)
		return -1;
	s->size = (size_t)st.st_size;
	while (n > 0 && buf_reserve(&text, 65536) == 0) {
		n = pread(s->fd, text.data + text.used, 65536, (off_t)text.used);
		if (n > 0)
			buf_commit(&text, (size_t)n);
	}
	if (n == 0)
		snapshot_replay(buf_bytes(&text), s->config.rejoin_after_leave, past);
	else if (n > 0)
		errno = EFBIG;
	/* a line that was cut off must not join with the next one */
	s->stale = text.used > 0 && text.data[text.used - 1] != '\n';
	buf_free(&text);
	return n == 0 ? 0 : -1;
}

/* The directories above the file. */
static void
make_tree(const char *path)
{
	char part[PATH_BYTES_MAX];

	memcpy(part, path, strlen(path) + 1);
	for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(part, strchr(slash + 1, '/') == NULL ? 0700 : 0755); /* what fails shows in open() */
		*slash = '/';
	}
}

struct snapshot *
snapshot_open(const struct snapshot_config *config, struct snapshot_past *past)
{
	struct snapshot *s = xcalloc(1, sizeof *s);
	int saved_errno;

	*past = (struct snapshot_past){.count = 0};
	s->config = *config;
	s->fd = -1;
	buf_init(&s->pending, PENDING_BYTES_MAX);
	if (snprintf(s->path, sizeof s->path, "%s", config->path) >= (int)sizeof s->path) {
		errno = ENAMETOOLONG;
		goto fail;
	}
	make_tree(s->path);
	s->fd = open(s->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (s->fd == -1 || read_past(s, past) == -1)
		goto fail;
	s->noted = past->clocks;
	return s;

fail:
	saved_errno = errno;
	if (s->fd != -1)
		close(s->fd);
	free(s);
	errno = saved_errno;
	return NULL;
}

/* All that counts, as a new file in the place of the old one. */
static void
compact(struct snapshot *s)
{
	struct buf text = BUF_INIT(FILE_BYTES_MAX);
	char beside[PATH_BYTES_MAX + 16];
	int fd;

	s->config.put_alive(s->config.ctx, &text);
	buf_printf(&text, "clock: %" PRIu64 "\nevent-clock: %" PRIu64 "\nquery-clock: %" PRIu64 "\n%s", s->noted.member,
	    s->noted.event, s->noted.query, s->leaving ? "leave\n" : "");
	snprintf(beside, sizeof beside, "%s.compact", s->path);
	fd = open(beside, O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd == -1 || text.overflow || write_whole(fd, buf_bytes(&text)) == -1 || fsync(fd) == -1 ||
	    rename(beside, s->path) == -1) {
		failed(s, "compact");
		if (fd != -1)
			close(fd);
	} else {
		close(s->fd);
		s->fd = fd;
		s->size = text.used;
		s->stale = false;
	}
	buf_free(&text);
}

void
snapshot_flush(struct snapshot *s, size_t alive_count)
{
	if (s == NULL || (s->what == SNAPSHOT_NOTHING && !s->stale))
		return;
	if (s->pending.overflow)
		s->stale = true;
	else if (!s->stale && write_whole(s->fd, buf_bytes(&s->pending)) == -1)
		failed(s, "write");
	s->size += s->pending.used;
	buf_free(&s->pending);
	s->what = SNAPSHOT_NOTHING;
	if (s->stale || s->size > MAX(COMPACT_BYTES_MIN, COMPACT_BYTES_NODE * alive_count))
		compact(s);
}

void
snapshot_close(struct snapshot *s)
{
	if (s == NULL)
		return;
	if (s->what != SNAPSHOT_NOTHING && !s->stale && write_whole(s->fd, buf_bytes(&s->pending)) == -1)
		failed(s, "write");
	if (fsync(s->fd) == -1)
		failed(s, "sync");
	close(s->fd);
	buf_free(&s->pending);
	free(s);
}

/* ---- records ---- */

static void
noted(struct snapshot *s, enum snapshot_pending what)
{
	s->what = MAX(s->what, what);
}

void
snapshot_alive_put(const char *name, const struct swim_address *address, struct buf *out)
{
	char text[SWIM_ADDRESS_TEXT_MAX];

	if (strchr(name, '\n') == NULL) /* one that has it would be two records */
		buf_printf(out, "alive: %s %s\n", name, swim_address_text(address, text));
}

void
snapshot_alive(struct snapshot *s, const char *name, const struct swim_address *address)
{
	if (s == NULL || s->leaving)
		return;
	snapshot_alive_put(name, address, &s->pending);
	noted(s, SNAPSHOT_MEMBERS);
}

void
snapshot_not_alive(struct snapshot *s, const char *name)
{
	if (s == NULL || s->leaving || strchr(name, '\n') != NULL)
		return;
	buf_printf(&s->pending, "not-alive: %s\n", name);
	noted(s, SNAPSHOT_MEMBERS);
}

static void
clock_note(struct snapshot *s, const char *name, uint64_t *was, uint64_t value)
{
	if (value <= *was)
		return;
	*was = value;
	buf_printf(&s->pending, "%s: %" PRIu64 "\n", name, value);
	noted(s, SNAPSHOT_CLOCKS);
}

void
snapshot_clocks(struct snapshot *s, const struct serf_clocks *clocks)
{
	if (s != NULL && clocks->member > 0)
		clock_note(s, "clock", &s->noted.member, clocks->member - 1);
}

void
snapshot_event_clock(struct snapshot *s, uint64_t ltime)
{
	if (s != NULL && !s->leaving)
		clock_note(s, "event-clock", &s->noted.event, ltime);
}

void
snapshot_query_clock(struct snapshot *s, uint64_t ltime)
{
	if (s != NULL && !s->leaving)
		clock_note(s, "query-clock", &s->noted.query, ltime);
}

void
snapshot_leave(struct snapshot *s)
{
	if (s == NULL || s->leaving)
		return;
	s->leaving = true;
	buf_put_str(&s->pending, "leave\n");
	noted(s, SNAPSHOT_MEMBERS);
	snapshot_flush(s, 0);
	if (fsync(s->fd) == -1)
		failed(s, "sync");
}

enum snapshot_pending
snapshot_pending(const struct snapshot *s)
{
	return s == NULL ? SNAPSHOT_NOTHING : s->what;
}
