/*
 * command.c - finds the command of a line and runs it (contract: command.h)
 *
 * `agent`, `validate` and `configtest` are consuld's: it owns the configuration. They are executed in place, so that the process that
 * the operator started is the supervisor itself.
 */
#include "command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "consuld.h"

static const struct command *const families[] = {agent_commands, members_commands, catalog_commands, kv_commands,
    info_commands, services_commands, monitor_commands, watch_commands, lock_commands, operator_commands,
    snapshot_commands, event_commands, later_commands};

#define COMMANDS_MAX 256
#define HELP_COLUMNS 67

/* cli.md 3; names in the reference's order of groups. */
static const struct flag client_flags[] = {
    {"http-addr", FLAG_STRING,
	"Address and port of the agent's HTTP interface, host:port, http://, https:// or unix:///path. The environment "
	"variable "
	"CONSUL_HTTP_ADDR gives it too. The default is 127.0.0.1:8500."},
    {"token", FLAG_STRING, "ACL token of the request. The environment variable CONSUL_HTTP_TOKEN gives it too."},
    {"token-file", FLAG_STRING,
	"File that holds the ACL token of the request. The environment variable CONSUL_HTTP_TOKEN_FILE gives it too."},
    {"ca-file", FLAG_STRING,
	"File with the CA certificates to trust. The environment variable CONSUL_CACERT gives it too."},
    {"ca-path", FLAG_STRING,
	"Directory with the CA certificates to trust. The environment variable CONSUL_CAPATH gives it too."},
    {"client-cert", FLAG_STRING,
	"File with the client certificate, when the agent asks for one. The environment variable CONSUL_CLIENT_CERT "
	"gives it "
	"too."},
    {"client-key", FLAG_STRING,
	"File with the key of the client certificate. The environment variable CONSUL_CLIENT_KEY gives it too."},
    {"tls-server-name", FLAG_STRING,
	"Name to ask for and to verify in the agent's certificate. The environment variable CONSUL_TLS_SERVER_NAME "
	"gives it "
	"too."},
    {"rpc-addr", FLAG_STRING, NULL},
    {NULL},
};
static const struct flag server_flags[] = {
    {"datacenter", FLAG_STRING, "Datacenter to ask. The default is the agent's own."},
    {"stale", FLAG_BOOL, "Let any server answer, which may be behind the leader. The default is false."},
    {NULL},
};
static const struct flag namespace_flags[] = {
    {"namespace", FLAG_STRING, "Namespace to ask; agents of the community edition refuse it."},
    {NULL},
};
static const struct flag partition_flags[] = {
    {"partition", FLAG_STRING, "Admin partition to ask; agents of the community edition refuse it."},
    {NULL},
};

int
command_fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
	return 1;
}

/* ---- the table ---- */

static int
compare_paths(const void *left, const void *right)
{
	const struct command *const *a = left, *const *b = right;

	return strcmp((*a)->path, (*b)->path);
}

/* All commands, sorted by path. */
static size_t
all_commands(const struct command *out[COMMANDS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < COUNTOF(families); i++)
		for (const struct command *c = families[i]; c->path != NULL && n < COMMANDS_MAX; c++)
			out[n++] = c;
	qsort(out, n, sizeof *out, compare_paths);
	return n;
}

static const struct command *
find_command(const char *path)
{
	for (size_t i = 0; i < COUNTOF(families); i++)
		for (const struct command *c = families[i]; c->path != NULL; c++)
			if (strcmp(c->path, path) == 0)
				return c;
	return NULL;
}

/* Is c directly below parent ("" is the top)? */
static bool
is_child(const struct command *c, const char *parent)
{
	size_t size = strlen(parent);

	if (size == 0)
		return strchr(c->path, ' ') == NULL;
	return strncmp(c->path, parent, size) == 0 && c->path[size] == ' ' && strchr(c->path + size + 1, ' ') == NULL;
}

/* Names and synopses of what is below parent, aligned. */
static void
print_children(const char *parent, FILE *out)
{
	const struct command *all[COMMANDS_MAX] = {NULL};
	size_t n = all_commands(all), skip = *parent == '\0' ? 0 : strlen(parent) + 1;
	int width = 0;

	for (size_t i = 0; i < n; i++)
		if (is_child(all[i], parent))
			width = MAX(width, (int)strlen(all[i]->path + skip));
	for (size_t i = 0; i < n; i++)
		if (is_child(all[i], parent))
			fprintf(out, "    %-*s    %s\n", width, all[i]->path + skip, all[i]->synopsis);
}

