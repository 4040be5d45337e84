/*
 * http1.c - one HTTP/1 request head, decoded (contract: http1.h; callers: conn.c, the fuzz target)
 *
 * A head is parsed only when it is there as a whole, so that every field is one run of bytes. http-parser is started behind a request
 * line of ours: it knows a closed list of methods and refuses bytes in targets that the reference takes.
 */
#include "http1.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "mem.h"

#define FIELD_NAME_MAX 32

static const struct {
	const char *name;
	enum http1_field field;
} FIELDS[] = {
    {"Host", HTTP1_HOST},
    {"Accept", HTTP1_ACCEPT},
    {"Accept-Encoding", HTTP1_ACCEPT_ENCODING},
    {"Authorization", HTTP1_AUTHORIZATION},
    {"Cache-Control", HTTP1_CACHE_CONTROL},
    {"Expect", HTTP1_EXPECT},
    {"Transfer-Encoding", HTTP1_TRANSFER_ENCODING},
    {"X-Consul-Token", HTTP1_X_CONSUL_TOKEN},
    {"X-Consul-Namespace", HTTP1_X_CONSUL_NAMESPACE},
    {"X-Consul-Partition", HTTP1_X_CONSUL_PARTITION},
};

/* What the callbacks of one http_parser_execute work on. */
struct scan {
	struct http1_head *head;
	int field;       /* of the value to come; -1: nobody asks for it */
	bool value_seen; /* a second value without a name is a folded line */
	bool done;
	bool folded;
	bool bad_name;
	bool two_hosts;
	struct buf *body;
};

static bool
is_token(struct bytes a)
{
	for (size_t i = 0; i < a.size; i++) {
		uint8_t c = a.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			(c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL)))
			return false;
	}
	return a.size > 0;
}

static int
on_header_field(http_parser *p, const char *at, size_t size)
{
	struct scan *s = p->data;

	/* The library as Debian builds it lets blanks pass. */
	s->bad_name |= !is_token(bytes_of(at, size));
	s->field = -1;
	s->value_seen = false;
	for (size_t i = 0; i < COUNTOF(FIELDS); i++)
		if (strlen(FIELDS[i].name) == size && strncasecmp(at, FIELDS[i].name, size) == 0)
			s->field = (int)FIELDS[i].field;
	if (s->field == HTTP1_HOST && (s->head->present & 1u << HTTP1_HOST) != 0)
		s->two_hosts = true;
	return 0;
}

static int
on_header_value(http_parser *p, const char *at, size_t size)
{
	struct scan *s = p->data;

	if (s->value_seen) {
		s->folded = true;
		return 0;
	}
	s->value_seen = true;
	if (s->field == -1 || (s->head->present & 1u << s->field) != 0)
		return 0;
	while (size > 0 && (at[size - 1] == ' ' || at[size - 1] == '\t'))
		size--;
	s->head->present |= 1u << s->field;
	s->head->field[s->field] = bytes_of(at, size);
	return 0;
}

static int
on_headers_complete(http_parser *p)
{
	struct scan *s = p->data;

	s->done = true;
	http_parser_pause(p, 1);
	return 0;
}

static const http_parser_settings HEAD_SETTINGS = {
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
};

static const http_parser_settings NO_SETTINGS;

/* http-parser as it stands behind a request line of version 1.minor; made once each. */
static const http_parser *
started(unsigned minor)
{
	static http_parser ready[2];
	static bool made;

	if (!made) {
		for (unsigned i = 0; i < 2; i++) {
			const char *line = i == 0 ? "GET / HTTP/1.0\r\n" : "GET / HTTP/1.1\r\n";

			http_parser_init(&ready[i], HTTP_REQUEST);
			if (http_parser_execute(&ready[i], &NO_SETTINGS, line, strlen(line)) != strlen(line))
				assert(!"http-parser refuses a plain request line");
		}
		/* The caller bounds a head; this limit must not be the first to be met. */
		http_parser_set_max_header_size(UINT32_MAX);
		made = true;
	}
	return &ready[minor];
}

