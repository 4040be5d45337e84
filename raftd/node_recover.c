/*
 * node_recover.c - peers.json: an operator's word on who is left after most servers were lost for good (contract: node_internal.h; callers: node_open.c, node.c)
 *
 * All servers are down and get the same file; each takes it at its start. From then on the configuration is the file's, as if it stood behind the
 * last entry of the log; what is in the log stays, and the one whose log is furthest is elected. The first leader puts the
 * configuration into the log as an entry. Until that is committed the file "recovery" says it, together with the entry behind which it
 * holds: where a leader replaces that entry it is void, and the leader's entries count.
 *
 * No entry is written for it at the start: two servers might write different ones with the same index and term.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json.h"
#include "log.h"
#include "mem.h"
#include "mp.h"
#include "node_internal.h"
#include "replace.h"

#define PEERS_NAME "peers.json"
#define INFO_NAME "peers.info"
#define RECOVERY_NAME "recovery"
#define FILE_BYTES_MAX (256u * 1024)

static const char info[] =
    "A file peers.json in this directory is used once, at the next start, when most servers of a cluster are lost\n"
    "for good and the others have no leader. Stop all that are left, write the same file on each of them, with\n"
    "exactly those that are to go on:\n"
    "\n"
    "[\n"
    "  { \"id\": \"adf4238a-882b-9ddc-4a9d-5b6758e4159e\", \"address\": \"10.1.0.1:8300\", \"non_voter\": false }\n"
    "]\n"
    "\n"
    "id is the content of node-id in the data directory. Then start them. The file is removed once it was taken.\n"
    "What only the lost servers had acknowledged is lost with them; see raftd(8).\n";

/* ---- files ---- */

/* 1: read; 0: there is none; -1: errno. */
static int
file_read(int dir, const char *name, struct buf *out)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), saved_errno;
	ssize_t n = 0;

	if (fd == -1)
		return errno == ENOENT ? 0 : -1;
	do {
		uint8_t *space = buf_space(out, 4096);

		if (space == NULL) {
			errno = EFBIG;
			n = -1;
		} else if ((n = read(fd, space, 4096)) > 0)
			buf_commit(out, (size_t)n);
	} while (n > 0);
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return n == -1 ? -1 : 1;
}

static int
file_remove(int dir, const char *name)
{
	return unlinkat(dir, name, 0) == -1 && errno != ENOENT ? -1 : fsync(dir);
}

/* ---- peers.json ---- */

/* -1: why says what is wrong with it. */
static int
peers_decode(struct bytes map, struct configuration *out, const char **why)
{
	struct mp in = mp_of(map);
	size_t voters = 0;

	*why = "it is not a list of servers";
	if (mp_peek(&in) != MP_ARRAY)
		return -1;
	for (uint32_t left = mp_array(&in); left > 0; left--) {
		struct bytes server = mp_raw(&in);
		struct member *m = &out->members[out->count];
		char id[UUID_TEXT_SIZE];

		*why = "there are more than 64 servers";
		if (out->count == RAFT_MEMBERS_MAX)
			return -1;
		*why = "an id is not a node ID";
		if (bytes_to_str(mp_find_str(server, "id"), id, sizeof id) == -1 || raft_id_parse(id, &m->id) == -1)
			return -1;
		*why = "an address is missing or too long";
		if (bytes_to_str(mp_find_str(server, "address"), m->address, sizeof m->address) == -1 ||
		    m->address[0] == '\0')
			return -1;
		*why = "a server is named twice";
		if (configuration_find(out, m->id) != NULL)
			return -1;
		m->voter = !mp_find_bool(server, "non_voter");
		voters += m->voter;
		out->count++;
	}
	*why = "no server votes";
	return mp_ok(&in) && voters > 0 ? 0 : -1;
}

static int
peers_parse(const struct node *n, struct bytes text, struct configuration *out)
{
	struct buf message = BUF_INIT(FILE_BYTES_MAX * 2);
	struct json_error error;
	const char *why = "it is not JSON";
	int result = -1;

	if (json_to_mp(text, &message, &error) == 0)
		result = peers_decode(buf_bytes(&message), out, &why);
	if (result == -1)
		log_errorx(MODULE, "recovery failed to parse peers.json: %s: path=%s/" PEERS_NAME, why, n->raft_path);
	buf_free(&message);
	return result;
}

