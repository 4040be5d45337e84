/*
 * check_http.c - check-http: HTTP, gRPC, TLS and name lookups for checkd's checks (contract: helper.h, probe.h)
 *
 * A process of its own because libcurl and OpenSSL cost some 5 MB and face what is checked: it holds no state, owns no file, and
 * is started when the first such check runs. One loop, libcurl's multi-socket interface.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "probe.h"
#include "sandbox.h"

#define PROBES_MAX 10000
#define OUTPUT_BYTES_MAX (16u * 1024 * 1024)
#define ANSWER_BYTES_MAX (40u * 1024 * 1024)

static struct ev_loop *loop;
static CURLM *multi;
static struct ev_timer multi_timer;
static size_t probes;

struct ev_loop *
probe_loop(void)
{
	return loop;
}

/* ---- answers ---- */

static void
probe_free(struct probe *p)
{
	if (p->kind->free != NULL)
		p->kind->free(p);
	if (p->added)
		curl_multi_remove_handle(multi, p->easy);
	curl_easy_cleanup(p->easy);
	curl_slist_free_all(p->headers);
	curl_slist_free_all(p->connect_to);
	tail_free(&p->body);
	region_free(p->region);
	free(p);
	probes--;
}

void
probe_finish_bytes(struct probe *p, enum status status, struct bytes text)
{
	struct probe_answer a = {.status = bytes_str(status_text(status)), .output = text};
	struct buf b = BUF_INIT(ANSWER_BYTES_MAX);

	schema_encode(&probe_answer_schema, &a, &b);
	ipc_reply(p->stream, buf_bytes(&b));
	buf_free(&b);
	probe_free(p);
}

static void
cancelled(struct ipc_stream *s UNUSED, void *ctx)
{
	probe_free(ctx);
}

/* ---- libcurl's sockets and timer in our loop ---- */

static void
collect(void)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(multi, &left)) != NULL) {
		struct probe *p = NULL;
		CURLcode result = m->data.result;
		CURL *easy = m->easy_handle;
		if (m->msg != CURLMSG_DONE || curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&p) != CURLE_OK ||
		    p == NULL)
			continue;
		p->kind->done(p, result);
	}
}

static void
socket_ready(struct ev_loop *l UNUSED, struct ev_io *w, int events)
{
	int running, action = (events & EV_READ ? CURL_CSELECT_IN : 0) | (events & EV_WRITE ? CURL_CSELECT_OUT : 0);

	curl_multi_socket_action(multi, w->fd, action, &running);
	collect();
}

static int
socket_wanted(CURL *easy UNUSED, curl_socket_t fd, int what, void *ctx UNUSED, void *slot)
{
	struct ev_io *w = slot;

	if (what == CURL_POLL_REMOVE) {
		if (w != NULL)
			ev_io_stop(loop, w);
		free(w);
		curl_multi_assign(multi, fd, NULL);
		return 0;
	}
	if (w == NULL) {
		w = xcalloc(1, sizeof *w);
		ev_init(w, socket_ready);
		curl_multi_assign(multi, fd, w);
	} else {
		ev_io_stop(loop, w);
	}
	ev_io_set(w, fd, (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));
	ev_io_start(loop, w);
	return 0;
}

static void
timer_fired(struct ev_loop *l UNUSED, struct ev_timer *w UNUSED, int events UNUSED)
{
	int running;

	curl_multi_socket_action(multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect();
}

static int
timer_wanted(CURLM *m UNUSED, long ms, void *ctx UNUSED)
{
	ev_timer_stop(loop, &multi_timer);
	if (ms >= 0) {
		ev_timer_set(&multi_timer, (ev_tstamp)ms / 1000., 0.);
		ev_timer_start(loop, &multi_timer);
	}
	return 0;
}

void
probe_go(struct probe *p)
{
	if (p->added)
		curl_multi_remove_handle(multi, p->easy);
	p->added = true;
	curl_multi_add_handle(multi, p->easy);
}

/* ---- requests ---- */

static const struct probe_kind *
kind_called(struct bytes name)
{
	static const struct probe_kind *const kinds[] = {&probe_kind_http, &probe_kind_tcp, &probe_kind_grpc,
	    &probe_kind_h2ping, &probe_kind_udp, &probe_kind_docker};

	for (size_t i = 0; i < COUNTOF(kinds); i++)
		if (bytes_is(name, kinds[i]->name))
			return kinds[i];
	return NULL;
}

static void
probe_run(struct ipc_stream *s, struct bytes args, void *ctx UNUSED)
{
	struct region *region = region_new();
	struct probe_request q;
	const struct probe_kind *kind;
	struct probe *p;
	const char *bad;

	if (probes >= PROBES_MAX || schema_decode(&probe_request_schema, region_copy(region, args), &q, &bad) == -1 ||
	    (kind = kind_called(q.kind)) == NULL) {
		ipc_fail(
		    s, 0, probes >= PROBES_MAX ? "too many checks at once" : "this kind of check is not supported");
		region_free(region);
		return;
	}
	p = xcalloc(1, sizeof *p);
	probes++;
	p->stream = s;
	p->kind = kind;
	p->region = region;
	p->request = q;
	tail_init(&p->body, (size_t)MIN(MAX(q.output_max, 1), (int64_t)OUTPUT_BYTES_MAX));
	p->easy = curl_easy_init();
	if (p->easy == NULL)
		fatalx("agent", "out of memory");
	ipc_stream_watch(s, cancelled, NULL, p);
	probe_common(p);
	if (kind->begin(p) == 0)
		probe_go(p);
}

static void
checkd_gone(void *ctx UNUSED)
{
	ev_break(loop, EVBREAK_ALL);
}

int
main(void)
{
	static const struct ipc_method methods[] = {{"Probe.Run", probe_run}};
	static const struct ipc_service service = {methods, COUNTOF(methods), NULL};
	/* libcurl's resolver is a thread, UDP checks of names are a child */
	static const char *const syscalls[] = {"clone", "clone3", "fork", "wait4", "alarm", "setitimer", NULL};
	struct ipc_peer *checkd;

	log_init("check-http", LOG_INFO_LEVEL);
	signal(SIGPIPE, SIG_IGN);
	if (fcntl(HELPER_FD, F_SETFD, FD_CLOEXEC) == -1)
		fatal("agent", "check-http is started by checkd");
	loop = ev_default_loop(0);
	ev_init(&multi_timer, timer_fired);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (multi = curl_multi_init()) == NULL)
		fatalx("agent", "libcurl");
	curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, socket_wanted);
	curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, timer_wanted);
	checkd = ipc_peer_from_fd(ipc_new(loop, "check-http"), HELPER_FD, false, &service);
	ipc_peer_watch(checkd, NULL, checkd_gone, NULL);
	if (sandbox_enter(syscalls) == -1)
		log_warn("agent", "check-http: sandbox: not available, going on without");
	ev_run(loop, 0);
	return 0;
}
