/*
 * join.c - contacting nodes (contract: join.h; callers: background.c, serve.c)
 *
 * One address after the other: a name may stand for several, and each of them is contacted. With our own there is nothing to exchange.
 */
#include "join.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mem.h"
#include "net.h"
#include "resolve.h"

struct join {
	struct ev_loop *loop;
	struct pool *pool;
	char **addresses;
	size_t count, next;
	struct swim_address targets[RESOLVE_ADDRESSES_MAX]; /* of the present one */
	size_t target_count, target_next;
	unsigned joined, others, failed;
	struct buf errors; /* "\t* text\n" each */
	struct resolve *resolve;
	struct contact *contact;
	ev_timer begin; /* so that done never comes from within join_start */
	join_done_cb *done;
	void *ctx;
};

static void proceed(struct join *j);

int
join_target(const char *text, uint16_t default_port, struct swim_address *address, char *host, uint16_t *port)
{
	const char *slash = strchr(text, '/');
	union net_addr a;

	if (slash != NULL)
		text = slash + 1;
	if (net_addr_parse(text, default_port, &a) == 0 || net_addr_parse_port(text, &a) == 0) {
		transport_address_of(&a, address);
		return 1;
	}
	if (net_split_port(text, host, JOIN_HOST_MAX, port) == 0)
		return host[0] == '\0' ? -1 : 0;
	if (text[0] == '\0' || strchr(text, ':') != NULL || strlen(text) >= JOIN_HOST_MAX)
		return -1;
	memcpy(host, text, strlen(text) + 1);
	*port = default_port;
	return 0;
}

static void PRINTF_LIKE(2, 3) note_failure(struct join *j, const char *fmt, ...)
{
	va_list args;

	j->failed++;
	buf_put_str(&j->errors, "\t* ");
	va_start(args, fmt);
	buf_vprintf(&j->errors, fmt, args);
	va_end(args);
	buf_put_u8(&j->errors, '\n');
}

static void
join_free(struct join *j)
{
	ev_timer_stop(j->loop, &j->begin);
	if (j->resolve != NULL)
		resolve_cancel(j->resolve);
	if (j->contact != NULL)
		pool_contact_cancel(j->contact);
	for (size_t i = 0; i < j->count; i++)
		free(j->addresses[i]);
	free(j->addresses);
	buf_free(&j->errors);
	free(j);
}

static void
finish(struct join *j)
{
	char error[JOIN_ERROR_MAX] = "";
	join_done_cb *done = j->done;
	unsigned joined = j->joined;
	void *ctx = j->ctx;

	if (j->failed > 0)
		snprintf(error, sizeof error, "%u error%s occurred:\n%.*s\n", j->failed, j->failed == 1 ? "" : "s",
		    (int)MIN(j->errors.used, sizeof error - 64), (const char *)j->errors.data);
	if (j->others > 0)
		pool_joined(j->pool);
	join_free(j);
	done(ctx, joined, error);
}

static void
on_contacted(void *ctx, const char *error)
{
	struct join *j = ctx;
	char text[SWIM_ADDRESS_TEXT_MAX];

	j->contact = NULL;
	if (error == NULL) {
		j->joined++;
		j->others++;
	} else
		note_failure(
		    j, "Failed to join %s: %s", swim_address_text(&j->targets[j->target_next - 1], text), error);
	proceed(j);
}

static void
on_resolved(void *ctx, const struct swim_address *addresses, size_t count, const char *error)
{
	struct join *j = ctx;

	j->resolve = NULL;
	j->target_count = count;
	j->target_next = 0;
	memcpy(j->targets, addresses, count * sizeof *addresses);
	if (count == 0)
		note_failure(j, "Failed to resolve %s: %s", j->addresses[j->next - 1], error);
	proceed(j);
}

/* true: it goes on when the answer comes. */
static bool
target_begin(struct join *j, const struct swim_address *to)
{
	char text[SWIM_ADDRESS_TEXT_MAX];

	if (swim_address_equal(to, &pool_self(j->pool)->address)) {
		j->joined++;
		return false;
	}
	j->contact = pool_contact(j->pool, to, on_contacted, j);
	if (j->contact == NULL)
		note_failure(j, "Failed to join %s: too many exchanges are under way", swim_address_text(to, text));
	return j->contact != NULL;
}

static bool
address_begin(struct join *j, const char *text)
{
	char host[JOIN_HOST_MAX];
	uint16_t port;
	int n = join_target(text, pool_self(j->pool)->address.port, &j->targets[0], host, &port);

	j->target_next = 0;
	j->target_count = n == 1;
	if (n == -1)
		note_failure(j, "Failed to resolve %s: it is neither an address nor a name", text);
	if (n != 0)
		return false;
	j->resolve = resolve_start(j->loop, host, port, on_resolved, j);
	if (j->resolve == NULL)
		note_failure(j, "Failed to resolve %s: %s", text, strerror(errno));
	return j->resolve != NULL;
}

static void
proceed(struct join *j)
{
	for (;;) {
		if (j->target_next < j->target_count) {
			if (target_begin(j, &j->targets[j->target_next++]))
				return;
		} else if (j->next == j->count) {
			finish(j);
			return;
		} else if (address_begin(j, j->addresses[j->next++]))
			return;
	}
}

static void
on_begin(struct ev_loop *loop UNUSED, ev_timer *t, int events UNUSED)
{
	proceed(t->data);
}

struct join *
join_start(
    struct ev_loop *loop, struct pool *pool, const char *const *addresses, size_t count, join_done_cb *done, void *ctx)
{
	struct join *j = xcalloc(1, sizeof *j);

	*j = (struct join){.loop = loop, .pool = pool, .done = done, .ctx = ctx};
	j->count = MIN(count, JOIN_ADDRESSES_MAX);
	j->addresses = xcalloc(j->count + 1, sizeof *j->addresses);
	for (size_t i = 0; i < j->count; i++)
		j->addresses[i] = xstrdup(addresses[i]);
	buf_init(&j->errors, JOIN_ERROR_MAX);
	ev_timer_init(&j->begin, on_begin, 0., 0.);
	j->begin.data = j;
	ev_timer_start(loop, &j->begin);
	return j;
}

void
join_cancel(struct join *j)
{
	join_free(j);
}
