/*
 * check_helper.c - the kinds that a helper process runs (contract: check.h; helpers: check_exec.c, check_http.c)
 *
 * A helper that died says nothing about what is checked: the run is void, and the next one finds a new helper.
 */
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "mem.h"

#define REQUEST_BYTES_MAX (4u * 1024 * 1024)
#define CREDIT_BYTES (1u << 20)
#define GRACE_MS 5000 /* a helper that does not answer by then is stuck */

void
check_helper_cancel(struct check_runner *r)
{
	if (r->call != NULL)
		ipc_cancel(r->call);
	r->call = NULL;
}

/* ---- scripts ---- */

static void
script_result(struct check_runner *r, const struct exec_answer *a, struct buf *text, enum status *status)
{
	char timeout[DURATION_TEXT_MAX];

	*status = a->exit == 0 ? STATUS_PASSING : a->exit == 1 ? STATUS_WARNING : STATUS_CRITICAL;
	if (a->error.size != 0) {
		buf_put_bytes(text, a->error);
		*status = STATUS_CRITICAL;
		return;
	}
	if (a->timed_out) {
		buf_printf(text, "Timed out (%s) running check", duration_format(check_timeout_ns(r), timeout));
		if (a->output.size != 0)
			buf_put_str(text, "\n\n");
		*status = STATUS_CRITICAL;
	}
	if (a->total > a->output.size)
		buf_printf(text, "Captured %zu of %llu bytes\n...\n", a->output.size, (unsigned long long)a->total);
	buf_put_bytes(text, a->output);
}

static void
script_answered(void *ctx, const struct ipc_answer *answer)
{
	struct check_runner *r = ctx;
	struct exec_answer a;
	struct buf text = BUF_INIT(2 * REQUEST_BYTES_MAX);
	enum status status;
	const char *bad;

	if (!answer->more)
		r->call = NULL;
	if (answer->status != IPC_OK || schema_decode(&exec_answer_schema, answer->body, &a, &bad) == -1) {
		if (!answer->more)
			check_void(r);
		return;
	}
	script_result(r, &a, &text, &status);
	if (answer->more)
		check_report(r, status, buf_bytes(&text)); /* timed out; it is being killed */
	else if (!a.timed_out)
		check_done(r, status, buf_bytes(&text));
	else
		check_over(r);
	buf_free(&text);
}

static void
begin_script(struct check_runner *r)
{
	struct exec_request args = {
	    .args = r->type.script_args,
	    .timeout = check_timeout_ns(r),
	    .output_max = (int64_t)check_output_max(r),
	};
	struct ipc_call_options options = {.credit = CREDIT_BYTES, .fd = -1};
	struct ipc_peer *exec = check_options(r)->helper != NULL ? helper_exec(check_options(r)->helper) : NULL;
	struct buf b = BUF_INIT(REQUEST_BYTES_MAX);

	if (exec == NULL) {
		check_void(r);
		return;
	}
	schema_encode(&exec_request_schema, &args, &b);
	r->call = ipc_call(exec, "Exec.Run", buf_bytes(&b), &options, script_answered, r);
	buf_free(&b);
}

const struct check_kind check_kind_script = {.name = "script", .begin = begin_script, .cancel = check_helper_cancel};

/* ---- what check-http does ---- */

static void
probe_answered(void *ctx, const struct ipc_answer *answer)
{
	struct check_runner *r = ctx;
	struct probe_answer a;
	enum status status;
	const char *bad;

	r->call = NULL;
	if (answer->status == IPC_OK && schema_decode(&probe_answer_schema, answer->body, &a, &bad) == 0 &&
	    status_parse(a.status, &status) == 0)
		check_done(r, status, a.output);
	else if (answer->status == IPC_ERROR)
		check_done(r, STATUS_CRITICAL, answer->error);
	else
		check_void(r);
}

static void
fill_request(const struct check_runner *r, struct probe_request *args)
{
	const struct check_type *t = &r->type;
	const struct checks_options *o = check_options(r);
	const char *kind = check_type_text(t);
	struct mp h2_tls = mp_of(t->h2ping_use_tls);

	*args = (struct probe_request){
	    .kind = bytes_str(kind),
	    .method = t->method,
	    .header = t->header,
	    .body = t->body,
	    .disable_redirects = t->disable_redirects,
	    .tls_skip_verify = t->tls_skip_verify,
	    .tls_server_name = t->tls_server_name,
	    .ca_file = bytes_str(o->ca_file),
	    .cert_file = bytes_str(o->cert_file),
	    .key_file = bytes_str(o->key_file),
	    .timeout = check_timeout_ns(r),
	    .output_max = (int64_t)check_output_max(r),
	};
	if (strcmp(kind, "http") == 0) {
		args->target = t->http;
	} else if (strcmp(kind, "grpc") == 0) {
		args->target = t->grpc;
		args->tls = t->grpc_use_tls;
	} else if (strcmp(kind, "tcp") == 0) {
		args->target = t->tcp;
		args->tls = t->tcp_use_tls;
	} else if (strcmp(kind, "udp") == 0) {
		args->target = t->udp;
	} else if (strcmp(kind, "h2ping") == 0) {
		args->target = t->h2ping;
		args->tls = t->h2ping_use_tls.size == 0 || mp_peek(&h2_tls) == MP_NIL || mp_bool(&h2_tls);
	} else {
		args->target = t->docker_container_id;
		args->args = t->script_args;
	}
}

static void
begin_probe(struct check_runner *r)
{
	struct probe_request args;
	struct ipc_call_options options = {.fd = -1};
	struct ipc_peer *probe = check_options(r)->helper != NULL ? helper_probe(check_options(r)->helper) : NULL;
	struct buf b = BUF_INIT(REQUEST_BYTES_MAX);

	if (probe == NULL) {
		check_void(r);
		return;
	}
	fill_request(r, &args);
	options.timeout_ms = args.timeout / NS_PER_MS + GRACE_MS;
	schema_encode(&probe_request_schema, &args, &b);
	r->call = ipc_call(probe, "Probe.Run", buf_bytes(&b), &options, probe_answered, r);
	buf_free(&b);
}

const struct check_kind check_kind_probe = {.name = "probe", .begin = begin_probe, .cancel = check_helper_cancel};