static void
print_top_help(FILE *out)
{
	fprintf(out, "Usage: consul [--version] [--help] <command> [<args>]\n\nAvailable commands are:\n");
	print_children("", out);
	fputc('\n', out);
}

/* ---- help ---- */

static int
compare_flags(const void *left, const void *right)
{
	const struct flag *const *a = left, *const *b = right;

	return strcmp((*a)->name, (*b)->name);
}

static size_t
collect_flags(const struct flag *const *tables, const struct flag **out, size_t max)
{
	size_t n = 0;

	for (; *tables != NULL; tables++)
		for (const struct flag *f = *tables; f->name != NULL; f++)
			if (f->help != NULL && n < max)
				out[n++] = f;
	qsort(out, n, sizeof *out, compare_flags);
	return n;
}

static const char *
value_name(enum flag_kind kind)
{
	switch (kind) {
	case FLAG_BOOL:
		return NULL;
	case FLAG_UINT:
	case FLAG_STRICT_UINT:
		return "uint";
	case FLAG_INT:
		return "int";
	case FLAG_DURATION:
	case FLAG_STRICT_DURATION:
		return "duration";
	case FLAG_MAP:
		return "key=value";
	case FLAG_TRISTATE:
		return "bool";
	case FLAG_STRING:
	case FLAG_LIST:
		break;
	}
	return "string";
}

/* Words up to the column, indented by 5. */
static void
print_wrapped(const char *text, FILE *out)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t word = strcspn(text, " ");

		if (column > 0 && column + 1 + word > HELP_COLUMNS) {
			fputc('\n', out);
			column = 0;
		}
		column += (size_t)fprintf(out, "%s%.*s", column == 0 ? "     " : " ", (int)word, text);
		text += word;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static void
print_flags(const char *title, const struct flag *const *tables, FILE *out)
{
	const struct flag *sorted[128] = {NULL};
	size_t n = collect_flags(tables, sorted, COUNTOF(sorted));

	if (n == 0)
		return;
	fprintf(out, "\n%s\n", title);
	for (size_t i = 0; i < n; i++) {
		const char *value = value_name(sorted[i]->kind);

		if (value == NULL)
			fprintf(out, "\n  -%s\n", sorted[i]->name);
		else
			fprintf(out, "\n  -%s=<%s>\n", sorted[i]->name, value);
		print_wrapped(sorted[i]->help, out);
	}
}

static void
print_about(const char *about, FILE *out)
{
	while (about != NULL && *about != '\0') {
		size_t line = strcspn(about, "\n");

		fprintf(out, line == 0 ? "%.*s\n" : "  %.*s\n", (int)line, about);
		about += line;
		about += *about == '\n';
	}
}

/* The tables of a command: common ones (HTTP API Options) and own ones, each ended by NULL. */
static void
tables_of(const struct command *c, const struct flag *common[FLAG_TABLES_MAX], const struct flag *own[FLAG_TABLES_MAX])
{
	size_t n = 0;

	if ((c->options & COMMAND_CLIENT) != 0)
		common[n++] = client_flags;
	if ((c->options & COMMAND_SERVER) != 0)
		common[n++] = server_flags;
	common[n] = NULL;
	n = 0;
	if (c->flags != NULL)
		own[n++] = c->flags;
	if ((c->options & COMMAND_NAMESPACE) != 0)
		own[n++] = namespace_flags;
	if ((c->options & COMMAND_PARTITION) != 0)
		own[n++] = partition_flags;
	own[n] = NULL;
}

void
command_help(const struct command *c, FILE *out)
{
	const struct flag *common[FLAG_TABLES_MAX], *own[FLAG_TABLES_MAX];

	if (c->run == NULL) {
		fprintf(out, "Usage: consul %s <subcommand> [options] [args]\n\n", c->path);
		print_about(c->about == NULL ? c->synopsis : c->about, out);
		fprintf(out, "\nSubcommands:\n");
		print_children(c->path, out);
		return;
	}
	fprintf(out, "Usage: consul %s %s\n\n", c->path, c->arguments == NULL ? "[options]" : c->arguments);
	print_about(c->about == NULL ? c->synopsis : c->about, out);
	tables_of(c, common, own);
	print_flags("HTTP API Options", common, out);
	print_flags("Command Options", own, out);
}