/* The configuration that the log ends with. */
static int
peers_take(struct node *n, struct bytes text)
{
	const struct terms *log = wal_terms(n->wal);
	struct node_configuration former;
	struct configuration c = {0};
	struct buf data = BUF_INIT(FILE_BYTES_MAX);
	int result;

	if (peers_parse(n, text, &c) == -1 || node_configuration_read(n, log->last, &former) == -1)
		return -1;
	c.cluster = former.content.cluster;
	mp_put_map(&data, 3);
	mp_put_kv_uint(&data, "Index", log->last);
	mp_put_kv_uint(&data, "Term", terms_last_term(log));
	mp_put_cstr(&data, "Configuration");
	configuration_encode(&c, &data);
	/* the file gives votes to servers as they are, this one among them */
	result = node_life_drop(n);
	if (result == 0)
		result = replace_file(n->raft_dir, RECOVERY_NAME, buf_bytes(&data), 0600, true);
	buf_free(&data);
	if (result == -1 || file_remove(n->raft_dir, PEERS_NAME) == -1) {
		log_error(MODULE, "recovery failed: path=%s", log_quote(n->raft_path));
		return -1;
	}
	log_info(MODULE, "deleted peers.json file after successful recovery");
	return 0;
}

/* What was taken, in this start or one before. */
static int
recovery_read(struct node *n)
{
	struct buf data = BUF_INIT(FILE_BYTES_MAX);
	int found = file_read(n->raft_dir, RECOVERY_NAME, &data);
	struct bytes map = buf_bytes(&data);
	uint64_t index = found == 1 ? mp_find_uint(map, "Index") : 0;
	int result = 0;

	if (found == -1 ||
	    (found == 1 && configuration_decode(mp_find_raw(map, "Configuration"), &n->recovered.content) == -1)) {
		log_errorx(
		    MODULE, "failed to start Raft: the file can not be read: path=%s/" RECOVERY_NAME, n->raft_path);
		result = -1;
	} else if (index != 0 && terms_at(wal_terms(n->wal), index) == mp_find_uint(map, "Term"))
		n->recovered.index = index;
	else if (found == 1 && file_remove(n->raft_dir, RECOVERY_NAME) == -1) {
		log_error(MODULE, "failed to start Raft: path=%s/" RECOVERY_NAME, n->raft_path);
		result = -1;
	}
	buf_free(&data);
	return result;
}

int
node_recover_open(struct node *n)
{
	struct buf text = BUF_INIT(FILE_BYTES_MAX);
	int found = file_read(n->raft_dir, PEERS_NAME, &text), result = 0;

	if (found == -1) {
		log_error(MODULE, "recovery failed: path=%s/" PEERS_NAME, n->raft_path);
		result = -1;
	} else if (wal_terms(n->wal)->last == 0) {
		/* a first start: there is nothing to recover */
		if ((found == 1 && file_remove(n->raft_dir, PEERS_NAME) == -1) ||
		    replace_file(n->raft_dir, INFO_NAME, bytes_str(info), 0644, true) == -1)
			log_warn(MODULE, "no " INFO_NAME " could be written: path=%s", log_quote(n->raft_path));
	} else if (found == 1) {
		log_info(MODULE, "found peers.json file, recovering Raft configuration...");
		result = peers_take(n, buf_bytes(&text));
	}
	buf_free(&text);
	return result == 0 ? recovery_read(n) : -1;
}

void
node_recover_configurations(struct node *n)
{
	struct node_configuration later[RAFT_CONFIGURATIONS_MAX];
	size_t count = 0;

	if (n->recovered.index == 0)
		return;
	for (size_t i = 0; i < n->configuration_count; i++)
		if (n->configurations[i].index > n->recovered.index && count < COUNTOF(later))
			later[count++] = n->configurations[i];
	n->configuration_count = 0;
	node_configuration_put(n, n->recovered.index, &n->recovered.content);
	for (size_t i = 0; i < count; i++)
		node_configuration_put(n, later[i].index, &later[i].content);
}

/* ---- while it runs ---- */

static void
recovery_over(struct node *n, const char *how)
{
	n->recovered = (struct node_configuration){0};
	if (file_remove(n->raft_dir, RECOVERY_NAME) == -1)
		log_warn(MODULE, "can not be removed: path=%s/" RECOVERY_NAME, n->raft_path);
	log_info(MODULE, "the configuration of peers.json %s", how);
}

void
node_recover_turn(struct node *n)
{
	const struct node_configuration *first;
	enum node_changing proposed = NODE_CHANGE_WAIT; /* or in a later turn */
	char error[NODE_ERROR_MAX];
	uint64_t index;

	if (n->recovered.index == 0)
		return;
	first = node_configuration_at(n, n->recovered.index);
	if (first == NULL || first->index != n->recovered.index)
		recovery_over(n, "gives way to the leader's log");
	else if (node_configuration_committed_index(n) > n->recovered.index)
		recovery_over(n, "is in the log");
	else if (raft_role(n->raft) == RAFT_LEADER && node_configuration_index(n) == n->recovered.index)
		proposed = node_configuration_propose(n, &n->recovered.content, &index, error);
	if (proposed == NODE_CHANGE_REFUSED)
		log_debug(MODULE, "the configuration of peers.json is not in the log yet: error=%s", log_quote(error));
}