static enum http1_method
method_of(struct bytes a)
{
	static const struct {
		const char *name;
		enum http1_method method;
	} METHODS[] = {
	    {"GET", HTTP1_GET},
	    {"PUT", HTTP1_PUT},
	    {"POST", HTTP1_POST},
	    {"DELETE", HTTP1_DELETE},
	    {"OPTIONS", HTTP1_OPTIONS},
	    {"HEAD", HTTP1_HEAD},
	};

	for (size_t i = 0; i < COUNTOF(METHODS); i++)
		if (bytes_is(a, METHODS[i].name))
			return METHODS[i].method;
	return HTTP1_OTHER;
}

static bool
is_hex(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Cuts the target into path and query; takes the absolute form. false: malformed. */
static bool
parse_target(struct bytes target, struct http1_head *head)
{
	const uint8_t *at = target.data, *end = target.data + target.size, *mark;

	for (const uint8_t *p = at; p < end; p++)
		if (*p < 0x20 || *p == 0x7f)
			return false;
	if (target.size == 1 && *at == '*') {
		head->path = target;
		return true;
	}
	if (target.size > 0 && *at != '/') {
		const uint8_t *colon = memmem(at, (size_t)(end - at), "://", 3);

		if (colon == NULL || colon == at)
			return false;
		for (const uint8_t *p = at; p < colon; p++)
			if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
				(p > at && ((*p >= '0' && *p <= '9') || *p == '+' || *p == '-' || *p == '.'))))
				return false;
		at = colon + 3;
		while (at < end && *at != '/' && *at != '?')
			at++;
	}
	mark = memchr(at, '?', (size_t)(end - at));
	head->has_query = mark != NULL;
	if (mark == NULL)
		mark = end;
	head->path = mark == at ? bytes_str("/") : bytes_of(at, (size_t)(mark - at));
	head->query = mark < end ? bytes_of(mark + 1, (size_t)(end - mark - 1)) : bytes_of(NULL, 0);
	if (target.size == 0 || head->path.data[0] != '/')
		return false;
	for (size_t i = 0; i < head->path.size; i++)
		if (head->path.data[i] == '%') {
			if (i + 2 >= head->path.size || !is_hex(head->path.data[i + 1]) ||
			    !is_hex(head->path.data[i + 2]))
				return false;
			i += 2;
		}
	return true;
}

/* 0, or the status to refuse with. line has no line end. *minor: 0 or 1. */
static unsigned
parse_request_line(struct bytes line, struct http1_head *head, unsigned *minor)
{
	const uint8_t *end = line.data + line.size, *sp1, *sp2;
	struct bytes version;

	sp1 = memchr(line.data, ' ', line.size);
	if (sp1 == NULL)
		return 400;
	sp2 = memchr(sp1 + 1, ' ', (size_t)(end - sp1 - 1));
	if (sp2 == NULL)
		return 400;
	head->method_text = bytes_of(line.data, (size_t)(sp1 - line.data));
	version = bytes_of(sp2 + 1, (size_t)(end - sp2 - 1));
	if (!is_token(head->method_text))
		return 400;
	head->method = method_of(head->method_text);
	if (version.size != 8 || memcmp(version.data, "HTTP/", 5) != 0 || version.data[6] != '.' ||
	    version.data[5] < '0' || version.data[5] > '9' || version.data[7] < '0' || version.data[7] > '9')
		return 400;
	if (!parse_target(bytes_of(sp1 + 1, (size_t)(sp2 - sp1 - 1)), head))
		return 400;
	if (version.data[5] != '1')
		return 505;
	*minor = version.data[7] == '0' ? 0 : 1;
	head->http10 = *minor == 0;
	return 0;
}

static int
refuse(struct http1_error *error, unsigned status, const char *text)
{
	error->status = status;
	error->text = text;
	return HTTP1_BAD;
}

