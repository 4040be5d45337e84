/*
 * clients.c - those who ask: operations on a few keys, one at a time each, and what they are told (contract: cluster.h)
 *
 * Each write makes a value that no other makes (its own number), so that a value seen names the write that made it.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cluster.h"
#include "mp.h"
#include "structs.h"

#define PATIENCE_US (800 * MS)
#define PATIENCE_READ_US (60 * MS) /* at least */
#define PAD_MAX 12000
#define OPS_BURST 2048
#define VALUE_MARK 0x5a

void
op_body(const struct op *op, uint32_t number, struct buf *out)
{
	static const char *const names[] = {"", "set", "cas", "delete", "delete-cas"};
	static uint8_t value[8 + PAD_MAX];
	char key[8];
	bool large = number % (op->sim->focus == FOCUS_DISKS ? 2 : 4) == 0;
	size_t pad = large ? number * 7919 % PAD_MAX : number % 64;

	snprintf(key, sizeof key, "k%u", op->key);
	if (value[8] == 0) /* a block of zeros could not be torn */
		memset(value + 8, 'v', PAD_MAX);
	for (int i = 0; i < 4; i++)
		value[i] = (uint8_t)(number >> (24 - 8 * i));
	value[4] = VALUE_MARK;
	mp_put_map(out, 2);
	mp_put_kv_cstr(out, "Op", names[op->kind]);
	mp_put_cstr(out, "DirEnt");
	mp_put_map(out, 3);
	mp_put_kv_cstr(out, "Key", key);
	mp_put_kv_str(out, "Value", bytes_of(value, 8 + pad));
	mp_put_kv_uint(out, "ModifyIndex", op->expect_index);
}

uint32_t
op_of_value(struct bytes value)
{
	return value.size >= 8 && value.data[4] == VALUE_MARK ? be32_at(value.data) : 0;
}

uint32_t
op_of_entry(struct bytes data)
{
	struct apply_entry entry;
	struct mp dir_entry;

	if (apply_entry_get(data, &entry) == -1 || !mp_find(mp_of(entry.body), "DirEnt", &dir_entry))
		return 0;
	return op_of_value(mp_find_str(mp_raw(&dir_entry), "Value"));
}

static enum op_kind
kind_choose(struct sim *s)
{
	static const enum op_kind kinds[] = {OP_GET, OP_GET, OP_GET, OP_GET, OP_GET, OP_SET, OP_SET, OP_SET, OP_CAS,
	    OP_CAS, OP_CAS, OP_DELETE, OP_DELETE_CAS};

	return kinds[below(s, COUNTOF(kinds))];
}

/* The operations must last to the end of the run, whatever a hurried client does with refusals. */
static bool
too_many(const struct sim *s)
{
	return s->op_count >= OPS_BURST + (OPS_MAX - OPS_BURST - 1) * s->now / (CHAOS_US + HEAL_US);
}

static void
op_begin(struct sim *s, unsigned client)
{
	struct client *c = &s->clients[client];
	struct op *op;

	if (too_many(s)) {
		event_put(s, s->now + 10 * MS + below(s, s->think_max), EVENT_CLIENT, client, 0, 0, NULL);
		return;
	}
	c->op = ++s->op_count;
	op = &s->ops[c->op];
	*op = (struct op){.sim = s,
	    .kind = kind_choose(s),
	    .client = (uint8_t)client,
	    .key = (uint8_t)below(s, KEYS_MAX),
	    .called = s->now,
	    .needed = s->acknowledged};
	op->mode = s->focus == FOCUS_LEASES && below(s, 2) == 0 ? MODE_CONSISTENT : (enum op_mode)below(s, 3);
	op->origin = (uint8_t)below(s, s->count);
	if (op->kind == OP_CAS || op->kind == OP_DELETE_CAS) {
		op->expect = c->seen[op->key].value;
		op->expect_index = c->seen[op->key].index;
	}
	event_put(
	    s, s->now + 10 + below(s, 2 * MS), EVENT_REQUEST, op->origin, 0, (uint64_t)NOBODY << 32 | c->op, NULL);
	event_put(s, s->now + (op->kind == OP_GET ? PATIENCE_READ_US + below(s, 200 * MS) : PATIENCE_US), EVENT_GIVE_UP,
	    client, 0, c->op, NULL);
}

void
client_answer(struct sim *s, uint32_t op, enum outcome outcome, bool good, uint32_t value, uint64_t index)
{
	struct note *n = note_new(outcome);

	n->a = op;
	n->b = (uint64_t)value << 1 | good;
	n->c = index;
	event_put(s, s->now + 10 + below(s, 2 * MS), EVENT_ANSWER, s->ops[op].client, 0, 0, n);
}

static void
op_end(struct sim *s, struct op *op, enum outcome outcome)
{
	struct client *c = &s->clients[op->client];

	op->outcome = outcome;
	op->returned = s->now;
	c->op = 0;
	if (op->kind != OP_GET) {
		s->totals.writes++;
		s->totals.unknown += outcome == OUTCOME_UNKNOWN;
		if (outcome == OUTCOME_FAILED && op->applied_at != 0)
			failed(s, "write %" PRIu64 " was refused, but entry %" PRIu64 " has applied it",
			    (uint64_t)(op - s->ops), op->applied_at);
		if (outcome == OUTCOME_DONE && op->applied_at == 0)
			failed(s, "write %" PRIu64 " was acknowledged, but no committed entry has it",
			    (uint64_t)(op - s->ops));
	} else if (outcome == OUTCOME_DONE) {
		c->seen[op->key].value = op->value;
		c->seen[op->key].index = op->value_index;
		s->totals.reads_default += op->mode == MODE_DEFAULT;
		s->totals.reads_consistent += op->mode == MODE_CONSISTENT;
		s->totals.reads_stale += op->mode == MODE_STALE;
	}
	event_put(s, s->now + below(s, s->think_max), EVENT_CLIENT, op->client, 0, 0, NULL);
}

void
client_event(struct sim *s, const struct event *e)
{
	struct client *c = &s->clients[e->server];
	struct op *op = &s->ops[e->kind == EVENT_ANSWER ? e->note->a : e->value];

	switch (e->kind) {
	case EVENT_CLIENT:
		if (c->op == 0)
			op_begin(s, e->server);
		break;
	case EVENT_ANSWER:
		if (c->op != e->note->a)
			break;
		op->good = e->note->b & 1;
		op->value = (uint32_t)(e->note->b >> 1);
		op->value_index = e->note->c;
		op_end(s, op, (enum outcome)e->note->type);
		break;
	case EVENT_GIVE_UP:
		if (c->op == e->value)
			op_end(s, op, OUTCOME_UNKNOWN);
		break;
	default:
		break;
	}
}
