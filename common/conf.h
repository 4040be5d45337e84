/*
 * conf.h - the resolved configuration that consuld writes for each daemon (libconfig, consuld.conf(5))
 *
 * Names are the paths of Consul's configuration keys ("ports.dns", "dns_config.node_ttl"). Only keys that the parameter
 * registry marks as used by this daemon are in its file. Durations are stored as text ("10s"), unsigned 64-bit numbers too.
 * Maps with user keys are lists of {key, value}.
 */
#ifndef COMMON_CONF_H
#define COMMON_CONF_H

#include <stdbool.h>

#include "cdefs.h"

struct conf;

#define CONF_ERROR_MAX 512

/* path is relative to the working directory. NULL: error says which file, line and why. */
MUST_USE struct conf *conf_load(const char *path, char error[CONF_ERROR_MAX]);
void conf_free(struct conf *c);
/* The generation number the file carries. */
unsigned conf_generation(const struct conf *c);

bool conf_has(const struct conf *c, const char *name);
/* Absent: fallback. The text lives as long as c. */
const char *conf_str(const struct conf *c, const char *name, const char *fallback);
int64_t conf_int(const struct conf *c, const char *name, int64_t fallback);
bool conf_bool(const struct conf *c, const char *name, bool fallback);
double conf_float(const struct conf *c, const char *name, double fallback);
/* Nanoseconds. */
int64_t conf_duration(const struct conf *c, const char *name, int64_t fallback_ns);
/* Lists of text: number of elements (0: absent), and element i. */
size_t conf_list_count(const struct conf *c, const char *name);
const char *conf_list_str(const struct conf *c, const char *name, size_t i);
/* Maps with user keys: number of pairs, and pair i. */
size_t conf_map_count(const struct conf *c, const char *name);
const char *conf_map_key(const struct conf *c, const char *name, size_t i);
const char *conf_map_value(const struct conf *c, const char *name, size_t i);

/* One row of the "listen" list: what this daemon listens on. */
struct conf_listen {
	const char *name;    /* "http", "dns-udp", "dns-tcp", "rpc", "serf-lan-udp", ... */
	const char *address; /* "127.0.0.1:8500", "[::1]:8500", "unix:///path" */
	const char *mode;    /* unix sockets: octal mode or "" */
};
size_t conf_listen_count(const struct conf *c);
struct conf_listen conf_listen_at(const struct conf *c, size_t i);

#endif
