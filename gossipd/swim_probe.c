/*
 * swim_probe.c - is it still there? probes, and pings for others (contract: swim_internal.h, swim.h)
 *
 * One probe at a time: a ping; without an answer in time pings by way of some others, and one by stream; without any answer until the
 * deadline the member is suspected. Who suspects others often, or gets no word from those it asked for help, is perhaps itself the
 * slow one: its awareness score makes it wait longer (Lifeguard).
 */
#include "swim_internal.h"

#include <stdlib.h>
#include <string.h>

#include "envelope.h"
#include "mem.h"

static uint32_t
seq_next(struct swim *s)
{
	return ++s->seq;
}

void
score_add(struct swim *s, int by)
{
	int score = (int)s->score + by;

	s->score = score < 0 ? 0 : (unsigned)MIN(score, (int)s->config.awareness_max - 1);
}

/* ---- answering ---- */

static struct swim_address
answer_address(const struct swim *s, const struct swim_address *from, struct bytes ip, uint64_t port)
{
	struct swim_address a = *from;

	if ((ip.size == 4 || ip.size == 16) && port != 0 && port <= UINT16_MAX)
		swim_address_of(ip, port, s->config.port, &a);
	return a;
}

static bool
is_for_us(const struct swim *s, struct bytes node)
{
	return node.size == 0 || bytes_is(node, s->self->member.card->name);
}

void
probe_ping(struct swim *s, const struct swim_address *from, struct bytes body)
{
	struct buf payload = BUF_INIT(GOSSIP_PACKET_BYTES), out = BUF_INIT(PACKET_MAX);
	struct gossip_ping p;
	struct gossip_ack ack;
	struct swim_address to;
	const char *error;

	if (schema_decode(&gossip_ping_schema, body, &p, &error) == -1)
		return;
	if (!is_for_us(s, p.node)) {
		swim_say(s, LOG_WARN_LEVEL, "Got ping for unexpected node '%.*s'", (int)p.node.size,
		    (const char *)p.node.data);
		return;
	}
	to = answer_address(s, from, p.source_addr, p.source_port);
	s->ops->ack_payload(s->ctx, &payload);
	ack = (struct gossip_ack){.payload = buf_bytes(&payload), .seq = p.seq};
	gossip_message_put(&out, GOSSIP_ACK, &gossip_ack_schema, &ack);
	send_message(s, &to, buf_bytes(&out), true, false);
	buf_free(&out);
	buf_free(&payload);
}

int
swim_stream_ping(struct swim *s, struct bytes body, struct buf *out)
{
	struct gossip_ping p;
	const char *error;

	if (schema_decode(&gossip_ping_schema, body, &p, &error) == -1 || !is_for_us(s, p.node))
		return -1;
	gossip_message_put(out, GOSSIP_ACK, &gossip_ack_schema, &(struct gossip_ack){.seq = p.seq});
	return 0;
}

static void
ping_put(const struct swim *s, const char *node, uint32_t seq, struct buf *out)
{
	const struct swim_member *self = &s->self->member;
	struct gossip_ping p = {
	    .node = bytes_str(node),
	    .seq = seq,
	    .source_addr = bytes_of(self->card->address.ip, self->card->address.ip_size),
	    .source_node = bytes_str(self->card->name),
	    .source_port = self->card->address.port,
	};

	gossip_message_put(out, GOSSIP_PING, &gossip_ping_schema, &p);
}

/* ---- pings for others ---- */

static void
relay_end(struct swim *s, struct relay *r)
{
	struct relay **at = &s->relays;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	s->relay_count--;
	timer_stop(s->timers, &r->end);
	free(r);
}

static void
on_relay_end(struct timer *t, uint64_t now)
{
	struct relay *r = t->ctx;
	struct swim *s = r->swim;
	struct buf out = BUF_INIT(PACKET_MAX);

	(void)now;
	if (r->nack) {
		gossip_message_put(&out, GOSSIP_NACK, &gossip_nack_schema, &(struct gossip_nack){.seq = r->asked_seq});
		send_message(s, &r->asker, buf_bytes(&out), true, false);
		buf_free(&out);
	}
	relay_end(s, r);
}

