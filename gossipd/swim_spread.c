/*
 * swim_spread.c - how news get around: packets filled with what is queued, gossip, comparing states (contract: swim_internal.h)
 */
#include "swim_internal.h"

#include <string.h>

#include "envelope.h"
#include "mem.h"

#define PARTS_MAX 255
#define COMPOUND_HEAD_BYTES 2
#define PART_BYTES 2
#define USER_PART_BYTES 3 /* with the type byte in front */
#define STATES_SMALL 32   /* members among whom states are compared at the plain interval */

void
spread(struct swim *s, struct bytes node, enum gossip_type type, const struct schema *schema, const void *body,
    broadcast_done *done)
{
	struct buf out = BUF_INIT(PACKET_MAX);

	gossip_message_put(&out, type, schema, body);
	if (broadcasts_put(s->queue, node, buf_bytes(&out), done, s) == -1)
		swim_say(s, LOG_WARN_LEVEL, "a message about %.*s is too long to be told: bytes=%zu", (int)node.size,
		    (const char *)node.data, out.used);
	buf_free(&out);
}

struct filling {
	struct bytes parts[PARTS_MAX];
	size_t count;
	struct buf user; /* user messages with their type byte; reserved beforehand, so that it does not move */
};

static void
part_add(void *ctx, struct bytes message)
{
	struct filling *f = ctx;

	if (f->count < PARTS_MAX)
		f->parts[f->count++] = message;
}

static void
user_part_add(void *ctx, struct bytes message)
{
	struct filling *f = ctx;
	size_t at = f->user.used;

	if (f->count == PARTS_MAX)
		return;
	buf_put_u8(&f->user, GOSSIP_USER);
	buf_put_bytes(&f->user, message);
	f->parts[f->count++] = bytes_of(f->user.data + at, f->user.used - at);
}

/* Adds what is queued to f, as far as `room` bytes allow. */
static void
fill(struct swim *s, struct filling *f, size_t room)
{
	size_t used = broadcasts_take(s->queue, PART_BYTES, room, PARTS_MAX - f->count, part_add, f);

	if (room - used > USER_PART_BYTES && f->count < PARTS_MAX && buf_reserve(&f->user, GOSSIP_PACKET_BYTES) == 0)
		s->ops->broadcasts(s->ctx, USER_PART_BYTES, room - used, user_part_add, f);
}

static void
filled_send(struct swim *s, const struct swim_address *to, const struct filling *f, bool crc)
{
	struct buf out = BUF_INIT(PACKET_MAX + GOSSIP_PACKET_MAX);

	if (f->count == 1)
		s->ops->packet(s->ctx, to, f->parts[0], crc);
	else {
		envelope_compound_put(f->parts, f->count, &out);
		s->ops->packet(s->ctx, to, buf_bytes(&out), crc);
	}
	buf_free(&out);
}

void
send_message(struct swim *s, const struct swim_address *to, struct bytes message, bool piggyback, bool crc)
{
	struct filling f = {.parts = {message}, .count = 1, .user = BUF_INIT(2 * GOSSIP_PACKET_BYTES)};
	size_t used = message.size + COMPOUND_HEAD_BYTES + PART_BYTES + s->ops->overhead(s->ctx);

	if (piggyback && used < GOSSIP_PACKET_BYTES)
		fill(s, &f, GOSSIP_PACKET_BYTES - used);
	filled_send(s, to, &f, crc);
	buf_free(&f.user);
}

void
swim_send_user(struct swim *s, const struct swim_address *to, struct bytes message, bool crc)
{
	struct buf out = BUF_INIT(GOSSIP_PACKET_MAX);

	buf_put_u8(&out, GOSSIP_USER);
	buf_put_bytes(&out, message);
	send_message(s, to, buf_bytes(&out), false, crc);
	buf_free(&out);
}

/* ---- gossip ---- */

struct listener {
	const struct swim *swim;
	uint64_t now;
};

/* Those who died lately hear of it too: perhaps they did not. */
static bool
listens(const struct swim_member *m, void *ctx)
{
	const struct listener *l = ctx;

	return m->state == GOSSIP_STATE_ALIVE || m->state == GOSSIP_STATE_SUSPECT ||
	       (m->state == GOSSIP_STATE_DEAD && l->now - m->since <= l->swim->config.gossip_to_the_dead);
}

static void
on_gossip_tick(struct timer *t, uint64_t now)
{
	struct swim *s = t->ctx;
	struct swim_member *to[16];
	size_t count;

	if (s->count < 2)
		return; /* rests until somebody comes */
	timer_set(s->timers, t, now + s->config.gossip_interval);
	count = swim_choose(s, MIN(s->config.gossip_nodes, COUNTOF(to)), listens, &(struct listener){s, now}, to);
	for (size_t i = 0; i < count; i++) {
		struct filling f = {.user = BUF_INIT(2 * GOSSIP_PACKET_BYTES)};

		fill(s, &f, GOSSIP_PACKET_BYTES - COMPOUND_HEAD_BYTES - s->ops->overhead(s->ctx));
		if (f.count > 0)
			filled_send(s, &to[i]->card->address, &f, to[i]->card->vsn[1] >= 5);
		buf_free(&f.user);
		if (f.count == 0)
			return;
	}
}

/* ---- comparing states ---- */

uint64_t
push_pull_interval(const struct swim *s)
{
	uint64_t times = 1;

	for (size_t n = STATES_SMALL; n < s->count; n *= 2)
		times++;
	return s->config.push_pull_interval * times;
}

static bool
is_alive(const struct swim_member *m, void *ctx)
{
	(void)ctx;
	return m->state == GOSSIP_STATE_ALIVE;
}

static void
on_push_pull_tick(struct timer *t, uint64_t now)
{
	struct swim *s = t->ctx;
	struct swim_member *with;

	if (s->count < 2)
		return;
	timer_set(s->timers, t, now + push_pull_interval(s));
	if (swim_choose(s, 1, is_alive, NULL, &with) == 1)
		s->ops->push_pull(s->ctx, &with->card->address, with->card->name);
}

void
spread_init(struct swim *s)
{
	timer_init(&s->gossip_tick, on_gossip_tick, s);
	timer_init(&s->push_pull_tick, on_push_pull_tick, s);
}

void
spread_wake(struct swim *s, uint64_t now)
{
	if (!timer_is_set(&s->gossip_tick))
		timer_set(s->timers, &s->gossip_tick, now + s->ops->random(s->ctx, s->config.gossip_interval));
	if (!timer_is_set(&s->push_pull_tick))
		timer_set(s->timers, &s->push_pull_tick, now + s->ops->random(s->ctx, s->config.push_pull_interval));
}

void
spread_stop(struct swim *s)
{
	timer_stop(s->timers, &s->gossip_tick);
	timer_stop(s->timers, &s->push_pull_tick);
}
