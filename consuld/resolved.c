/*
 * resolved.c - writes the files of one generation (form: conf.h; reader: common/conf.c)
 *
 * A daemon's file holds the rows whose used-by column names it, nested as the key paths say. libconfig knows no dots in names and no free
 * names, hence groups for blocks and lists of {key, value} for maps; it clamps unsigned 64-bit numbers, hence text for those.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "config_private.h"

const char *const config_daemons[] = {"raftd", "catalogd", "httpd", "dnsd", "checkd", "gossipd", NULL};

static const unsigned bits[] = {USE_RAFTD, USE_CATALOGD, USE_HTTPD, USE_DNSD, USE_CHECKD, USE_GOSSIPD};

#define FILE_BYTES_MAX (64u * 1024 * 1024)
#define DEPTH_MAX 8

static void
put_text(struct buf *out, const char *text)
{
	buf_put_u8(out, '"');
	for (; *text != '\0'; text++) {
		const uint8_t c = (uint8_t)*text;

		if (c == '"' || c == '\\')
			buf_printf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			buf_printf(out, "\\x%02x", c);
		else
			buf_put_u8(out, c);
	}
	buf_put_u8(out, '"');
}

static void
put_value(struct buf *out, const struct param *p, const struct value *v)
{
	struct buf json = BUF_INIT(FILE_BYTES_MAX);
	const char *separator = "";

	switch (p->type) {
	case PARAM_BOOL:
		buf_put_str(out, v->boolean ? "true" : "false");
		return;
	case PARAM_INT: {
		const long long number = strtoll(v->text, NULL, 10);

		buf_printf(out, number > INT32_MAX || number < INT32_MIN ? "%lldL" : "%lld", number);
		return;
	}
	case PARAM_FLOAT:
		buf_printf(
		    out, "%.17g%s", value_number(v), value_number(v) == (double)(int64_t)value_number(v) ? ".0" : "");
		return;
	case PARAM_STR:
	case PARAM_DURATION:
		put_text(out, v->text);
		return;
	case PARAM_LIST:
	case PARAM_MAP:
		buf_put_str(out, "(");
		for (const struct value *m = v->first; m != NULL; m = m->next, separator = ", ") {
			buf_put_str(out, separator);
			if (p->type == PARAM_MAP) {
				buf_put_str(out, "{ key = ");
				put_text(out, m->key);
				buf_put_str(out, "; value = ");
			}
			put_text(out, m->text);
			if (p->type == PARAM_MAP)
				buf_put_str(out, "; }");
		}
		buf_put_str(out, ")");
		return;
	case PARAM_ANY:
	case PARAM_OBJECTS:
		value_json(v, &json);
		buf_put_u8(&json, 0);
		put_text(out, (const char *)json.data);
		buf_free(&json);
		return;
	}
}

static void
put_indent(struct buf *out, int depth)
{
	for (int i = 0; i < depth; i++)
		buf_put_str(out, "\t");
}

/* The row's value for this daemon; NULL: not in its file. */
static const struct value *
row_value(const struct config *c, size_t row, unsigned daemon)
{
	static const struct value nothing = {.kind = VALUE_STRING, .text = ""};

	if ((params[row].used_by & daemon) == 0)
		return NULL;
	/* gossip memory is for servers and clients that live on */
	if (daemon == USE_GOSSIPD && c->dev && strcmp(params[row].name, "consuld.state_dir") == 0)
		return &nothing;
	return c->values[row];
}

/* Rows below prefix (which ends in a dot, or is empty), blocks at the place of their first row. */
static void
put_block(struct buf *out, const struct config *c, unsigned daemon, unsigned generation, const char *prefix, int depth)
{
	const size_t length = strlen(prefix);

	for (size_t i = 0; i < param_count; i++) {
		const struct value *v = row_value(c, i, daemon);
		const char *rest = params[i].name + length, *dot;
		char block[128];
		bool first = true;

		if (v == NULL || strncmp(params[i].name, prefix, length) != 0)
			continue;
		dot = strchr(rest, '.');
		if (dot == NULL) {
			put_indent(out, depth);
			buf_printf(out, "%s = ", rest);
			put_value(out, &params[i], v);
			buf_put_str(out, ";\n");
			continue;
		}
		if (bytes_to_str(bytes_of(params[i].name, (size_t)(dot + 1 - params[i].name)), block, sizeof block) ==
			-1 ||
		    depth >= DEPTH_MAX)
			panic("parameter name too long: %s", params[i].name);
		for (size_t j = 0; j < i && first; j++)
			first = strncmp(params[j].name, block, strlen(block)) != 0 || row_value(c, j, daemon) == NULL;
		if (!first)
			continue;
		put_indent(out, depth);
		buf_printf(out, "%.*s: {\n", (int)(dot - rest), rest);
		if (strcmp(block, "consuld.") == 0)
			buf_printf(out, "\tgeneration = %u;\n", generation);
		put_block(out, c, daemon, generation, block, depth + 1);
		put_indent(out, depth);
		buf_put_str(out, "};\n");
	}
}

static void
put_listens(struct buf *out, const struct config *c, const char *daemon)
{
	const char *separator = "\n";

	buf_put_str(out, "listen = (");
	for (size_t i = 0; i < c->listen_count; i++) {
		const struct config_listen *l = &c->listens[i];

		if (strcmp(l->daemon, daemon) != 0)
			continue;
		buf_printf(out, "%s\t{ name = \"%s\"; address = ", separator, l->name);
		put_text(out, l->address);
		buf_put_str(out, "; mode = ");
		put_text(out, l->mode);
		buf_put_str(out, "; }");
		separator = ",\n";
	}
	buf_put_str(out, ");\n");
}

static int
write_file(int dirfd, const char *name, const struct buf *text)
{
	const int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
	int saved_errno;

	if (fd == -1)
		return -1;
	if (bytes_write(fd, buf_bytes(text)) == -1) {
		saved_errno = errno;
		close(fd);
		errno = saved_errno;
		return -1;
	}
	return close(fd);
}

int
config_write(const struct config *c, unsigned generation, int dirfd)
{
	struct buf text = BUF_INIT(FILE_BYTES_MAX);
	char name[64];
	int result = 0;

	for (size_t i = 0; config_daemons[i] != NULL && result == 0; i++) {
		buf_clear(&text);
		buf_printf(&text,
		    "# %s: resolved configuration, written by consuld; see consuld-config(5). Not for editing.\n",
		    config_daemons[i]);
		put_block(&text, c, bits[i], generation, "", 0);
		put_listens(&text, c, config_daemons[i]);
		snprintf(name, sizeof name, "%s.conf", config_daemons[i]);
		errno = EFBIG;
		result = text.overflow ? -1 : write_file(dirfd, name, &text);
	}
	if (result == 0) {
		buf_clear(&text);
		definition_write(c, &text);
		errno = EFBIG;
		result = text.overflow ? -1 : write_file(dirfd, "checkd-definitions.json", &text);
	}
	buf_free(&text);
	return result;
}
