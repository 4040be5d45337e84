/*
 * probe_docker.c - checks inside a container, by Docker's HTTP API (contract: probe.h; facts: behaviour.md 1.7)
 *
 * Three requests one after the other: make the exec, start it and read its output, ask for its exit code. The output comes
 * in frames of eight bytes of head (stream, 0, 0, 0, length) and payload.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_text.h"
#include "json.h"
#include "probe.h"

#define SOCKET_DEFAULT "/var/run/docker.sock"
#define REPLY_BYTES_MAX (1u << 20)
#define FRAME_HEAD_BYTES 8
#define ID_MAX 128

enum step { CREATE, START, INSPECT };
static const char *const step_names[] = {"create", "start", "inspect"};

struct docker {
	enum step step;
	const char *socket; /* NULL: TCP */
	const char *base;   /* "http://docker" */
	char id[ID_MAX];
	struct buf request, reply;
	struct tail output;
	uint8_t head[FRAME_HEAD_BYTES];
	size_t have, left;
};

static void
take_output(struct docker *d, const uint8_t *data, size_t size)
{
	while (size > 0) {
		size_t n;
		if (d->left > 0) {
			n = MIN(d->left, size);
			tail_put(&d->output, data, n);
			d->left -= n;
		} else {
			n = MIN(FRAME_HEAD_BYTES - d->have, size);
			memcpy(d->head + d->have, data, n);
			d->have += n;
			if (d->have == FRAME_HEAD_BYTES) {
				d->left = be32_at(d->head + 4);
				d->have = 0;
			}
		}
		data += n;
		size -= n;
	}
}

static size_t
keep(char *data, size_t one, size_t size, void *ctx)
{
	struct docker *d = ((struct probe *)ctx)->own;

	if (d->step == START)
		take_output(d, (const uint8_t *)data, one * size);
	else
		buf_put(&d->reply, data, one * size);
	return one * size;
}

static void
fill_create(struct probe *p, struct buf *b)
{
	struct mp in = mp_of(p->request.args);
	uint32_t count = p->request.args.size != 0 ? mp_array(&in) : 0;

	buf_put_str(b, "{\"AttachStdin\":false,\"AttachStdout\":true,\"AttachStderr\":true,\"Tty\":false,\"Cmd\":[");
	for (uint32_t i = 0; i < count; i++) {
		if (i > 0)
			buf_put_str(b, ",");
		json_put_str(b, mp_str(&in));
	}
	buf_put_str(b, "]}");
}

static void
prepare(struct probe *p)
{
	struct docker *d = p->own;
	const char *container = probe_text(p, p->request.target);

	buf_clear(&d->request);
	buf_clear(&d->reply);
	switch (d->step) {
	case CREATE:
		fill_create(p, &d->request);
		curl_easy_setopt(
		    p->easy, CURLOPT_URL, region_printf(p->region, "%s/containers/%s/exec", d->base, container));
		break;
	case START:
		buf_put_str(&d->request, "{\"Detach\":false,\"Tty\":false}");
		curl_easy_setopt(p->easy, CURLOPT_URL, region_printf(p->region, "%s/exec/%s/start", d->base, d->id));
		break;
	case INSPECT:
		curl_easy_setopt(p->easy, CURLOPT_HTTPGET, 1L);
		curl_easy_setopt(p->easy, CURLOPT_URL, region_printf(p->region, "%s/exec/%s/json", d->base, d->id));
		return;
	}
	curl_easy_setopt(p->easy, CURLOPT_POSTFIELDSIZE, (long)d->request.used);
	curl_easy_setopt(p->easy, CURLOPT_POSTFIELDS, (const char *)d->request.data);
}

static int
begin(struct probe *p)
{
	struct docker *d = region_alloc(p->region, sizeof *d);
	const char *host = getenv("DOCKER_HOST");

	*d = (struct docker){.step = CREATE, .socket = SOCKET_DEFAULT, .base = "http://docker"};
	p->own = d;
	buf_init(&d->request, REPLY_BYTES_MAX);
	buf_init(&d->reply, REPLY_BYTES_MAX);
	tail_init(&d->output, p->body.keep);
	if (host != NULL && strncmp(host, "unix://", 7) == 0) {
		d->socket = host + 7;
	} else if (host != NULL && strncmp(host, "tcp://", 6) == 0) {
		d->socket = NULL;
		d->base = region_printf(p->region, "http://%s", host + 6);
	}
	if (d->socket != NULL)
		curl_easy_setopt(p->easy, CURLOPT_UNIX_SOCKET_PATH, d->socket);
	curl_easy_setopt(p->easy, CURLOPT_TIMEOUT_MS, 0L);
	curl_easy_setopt(p->easy, CURLOPT_WRITEFUNCTION, keep);
	probe_header(p, "Content-Type: application/json");
	probe_header(p, "Expect:");
	curl_easy_setopt(p->easy, CURLOPT_HTTPHEADER, p->headers);
	prepare(p);
	return 0;
}

