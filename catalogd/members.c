/*
 * members.c - all members of the LAN pool (contract: members.h; callers: gossip.c feeds it, servers.c, leader.c and others read it)
 *
 * Found by name through a hash; the array has all of them, a removed one's place is taken by the last.
 */
#include "members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mem.h"
#include "mp.h"
#include "ring.h"

#define HASH_SEED 7

struct members {
	const char *datacenter;
	struct hash_table by_name;
	struct lan_member **at;
	size_t count, size;
	bool synced;
	size_t observer_count;
	struct {
		members_observer *observer;
		void *ctx;
	} observers[MEMBERS_OBSERVERS_MAX];
};

static void
tell(const struct members *t, const struct lan_member *m, enum member_status before)
{
	for (size_t i = 0; i < t->observer_count; i++)
		t->observers[i].observer(t->observers[i].ctx, m, before);
}

/* ---- what a member says of itself ---- */

/* What does not fit is left out: it was never one of ours. */
static void
tag(struct bytes tags, const char *name, char *out, size_t size)
{
	if (bytes_to_str(mp_find_str(tags, name), out, size) == -1)
		out[0] = '\0';
}

static bool
has_tag(struct bytes tags, const char *name)
{
	struct mp value;

	return mp_find(mp_of(tags), name, &value);
}

static uint64_t
tag_number(struct bytes tags, const char *name)
{
	uint64_t number;

	return bytes_to_u64(mp_find_str(tags, name), &number) == 0 ? number : 0;
}

static void
tags_read(const struct members *t, struct lan_member *m)
{
	uint64_t port = tag_number(m->tags, "port"), expect = tag_number(m->tags, "expect");

	tag(m->tags, "id", m->id, sizeof m->id);
	tag(m->tags, "build", m->build, sizeof m->build);
	m->build[strcspn(m->build, ":")] = '\0';
	tag(m->tags, "raft_vsn", m->raft_version, sizeof m->raft_version);
	tag(m->tags, "consuld", m->own_kind, sizeof m->own_kind);
	m->local = bytes_is(mp_find_str(m->tags, "dc"), t->datacenter);
	m->bootstrap = has_tag(m->tags, "bootstrap");
	m->expect = expect > INT32_MAX ? 0 : (int32_t)expect;
	m->read_replica = has_tag(m->tags, "read_replica") || has_tag(m->tags, "nonvoter");
	m->rpc_port = port > UINT16_MAX ? 0 : (uint16_t)port;
	m->server = bytes_is(mp_find_str(m->tags, "role"), "consul") && m->rpc_port > 0 &&
		    net_addr_parse(m->address, m->rpc_port, &m->rpc) == 0;
}

/* ---- the table ---- */

static struct lan_member *
find(const struct members *t, struct bytes name)
{
	for (struct hash_node *h = hash_first(&t->by_name, hash_bytes(HASH_SEED, name)); h != NULL; h = hash_next(h)) {
		struct lan_member *m = RING_ENTRY(h, struct lan_member, by_name);

		if (bytes_equal(bytes_str(m->name), name))
			return m;
	}
	return NULL;
}

static struct lan_member *
add(struct members *t, struct bytes name)
{
	struct lan_member *m = xcalloc(1, sizeof *m);

	m->name = bytes_dup(name);
	m->by_name.hash = hash_bytes(HASH_SEED, name);
	hash_insert(&t->by_name, &m->by_name);
	if (t->count == t->size) {
		t->size = t->size == 0 ? 16 : t->size * 2;
		t->at = xreallocarray(t->at, t->size, sizeof *t->at);
	}
	m->place = t->count;
	t->at[t->count++] = m;
	return m;
}

static void
member_free(struct lan_member *m)
{
	free(m->name);
	free(m->tags_copy);
	free(m);
}

