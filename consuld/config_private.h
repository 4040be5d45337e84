/*
 * config_private.h - what the files config_*.c and resolved.c share; nobody else includes it
 *
 * One configuration is built from sources in the order of config.md 1.1. A source is one file, one -hcl fragment, or the flags: an array with
 * one slot per row of the registry. Merging lays a source over the values so far by the rule of the row's type. Everything lives in
 * the configuration's region.
 */
#ifndef CONSULD_CONFIG_PRIVATE_H
#define CONSULD_CONFIG_PRIVATE_H

#include "config.h"
#include "param.h"
#include "value.h"

#define CONFIG_ERROR_BYTES_MAX (256u * 1024)
#define CONFIG_TEXTS_MAX 1000
#define CONFIG_BUILD_DATE "2026-11-21T00:00:00Z" /* of the release; a constant, so that builds are reproducible */

/* A bounded list of lines. What does not fit is counted by the last line. */
struct texts {
	const char **at;
	size_t count;
};

struct flag_sources;

struct source {
	const char *name;      /* as messages call it: the path as given, flags-1.hcl, or "" for the flags themselves */
	struct value **values; /* param_count; NULL: absent */
};

struct config {
	struct region *region;
	struct value **values; /* param_count: in force; NULL: unset */
	const char **origins;  /* param_count: the file that had the last word, or NULL */
	bool *user;            /* param_count: some source said so */
	int argc;
	char **argv;
	char *cwd; /* relative paths start here */
	bool dev;
	const struct config *running; /* while a reload is read; NULL: a start */
	bool fragments;               /* configtest: no data_dir needed */
	bool validating;              /* no agent: what only a start would notice is left out */
	struct texts warnings, notices;
	struct value *services, *checks, *watches; /* canonical: CamelCase keys, defaults filled in */
	struct config_listen *listens;
	size_t listen_count;
	const char *node_id;
	struct value *shown; /* after a reload: what was read, by name, for DebugConfig */
};

/* ---- config.c ---- */
int config_fail(struct config_error *e, const char *fmt, ...) PRINTF_LIKE(2, 3); /* always -1 */
void texts_add(struct config *c, struct texts *t, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* "2 errors occurred:" TAB "* a" ..., for a non-empty list. */
void texts_list(const struct texts *t, struct buf *out);
/* The row of a name that must exist. */
int config_row(const char *name);
struct value *config_value(const struct config *c, const char *name);
bool config_is_set(const struct config *c, const char *name); /* by a user */
void config_set_str(struct config *c, const char *name, const char *text);
void config_set_int(struct config *c, const char *name, int64_t number);
void config_set_bool(struct config *c, const char *name, bool on);
struct source *source_new(struct config *c, const char *name);
void config_merge(struct config *c, const struct source *s);
struct config *config_new(const char *cwd, int argc, char *const *argv);
/* Everything behind the flags: defaults, files, flags, fragments, checks. */
MUST_USE int config_assemble(struct config *c, struct flag_sources *f, struct config_error *e);
/* " (FILE, line 3, column 5)" of the source that set the key or made the definition, or "". Lives in the region. */
const char *config_where(struct config *c, const char *name);
const char *value_where(struct config *c, const struct value *v);
/* A path as seen from where the agent was started. */
const char *config_absolute(struct config *c, const char *path);

/* ---- config_decode.c: a file's tree to a source; errors are complete texts ---- */
MUST_USE int config_decode(struct config *c, struct value *root, struct source *s, struct config_error *e);
/* Old names to new ones, with their warnings. */
void config_aliases(struct config *c, struct source *s);
/* What a decoder collects about one file. */
struct decoding {
	const char *file;
	struct config *config;
	struct texts unknown; /* "invalid config key x" */
	struct texts types;   /* "'x' expected type ..." */
	bool hcl;
};
void decoding_unknown(struct decoding *d, const char *path, const struct value *at);
void decoding_type(struct decoding *d, const char *path, const char *expected, const struct value *got);
/* Copies v as a scalar/list/map of the wanted type, or notes a type error and returns NULL. */
struct value *decode_typed(struct decoding *d, enum param_type type, const char *path, struct value *v);

/* ---- config_definition.c: services, checks ---- */
/* One object of a file to its canonical form; NULL: errors were noted. kind: "service" or "check". */
struct value *definition_decode(struct decoding *d, bool service, const char *path, struct value *v);
/* Fills services and checks with all defaults, notes errors of config.md 11.2 and warnings. */
void definition_build(struct config *c, struct texts *errors);
/* The checks of 11.1 (12): returns -1 with the first error. */
MUST_USE int definition_check(struct config *c, struct config_error *e);
/* checkd-definitions.json. */
void definition_write(const struct config *c, struct buf *out);
MUST_USE int watch_check(struct config *c, struct config_error *e);

/* ---- config_flags.c ---- */
/* Fills lists (only list flags), scalars (all others), the -config-file/-config-dir list and the -hcl list, all of them values. */
struct flag_sources {
	struct source *lists, *scalars;
	struct value *paths, *fragments;
	const char *format; /* "", "hcl" or "json" */
	bool atlas;         /* a flag of the times of Atlas was given */
};
MUST_USE int config_flags(struct config *c, struct flag_sources *f, struct config_error *e);

/* ---- config_files.c ---- */
MUST_USE int config_files(struct config *c, struct value *paths, const char *format, struct config_error *e);
MUST_USE int config_fragment(struct config *c, const char *name, const char *text, struct config_error *e);

/* ---- config_template.c ---- */
/* Expands {{ }} of text into out, which starts as the text. -1: out is the reference's error. */
MUST_USE int template_expand(const char *text, struct buf *out);
/* The host's addresses for bind_addr "any": number of private IPv4 (public IPv6) addresses found, the first in out. */
int template_private_ipv4(char *out, size_t size);
int template_public_ipv6(char *out, size_t size);

/* ---- config_address.c ---- */
/* Binds, advertises, ports and listen rows (config.md 5). -1: the first fatal error; collected ones go to errors. */
MUST_USE int address_build(struct config *c, struct texts *errors, struct config_error *e);
MUST_USE int address_unique(struct config *c, struct config_error *e);
/* Splits at blanks into a list value. */
struct value *split_blanks(struct config *c, const char *text);

/* ---- config_recursor.c ---- */
/* Templates expanded, duplicates dropped; then what may not stand there; then names to "ip:port". */
MUST_USE int recursor_expand(struct config *c, struct config_error *e);
MUST_USE int recursor_check(struct config *c, struct config_error *e);
MUST_USE int recursor_resolve(struct config *c, struct config_error *e);

/* ---- config_check.c ---- */
MUST_USE int config_build(struct config *c, struct config_error *e);
/* Rules of node and service meta. -1: why holds the reference's text, NUL-terminated. */
MUST_USE int meta_check(const struct value *meta, struct buf *why);

/* LOG_* of syslog.h, or -1. */
int syslog_facility_parse(const char *text);

/* ---- config_node.c ---- */
/* The reference's complaint about a text that is no UUID; NULL: it is one. */
const char *uuid_problem(const char *text);

#endif