/* The way that a URL names a socket's path: slashes escaped. */
static const char *
escaped(struct probe *p, const char *path)
{
	char *out = region_alloc(p->region, strlen(path) * 3 + 1), *at = out;

	for (; *path != '\0'; path++)
		at += *path == '/' ? sprintf(at, "%%2F") : sprintf(at, "%c", *path);
	*at = '\0';
	return out;
}

static void
fail(struct probe *p, CURLcode result, long code)
{
	struct docker *d = p->own;
	const char *container = probe_text(p, p->request.target), *step = step_names[d->step];
	char reason[PROBE_ERROR_MAX], text[128];
	long error = 0;

	if (result == CURLE_OK && code == 404) {
		probe_finish(p, STATUS_CRITICAL,
		    region_printf(p->region, "%s exec failed for unknown container %s", step, container));
		return;
	}
	if (result == CURLE_OK && code == 409) {
		probe_finish(p, STATUS_CRITICAL,
		    region_printf(
			p->region, "%s exec failed since container %s is paused or stopped", step, container));
		return;
	}
	if (result == CURLE_OK) {
		snprintf(reason, sizeof reason, "status code %ld", code);
	} else if (d->socket != NULL) {
		curl_easy_getinfo(p->easy, CURLINFO_OS_ERRNO, &error);
		snprintf(reason, sizeof reason, "Post \"http://%s/containers/%s/exec\": dial unix %s: connect: %s",
		    escaped(p, d->socket), container, d->socket,
		    check_text_errno(error != 0 ? (int)error : 2, text, sizeof text));
	} else {
		probe_dial_error(p, result, d->base + strlen("http://"), reason);
	}
	probe_finish(p, STATUS_CRITICAL,
	    region_printf(p->region, "%s exec failed for container %s: %s", step, container, reason));
}

static void
give_result(struct probe *p, int64_t exit_code)
{
	struct docker *d = p->own;
	struct bytes output = tail_bytes(&d->output);
	struct buf text = BUF_INIT(2 * d->output.keep + 256);

	if (tail_total(&d->output) > output.size)
		buf_printf(&text, "Captured %zu of %llu bytes\n...\n", output.size,
		    (unsigned long long)tail_total(&d->output));
	buf_put_bytes(&text, output);
	probe_finish_bytes(p,
	    exit_code == 0   ? STATUS_PASSING
	    : exit_code == 1 ? STATUS_WARNING
			     : STATUS_CRITICAL,
	    buf_bytes(&text));
	buf_free(&text);
}

static void
done(struct probe *p, CURLcode result)
{
	struct docker *d = p->own;
	struct buf message = BUF_INIT(REPLY_BYTES_MAX);
	struct json_error error;
	long code = 0;

	curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &code);
	if (result != CURLE_OK || code < 200 || code >= 300) {
		fail(p, result, code);
		return;
	}
	if (d->step != START && json_to_mp(buf_bytes(&d->reply), &message, &error) == -1) {
		probe_finish(p, STATUS_CRITICAL,
		    region_printf(p->region, "%s exec failed: %s", step_names[d->step], error.text));
		buf_free(&message);
		return;
	}
	if (d->step == INSPECT) {
		give_result(p, mp_find_int(buf_bytes(&message), "ExitCode"));
	} else if (d->step == CREATE &&
		   bytes_to_str(mp_find_str(buf_bytes(&message), "Id"), d->id, sizeof d->id) == -1) {
		probe_finish(p, STATUS_CRITICAL, "create exec failed: no ID in the answer");
	} else {
		d->step++;
		prepare(p);
		probe_go(p);
	}
	buf_free(&message);
}

static void
release(struct probe *p)
{
	struct docker *d = p->own;

	if (d == NULL)
		return;
	buf_free(&d->request);
	buf_free(&d->reply);
	tail_free(&d->output);
}

const struct probe_kind probe_kind_docker = {"docker", begin, done, release};