/* The empty line's end, searched from *scanned on; 0: not there. */
static size_t
find_end(struct bytes in, size_t *scanned)
{
	size_t at = *scanned;

	for (;;) {
		const uint8_t *lf = at < in.size ? memchr(in.data + at, '\n', in.size - at) : NULL;
		size_t next;

		if (lf == NULL) {
			/* The last line may end in what begins the empty line: look at it again. */
			*scanned = in.size;
			return 0;
		}
		next = (size_t)(lf - in.data) + 1;
		if (next < in.size && in.data[next] == '\n')
			return next + 1;
		if (next + 1 < in.size && in.data[next] == '\r' && in.data[next + 1] == '\n')
			return next + 2;
		if (next >= in.size || (next + 1 >= in.size && in.data[next] == '\r')) {
			*scanned = (size_t)(lf - in.data);
			return 0;
		}
		at = next;
	}
}

static bool
host_is_valid(struct bytes host)
{
	for (size_t i = 0; i < host.size; i++) {
		uint8_t c = host.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80 ||
			(c != 0 && strchr("!$%&'()*+,-.:;=[]_~", c) != NULL)))
			return false;
	}
	return true;
}

static int
fields_error(const http_parser *p, struct bytes in, size_t at, struct http1_error *error)
{
	switch (HTTP_PARSER_ERRNO(p)) {
	case HPE_INVALID_TRANSFER_ENCODING:
		return refuse(error, 501, "Unsupported transfer encoding");
	case HPE_INVALID_HEADER_TOKEN: {
		const uint8_t *lf = at < in.size ? memchr(in.data + at, '\n', in.size - at) : NULL;
		size_t rest = lf == NULL ? in.size - MIN(at, in.size) : (size_t)(lf - in.data) - at;

		if (rest > 0 && memchr(in.data + at, ':', rest) != NULL)
			return refuse(error, 400, "400 Bad Request: invalid header name");
		return refuse(error, 400, "400 Bad Request");
	}
	default:
		return refuse(error, 400, "400 Bad Request");
	}
}

static int
check_head(struct http1_head *head, const struct scan *s, struct http1_error *error)
{
	const http_parser *p = &head->parser;

	if (s->bad_name)
		return refuse(error, 400, "400 Bad Request: invalid header name");
	if (s->folded || s->two_hosts)
		return refuse(error, 400, "400 Bad Request");
	head->chunked = (p->flags & F_CHUNKED) != 0;
	/* What http-parser takes beyond the last "chunked" would be read by others in another way. */
	if ((head->present & 1u << HTTP1_TRANSFER_ENCODING) != 0 &&
	    !bytes_equal_fold(head->field[HTTP1_TRANSFER_ENCODING], bytes_str("chunked")))
		return refuse(error, 501, "Unsupported transfer encoding");
	head->has_length = (p->flags & F_CONTENTLENGTH) != 0;
	head->length = head->has_length ? p->content_length : 0;
	if (!head->http10 && (head->present & 1u << HTTP1_HOST) == 0)
		return refuse(error, 400, "400 Bad Request: missing required Host header");
	if (!host_is_valid(head->field[HTTP1_HOST]))
		return refuse(error, 400, "400 Bad Request: malformed Host header");
	if (head->http10)
		head->keep_alive = (p->flags & F_CONNECTION_KEEP_ALIVE) != 0;
	else
		head->keep_alive = (p->flags & F_CONNECTION_CLOSE) == 0;
	if ((head->present & 1u << HTTP1_EXPECT) != 0) {
		if (!bytes_equal_fold(head->field[HTTP1_EXPECT], bytes_str("100-continue")))
			return refuse(error, 417, "417 Expectation Failed");
		head->expect_continue = !head->http10;
	}
	return HTTP1_DONE;
}

