/*
 * config_command.c - `consuld validate`, `consuld configtest`, `consuld definitions`, `consuld --dump-params` (cli.md 7, 8.7, 8.17)
 */
#include <stdlib.h>
#include <unistd.h>

#include "config_private.h"

struct options {
	struct value *paths;
	const char *format;
	bool quiet;
};

/* -x, --x, -x=v, -x v. 0, or -1 having told. */
static int
parse_options(struct config *c, struct options *o)
{
	for (int i = 0; i < c->argc; i++) {
		const char *arg = c->argv[i], *name, *value;
		size_t length;

		if (arg[0] != '-' || arg[1] == '\0') {
			value_append(o->paths, value_string(c->region, arg));
			continue;
		}
		name = arg[1] == '-' ? arg + 2 : arg + 1;
		length = strcspn(name, "=");
		value = name[length] == '=' ? name + length + 1 : NULL;
		if (length == 5 && strncmp(name, "quiet", 5) == 0) {
			o->quiet = value == NULL || strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
			continue;
		}
		if (!(length == 13 && strncmp(name, "config-format", 13) == 0) &&
		    !(length == 10 && strncmp(name, "config-dir", 10) == 0) &&
		    !(length == 11 && strncmp(name, "config-file", 11) == 0)) {
			fprintf(stderr, "flag provided but not defined: -%.*s\n", (int)length, name);
			return -1;
		}
		if (value == NULL && i + 1 >= c->argc) {
			fprintf(stderr, "flag needs an argument: -%.*s\n", (int)length, name);
			return -1;
		}
		if (value == NULL)
			value = c->argv[++i];
		if (length == 13)
			o->format = value;
		else
			value_append(o->paths, value_string(c->region, value));
	}
	return 0;
}

int
config_validate_main(int argc, char *const *argv, bool fragments)
{
	char *cwd = getcwd(NULL, 0);
	struct config *c = config_new(cwd == NULL ? "/" : cwd, argc, argv);
	struct options o = {value_new(c->region, VALUE_LIST), "", false};
	struct config_error e = {NULL, false};
	struct flag_sources f;
	int status = 1;

	free(cwd);
	c->validating = true;
	c->fragments = fragments;
	if (parse_options(c, &o) == -1)
		goto out;
	if (o.paths->count == 0) {
		fprintf(stderr, fragments ? "Must specify config using -config-file or -config-dir\n"
					  : "Must specify at least one config file or directory\n");
		goto out;
	}
	f = (struct flag_sources){
	    .lists = source_new(c, ""),
	    .scalars = source_new(c, ""),
	    .paths = o.paths,
	    .fragments = value_new(c->region, VALUE_LIST),
	    .format = o.format,
	};
	if (*o.format != '\0' && strcmp(o.format, "hcl") != 0 && strcmp(o.format, "json") != 0) {
		fprintf(stderr, "-config-format must be either 'hcl' or 'json\n");
		goto out;
	}
	if (config_assemble(c, &f, &e) == -1) {
		fprintf(stderr, "Config validation failed: %s\n", e.text);
		goto out;
	}
	if (!o.quiet && !fragments)
		for (size_t i = 0; i < c->warnings.count; i++)
			fprintf(stderr, "%s\n", c->warnings.at[i]);
	if (!o.quiet && !fragments)
		printf("Configuration is valid!\n");
	status = 0;
out:
	config_error_free(&e);
	config_free(c);
	return status;
}

int
config_definitions_main(int argc, char *const *argv)
{
	char *cwd = getcwd(NULL, 0);
	struct config *c = config_new(cwd == NULL ? "/" : cwd, argc, argv);
	struct value *paths = value_new(c->region, VALUE_LIST);
	struct config_error e = {NULL, false};
	struct buf out = BUF_INIT(64u << 20);
	struct flag_sources f;
	int status = 1;

	free(cwd);
	c->validating = true;
	c->fragments = true;
	for (int i = 0; i < argc; i++)
		value_append(paths, value_string(c->region, argv[i]));
	f = (struct flag_sources){
	    .lists = source_new(c, ""),
	    .scalars = source_new(c, ""),
	    .paths = paths,
	    .fragments = value_new(c->region, VALUE_LIST),
	    .format = "",
	};
	if (config_assemble(c, &f, &e) == -1) {
		fprintf(stderr, "%s\n", e.text);
		goto out;
	}
	for (size_t i = 0; i < c->warnings.count; i++)
		fprintf(stderr, "%s\n", c->warnings.at[i]);
	definition_write(c, &out);
	if (!out.overflow && fwrite(out.data, 1, out.used, stdout) == out.used)
		status = 0;
out:
	buf_free(&out);
	config_error_free(&e);
	config_free(c);
	return status;
}

void
config_dump_params(FILE *out)
{
	static const char *const users[] = {"raftd", "catalogd", "httpd", "dnsd", "checkd", "gossipd", "consuld"};

	for (size_t i = 0; i < param_count; i++) {
		const struct param *p = &params[i];
		const char *separator = "";

		fprintf(out, "%s\t%s\t%s\t%s\t%s\t", p->name, p->flag == NULL ? "" : p->flag, param_type_name(p->type),
		    p->fallback == NULL ? "" : p->fallback, (p->flags & PARAM_RELOAD) != 0 ? "reload" : "start");
		for (size_t j = 0; j < COUNTOF(users); j++)
			if ((p->used_by & 1u << j) != 0) {
				fprintf(out, "%s%s", separator, users[j]);
				separator = ",";
			}
		fprintf(out, "\t%s\t%s\t%s\n",
		    (p->flags & PARAM_ALIAS) != 0        ? "alias"
		    : (p->flags & PARAM_IGNORED) != 0    ? "ignored"
		    : (p->flags & PARAM_ENTERPRISE) != 0 ? "enterprise"
		    : (p->flags & PARAM_NOT_USER) != 0   ? "dropped"
		    : (p->flags & PARAM_DERIVED) != 0    ? "computed"
		    : (p->flags & PARAM_REFUSED) != 0    ? "refused"
		    : param_without_effect(p)            ? "later"
							 : "",
		    p->other == NULL ? "" : p->other, p->doc == NULL ? "" : p->doc);
	}
}