void
probe_indirect_ping(struct swim *s, const struct swim_address *from, struct bytes body, uint64_t now)
{
	struct gossip_indirect_ping p;
	struct buf out = BUF_INIT(PACKET_MAX);
	struct swim_address target;
	char name[SWIM_NAME_MAX];
	struct relay *r;
	const char *error;

	if (schema_decode(&gossip_indirect_ping_schema, body, &p, &error) == -1 || p.port > UINT16_MAX ||
	    p.seq > UINT32_MAX || bytes_to_str(p.node, name, sizeof name) == -1 || s->relay_count == PINGS_MAX)
		return;
	swim_address_of(p.target, p.port, s->config.port, &target);
	if (target.ip_size == 0)
		return;
	r = xcalloc(1, sizeof *r);
	r->swim = s;
	r->seq = seq_next(s);
	r->asked_seq = (uint32_t)p.seq;
	r->asker = answer_address(s, from, p.source_addr, p.source_port);
	r->nack = p.nack;
	timer_init(&r->end, on_relay_end, r);
	timer_set(s->timers, &r->end, now + s->config.probe_timeout);
	r->next = s->relays;
	s->relays = r;
	s->relay_count++;
	ping_put(s, name, r->seq, &out);
	send_message(s, &target, buf_bytes(&out), true, false);
	buf_free(&out);
}

static bool
relay_ack(struct swim *s, uint64_t seq)
{
	for (struct relay *r = s->relays; r != NULL; r = r->next)
		if (r->seq == seq) {
			struct buf out = BUF_INIT(PACKET_MAX);

			gossip_message_put(
			    &out, GOSSIP_ACK, &gossip_ack_schema, &(struct gossip_ack){.seq = r->asked_seq});
			send_message(s, &r->asker, buf_bytes(&out), true, false);
			buf_free(&out);
			relay_end(s, r);
			return true;
		}
	return false;
}

/* ---- our own probes ---- */

static void
probe_over(struct swim *s, bool alive, int score, uint64_t now)
{
	struct swim_node *n = node_find(s, bytes_str(s->probe_name));

	s->probe_stage = PROBE_NONE;
	timer_stop(s->timers, &s->probe_timer);
	score_add(s, score);
	if (!alive && n != NULL) {
		struct gossip_accusation a = {.from = bytes_str(s->self->member.card->name),
		    .incarnation = s->probe_incarnation,
		    .node = bytes_str(n->member.card->name)};

		swim_say(s, LOG_INFO_LEVEL, "Suspect %s has failed, no acks received", n->member.card->name);
		swim_suspect(s, &a, now);
	}
}

void
probe_ack(struct swim *s, struct bytes body, uint64_t now)
{
	const struct swim_node *n;
	struct gossip_ack a;
	const char *error;

	if (schema_decode(&gossip_ack_schema, body, &a, &error) == -1)
		return;
	if (s->probe_stage == PROBE_NONE || a.seq != s->probe_seq) {
		(void)relay_ack(s, a.seq);
		return;
	}
	n = node_find(s, bytes_str(s->probe_name));
	if (s->probe_stage == PROBE_DIRECT && n != NULL && a.payload.size > 0)
		s->ops->acked(s->ctx, &n->member, now - s->probe_began, a.payload);
	probe_over(s, true, -1, now);
}

void
probe_nack(struct swim *s, struct bytes body)
{
	struct gossip_nack n;
	const char *error;

	if (schema_decode(&gossip_nack_schema, body, &n, &error) == 0 && s->probe_stage == PROBE_INDIRECT &&
	    n.seq == s->probe_seq && s->nacks < s->nacks_wanted)
		s->nacks++;
}

void
swim_stream_acked(struct swim *s, uint32_t seq)
{
	if (s->probe_stage == PROBE_INDIRECT && seq == s->probe_seq)
		s->probe_stream_acked = true;
}

static bool
can_help(const struct swim_member *m, void *ctx)
{
	const struct swim *s = ctx;

	return m->state == GOSSIP_STATE_ALIVE && strcmp(m->card->name, s->probe_name) != 0;
}

static void
probe_by_others(struct swim *s)
{
	struct swim_node *n = node_find(s, bytes_str(s->probe_name));
	struct swim_member *helpers[16];
	struct buf out = BUF_INIT(PACKET_MAX);
	size_t count;

	s->probe_stage = PROBE_INDIRECT;
	s->nacks = s->nacks_wanted = 0;
	s->probe_stream_acked = false;
	timer_set(s->timers, &s->probe_timer, s->probe_deadline);
	if (n == NULL)
		return;
	count = swim_choose(s, MIN(s->config.indirect_checks, COUNTOF(helpers)), can_help, s, helpers);
	for (size_t i = 0; i < count; i++) {
		const struct swim_member *self = &s->self->member;
		struct gossip_indirect_ping p = {
		    .nack = helpers[i]->card->vsn[1] >= 4,
		    .node = bytes_str(n->member.card->name),
		    .port = n->member.card->address.port,
		    .seq = s->probe_seq,
		    .source_addr = bytes_of(self->card->address.ip, self->card->address.ip_size),
		    .source_node = bytes_str(self->card->name),
		    .source_port = self->card->address.port,
		    .target = bytes_of(n->member.card->address.ip, n->member.card->address.ip_size),
		};

		s->nacks_wanted += p.nack;
		buf_clear(&out);
		gossip_message_put(&out, GOSSIP_INDIRECT_PING, &gossip_indirect_ping_schema, &p);
		send_message(s, &helpers[i]->card->address, buf_bytes(&out), true, false);
	}
	if (s->config.stream_pings && n->member.card->vsn[1] >= 3) {
		buf_clear(&out);
		ping_put(s, n->member.card->name, s->probe_seq, &out);
		s->ops->stream_ping(s->ctx, &n->member.card->address, buf_bytes(&out), s->probe_seq);
	}
	buf_free(&out);
}