int
command_misuse(const struct invocation *in, const char *message)
{
	fprintf(stderr, "%s\n\n", message);
	command_help(in->command, stderr);
	return 1;
}

/* The dump of all flags that follows an error while parsing. */
static void
print_flag_error(const struct command *c, const struct flag *const *tables, const char *message)
{
	const struct flag *sorted[128] = {NULL};
	size_t n = collect_flags(tables, sorted, COUNTOF(sorted));

	fprintf(stderr, "%s\nUsage:\n", message);
	for (size_t i = 0; i < n; i++) {
		const char *value = value_name(sorted[i]->kind);

		fprintf(stderr, "  -%s%s%s\n    \t%s\n", sorted[i]->name, value == NULL ? "" : " ",
		    value == NULL ? "" : "value", sorted[i]->help);
	}
	if ((c->options & COMMAND_REPEATS_ERROR) != 0)
		fprintf(stderr, "%s\n", message);
}

/* ---- running ---- */

static int
run_command(const struct command *c, int argc, char **argv)
{
	const struct flag *common[FLAG_TABLES_MAX], *own[FLAG_TABLES_MAX], *all[2 * FLAG_TABLES_MAX];
	struct invocation in = {.command = c, .region = region_new()};
	size_t n = 0;
	int rest = 0, status = 1;

	tables_of(c, common, own);
	for (size_t i = 0; common[i] != NULL; i++)
		all[n++] = common[i];
	for (size_t i = 0; own[i] != NULL; i++)
		all[n++] = own[i];
	all[n] = NULL;
	in.flags = flags_new(in.region, all);
	if ((c->options & COMMAND_RAW) == 0 && flags_parse(in.flags, argc, argv, &rest) == -1) {
		print_flag_error(c, all, flags_error(in.flags));
		goto out;
	}
	if ((c->options & COMMAND_CLIENT) != 0 && flags_given(in.flags, "rpc-addr"))
		fprintf(stderr, "The -rpc-addr flag is no longer supported; use -http-addr.\n");
	in.argc = argc - rest;
	in.argv = argv + rest;
	status = c->run(&in);
out:
	region_free(in.region);
	if (fflush(stdout) == EOF && status == 0)
		status = command_fail("consulctl: standard output: %s", strerror(errno));
	return status;
}

static bool
is_one_of(const char *word, const char *a, const char *b, const char *c)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0 || strcmp(word, c) == 0;
}

/* Words from first on that form the path of a command. Returns the command and how many words it took. */
static const struct command *
resolve(int argc, char **argv, int first, int *words)
{
	const struct command *found = NULL, *deeper;
	char path[256];
	size_t used = 0;

	*words = 0;
	for (int i = first; i < argc; i++) {
		size_t size = strlen(argv[i]);

		if (strchr(argv[i], ' ') != NULL || used + size + 2 > sizeof path)
			break;
		if (used > 0)
			path[used++] = ' ';
		memcpy(path + used, argv[i], size + 1);
		used += size;
		deeper = find_command(path);
		if (deeper == NULL)
			break;
		found = deeper;
		*words = i - first + 1;
	}
	return found;
}

int
command_main(int argc, char **argv)
{
	const struct command *c;
	int first = 1, words;
	bool help = false, version = false;

	while (first < argc && argv[first][0] == '-' && strcmp(argv[first], "--") != 0)
		first++;
	c = resolve(argc, argv, first, &words);
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		help = help || is_one_of(argv[i], "-h", "-help", "--help");
		version = version || (i < first && is_one_of(argv[i], "-v", "-version", "--version"));
	}
	if (version && !help)
		return run_command(find_command("version"), 0, argv + argc);
	if (c == NULL) {
		print_top_help(help && first == argc ? stdout : stderr);
		return help && first == argc ? 0 : 127;
	}
	if (c->run == consuld_run && first == 1 && (!help || strcmp(c->path, "agent") == 0))
		return consuld_exec(argv);
	if (help) {
		command_help(c, stdout);
		return fflush(stdout) == EOF;
	}
	if (first > 1) {
		fprintf(stderr, "Invalid flags before the subcommand. If these flags are for\n"
				"the subcommand, please put them after the subcommand.\n\n");
		command_help(c, stderr);
		return 1;
	}
	if (c->run == NULL) {
		command_help(c, stderr);
		return 1;
	}
	return run_command(c, argc - first - words, argv + first + words);
}
