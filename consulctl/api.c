/*
 * api.c - the HTTP client (contract: api.h)
 *
 * libcurl does the work. Its own reading of the environment (proxies for loopback addresses, netrc) is switched off: the agent is
 * named by our flags alone.
 */
#include "api.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "duration.h"
#include "output.h"

#define TOKEN_FILE_MAX 65536
#define CA_BYTES_MAX (16u << 20)

struct api {
	CURL *curl;
	struct region *region;
	const char *scheme;
	const char *host;        /* host:port as given, for the URL */
	const char *prefix;      /* path before /v1, or "" */
	const char *socket_path; /* unix socket, or NULL */
	const char *token;
	const char *basic; /* user:password, or NULL */
	const char *datacenter;
	const char *namespace;
	const char *partition;
	bool stale;
	char detail[CURL_ERROR_SIZE]; /* libcurl's words for the last failure */
};

/* A request on its way. */
struct transfer {
	struct api *api;
	const struct request *request;
	struct response *response;
	bool aborted;
};

/* ---- where the agent is ---- */

static const char *
environment(const char *name)
{
	const char *value = getenv(name);

	return value == NULL || *value == '\0' ? NULL : value;
}

/* Flag, else environment, else NULL. */
static const char *
setting(const struct invocation *in, const char *flag, const char *variable)
{
	const char *value = flags_has(in->flags, flag) ? flags_text(in->flags, flag, NULL) : NULL;

	return value != NULL && *value != '\0' ? value : environment(variable);
}

/* An environment boolean; bad spelling is told and ignored. */
static bool
environment_bool(const char *name, bool fallback)
{
	const char *text = environment(name);
	char now[RFC3339_TEXT_MAX];
	bool value;

	if (text == NULL)
		return fallback;
	if (flags_parse_bool(text, &value) == 0)
		return value;
	fprintf(stderr,
	    "%s [WARN]  consul-api: could not parse %s: error=\"strconv.ParseBool: parsing \\\"%s\\\": invalid "
	    "syntax\"\n",
	    rfc3339_format(walltime_ns(), now), name, text);
	return fallback;
}

/* "host:port", "http://host:port/prefix", "unix:///path". -1: *error. */
static int
parse_address(struct api *api, const char *address, const char **error)
{
	const char *rest = strstr(address, "://"), *slash;

	api->scheme = environment_bool("CONSUL_HTTP_SSL", false) ? "https" : "http";
	api->prefix = "";
	if (rest == NULL) {
		rest = address;
	} else {
		size_t size = (size_t)(rest - address);

		rest += 3;
		if (size == 4 && strncmp(address, "unix", 4) == 0) {
			api->socket_path = region_strndup(api->region, rest, strlen(rest));
			api->host = "localhost";
			return 0;
		}
		if (size == 5 && strncmp(address, "https", 5) == 0) {
			api->scheme = "https";
		} else if (!(size == 4 && strncmp(address, "http", 4) == 0)) {
			*error = region_printf(api->region, "Unknown protocol scheme: %.*s", (int)size, address);
			return -1;
		}
	}
	slash = strchr(rest, '/');
	if (slash != NULL) {
		size_t size = strlen(slash);

		while (size > 0 && slash[size - 1] == '/')
			size--;
		api->prefix = region_strndup(api->region, slash, size);
		api->host = region_strndup(api->region, rest, (size_t)(slash - rest));
	} else {
		api->host = region_strndup(api->region, rest, strlen(rest));
	}
	return 0;
}

/* The token of a file, trimmed. NULL: *error. */
static const char *
read_token(struct api *api, const char *path, const char **error)
{
	char text[TOKEN_FILE_MAX], *start = text;
	FILE *file = fopen(path, "r");
	size_t n;

	if (file == NULL) {
		const char *why = strerror(errno);

		*error = region_printf(api->region, "Error loading token file %s : open %s: %c%s", path, path,
		    tolower((unsigned char)why[0]), why + 1);
		return NULL;
	}
	n = fread(text, 1, sizeof text - 1, file);
	fclose(file);
	while (n > 0 && isspace((unsigned char)text[n - 1]))
		n--;
	text[n] = '\0';
	while (isspace((unsigned char)*start))
		start++;
	return region_strndup(api->region, start, strlen(start));
}