static void
forget(struct members *t, struct lan_member *m)
{
	enum member_status before = m->status;

	hash_remove(&t->by_name, &m->by_name);
	t->at[m->place] = t->at[--t->count];
	t->at[m->place]->place = m->place;
	m->status = MEMBER_NONE;
	tell(t, m, before);
	member_free(m);
}

static int
put(struct members *t, const struct member *from, const char **error)
{
	struct lan_member *m = find(t, from->name);
	enum member_status before = m == NULL ? MEMBER_NONE : m->status;
	char address[NET_ADDR_TEXT_MAX];
	bool same;

	if (from->name.size == 0 || from->status <= MEMBER_NONE || from->status > MEMBER_FAILED ||
	    bytes_to_str(from->addr, address, sizeof address) == -1) {
		*error = "a member without name, status or address";
		return -1;
	}
	if (m == NULL)
		m = add(t, from->name);
	same = (int64_t)before == from->status && strcmp(m->address, address) == 0 && bytes_equal(m->tags, from->tags);
	m->seen = true;
	if (same)
		return 0;
	memcpy(m->address, address, sizeof m->address);
	m->status = (enum member_status)from->status;
	free(m->tags_copy);
	m->tags_copy = xstrndup(from->tags.data, from->tags.size);
	m->tags = bytes_of(m->tags_copy, from->tags.size);
	tags_read(t, m);
	tell(t, m, before);
	return 0;
}

void
members_fail_unseen(struct members *t)
{
	for (size_t i = 0; i < t->count; i++) {
		struct lan_member *m = t->at[i];
		enum member_status before = m->status;

		if (m->seen || before == MEMBER_FAILED || before == MEMBER_LEFT)
			continue;
		m->status = MEMBER_FAILED;
		tell(t, m, before);
	}
}

void
members_drop_unseen(struct members *t)
{
	for (size_t i = t->count; i > 0; i--)
		if (!t->at[i - 1]->seen)
			forget(t, t->at[i - 1]);
}

void
members_begin(struct members *t)
{
	for (size_t i = 0; i < t->count; i++)
		t->at[i]->seen = false;
}

int
members_take(struct members *t, const struct gossip_event *event, const char **error)
{
	struct lan_member *known;
	struct member m;

	if (bytes_is(event->event, "synced")) {
		t->synced = true;
		tell(t, NULL, MEMBER_NONE);
		return 0;
	}
	if (schema_decode(&member_schema, event->member, &m, error) == -1)
		return -1;
	if (!bytes_is(event->event, "member-reap"))
		return put(t, &m, error);
	known = find(t, m.name);
	if (known != NULL)
		forget(t, known);
	return 0;
}

/* ---- for others ---- */

size_t
members_count(const struct members *t)
{
	return t->count;
}

const struct lan_member *
members_at(const struct members *t, size_t i)
{
	return t->at[i];
}

const struct lan_member *
members_find(const struct members *t, struct bytes name)
{
	return find(t, name);
}

const struct lan_member *
members_find_id(const struct members *t, struct bytes id)
{
	const struct lan_member *found = NULL;

	for (size_t i = 0; id.size > 0 && i < t->count; i++)
		if (bytes_equal_fold(bytes_str(t->at[i]->id), id) && (found == NULL || found->status != MEMBER_ALIVE))
			found = t->at[i];
	return found;
}

bool
members_synced(const struct members *t)
{
	return t->synced;
}

void
members_observe(struct members *t, members_observer *observer, void *ctx)
{
	if (t->observer_count == MEMBERS_OBSERVERS_MAX)
		panic("members: too many observers");
	t->observers[t->observer_count].observer = observer;
	t->observers[t->observer_count++].ctx = ctx;
}

struct members *
members_new(const char *datacenter)
{
	struct members *t = xcalloc(1, sizeof *t);

	t->datacenter = datacenter;
	return t;
}

void
members_free(struct members *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->count; i++)
		member_free(t->at[i]);
	hash_free(&t->by_name);
	free(t->at);
	free(t);
}
