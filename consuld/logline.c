/*
 * logline.c - one log line of a daemon taken apart, and as JSON (contract: logline.h; caller: logs.c)
 *
 * The daemons format their lines as text once; the rarer forms are made from that text here. The pairs begin behind the first ": " from
 * which on everything reads as key=value, values with blanks being quoted (log_quote).
 */
#include "logline.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "duration.h"
#include "json.h"
#include "mem.h"

static struct bytes
after(struct bytes a, size_t n)
{
	return bytes_of(a.data + n, a.size - n);
}

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* The length of a leading "2026-11-20T06:56:02.939Z", 0: none. */
static size_t
time_length(struct bytes line)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.ddd";
	size_t n = sizeof form - 1;

	if (line.size <= n + 1)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (form[i] == 'd' ? !is_digit(line.data[i]) : line.data[i] != (uint8_t)form[i])
			return 0;
	if (line.data[n] == 'Z')
		return n + 1;
	if ((line.data[n] != '+' && line.data[n] != '-') || line.size < n + 5)
		return 0;
	for (size_t i = n + 1; i < n + 5; i++)
		if (!is_digit(line.data[i]))
			return 0;
	return n + 5;
}

void
logline_parse(struct bytes line, struct logline *out)
{
	size_t length = time_length(line);
	const uint8_t *end, *colon;
	struct bytes rest;
	char level[8];

	*out = (struct logline){.whole = line, .text = line, .level = LOG_ERROR_LEVEL, .module = bytes_str("agent")};
	if (length == 0 || line.size < length + 3 || line.data[length] != ' ' || line.data[length + 1] != '[')
		return;
	rest = after(line, length + 2);
	end = memchr(rest.data, ']', MIN(rest.size, sizeof level));
	if (end == NULL || bytes_to_str(bytes_of(rest.data, (size_t)(end - rest.data)), level, sizeof level) == -1 ||
	    log_level_parse(level, &out->level) == -1) {
		out->level = LOG_ERROR_LEVEL;
		return;
	}
	rest = after(rest, (size_t)(end - rest.data) + 1);
	while (rest.size > 0 && rest.data[0] == ' ')
		rest = after(rest, 1);
	out->time = bytes_of(line.data, length);
	out->text = rest;
	colon = memmem(rest.data, rest.size, ": ", 2);
	if (colon == NULL || memchr(rest.data, ' ', (size_t)(colon - rest.data)) != NULL)
		return;
	out->module = bytes_of(rest.data, (size_t)(colon - rest.data));
	out->text = after(rest, out->module.size + 2);
}

/*
 * Takes one pair off the front of *in. 0: done; -1: the front is no pair.
 */
static int
take_pair(struct bytes *in, struct bytes *key, struct bytes *value)
{
	size_t i = 0, start;

	while (i < in->size && in->data[i] != '=' && in->data[i] != ' ' && in->data[i] != '"' && in->data[i] != ':')
		i++;
	if (i == 0 || i == in->size || in->data[i] != '=')
		return -1;
	*key = bytes_of(in->data, i);
	start = ++i;
	if (i < in->size && in->data[i] == '"') {
		for (i++; i < in->size && in->data[i] != '"'; i++)
			if (in->data[i] == '\\')
				i++;
		if (i >= in->size)
			return -1;
		i++;
	} else {
		while (i < in->size && in->data[i] != ' ')
			i++;
	}
	if (i < in->size && in->data[i] != ' ')
		return -1;
	*value = bytes_of(in->data + start, i - start);
	*in = after(*in, MIN(i + 1, in->size));
	return 0;
}

static bool
all_pairs(struct bytes in)
{
	struct bytes key, value;

	do
		if (take_pair(&in, &key, &value) == -1)
			return false;
	while (in.size > 0);
	return true;
}

struct bytes
logline_message(const struct logline *line, struct bytes *pairs)
{
	struct bytes rest = line->text;
	const uint8_t *colon;

	*pairs = bytes_of(NULL, 0);
	if (line->time.size == 0)
		return line->text;
	while ((colon = memmem(rest.data, rest.size, ": ", 2)) != NULL) {
		rest = after(rest, (size_t)(colon - rest.data) + 2);
		if (all_pairs(rest)) {
			*pairs = rest;
			return bytes_of(line->text.data, (size_t)(colon - line->text.data));
		}
	}
	return line->text;
}

static int
hex_value(uint8_t c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* Undoes log_quote. */
static void
put_value(struct bytes value, struct buf *out)
{
	char plain[1100];
	size_t used = 0;

	if (value.size == 0 || value.data[0] != '"') {
		json_put_str(out, value);
		return;
	}
	for (size_t i = 1; i + 1 < value.size && used < sizeof plain; i++) {
		uint8_t c = value.data[i];

		if (c == '\\' && i + 2 < value.size) {
			c = value.data[++i];
			if (c == 'n')
				c = '\n';
			else if (c == 't')
				c = '\t';
			else if (c == 'x' && i + 3 < value.size && hex_value(value.data[i + 1]) >= 0 &&
				 hex_value(value.data[i + 2]) >= 0) {
				c = (uint8_t)(hex_value(value.data[i + 1]) * 16 + hex_value(value.data[i + 2]));
				i += 2;
			}
		}
		plain[used++] = (char)c;
	}
	json_put_str(out, bytes_of(plain, used));
}

/* Six decimals, and the offset with its colon. */
static void
put_timestamp(struct bytes time, int64_t now_ns, struct buf *out)
{
	char text[RFC3339_TEXT_MAX];
	size_t zone;

	if (time.size == 0) {
		rfc3339_format(now_ns - now_ns % NS_PER_US, text);
		json_put_cstr(out, text);
		return;
	}
	zone = time.data[time.size - 1] == 'Z' ? time.size - 1 : time.size - 5;
	buf_put_u8(out, '"');
	buf_put(out, time.data, zone);
	buf_put_str(out, "000");
	if (time.data[zone] == 'Z') {
		buf_put_u8(out, 'Z');
	} else {
		buf_put(out, time.data + zone, 3);
		buf_put_u8(out, ':');
		buf_put(out, time.data + zone + 3, 2);
	}
	buf_put_u8(out, '"');
}

void
logline_json(const struct logline *line, int64_t now_ns, struct buf *out)
{
	struct bytes pairs, key, value, message = logline_message(line, &pairs);
	char level[8];
	size_t i;

	snprintf(level, sizeof level, "%s", log_level_name(line->level));
	for (i = 0; level[i] != '\0'; i++)
		level[i] = (char)(level[i] | 0x20);
	buf_printf(out, "{\"@level\":\"%s\",\"@message\":", level);
	json_put_str(out, message);
	buf_put_str(out, ",\"@module\":");
	json_put_str(out, line->module);
	buf_put_str(out, ",\"@timestamp\":");
	put_timestamp(line->time, now_ns, out);
	while (pairs.size > 0 && take_pair(&pairs, &key, &value) == 0) {
		buf_put_u8(out, ',');
		json_put_str(out, key);
		buf_put_u8(out, ':');
		put_value(value, out);
	}
	buf_put_u8(out, '}');
}
