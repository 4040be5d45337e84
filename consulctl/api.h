/*
 * api.h - requests to the agent's HTTP API
 *
 * The address, token, TLS material and common query parameters come from the flags and the CONSUL_* environment (cli.md 3). Errors are
 * texts in the reference's form (cli.md 4), without the command's own prefix.
 */
#ifndef CONSULCTL_API_H
#define CONSULCTL_API_H

#include "buf.h"
#include "command.h"
#include "json_value.h"

#define API_BODY_MAX (256u << 20)
#define API_PARAMS_MAX 32

struct api;

/*
 * What the command line asks for. NULL: *error says why (the region's), the caller prints its prefix and the text. Nothing is sent yet.
 */
MUST_USE struct api *api_new(const struct invocation *in, const char **error);
/* The same; the error is told. */
MUST_USE struct api *api_connect(const struct invocation *in);
void api_free(struct api *api); /* api may be NULL */

struct request {
	struct region *region;
	const char *method;
	const char *path; /* escaped */
	struct param {
		const char *name;
		const char *value;
	} params[API_PARAMS_MAX];
	size_t count;
	struct bytes body;
	bool has_body;
	const char *content_type;
	bool plain;                /* without the token */
	int64_t timeout_ns;        /* 0: none */
	bool (*interrupted)(void); /* asked about once a second; true ends the transfer. May be NULL */
	/* Pieces of a successful answer go here as they come instead of into response.body. -1 ends the transfer. */
	int (*sink)(void *context, struct bytes piece);
	void *context;
};

/* path begins with /v1/ and is taken as it is. */
void request_init(struct request *r, struct region *region, const char *method, const char *path);
/* Appends text to the path with everything escaped but unreserved characters and, with slashes, '/'. */
void request_path(struct request *r, const char *text, bool slashes);
/* ?name=value; value NULL is a name alone (name=). */
void request_param(struct request *r, const char *name, const char *value);
void request_body(struct request *r, struct bytes body, const char *content_type);

struct response {
	long status; /* 0: no answer */
	uint64_t index;
	struct buf body;
	struct buf tape;
	struct mp json; /* after api_json */
	char *error;    /* after a failure */
};

/* An answer of any status. -1: no answer, response->error. Every response is freed by response_free. */
MUST_USE int api_send(struct api *api, const struct request *r, struct response *response);
/* An answer with status 200, else -1 and response->error (`Unexpected response code: 500 (text)`). */
MUST_USE int api_get(struct api *api, const struct request *r, struct response *response);
/* api_get, and its body parsed into response->json. */
MUST_USE int api_json(struct api *api, const struct request *r, struct response *response);
/* Makes response->error of an answer whose status is not wanted; -1. */
int api_unexpected(struct response *response);
/* Parses the body; -1 and response->error. */
MUST_USE int api_parse(struct response *response);
void response_free(struct response *response);

/* Simple forms: GET of a path, parsed; PUT of a path without body. */
MUST_USE int api_json_of(struct api *api, const char *path, struct response *response);
MUST_USE int api_put(struct api *api, const char *path, struct response *response);

#endif