int
http1_parse(struct bytes in, size_t max, size_t *scanned, struct http1_head *head, struct http1_error *error)
{
	struct scan s = {.head = head, .field = -1};
	size_t skip = 0, end, line_end, used;
	const uint8_t *lf;
	unsigned status, minor = 1;

	/* Line ends left over from the message before. */
	while (skip < in.size && skip < 4 && (in.data[skip] == '\r' || in.data[skip] == '\n'))
		skip++;
	if (*scanned < skip)
		*scanned = skip;
	end = find_end(in, scanned);
	if (end > max || (end == 0 && in.size > max))
		return refuse(error, 431, "431 Request Header Fields Too Large");
	lf = memchr(in.data + skip, '\n', in.size - skip);
	if (lf == NULL)
		return HTTP1_INCOMPLETE;
	memset(head, 0, offsetof(struct http1_head, parser));
	line_end = (size_t)(lf - in.data);
	used = line_end > skip && in.data[line_end - 1] == '\r' ? line_end - 1 : line_end;
	status = parse_request_line(bytes_of(in.data + skip, used - skip), head, &minor);
	if (status == 505)
		return refuse(error, 505, "505 HTTP Version Not Supported: unsupported protocol version");
	if (status != 0)
		return refuse(error, 400, "400 Bad Request");
	if (end == 0)
		return HTTP1_INCOMPLETE;
	head->parser = *started(minor);
	head->parser.data = &s;
	line_end++;
	used = http_parser_execute(&head->parser, &HEAD_SETTINGS, (const char *)in.data + line_end, end - line_end);
	if (!s.done)
		return fields_error(&head->parser, bytes_of(in.data, end), line_end + used, error);
	head->size = end;
	head->raw = bytes_of(in.data, end);
	head->parser.data = NULL;
	if ((head->parser.flags & F_CHUNKED) != 0) {
		/* Paused before the last line feed: takes it now, and stands before the first chunk. */
		head->parser.upgrade = 0;
		http_parser_pause(&head->parser, 0);
		if (http_parser_execute(&head->parser, &NO_SETTINGS, "\n", 1) != 1)
			return fields_error(&head->parser, bytes_of(in.data, end), end, error);
	}
	return check_head(head, &s, error);
}

static int
on_body(http_parser *p, const char *at, size_t size)
{
	struct scan *s = p->data;

	buf_put(s->body, at, size);
	if (s->body->overflow)
		http_parser_pause(p, 1);
	return 0;
}

static int
on_message_complete(http_parser *p)
{
	struct scan *s = p->data;

	s->done = true;
	http_parser_pause(p, 1);
	return 0;
}

int
http1_body(http_parser *parser, struct bytes in, struct buf *body, size_t *used)
{
	static const http_parser_settings BODY_SETTINGS = {
	    .on_body = on_body, .on_message_complete = on_message_complete};
	struct scan s = {.body = body};

	*used = 0;
	if (in.size == 0) /* to http-parser that would be the end of the connection */
		return HTTP1_INCOMPLETE;
	parser->data = &s;
	parser->upgrade = 0;
	if (HTTP_PARSER_ERRNO(parser) == HPE_PAUSED)
		http_parser_pause(parser, 0);
	*used = http_parser_execute(parser, &BODY_SETTINGS, (const char *)in.data, in.size);
	parser->data = NULL;
	if (s.done)
		return HTTP1_DONE;
	if (body->overflow || HTTP_PARSER_ERRNO(parser) == HPE_OK)
		return HTTP1_INCOMPLETE;
	return HTTP1_BAD;
}

bool
http1_accepts_gzip(struct bytes value)
{
	const uint8_t *at = value.data, *end = value.data + value.size;

	while (at < end) {
		const uint8_t *comma = memchr(at, ',', (size_t)(end - at)), *item_end = comma == NULL ? end : comma,
			      *name_end;
		const uint8_t *q;

		while (at < item_end && (*at == ' ' || *at == '\t'))
			at++;
		name_end = at;
		while (name_end < item_end && *name_end != ';' && *name_end != ' ' && *name_end != '\t')
			name_end++;
		if (bytes_equal_fold(bytes_of(at, (size_t)(name_end - at)), bytes_str("gzip"))) {
			q = memmem(name_end, (size_t)(item_end - name_end), "q=", 2);
			if (q == NULL)
				return true;
			for (q += 2; q < item_end; q++)
				if (*q >= '1' && *q <= '9')
					return true;
			return false;
		}
		at = comma == NULL ? end : comma + 1;
	}
	return false;
}
