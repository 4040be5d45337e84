/*
 * main.c - consuld, the supervisor: from the command line to the running suite (consuld(8))
 *
 * Configuration, table, node ID, log file; errors so far are "==> text" on standard error. Then the banner, and the suite (suite.h), whose
 * errors are log lines.
 */
#include <errno.h>
#include <ev.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "banner.h"
#include "buf.h"
#include "mem.h"
#include "suite.h"

/* ---- where we are installed ---- */

/* PREFIX/sbin/consuld -> PREFIX; also found when run from a build tree. */
static char *
install_prefix(void)
{
	char path[PATH_MAX];
	ssize_t got = readlink("/proc/self/exe", path, sizeof path - 1);

	if (got <= 0)
		return xstrdup("/usr");
	path[got] = '\0';
	return xstrdup(dirname(dirname(path)));
}

static struct table *
load_table(const char *prefix, char error[TABLE_ERROR_MAX])
{
	const char *given = getenv("CONSULD_CONF");
	struct table *t;
	char *own;

	if (given != NULL && given[0] != '\0')
		return table_load(given, error);
	own = xasprintf("%s/etc/consuld.conf", prefix);
	if (access(own, F_OK) == 0)
		t = table_load(own, error);
	else
		t = table_load(access("/etc/consuld.conf", F_OK) == 0 ? "/etc/consuld.conf" : NULL, error);
	free(own);
	return t;
}

/* Go's spelling of an errno. */
static const char *
reason(void)
{
	static char text[128];

	snprintf(text, sizeof text, "%s", strerror(errno));
	if (text[0] >= 'A' && text[0] <= 'Z')
		text[0] = (char)(text[0] | 0x20);
	return text;
}

/* "==> text" before there is a log. Always 1. */
static int
early_error(const char *text)
{
	fprintf(stderr, "==> %s\n", text);
	return 1;
}

static int
open_log_file(struct suite *s)
{
	const struct logfile_options options = {
	    .path = config_str(s->config, "log_file"),
	    .rotate_ns = config_duration(s->config, "log_rotate_duration"),
	    .rotate_bytes = config_int(s->config, "log_rotate_bytes"),
	    .files_max = config_int(s->config, "log_rotate_max_files"),
	};
	const char *path;
	struct logfile *f;
	char text[PATH_MAX + 256];

	if (options.path[0] == '\0')
		return 0;
	f = logfile_open(&options, &path);
	if (f == NULL) {
		snprintf(text, sizeof text, "Failed to setup logging: open %s: %s", path, reason());
		early_error(text);
		return -1;
	}
	logfile_close(logs_set_file(s->logs, f));
	return 0;
}

static void
print_banner(const struct config *c)
{
	struct buf text = BUF_INIT(8192);
	ssize_t written;

	banner_print(c, &text);
	written = write(STDOUT_FILENO, text.data, text.used);
	(void)written;
	buf_free(&text);
}

static int
agent_main(int argc, char **argv)
{
	static struct suite suite;
	char table_error[TABLE_ERROR_MAX], *prefix;
	struct config_error e = {.text = NULL};
	struct suite *s = &suite;
	int status = 1;

	log_init("consuld", LOG_INFO_LEVEL);
	s->config = config_load(argc, argv, &e);
	if (s->config == NULL) {
		if (e.usage)
			config_usage(e.text == NULL ? stdout : stderr);
		status = e.text == NULL ? 0 : early_error(e.text);
		config_error_free(&e);
		return status;
	}
	prefix = install_prefix();
	s->libexec = xasprintf("%s/libexec/consuld", prefix);
	s->table = load_table(prefix, table_error);
	free(prefix);
	if (s->table == NULL)
		return early_error(table_error);
	if (config_prepare(s->config, &e) == -1) {
		early_error(e.text);
		config_error_free(&e);
		return 1;
	}
	s->loop = ev_default_loop(EVBACKEND_EPOLL | EVFLAG_NOENV);
	if (s->loop == NULL)
		return early_error("no event loop");
	s->logs = logs_new(s->loop, config_log_level(s->config), config_bool(s->config, "log_json"));
	if (open_log_file(s) == -1)
		return 1;
	if (!config_bool(s->config, "log_json"))
		print_banner(s->config);
	status = suite_run(s);
	suite_free(s);
	return status;
}

int
main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";

	if (strcmp(command, "agent") == 0)
		return agent_main(argc - 2, argv + 2);
	if (strcmp(command, "validate") == 0 || strcmp(command, "configtest") == 0)
		return config_validate_main(argc - 2, argv + 2, strcmp(command, "configtest") == 0);
	if (strcmp(command, "definitions") == 0)
		return config_definitions_main(argc - 2, argv + 2);
	if (strcmp(command, "--dump-params") == 0) {
		config_dump_params(stdout);
		return 0;
	}
	if (strcmp(command, "-V") == 0 || strcmp(command, "--version") == 0) {
		printf("consuld %s\n", CONSULD_VERSION);
		return 0;
	}
	fprintf(stderr, "usage: consuld agent [flags]\n"
			"       consuld validate [-quiet] [-config-format format] path ...\n"
			"       consuld configtest [-config-dir directory] [-config-file file]\n"
			"       consuld definitions path ...\n"
			"       consuld -V | --dump-params\n");
	return command[0] == '\0' ? 1 : 127;
}
