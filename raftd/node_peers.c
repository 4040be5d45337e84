/*
 * node_peers.c - messages to and from other servers, who they are, and where (contract: node.h, node_internal.h; callers: node.c, serve.c)
 *
 * Out: Raft hands out messages once per turn; the contents of their entries come from memory, or from the log where a follower is far
 * behind. In: a message is stepped through Raft as it comes; what it appends is kept in memory and saved with the turn's batch.
 *
 * A member is its ID. Its address is, in this order: what we were told by whoever knows the members (Raft.Addresses), what it said of
 * itself when it dialled us, what the configuration in the log says.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "duration.h"
#include "entry_source.h"
#include "log.h"
#include "mem.h"
#include "node_internal.h"

/* ---- addresses ---- */

static const struct transport_peer *
address_find(const struct transport_peer *list, size_t count, struct raft_id id)
{
	for (size_t i = 0; i < count; i++)
		if (raft_id_equal(list[i].id, id))
			return &list[i];
	return NULL;
}

const char *
node_address_of(const struct node *n, struct raft_id id)
{
	const struct transport_peer *p = address_find(n->told, n->told_count, id);

	if (raft_id_equal(id, n->self))
		return n->address;
	if (p == NULL)
		p = address_find(n->learned, n->learned_count, id);
	if (p != NULL)
		return p->address;
	for (size_t i = n->configuration_count; i > 0; i--) {
		const struct member *m = configuration_find(&n->configurations[i - 1].content, id);

		if (m != NULL)
			return m->address;
	}
	return "";
}

struct peer_list {
	const struct node *node;
	struct transport_peer at[TRANSPORT_PEERS_MAX];
	size_t count;
};

static void
peer_add(struct peer_list *l, struct raft_id id)
{
	struct transport_peer *p = &l->at[l->count];

	if (raft_id_equal(id, l->node->self) || l->count == TRANSPORT_PEERS_MAX ||
	    address_find(l->at, l->count, id) != NULL)
		return;
	p->id = id;
	snprintf(p->address, sizeof p->address, "%s", node_address_of(l->node, id));
	l->count++;
}

void
node_peers_update(struct node *n)
{
	struct peer_list *l;

	if (n->transport == NULL)
		return;
	l = xcalloc(1, sizeof *l);
	l->node = n;
	/* also those whom the last one removes: they are told; and a leader that we do not know of yet */
	for (size_t i = n->configuration_count; i > 0; i--)
		for (size_t k = 0; k < n->configurations[i - 1].content.count; k++)
			peer_add(l, n->configurations[i - 1].content.members[k].id);
	for (size_t i = 0; i < n->learned_count; i++)
		peer_add(l, n->learned[i].id);
	transport_cluster_set(n->transport, node_configuration(n)->cluster);
	transport_peers_set(n->transport, l->at, l->count);
	n->addresses_version++;
	free(l);
}

static void
on_learned(void *ctx, struct raft_id from, const char *address)
{
	struct node *n = ctx;
	struct transport_peer *p = NULL;

	for (size_t i = 0; i < n->learned_count; i++)
		if (raft_id_equal(n->learned[i].id, from))
			p = &n->learned[i];
	if (p == NULL) {
		p = &n->learned[n->learned_next];
		n->learned_next = (n->learned_next + 1) % LEARNED_MAX;
		n->learned_count = MIN(n->learned_count + 1, LEARNED_MAX);
	} else if (strcmp(p->address, address) == 0)
		return;
	p->id = from;
	snprintf(p->address, sizeof p->address, "%s", address);
	node_peers_update(n);
}

void
node_addresses_tell(struct node *n, const struct member *members, size_t count)
{
	bool same = count == n->told_count;

	if (count > RAFT_MEMBERS_MAX)
		panic("node: addresses of %zu members", count);
	for (size_t i = 0; i < count; i++) {
		same = same && raft_id_equal(n->told[i].id, members[i].id) &&
		       strcmp(n->told[i].address, members[i].address) == 0;
		n->told[i].id = members[i].id;
		memcpy(n->told[i].address, members[i].address, sizeof n->told[i].address);
	}
	n->told_count = count;
	if (!same)
		node_peers_update(n);
}

/* ---- configurations ---- */

void
node_configurations_cut(struct node *n, uint64_t first)
{
	while (n->configuration_count > 0 && n->configurations[n->configuration_count - 1].index >= first)
		n->configuration_count--;
}

void
node_configuration_put(struct node *n, uint64_t index, const struct configuration *content)
{
	/* all but the last are committed (raft_members.c): the oldest ones are not needed */
	if (n->configuration_count >= RAFT_CONFIGURATIONS_MAX) {
		n->configuration_count = RAFT_CONFIGURATIONS_MAX - 1;
		memmove(n->configurations, n->configurations + 1, n->configuration_count * sizeof *n->configurations);
	}
	n->configurations = xreallocarray(n->configurations, n->configuration_count + 1, sizeof *n->configurations);
	n->configurations[n->configuration_count++] = (struct node_configuration){index, *content};
}

static bool
on_configuration(void *ctx, const struct wal_entry *e)
{
	struct node_configuration *c = ctx;

	if (configuration_decode(e->data, &c->content) == 0)
		c->index = e->index;
	return false;
}

