/*
 * config.h - the agent's configuration: from flags and files to the resolved files of one generation
 *
 * consuld reads what Consul's agent reads (flags, JSON and HCL files; config.md of the specification is the contract), checks all of it and
 * writes per daemon what that daemon needs (conf.h). Every key is a row of the registry (param.h). Nothing here logs or opens a socket;
 * errors and warnings are texts for the caller, complete, in the reference's words.
 *
 * Life of a start:	config_load -> print config_warning*() -> config_prepare -> config_set_run_dir -> config_write
 * Life of a reload:	config_reload(running) -> config_set_run_dir -> config_write -> (prepare, commit) -> config_free(running)
 *
 * Callers: main.c and the supervisor; `consuld validate` and `consuld configtest` (executed by consulctl).
 */
#ifndef CONSULD_CONFIG_H
#define CONSULD_CONFIG_H

#include <stdbool.h>
#include <stdio.h>

#include "buf.h"
#include "cdefs.h"
#include "log.h"
#include "version.h"

struct config;

/* text: several lines possible, no final newline, freed with config_error_free. */
struct config_error {
	char *text;
	bool
	    usage; /* a flag was wrong (the usage goes to stderr before the text) or, with text NULL, -h / -help was given */
};
void config_error_free(struct config_error *e);
/* The help of `consul agent`, made from the registry. */
void config_usage(FILE *out);

/*
 * argv: what follows `agent` (argv[0] is the first flag). Relative paths are taken from the current directory, which is remembered for
 * reloads. Reads files, changes nothing. NULL: *e says why; print it as "==> TEXT" on stderr and exit 1.
 */
MUST_USE struct config *config_load(int argc, char *const *argv, struct config_error *e);
/*
 * Reads the same sources again. In the result every key that needs a restart keeps the running value (config_notice tells which
 * differ); node ID and run directory are taken over. Services, checks and the reloadable keys are the new ones.
 */
MUST_USE struct config *config_reload(const struct config *running, struct config_error *e);
void config_free(struct config *c); /* c may be NULL */

/* Logged as "[WARN]  agent: TEXT". */
size_t config_warning_count(const struct config *c);
const char *config_warning(const struct config *c, size_t i);
/* After a reload: "[INFO]  agent: TEXT", one per changed key that needs a restart. */
size_t config_notice_count(const struct config *c);
const char *config_notice(const struct config *c, size_t i);

/*
 * Makes data_dir, the parents of log_file and pid_file, and settles the node ID (14.3), writing data_dir/node-id. -1: *e, e.g.
 * "failed to setup node ID: ...". Not needed after config_reload.
 */
MUST_USE int config_prepare(struct config *c, struct config_error *e);
/* Absolute. With -dev log and store live below it (RUN/raft, RUN/catalog), else below data_dir. */
void config_set_run_dir(struct config *c, const char *run_dir);
/* What consuld.conf says of servers: for catalogd. */
void config_set_servers(struct config *c, const char *servers);
/* Likewise of network coordinates; 0: not a word. */
void config_set_coordinates(struct config *c, uint64_t interval_ms, uint64_t period_ms);
/* Sets one of our own computed keys from consuld.conf ("consuld.catalog_map_size"). */
void config_set_own(struct config *c, const char *name, const char *value);

/*
 * Writes NAME.conf for every daemon and checkd-definitions.json into dirfd (an empty directory), mode 0400, synced. The caller gives them
 * to the daemons' users. -1 with errno.
 */
MUST_USE int config_write(const struct config *c, unsigned generation, int dirfd);
/* The daemons config_write writes for, NULL-terminated: "raftd", "catalogd", ... */
extern const char *const config_daemons[];

/* ---- values; name is a key path of the registry ("ports.http"), another name or the wrong type is our bug (panic) ---- */

const char *config_str(const struct config *c, const char *name); /* never NULL */
int64_t config_int(const struct config *c, const char *name);
bool config_bool(const struct config *c, const char *name);
int64_t config_duration(const struct config *c, const char *name); /* nanoseconds */
size_t config_list_count(const struct config *c, const char *name);
const char *config_list_at(const struct config *c, const char *name, size_t i);
size_t config_map_count(const struct config *c, const char *name);
const char *config_map_key(const struct config *c, const char *name, size_t i);
const char *config_map_value(const struct config *c, const char *name, size_t i);

/*
 * After config_load these are resolved: node_name, datacenter, primary_datacenter, bind_addr, advertise_addr, advertise_addr_wan,
 * serf_lan, serf_wan (plain IPs), client_addr (blank-separated IPs), data_dir, log_file, pid_file (absolute or ""), ports.* (-1: off),
 * leave_on_terminate, skip_leave_on_interrupt (by role), bootstrap (bootstrap_expect 1 included), ui_config.enabled.
 */
bool config_is_dev(const struct config *c);
const char *config_node_id(const struct config *c); /* "" before config_prepare */
enum log_level config_log_level(const struct config *c);
int config_syslog_facility(const struct config *c); /* LOG_LOCAL0 ...; -1: syslog is off */

/* What a daemon listens on; sockets that need root are opened by consuld (CONSULD_LISTEN), the others may be. */
struct config_listen {
	const char *daemon; /* "httpd" */
	const char *
	    name; /* "http" "https" "dns-udp" "dns-tcp" "rpc" "serf-lan-udp" "serf-lan-tcp" "serf-wan-udp" "serf-wan-tcp" */
	const char *address; /* "127.0.0.1:8500", "[::1]:8500", "unix:///path" */
	const char *mode;    /* unix sockets: octal text or "" */
	bool datagram;
};
size_t config_listen_count(const struct config *c);
struct config_listen config_listen_at(const struct config *c, size_t i);

/* The answer of Agent.Self: {Config, DebugConfig, Meta, xDS (null without gRPC)}. */
void config_agent_self(const struct config *c, struct buf *out);

/* ---- commands ---- */

/*
 * `consuld validate [-quiet] [-config-format F] PATH...` and, with fragments, `consuld configtest [-config-dir D] [-config-file F] [PATH...]`
 * (8.17, 7 of cli.md). argv[0] is the first argument after the command. Prints and returns the exit status.
 */
MUST_USE int config_validate_main(int argc, char *const *argv, bool fragments);
/*
 * `consuld definitions PATH...`: the services and checks of these files alone, as checkd-definitions.json has them, on standard output
 * (executed by consulctl for `services register FILE`). Errors and warnings go to standard error without prefix; the exit status.
 */
MUST_USE int config_definitions_main(int argc, char *const *argv);
/* `consuld --dump-params`: the registry, one row a line, tab-separated, for the manual and its check. */
void config_dump_params(FILE *out);

#endif