/* -token-file, -token, then the environment in the same order. -1: *error. */
static int
choose_token(struct api *api, const struct invocation *in, const char **error)
{
	const char *file = flags_text(in->flags, "token-file", NULL), *token = flags_text(in->flags, "token", NULL);

	if (file == NULL && token == NULL) {
		file = environment("CONSUL_HTTP_TOKEN_FILE");
		token = environment("CONSUL_HTTP_TOKEN");
	}
	api->token = token;
	if (file == NULL || *file == '\0')
		return 0;
	api->token = read_token(api, file, error);
	return api->token == NULL ? -1 : 0;
}

static const char *
open_error(struct api *api, const char *what, const char *path)
{
	const char *why = strerror(errno);

	return region_printf(
	    api->region, "Error loading %s: open %s: %c%s", what, path, tolower((unsigned char)why[0]), why + 1);
}

/* All files of a directory become the certificates to trust; their names do not matter. -1: *error. */
static int
trust_directory(struct api *api, const char *path, const char **error)
{
	struct buf all = BUF_INIT(CA_BYTES_MAX);
	struct curl_blob blob;
	struct dirent *entry;
	char why[512];
	DIR *directory = opendir(path);

	if (directory == NULL) {
		*error = open_error(api, "CA Path", path);
		return -1;
	}
	while ((entry = readdir(directory)) != NULL) {
		const char *name = region_printf(api->region, "%s/%s", path, entry->d_name);
		struct stat st;

		if (stat(name, &st) == -1 || !S_ISREG(st.st_mode))
			continue;
		if (input_file(name, &all, why, sizeof why) == -1) {
			*error = region_printf(api->region, "Error loading CA File: %s", why);
			break;
		}
		buf_put_u8(&all, '\n');
	}
	closedir(directory);
	blob = (struct curl_blob){all.data, all.used, CURL_BLOB_COPY};
	curl_easy_setopt(api->curl, CURLOPT_CAINFO_BLOB, &blob);
	buf_free(&all);
	return **error == '\0' ? 0 : -1;
}