int
node_configuration_read(struct node *n, uint64_t index, struct node_configuration *out)
{
	uint64_t at = wal_configuration_index(n->wal, index);
	char error[WAL_ERROR_MAX];

	*out = (struct node_configuration){0};
	if (n->recovered.index != 0 && index >= n->recovered.index && at <= n->recovered.index) {
		*out = n->recovered;
		return 0;
	}
	if (at == 0) {
		if (snapshots_count(n->snapshots) > 0) {
			out->content = snapshots_at(n->snapshots, 0)->configuration;
			out->index = snapshots_at(n->snapshots, 0)->configuration_index;
		}
		return 0;
	}
	if (wal_read(n->wal, at, at, on_configuration, out, error) == -1) {
		log_errorx(MODULE, "the log can not be read: error=%s", log_quote(error));
		return -1;
	}
	return 0;
}

/* ---- messages out ---- */

static void
message_send(struct node *n, const struct raft_message *m)
{
	struct buf *out = transport_begin(n->transport, m->to);
	char error[WAL_ERROR_MAX];
	bool keep = true;

	if (out == NULL)
		return;
	if (m->type == RAFT_SNAPSHOT)
		keep = node_chunk_put(n, m, out);
	else {
		if (entry_source_load(n->entry_source, n->wal, n->tail, m, error) == -1)
			node_disk_failed(n, error);
		message_encode(m, entry_source_get, n->entry_source, out);
	}
	transport_end(n->transport, keep);
}

void
node_messages_send(struct node *n)
{
	struct raft_message m;

	/* its receiver stands for election inside our lease: whoever reads under that must know first */
	if (n->timeout_waits && !raft_transferring(n->raft))
		n->timeout_waits = false; /* it took too long */
	if (n->timeout_waits && n->ops->lease_is_free(n->ctx)) {
		n->timeout_waits = false;
		message_send(n, &n->timeout_now);
	}
	while (raft_message(n->raft, &m)) {
		if (m.type == RAFT_TIMEOUT_NOW && !n->ops->lease_is_free(n->ctx)) {
			n->timeout_now = m;
			n->timeout_waits = true;
		} else
			message_send(n, &m);
	}
	transport_flush(n->transport);
	entry_source_trim(n->entry_source);
}

/* ---- messages in ---- */

static void
entries_take(struct node *n, const struct message_in *in, const struct raft_accepted *accepted)
{
	const struct terms *log = raft_log(n->raft);
	bool changed = n->configuration_count > 0 && node_configuration_index(n) >= accepted->first;
	struct configuration c;

	node_configurations_cut(n, accepted->first);
	for (uint32_t i = 0; i < accepted->taken; i++) {
		const struct message_entry *e = &in->entries[accepted->skipped + i];
		uint64_t index = accepted->first + i;

		tail_put(n->tail, index, terms_at(log, index), e->type, e->data);
		n->pending_bytes += e->data.size;
		/* what the decoder has let through decodes */
		if (e->type == WAL_CONFIGURATION && configuration_decode(e->data, &c) == 0) {
			node_configuration_put(n, index, &c);
			changed = true;
		}
	}
	if (changed)
		node_peers_update(n);
}

static size_t
entries_bytes(const struct message_in *in)
{
	size_t bytes = 0;

	for (uint32_t i = 0; i < in->message.entries; i++)
		bytes += in->entries[i].data.size;
	return bytes;
}

static void
on_message(void *ctx, struct raft_id from, struct bytes bytes)
{
	struct node *n = ctx;
	struct raft_accepted accepted = {0};
	struct message_in in;

	if (message_decode(bytes, &in) == -1) {
		char id[UUID_TEXT_SIZE];
		unsigned suppressed;

		if (log_allowed(&n->unreadable, 6, &suppressed))
			log_warnx(MODULE,
			    "a message can not be read, passed over: server-id=%s bytes=%zu suppressed=%u",
			    raft_id_format(from, id), bytes.size, suppressed);
		return;
	}
	/* a server speaks for itself alone; without room its entries are lost, and sent again */
	if (raft_id_equal(in.message.from, from) && raft_id_equal(in.message.to, n->self) &&
	    (in.message.entries == 0 || !node_is_backlogged(n, entries_bytes(&in)))) {
		node_time(n);
		raft_step(n->raft, &in.message, &accepted);
		node_noop_take(n);
		if (accepted.taken > 0)
			entries_take(n, &in, &accepted);
		if (accepted.snapshot_chunk)
			node_chunk_take(n, &in);
		if ((in.message.type == RAFT_APPEND || in.message.type == RAFT_SNAPSHOT) &&
		    raft_id_equal(raft_leader(n->raft), from))
			contact_set(n->contact, (uint64_t)boottime_now().ns);
	}
	message_in_free(&in);
}

uint64_t
node_silence_ms(const struct node *n)
{
	uint64_t heard_ns = contact_get(n->contact);

	if (raft_role(n->raft) == RAFT_LEADER)
		return 0;
	if (heard_ns == 0)
		return UINT64_MAX;
	return ((uint64_t)boottime_now().ns - heard_ns) / (uint64_t)NS_PER_MS;
}

int
node_contact_fd(const struct node *n)
{
	return contact_fd(n->contact);
}

/* ---- the transport ---- */

void
node_transport_open(struct node *n)
{
	static const struct transport_ops ops = {.message = on_message, .learned = on_learned};

	n->entry_source = entry_source_new(TRANSPORT_MESSAGE_BYTES_MAX);
	n->transport = transport_new(n->loop, n->self, n->address, &ops, n);
	node_peers_update(n);
}

void
node_transport_close(struct node *n)
{
	transport_free(n->transport);
	n->transport = NULL;
}

void
node_transport_free(struct node *n)
{
	entry_source_free(n->entry_source);
}

void
node_accept(struct node *n, int fd, const char *peer)
{
	if (n->transport == NULL) /* stopped */
		close(fd);
	else
		transport_accept(n->transport, fd, peer);
}
