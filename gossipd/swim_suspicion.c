/*
 * swim_suspicion.c - how long one that is suspected has to say that it is alive (contract: swim_internal.h; callers: swim.c)
 *
 * Others who suspect it too shorten the time: one accuser may be the slow one itself, several hardly are (Lifeguard).
 */
#include "swim_internal.h"

#include <math.h>
#include <stdlib.h>

#include "mem.h"

#define CONFIRMATIONS_MAX 8 /* more than any suspicion_mult asks for */

struct suspicion {
	struct timer end;
	struct swim *swim;
	struct swim_node *node;
	uint64_t began;
	uint64_t min, max;
	unsigned wanted, confirmed;
	uint64_t accusers[CONFIRMATIONS_MAX + 1]; /* hashes of names: the first, then those that confirmed */
};

/* It falls from max to min with the logarithm of the confirmations. */
static uint64_t
length(const struct suspicion *p)
{
	double max = (double)p->max / 1e6, min = (double)p->min / 1e6, ms;

	if (p->wanted == 0)
		return p->min;
	ms = floor(max - log(p->confirmed + 1.0) / log(p->wanted + 1.0) * (max - min));
	return MAX(p->min, (uint64_t)ms * 1000000);
}

static void
on_end(struct timer *t, uint64_t now)
{
	const struct suspicion *p = t->ctx;
	struct swim *s = p->swim;
	const struct swim_member *m = &p->node->member;
	struct gossip_accusation a = {.from = bytes_str(s->self->member.card->name),
	    .incarnation = m->incarnation,
	    .node = bytes_str(m->card->name)};

	swim_say(s, LOG_INFO_LEVEL, "Marking %s as failed, suspect timeout reached (%u peer confirmations)",
	    m->card->name, p->confirmed);
	swim_dead(s, &a, now);
}

/* log10 of the pool's size, of which a thousandth is the unit. */
static uint64_t
length_min(const struct swim *s)
{
	double scale = MAX(1.0, log10(MAX(1.0, (double)s->count)));

	return s->config.suspicion_mult * (uint64_t)(scale * 1000) * s->config.probe_interval / 1000;
}

void
suspicion_start(struct swim *s, struct swim_node *n, struct bytes from, uint64_t now)
{
	unsigned wanted = s->config.suspicion_mult > 2 ? s->config.suspicion_mult - 2 : 0;
	struct suspicion *p = xcalloc(1, sizeof *p);

	if (s->count < 2 + (size_t)wanted) /* nobody could confirm */
		wanted = 0;
	p->swim = s;
	p->node = n;
	p->began = now;
	p->min = length_min(s);
	p->max = p->min * s->config.suspicion_max_mult;
	p->wanted = MIN(wanted, CONFIRMATIONS_MAX);
	p->accusers[0] = hash_bytes(1, from);
	timer_init(&p->end, on_end, p);
	timer_set(s->timers, &p->end, now + (p->wanted == 0 ? p->min : p->max));
	n->suspicion = p;
}

void
suspicion_stop(struct swim *s, struct swim_node *n)
{
	if (n->suspicion == NULL)
		return;
	timer_stop(s->timers, &n->suspicion->end);
	free(n->suspicion);
	n->suspicion = NULL;
}

bool
suspicion_confirm(struct swim *s, struct swim_node *n, struct bytes from, uint64_t now)
{
	struct suspicion *p = n->suspicion;
	uint64_t hash = hash_bytes(1, from), end;

	if (p->confirmed >= p->wanted)
		return false;
	for (unsigned i = 0; i <= p->confirmed; i++)
		if (p->accusers[i] == hash)
			return false;
	p->accusers[++p->confirmed] = hash;
	end = p->began + length(p);
	timer_set(s->timers, &p->end, MAX(end, now));
	return true;
}
