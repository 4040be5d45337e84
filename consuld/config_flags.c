/*
 * config_flags.c - the flags of `consul agent` (config.md 2, grammar of cli.md 2), driven by the registry
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config_private.h"

/* Go's strconv.ParseBool. -1: none of these. */
static int
parse_bool(const char *text)
{
	static const char *const on[] = {"1", "t", "T", "true", "TRUE", "True"}, *const off[] = {"0", "f", "F", "false",
										     "FALSE", "False"};

	for (size_t i = 0; i < COUNTOF(on); i++) {
		if (strcmp(text, on[i]) == 0)
			return 1;
		if (strcmp(text, off[i]) == 0)
			return 0;
	}
	return -1;
}

/* Puts one flag's value where it belongs. */
static int
take(struct config *c, struct flag_sources *f, int row, const char *text, struct config_error *e)
{
	const struct param *p = &params[row];
	struct value *v;

	if (p->type == PARAM_BOOL) {
		const int on = parse_bool(text);

		if (on == -1)
			return config_fail(e,
			    "error parsing flags: invalid boolean value \"%s\" for -%s: strconv.ParseBool: parsing "
			    "\"%s\": invalid "
			    "syntax",
			    text, p->flag, text);
		v = value_new(c->region, VALUE_BOOL);
		v->boolean = on == 1;
	} else if (p->type == PARAM_INT) {
		char *end;
		long long number;

		errno = 0;
		number = strtoll(text, &end, 10);
		if (*text == '\0' || *end != '\0' || strchr(" \t\n\v\f\r", *text) != NULL || errno != 0)
			return config_fail(e,
			    "error parsing flags: invalid value \"%s\" for flag -%s: strconv.Atoi: parsing \"%s\": %s",
			    text, p->flag, text, errno == ERANGE ? "value out of range" : "invalid syntax");
		v = value_new(c->region, VALUE_NUMBER);
		v->text = region_printf(c->region, "%lld", number);
	} else {
		v = value_string(c->region, text);
	}
	if (strcmp(p->flag, "dev") == 0)
		c->dev = v->boolean;
	else if (strcmp(p->flag, "config-file") == 0 || strcmp(p->flag, "config-dir") == 0)
		value_append(f->paths, v);
	else if (strcmp(p->flag, "hcl") == 0)
		value_append(f->fragments, v);
	else if (strcmp(p->flag, "config-format") == 0)
		f->format = v->text;
	else if (strncmp(p->flag, "atlas", 5) == 0)
		f->atlas = true;
	else if (strcmp(p->flag, "dc") == 0) {
		texts_add(c, &c->warnings, "The flag '-dc' is deprecated. Use the '-datacenter' flag instead.");
		f->scalars->values[config_row("datacenter")] = v;
	} else if (p->type == PARAM_LIST) {
		/* allow_write_http_from stands in a block: it comes with the scalars, behind the files */
		struct source *s = strchr(p->name, '.') != NULL ? f->scalars : f->lists;

		if (s->values[row] == NULL)
			s->values[row] = value_new(c->region, VALUE_LIST);
		value_append(s->values[row], v);
	} else if (p->type == PARAM_MAP) {
		char *colon;

		if (f->scalars->values[row] == NULL)
			f->scalars->values[row] = value_new(c->region, VALUE_MAP);
		colon = strchr(text, ':');
		if (colon == NULL)
			value_set(f->scalars->values[row], v->text, value_string(c->region, ""));
		else
			value_set(f->scalars->values[row], region_strndup(c->region, text, (size_t)(colon - text)),
			    value_string(c->region, colon + 1));
	} else {
		f->scalars->values[row] = v;
	}
	return 0;
}

static int
usage_error(struct config_error *e)
{
	e->usage = true;
	return -1;
}

int
config_flags(struct config *c, struct flag_sources *f, struct config_error *e)
{
	int i = 0;

	f->lists = source_new(c, "");
	f->scalars = source_new(c, "");
	f->paths = value_new(c->region, VALUE_LIST);
	f->fragments = value_new(c->region, VALUE_LIST);
	f->format = "";
	for (; i < c->argc; i++) {
		const char *arg = c->argv[i], *name, *equals, *text;
		int row;

		if (arg[0] != '-' || arg[1] == '\0')
			break;
		name = arg[1] == '-' ? arg + 2 : arg + 1;
		if (*name == '\0') { /* "--" ends the flags */
			i++;
			break;
		}
		if (*name == '-' || *name == '=') {
			config_fail(e, "error parsing flags: bad flag syntax: %s", arg);
			return usage_error(e);
		}
		equals = strchr(name, '=');
		name = region_strndup(c->region, name, equals == NULL ? strlen(name) : (size_t)(equals - name));
		if (strcmp(name, "h") == 0 || strcmp(name, "help") == 0)
			return usage_error(e);
		row = param_by_flag(name);
		if (row == -1) {
			config_fail(e, "error parsing flags: flag provided but not defined: -%s", name);
			return usage_error(e);
		}
		if (equals != NULL)
			text = equals + 1;
		else if (params[row].type == PARAM_BOOL)
			text = "true";
		else if (i + 1 < c->argc)
			text = c->argv[++i];
		else {
			config_fail(e, "error parsing flags: flag needs an argument: -%s", name);
			return usage_error(e);
		}
		if (take(c, f, row, text, e) == -1)
			return usage_error(e);
	}
	if (f->atlas)
		texts_add(c, &c->warnings, "Atlas is no longer supported; -atlas flags are ignored.");
	if (i < c->argc) {
		struct buf rest = BUF_INIT(CONFIG_ERROR_BYTES_MAX);

		for (; i < c->argc; i++)
			buf_printf(&rest, "%s%s", rest.used == 0 ? "" : " ", c->argv[i]);
		config_fail(e, "Unexpected extra arguments: [%.*s]", (int)rest.used, (const char *)rest.data);
		buf_free(&rest);
		return -1;
	}
	return 0;
}

void
config_usage(FILE *out)
{
	fprintf(out, "Usage: consul agent [options]\n\n"
		     "  Starts the agent and runs until an interrupt is received. The agent is one node\n"
		     "  of the cluster. Keys of files are described in consuld-config(5).\n\n"
		     "Command Options\n");
	for (size_t i = 0; i < param_count; i++) {
		const struct param *p = &params[i];

		if (p->flag == NULL || p->doc == NULL)
			continue;
		fprintf(out, "\n  -%s%s\n     %s\n", p->flag,
		    p->type == PARAM_BOOL  ? ""
		    : p->type == PARAM_INT ? "=<int>"
					   : "=<value>",
		    p->doc);
	}
}
