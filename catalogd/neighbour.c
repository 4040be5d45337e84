/*
 * neighbour.c - requests that another daemon of this node answers (contract: neighbour.h; callers: stats.c, pools.c)
 */
#include "neighbour.h"

#include <stdlib.h>

#include "mem.h"

struct neighbour_question {
	struct neighbour_asker asker;
	struct ipc_call *call;
};

static void
on_asker_gone(struct ipc_stream *s, void *ctx)
{
	struct neighbour_question *q = ctx;

	(void)s;
	ipc_cancel(q->call);
	free(q);
}

struct neighbour_asker
neighbour_end(struct neighbour_question *q)
{
	struct neighbour_asker asker = q->asker;

	ipc_stream_watch(asker.stream, NULL, NULL, NULL);
	free(q);
	return asker;
}

void
neighbour_ask(struct catalogd *c, struct ipc_stream *s, const struct neighbour_ask *ask, ipc_answer_cb *answered)
{
	struct neighbour_question *q = xcalloc(1, sizeof *q);

	q->asker = (struct neighbour_asker){c, s};
	q->call = ipc_call(daemon_peer(c->daemon, ask->peer), ask->method, ask->args,
	    &(struct ipc_call_options){.timeout_ms = ask->timeout_ms, .flags = ask->flags}, answered, q);
	ipc_stream_watch(s, on_asker_gone, NULL, q);
}

void
neighbour_fail(struct ipc_stream *s, const struct ipc_answer *answer, const char *prefix)
{
	ipc_fail(s, answer->code, "%s%.*s", prefix, (int)answer->error.size,
	    answer->error.size == 0 ? "" : (const char *)answer->error.data);
}
