/*
 * catalogd.c - what the parts of this process need of the whole (contract: catalogd.h; callers: main.c, raftlog.c, serve.c)
 */
#include "catalogd.h"

#include <stdlib.h>

#include "bootstrap.h"
#include "autopilot_run.h"
#include "leader.h"
#include "log.h"
#include "mem.h"
#include "net.h"
#include "publish.h"
#include "raft_members.h"
#include "raft_peers.h"
#include "remote.h"
#include "scrub.h"
#include "serve.h"
#include "session_timer.h"
#include "store.h"

#define MODULE "agent.server"
#define MAP_BYTES_DEFAULT (UINT64_C(1) << 40)

const char *
catalogd_rpc_address(const struct catalogd *c)
{
	static char text[NET_ADDR_TEXT_MAX];
	const struct conf *conf = daemon_conf(c->daemon);
	union net_addr address;

	if (net_addr_parse(conf_str(conf, "advertise_addr", "127.0.0.1"),
		(uint16_t)conf_int(conf, "ports.server", 8300), &address) == -1)
		return "";
	return net_addr_text_port(&address, text);
}

/* ---- the store ---- */

int
catalogd_store_open(struct catalogd *c)
{
	const struct conf *conf = daemon_conf(c->daemon);
	struct store_options options = {.directory = conf_str(conf, "consuld.catalog_dir", "catalog")};
	char error[STORE_ERROR_MAX] = "";
	enum store_open_status status = STORE_REBUILD;

	if (bytes_to_u64(bytes_str(conf_str(conf, "consuld.catalog_map_size", "")), &options.map_bytes) == -1)
		options.map_bytes = MAP_BYTES_DEFAULT;
	for (int attempt = 0; attempt < 2 && status == STORE_REBUILD; attempt++) {
		status = store_open(&options, &c->store, error);
		if (status == STORE_OPENED && scrub_whole(c->store, SCRUB_START_RECORDS_MAX, error) == -1) {
			store_close(c->store, false);
			c->store = NULL;
			status = STORE_REBUILD;
		}
		if (status == STORE_REBUILD) {
			log_warnx(MODULE, "the store is made again from the log: directory=%s reason=%s",
			    options.directory, log_quote(error));
			if (store_erase(options.directory) == -1) {
				log_error(MODULE, "the store can not be removed: directory=%s", options.directory);
				return -1;
			}
		}
	}
	if (status == STORE_OPENED) {
		if (c->publish != NULL)
			store_observe(c->store, publish_counter, c->publish);
		return 0;
	}
	log_errorx(MODULE, "the store can not be opened: directory=%s error=%s", options.directory, log_quote(error));
	return -1;
}

void
catalogd_store_renew(struct catalogd *c)
{
	const char *directory = conf_str(daemon_conf(c->daemon), "consuld.catalog_dir", "catalog");

	store_close(c->store, false);
	c->store = NULL;
	if (store_erase(directory) == -1)
		fatal(MODULE, "the store can not be removed: directory=%s", directory);
	if (catalogd_store_open(c) == -1)
		exit(EXIT_RETRY);
	store_started(c->store);
}

NORETURN void
catalogd_store_damaged(struct catalogd *c, const char *error)
{
	store_mark_damaged(c->store);
	fatalx(MODULE, "the store is damaged, it is made again at the next start: error=%s", log_quote(error));
}

/* ---- who leads ---- */

void
catalogd_leader_ready(struct catalogd *c)
{
	leader_start(c->leader);
	raft_members_start(c->raft_members);
	autopilot_run_start(c->autopilot);
	session_timers_start(c->session_timers);
	serve_leader_changed(c->serve);
	remote_changed(c->remote);
}

void
catalogd_leader_lost(struct catalogd *c)
{
	autopilot_run_stop(c->autopilot);
	raft_members_stop(c->raft_members);
	leader_stop(c->leader);
	session_timers_stop(c->session_timers);
}

void
catalogd_leader_changed(struct catalogd *c)
{
	serve_leader_changed(c->serve);
	remote_changed(c->remote);
}

void
catalogd_raft_status(struct catalogd *c, bool found)
{
	if (found)
		raft_addresses_again(c->raft_addresses);
	bootstrap_raft_changed(c->bootstrap);
}