/* CA, client certificate, name and verification. -1: *error. */
static int
set_tls(struct api *api, const struct invocation *in, const char **error)
{
	const char *ca_file = setting(in, "ca-file", "CONSUL_CACERT"),
		   *ca_path = setting(in, "ca-path", "CONSUL_CAPATH");
	const char *certificate = setting(in, "client-cert", "CONSUL_CLIENT_CERT");
	const char *key = setting(in, "client-key", "CONSUL_CLIENT_KEY");
	bool verify = environment_bool("CONSUL_HTTP_SSL_VERIFY", true);

	if (ca_file != NULL && access(ca_file, R_OK) == -1) {
		*error = open_error(api, "CA File", ca_file);
		return -1;
	}
	if (ca_file == NULL && ca_path != NULL && trust_directory(api, ca_path, error) == -1)
		return -1;
	if ((certificate == NULL) != (key == NULL)) {
		*error = "both client cert and client key must be provided";
		return -1;
	}
	if (ca_file != NULL)
		curl_easy_setopt(api->curl, CURLOPT_CAINFO, ca_file);
	if (certificate != NULL) {
		curl_easy_setopt(api->curl, CURLOPT_SSLCERT, certificate);
		curl_easy_setopt(api->curl, CURLOPT_SSLKEY, key);
	}
	curl_easy_setopt(api->curl, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
	curl_easy_setopt(api->curl, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
	return 0;
}

/*
 * -tls-server-name: the name goes into the URL (SNI, verification), the connection to the real place. The Host header stays the
 * address.
 */
static void
set_server_name(struct api *api, const struct invocation *in)
{
	const char *name = setting(in, "tls-server-name", "CONSUL_TLS_SERVER_NAME");
	struct curl_slist *connect_to;

	if (name == NULL || strcmp(api->scheme, "https") != 0)
		return;
	connect_to = curl_slist_append(NULL, region_printf(api->region, "::%s", api->host));
	curl_easy_setopt(api->curl, CURLOPT_CONNECT_TO, connect_to);
	curl_easy_setopt(api->curl, CURLOPT_PRIVATE, connect_to);
	api->host = region_printf(api->region, "%.*s", (int)strcspn(name, ":"), name);
}

struct api *
api_new(const struct invocation *in, const char **error)
{
	struct api *api = region_alloc(in->region, sizeof *api);
	const char *address = setting(in, "http-addr", "CONSUL_HTTP_ADDR");

	*error = "";
	*api = (struct api){.region = in->region, .curl = curl_easy_init()};
	if (api->curl == NULL) {
		*error = "libcurl gives no handle";
		return NULL;
	}
	if (parse_address(api, address == NULL ? "127.0.0.1:8500" : address, error) == -1 ||
	    choose_token(api, in, error) == -1 || set_tls(api, in, error) == -1) {
		curl_easy_cleanup(api->curl);
		return NULL;
	}
	curl_easy_setopt(api->curl, CURLOPT_ERRORBUFFER, api->detail);
	set_server_name(api, in);
	api->basic = environment("CONSUL_HTTP_AUTH");
	if ((in->command->options & COMMAND_SERVER) != 0) {
		api->datacenter = flags_text(in->flags, "datacenter", NULL);
		api->stale = flags_bool(in->flags, "stale");
	}
	if ((in->command->options & COMMAND_NAMESPACE) != 0)
		api->namespace = setting(in, "namespace", "CONSUL_NAMESPACE");
	if ((in->command->options & COMMAND_PARTITION) != 0)
		api->partition = setting(in, "partition", "CONSUL_PARTITION");
	return api;
}

struct api *
api_connect(const struct invocation *in)
{
	const char *error;
	struct api *api = api_new(in, &error);

	if (api == NULL)
		command_fail("Error connecting to Consul agent: %s", error);
	return api;
}

void
api_free(struct api *api)
{
	struct curl_slist *connect_to = NULL;

	if (api == NULL)
		return;
	curl_easy_getinfo(api->curl, CURLINFO_PRIVATE, &connect_to);
	curl_easy_cleanup(api->curl);
	curl_slist_free_all(connect_to);
}

/* ---- requests ---- */

void
request_init(struct request *r, struct region *region, const char *method, const char *path)
{
	*r = (struct request){.region = region, .method = method, .path = path};
}

/* Everything but letters, digits, -_.~ and the characters of keep becomes %XX. */
static const char *
escape(struct region *region, const char *text, const char *keep)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = region_alloc(region, 3 * strlen(text) + 1), *to = out;

	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;

		if ((c < 0x80 && isalnum(c)) || strchr("-_.~", c) != NULL || strchr(keep, c) != NULL) {
			*to++ = (char)c;
		} else {
			*to++ = '%';
			*to++ = hex[c >> 4];
			*to++ = hex[c & 15];
		}
	}
	*to = '\0';
	return out;
}

void
request_path(struct request *r, const char *text, bool slashes)
{
	r->path = region_printf(r->region, "%s%s", r->path, escape(r->region, text, slashes ? "/$&+,:;=@" : "$&+:=@"));
}

/* In the order of the names, as the reference sends them. */
void
request_param(struct request *r, const char *name, const char *value)
{
	size_t at = r->count;

	if (r->count == API_PARAMS_MAX)
		return;
	while (at > 0 && strcmp(r->params[at - 1].name, name) > 0) {
		r->params[at] = r->params[at - 1];
		at--;
	}
	r->params[at] = (struct param){name, value};
	r->count++;
}

void
request_body(struct request *r, struct bytes body, const char *content_type)
{
	r->body = body;
	r->has_body = true;
	r->content_type = content_type;
}

