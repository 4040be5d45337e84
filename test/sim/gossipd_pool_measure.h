/*
 * gossipd_pool_measure.h - figures of a pool that has been quiet for long: how soon the dead are known, who is taken for dead wrongly, what it sends
 */
#ifndef GOSSIPD_POOL_MEASURE_H
#define GOSSIPD_POOL_MEASURE_H

#include "gossipd_pool_world.h"

/* All know all, and nobody has anything to tell: as after hours of quiet. */
static void
pool_settle(struct sim *s)
{
	struct buf user = BUF_INIT(64u << 20), state = BUF_INIT(64u << 20);
	char error[SWIM_ERROR_MAX];
	struct bytes theirs;
	bool join;

	for (unsigned i = 0; i < s->count; i++)
		node_start(s, &s->nodes[i]);
	for (unsigned pass = 0; pass < 2;
	     pass++) /* what the first one learns of each of the others, all of them learn from it */
		for (unsigned i = 1; i < s->count; i++) {
			struct host *from = &s->nodes[pass == 0 ? i : 0], *to = &s->nodes[pass == 0 ? 0 : i];

			if (pass == 0 || i == 1) {
				buf_clear(&user);
				buf_clear(&state);
				serf_state_put(from->serf, &user);
				swim_state_put(from->swim, false, buf_bytes(&user), &state);
			}
			if (swim_merge(to->swim, bytes_of(state.data + 1, state.used - 1), &join, &theirs, error,
				s->now) == -1)
				failed(s, "%s refuses a state: %s", to->name, error);
			serf_state_merge(to->serf, theirs, join, s->now);
			if (pass == 1 || i == s->count - 1)
				broadcasts_prune(to->swim->queue, 0);
		}
	for (unsigned i = 0; i < s->count; i++) {
		struct host *n = &s->nodes[i];

		/* at any time of their long interval, not all in the seconds after they came */
		timer_set(&n->timers, &n->swim->push_pull_tick, s->now + below(s, push_pull_interval(n->swim)));
		wake_set(s, n);
	}
	buf_free(&user);
	buf_free(&state);
}

static bool
deaths_are_known(const struct sim *s, unsigned victims)
{
	for (unsigned i = 0; i < victims; i++)
		if (s->measured->deaths[i].seen_by < s->count - victims)
			return false;
	return true;
}

#define QUIET_S 60
#define DETECTION_S_MAX 300

/* A pool that is quiet for a while; then some members die at once. */
static void
measure_round(struct sim *s, struct measured *m, struct measured *idle, unsigned victims)
{
	uint64_t died;

	pool_settle(s);
	run_to(s, s->now + 5 * S);
	m->wronged = xcalloc(s->count, 1);
	m->deaths = xcalloc(s->count, sizeof *m->deaths);
	idle->wronged = m->wronged;
	idle->deaths = m->deaths;
	s->measured = idle;
	run_to(s, s->now + QUIET_S * S);
	s->measured = m;
	died = s->now;
	for (unsigned i = 0; i < victims; i++)
		node_end(s, &s->nodes[i], DEAD);
	while (!deaths_are_known(s, victims) && s->now < died + DETECTION_S_MAX * S)
		run_to(s, s->now + S);
	for (unsigned i = 0; i < victims; i++) {
		const struct death *d = &m->deaths[i];

		if (d->seen_by < s->count - victims || m->samples == SAMPLES_MAX) {
			m->lost++;
			continue;
		}
		m->first_s[m->samples] = (double)(d->first - died) / 1e9;
		m->last_s[m->samples++] = (double)(d->last - died) / 1e9;
	}
	for (unsigned i = 0; i < s->count; i++)
		m->wronged_count += m->wronged[i];
	m->living_ns += (s->now - died + QUIET_S * S) * s->count;
	free(m->wronged);
	free(m->deaths);
	s->measured = NULL;
	sim_free(s);
}

static int
by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The figures as one line of JSON, for test/bench. */
static void
measure(unsigned count, unsigned loss, const char *const *options)
{
	static struct sim s;
	bool no_stream_pings = false, plain_swim = false;
	struct measured m = {0}, idle = {0};
	unsigned victims = 1 + count / 500, rounds = MIN(MAX(4000 / count, 1u), 40u);
	double seconds;

	if (count < 3 || count > SWIM_MEMBERS_MAX) {
		fprintf(stderr, "a pool of 3 to %d members\n", SWIM_MEMBERS_MAX);
		exit(2);
	}
	for (; *options != NULL; options++) {
		no_stream_pings |= strcmp(*options, "udp") == 0;
		plain_swim |= strcmp(*options, "plain") == 0;
	}
	if (no_stream_pings) /* suspicions without end take their time */
		rounds = MIN(rounds, 10);
	for (unsigned i = 1; i <= rounds; i++) {
		sim_init(&s, i, count);
		s.plain_swim = plain_swim;
		s.no_stream_pings = no_stream_pings;
		s.loss = loss * 10;
		measure_round(&s, &m, &idle, victims);
	}
	seconds = (double)rounds * QUIET_S * count;
	qsort(m.first_s, m.samples, sizeof *m.first_s, by_size);
	qsort(m.last_s, m.samples, sizeof *m.last_s, by_size);
	printf("{\"members\": %u, \"loss\": %u, \"stream_pings\": %s, \"deaths\": %zu, \"missed\": %zu", count, loss,
	    no_stream_pings ? "false" : "true", m.samples, m.lost);
	if (m.samples > 0)
		printf(", \"first_median_s\": %.1f, \"first_max_s\": %.1f, \"all_median_s\": %.1f, \"all_max_s\": %.1f",
		    m.first_s[m.samples / 2], m.first_s[m.samples - 1], m.last_s[m.samples / 2],
		    m.last_s[m.samples - 1]);
	printf(", \"member_hours\": %.1f, \"suspicions\": %" PRIu64 ", \"wronged\": %" PRIu64
	       ", \"believed\": %" PRIu64,
	    (double)m.living_ns / 3.6e12, m.suspicions + idle.suspicions, m.wronged_count, m.failures + idle.failures);
	printf(", \"packets_per_s\": %.2f, \"packet_bytes_per_s\": %.0f, \"stream_bytes_per_s\": %.0f}\n",
	    (double)idle.packets / seconds, (double)idle.packet_bytes / seconds, (double)idle.stream_bytes / seconds);
}

#endif