static void
on_probe_timer(struct timer *t, uint64_t now)
{
	struct swim *s = t->ctx;

	if (s->probe_stage == PROBE_DIRECT && now < s->probe_deadline) {
		probe_by_others(s);
		return;
	}
	if (s->probe_stream_acked && s->probe_stage == PROBE_INDIRECT) {
		swim_say(s, LOG_WARN_LEVEL,
		    "Was able to connect to %s over TCP but UDP probes failed, network may be misconfigured",
		    s->probe_name);
		probe_over(s, true, -1, now);
		return;
	}
	probe_over(s, false, s->nacks_wanted > 0 ? (int)(s->nacks_wanted - s->nacks) : 1, now);
}

static void
probe_begin(struct swim *s, const struct swim_node *n, uint64_t now)
{
	struct buf ping = BUF_INIT(PACKET_MAX), accusation = BUF_INIT(PACKET_MAX), both = BUF_INIT(PACKET_MAX);
	struct gossip_accusation a = {.from = bytes_str(s->self->member.card->name),
	    .incarnation = n->member.incarnation,
	    .node = bytes_str(n->member.card->name)};

	s->probe_stage = PROBE_DIRECT;
	memcpy(s->probe_name, n->member.card->name, strlen(n->member.card->name) + 1);
	s->probe_seq = seq_next(s);
	s->probe_incarnation = n->member.incarnation;
	s->probe_began = now;
	s->probe_deadline = now + s->config.probe_interval * (s->score + 1);
	s->probe_stream_acked = false;
	s->nacks = s->nacks_wanted = 0;
	timer_set(s->timers, &s->probe_timer, MIN(now + s->config.probe_timeout, s->probe_deadline));
	ping_put(s, n->member.card->name, s->probe_seq, &ping);
	if (n->member.state == GOSSIP_STATE_SUSPECT) {
		/* it shall know what it is suspected of, and may refute */
		gossip_message_put(&accusation, GOSSIP_SUSPECT, &gossip_accusation_schema, &a);
		envelope_compound_put((const struct bytes[2]){buf_bytes(&ping), buf_bytes(&accusation)}, 2, &both);
		s->ops->packet(s->ctx, &n->member.card->address, buf_bytes(&both), n->member.card->vsn[1] >= 5);
	} else {
		send_message(s, &n->member.card->address, buf_bytes(&ping), true, false);
	}
	buf_free(&ping);
	buf_free(&accusation);
	buf_free(&both);
}

/* The next one in the list that may be probed; NULL: there is none. */
static const struct swim_node *
probe_next(struct swim *s, uint64_t now)
{
	for (size_t looked = 0; looked <= s->count; looked++) {
		const struct swim_node *n;

		if (s->probe_at >= s->count) {
			s->probe_at = 0;
			nodes_sweep(s, now);
		}
		n = s->nodes[s->probe_at++];
		if (n != s->self && (n->member.state == GOSSIP_STATE_ALIVE || n->member.state == GOSSIP_STATE_SUSPECT))
			return n;
	}
	return NULL;
}

static void
on_probe_tick(struct timer *t, uint64_t now)
{
	struct swim *s = t->ctx;
	const struct swim_node *n;

	if (s->count < 2)
		return; /* rests until somebody comes */
	timer_set(s->timers, t, now + s->config.probe_interval);
	if (s->probe_stage != PROBE_NONE)
		return; /* the last one takes longer */
	n = probe_next(s, now);
	if (n != NULL)
		probe_begin(s, n, now);
}

void
probe_init(struct swim *s)
{
	timer_init(&s->probe_tick, on_probe_tick, s);
	timer_init(&s->probe_timer, on_probe_timer, s);
}

void
probe_wake(struct swim *s, uint64_t now)
{
	if (!timer_is_set(&s->probe_tick))
		timer_set(s->timers, &s->probe_tick, now + s->ops->random(s->ctx, s->config.probe_interval));
}

void
probe_stop(struct swim *s)
{
	timer_stop(s->timers, &s->probe_tick);
	timer_stop(s->timers, &s->probe_timer);
	s->probe_stage = PROBE_NONE;
}

void
probe_free(struct swim *s)
{
	while (s->relays != NULL)
		relay_end(s, s->relays);
}