static const char *
make_url(struct api *api, const struct request *given)
{
	struct request r = *given;
	const char *url = region_printf(r.region, "%s://%s%s%s", api->scheme, api->host, api->prefix, r.path);

	if (api->datacenter != NULL)
		request_param(&r, "dc", api->datacenter);
	if (api->stale && strcmp(r.method, "GET") == 0)
		request_param(&r, "stale", NULL);
	if (api->namespace != NULL)
		request_param(&r, "ns", api->namespace);
	if (api->partition != NULL)
		request_param(&r, "partition", api->partition);
	for (size_t i = 0; i < r.count; i++)
		url = region_printf(r.region, "%s%c%s=%s", url, i == 0 ? '?' : '&',
		    escape(r.region, r.params[i].name, ""),
		    r.params[i].value == NULL ? "" : escape(r.region, r.params[i].value, ""));
	return url;
}

static size_t
on_body(char *data, size_t size, size_t count, void *context)
{
	struct transfer *t = context;
	long status = 0;

	(void)size;
	curl_easy_getinfo(t->api->curl, CURLINFO_RESPONSE_CODE, &status);
	if (t->request->sink != NULL && status == 200) {
		if (t->request->sink(t->request->context, bytes_of(data, count)) == -1) {
			t->aborted = true;
			return 0;
		}
		return count;
	}
	buf_put(&t->response->body, data, count);
	return t->response->body.overflow ? 0 : count;
}

static int
on_progress(void *context, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct transfer *t = context;

	(void)a, (void)b, (void)c, (void)d;
	return t->request->interrupted != NULL && t->request->interrupted();
}

static size_t
on_header(char *data, size_t size, size_t count, void *context)
{
	static const char name[] = "X-Consul-Index:";
	struct response *response = context;

	(void)size;
	if (count > sizeof name && strncasecmp(data, name, sizeof name - 1) == 0) {
		char number[32];
		size_t n = MIN(count - (sizeof name - 1), sizeof number - 1);

		memcpy(number, data + sizeof name - 1, n);
		number[n] = '\0';
		response->index = strtoull(number, NULL, 10);
	}
	return count;
}

/* What Go's client says instead of libcurl. */
static const char *
network_cause(struct api *api, struct region *region, CURLcode code)
{
	const char *at = api->host;
	long number = 0;

	curl_easy_getinfo(api->curl, CURLINFO_OS_ERRNO, &number);
	if (code == CURLE_COULDNT_CONNECT && number != 0) {
		char *lower = region_printf(region, "%s", strerror((int)number));

		lower[0] = (char)tolower((unsigned char)lower[0]);
		if (api->socket_path != NULL)
			return region_printf(region, "dial unix %s: connect: %s", api->socket_path, lower);
		return region_printf(
		    region, "dial tcp %s%s: connect: %s", at, strchr(at, ':') == NULL ? ":80" : "", lower);
	}
	if (code == CURLE_COULDNT_RESOLVE_HOST)
		return region_printf(region, "dial tcp: lookup %.*s: no such host", (int)strcspn(at, ":"), at);
	if (code == CURLE_SSL_CONNECT_ERROR)
		return "http: server gave HTTP response to HTTPS client";
	if (code == CURLE_PEER_FAILED_VERIFICATION)
		return region_printf(region, "tls: failed to verify certificate: %s", api->detail);
	if (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_PARTIAL_FILE)
		return "EOF";
	return curl_easy_strerror(code);
}

/* "Get", "Put" */
static const char *
method_name(const struct request *r)
{
	char *name = region_strndup(r->region, r->method, strlen(r->method));

	for (char *c = name + 1; *c != '\0'; c++)
		*c = (char)tolower((unsigned char)*c);
	return name;
}

static struct curl_slist *
set_headers(struct api *api, const struct request *r)
{
	struct curl_slist *headers = curl_slist_append(NULL, "Expect:");

	if (r->has_body)
		headers = curl_slist_append(
		    headers, region_printf(r->region, "Content-Type: %s",
				 r->content_type == NULL ? "application/octet-stream" : r->content_type));
	else
		headers = curl_slist_append(headers, "Content-Type:");
	if (!r->plain && api->token != NULL && *api->token != '\0')
		headers = curl_slist_append(headers, region_printf(r->region, "X-Consul-Token: %s", api->token));
	curl_easy_setopt(api->curl, CURLOPT_HTTPHEADER, headers);
	return headers;
}

static bool
is_loopback(const char *host)
{
	return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 || strncmp(host, "[::1]", 5) == 0;
}

static void
set_options(struct transfer *t, const char *url)
{
	CURL *curl = t->api->curl;
	const struct request *r = t->request;

	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
	curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, t->response);
	curl_easy_setopt(curl, CURLOPT_NOPROGRESS, r->interrupted == NULL ? 1L : 0L);
	curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(r->timeout_ns / NS_PER_MS));
	if (r->has_body || strcmp(r->method, "PUT") == 0) { /* a PUT has a length, even if it is 0 */
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.size);
		curl_easy_setopt(
		    curl, CURLOPT_POSTFIELDS, r->body.data == NULL ? (const char *)"" : (const char *)r->body.data);
	} else {
		curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
	}
	if (t->api->socket_path != NULL)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, t->api->socket_path);
	if (t->api->socket_path != NULL || is_loopback(t->api->host))
		curl_easy_setopt(curl, CURLOPT_PROXY, "");
	if (t->api->basic != NULL) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(curl, CURLOPT_USERPWD, t->api->basic);
	}
}

int
api_send(struct api *api, const struct request *r, struct response *response)
{
	struct transfer t = {.api = api, .request = r, .response = response};
	const char *url = make_url(api, r);
	struct curl_slist *headers;
	CURLcode code;

	*response = (struct response){.body = BUF_INIT(API_BODY_MAX)};
	headers = set_headers(api, r);
	set_options(&t, url);
	code = curl_easy_perform(api->curl);
	curl_easy_setopt(api->curl, CURLOPT_HTTPHEADER, NULL);
	curl_slist_free_all(headers);
	if (code == CURLE_OK || t.aborted) {
		curl_easy_getinfo(api->curl, CURLINFO_RESPONSE_CODE, &response->status);
		return 0;
	}
	response->error = xasprintf("%s \"%s\": %s", method_name(r), url, network_cause(api, r->region, code));
	return -1;
}

int
api_unexpected(struct response *response)
{
	struct bytes text = buf_bytes(&response->body);

	while (text.size > 0 && isspace(text.data[text.size - 1]))
		text.size--;
	response->error = xasprintf("Unexpected response code: %ld (%.*s)", response->status, (int)text.size,
	    text.size == 0 ? "" : (const char *)text.data);
	return -1;
}

int
api_get(struct api *api, const struct request *r, struct response *response)
{
	if (api_send(api, r, response) == -1)
		return -1;
	return response->status == 200 ? 0 : api_unexpected(response);
}

int
api_parse(struct response *response)
{
	struct json_error error;

	response->tape = BUF_INIT(JSON_TAPE_FACTOR * response->body.used + 64);
	if (json_parse(buf_bytes(&response->body), &response->tape, &error) == -1) {
		response->error = xstrdup(error.text);
		return -1;
	}
	response->json = mp_of(buf_bytes(&response->tape));
	return 0;
}

int
api_json(struct api *api, const struct request *r, struct response *response)
{
	return api_get(api, r, response) == -1 ? -1 : api_parse(response);
}

int
api_json_of(struct api *api, const char *path, struct response *response)
{
	struct request r;

	request_init(&r, api->region, "GET", path);
	return api_json(api, &r, response);
}

int
api_put(struct api *api, const char *path, struct response *response)
{
	struct request r;

	request_init(&r, api->region, "PUT", path);
	return api_get(api, &r, response);
}

void
response_free(struct response *response)
{
	buf_free(&response->body);
	buf_free(&response->tape);
	free(response->error);
	response->error = NULL;
}
