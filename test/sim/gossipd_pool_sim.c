/*
 * gossipd_pool_sim.c - pools of up to thousands of members in virtual time: the real SWIM and serf cores under loss, cuts, deaths and pauses
 *
 * A seed decides everything: when members come, how packets are lost, delayed and doubled, who is cut off from whom, who dies, returns, sleeps
 * or leaves, who says what. Then all is healed, and after a while:
 *	everybody who lives sees everybody who lives as alive (nobody who lives stays failed or left for anybody),
 *	who left is known as such (or forgotten) by all, who died as failed, at the latest after suspicion and comparing of states,
 *	an event said while nothing is wrong reaches all, each once; a query nearly all (it is never repeated),
 *	while keys are rotated as an operator does it (each step again until all have confirmed it), packets being lost and members asleep, any
 *	two members can read each other at any time, and nobody is taken for dead for good.
 *
 * Usage: gossipd_pool_sim [seed]            without: as many seeds as fit into SIM_SECONDS (default 12), at least SEEDS_MIN
 *        gossipd_pool_sim measure NODES LOSS [udp] [plain]
 *            how soon dead members are noticed, who is taken for dead wrongly, and what an idle pool of so many members costs, as JSON. LOSS of
 *            packets in percent; udp: no probes by stream; plain: SWIM without Lifeguard
 */
#include <time.h>

#include "gossipd_pool_measure.h"

#define SEEDS_MIN 6
#define SEEDS_MAX 4000
#define ROTATION_TRIES 60

/* ---- checks ---- */

/* Whether anybody who lives knows that it left: the last one who heard it may be gone itself. */
static bool
somebody_heard(const struct sim *s, const struct host *left)
{
	for (unsigned i = 0; i < s->count; i++) {
		const struct serf_member *m =
		    s->nodes[i].life == ALIVE ? serf_find(s->nodes[i].serf, bytes_str(left->name)) : NULL;

		if (m != NULL && m->status == MEMBER_LEFT)
			return true;
	}
	return false;
}

static void
check_views(struct sim *s)
{
	for (unsigned i = 0; i < s->count; i++) {
		const struct host *n = &s->nodes[i];

		if (n->life != ALIVE)
			continue;
		for (unsigned k = 0; k < s->count; k++) {
			const struct host *other = &s->nodes[k];
			const struct serf_member *m = serf_find(n->serf, bytes_str(other->name));
			enum member_status status = m == NULL ? MEMBER_NONE : m->status;

			if (other->life == ALIVE ? status != MEMBER_ALIVE
						 : status == MEMBER_ALIVE || status == MEMBER_LEAVING)
				failed(s, "%s has %s as %s, it is %s", n->name, other->name, serf_status_name(status),
				    other->life == ALIVE  ? "alive"
				    : other->life == LEFT ? "gone"
							  : "dead");
			if (other->life == LEFT && status == MEMBER_FAILED && somebody_heard(s, other))
				failed(s, "%s has %s as failed, but it left", n->name, other->name);
		}
	}
}

static void
query_done(void *ctx, size_t acks, size_t responses, uint64_t now)
{
	size_t *got = ctx;

	(void)responses, (void)now;
	*got = acks + 1;
}

/* In a pool where nothing is wrong: an event and a query reach all. */
static void
check_events(struct sim *s)
{
	struct host *from = someone(s, ALIVE, NULL);
	char name[16], error[SERF_ERROR_MAX];
	unsigned number = s->event_count, living = 0;
	size_t acked = 0;
	const struct serf_asking asking = {.done = query_done, .ctx = &acked, .ask_acks = true, .relay_factor = 2};

	if (from == NULL || number == EVENTS_MAX)
		return;
	s->event_count++;
	snprintf(name, sizeof name, "%u", number);
	if (serf_event_send(from->serf, bytes_str(name), bytes_str("payload"), false, error, s->now) == -1)
		failed(s, "an event is refused: %s", error);
	if (serf_query_send(from->serf, bytes_str("who"), bytes_str(""), &asking, error, s->now) == NULL)
		failed(s, "a query is refused: %s", error);
	wake_set(s, from);
	run_to(s, s->now + 200 * S); /* rumours may miss one; comparing states does not */
	for (unsigned i = 0; i < s->count; i++) {
		if (s->nodes[i].life != ALIVE)
			continue;
		living++;
		if (s->nodes[i].heard[number] != 1)
			failed(s, "%s heard event %u of %s %u times", s->nodes[i].name, number, from->name,
			    s->nodes[i].heard[number]);
	}
	/* queries are rumours only */
	if (acked == 0 || acked - 1 > living || acked - 1 + 1 + living / 10 < living)
		failed(s, "%zu of %u members answered a query", acked - 1, living);
	totals.events++;
	totals.queries++;
}

/* ---- a seed ---- */

static void
chaos_step(struct sim *s)
{
	struct host *n;

	switch (below(s, 12)) {
	case 0:
		n = someone(s, ALIVE, NULL);
		if (n != NULL) {
			node_end(s, n, DEAD);
			totals.deaths++;
		}
		break;
	case 1:
	case 2:
		n = someone(s, below(s, 2) == 0 ? DEAD : LEFT, NULL);
		if (n != NULL) {
			node_start(s, n);
			n->returned = true;
			node_join(s, n);
			totals.returns++;
		}
		break;
	case 3:
		n = someone(s, ALIVE, NULL);
		if (n != NULL && s->groups == 0 && n->paused_until <= s->now) {
			n->life = LEAVING;
			serf_leave(n->serf, on_left, n, s->now);
			wake_set(s, n);
			totals.leaves++;
		}
		break;
	case 4:
		n = someone(s, ALIVE, NULL);
		if (n != NULL) {
			n->paused_until = s->now + below(s, 12 * S);
			wake_set(s, n);
			totals.pauses++;
		}
		break;
	case 5:
		s->groups = (unsigned)below(s, 3);
		s->one_way = below(s, 2) == 0;
		for (unsigned i = 0; i < s->count; i++)
			s->group[i] = (uint8_t)below(s, 2 + below(s, 4)) == 0;
		totals.cuts += s->groups > 0;
		break;
	case 6:
		s->loss = below(s, 4) * 80;
		s->doubled = below(s, 3) * 50;
		s->delay_max = MS * (1 + below(s, 60));
		break;
	default:
		break;
	}
}

static void
heal(struct sim *s)
{
	s->groups = 0;
	s->loss = s->doubled = 0;
	s->delay_max = 2 * MS;
	for (unsigned i = 0; i < s->count; i++) {
		s->nodes[i].paused_until = 0;
		wake_set(s, &s->nodes[i]);
	}
	/* as -retry-join does: who came back while the way was cut may be alone still, or with another such one */
	for (int times = 0; times < 3; times++) {
		for (unsigned i = 0; i < s->count; i++)
			if (s->nodes[i].life == ALIVE && s->nodes[i].returned)
				node_join(s, &s->nodes[i]);
		run_to(s, s->now + S);
	}
}

/* ---- keys ---- */

struct confirmations {
	struct sim *sim;
	size_t good;
	bool over;
};

static void
on_confirmed(void *ctx, struct bytes from, struct bytes payload, uint64_t now)
{
	struct confirmations *c = ctx;
	struct serf_key_response r;
	const char *error;

	(void)from, (void)now;
	if (payload.size < 1 ||
	    schema_decode(&serf_key_response_schema, bytes_of(payload.data + 1, payload.size - 1), &r, &error) == -1)
		failed(c->sim, "an answer about a key that is none");
	c->good += r.result;
}

static void
on_confirmations_over(void *ctx, size_t acks, size_t responses, uint64_t now)
{
	struct confirmations *c = ctx;

	(void)acks, (void)responses, (void)now;
	c->over = true;
}

/* One step, again and again until all have confirmed it, as the keyring command's answer tells the operator to. */
static void
key_step(struct sim *s, const char *query, const uint8_t key[KEY_BYTES])
{
	struct serf_key_request request = {.key = bytes_of(key, KEY_BYTES)};
	struct buf payload = BUF_INIT(256);
	char error[SERF_ERROR_MAX];
	size_t living = 0;

	buf_put_u8(&payload, SERF_KEY_REQUEST);
	schema_encode(&serf_key_request_schema, &request, &payload);
	for (unsigned i = 0; i < s->count; i++)
		living += s->nodes[i].life == ALIVE;
	for (int tries = 0; tries < ROTATION_TRIES; tries++) {
		struct confirmations c = {.sim = s};
		const struct serf_asking asking = {.response = on_confirmed,
		    .done = on_confirmations_over,
		    .ctx = &c,
		    .relay_factor = (unsigned)below(s, 6)};
		struct host *from = someone(s, ALIVE, NULL), *asleep = someone(s, ALIVE, from);

		if (asleep != NULL && below(s, 3) == 0) {
			asleep->paused_until = s->now + below(s, 3 * S);
			wake_set(s, asleep);
		}
		if (serf_query_send(from->serf, bytes_str(query), buf_bytes(&payload), &asking, error, s->now) == NULL)
			failed(s, "a key operation is refused: %s", error);
		wake_set(s, from);
		while (!c.over)
			run_to(s, s->now + S);
		if (c.good == living) {
			buf_free(&payload);
			return;
		}
	}
	failed(s, "%s is not confirmed by all %zu members in %d tries", query, living, ROTATION_TRIES);
}

static void
rotate_keys(struct sim *s)
{
	uint8_t key[KEY_BYTES] = {'k'}, old[KEY_BYTES];

	if (someone(s, ALIVE, NULL) == NULL)
		return;
	s->loss = below(s, 3) * 50;
	s->doubled = below(s, 3) * 50;
	s->delay_max = MS * (1 + below(s, 30));
	memcpy(old, s->ring.keys[0].bytes, sizeof old);
	s->key_number++;
	memcpy(key + 8, &s->key_number, sizeof s->key_number);
	key_step(s, "_serf_install-key", key);
	key_step(s, "_serf_use-key", key);
	key_step(s, "_serf_remove-key", old);
	keyring_clear(&s->ring);
	if (keyring_install(&s->ring, bytes_of(key, sizeof key)) != NULL)
		failed(s, "no new key");
	s->loss = s->doubled = 0;
	s->delay_max = 2 * MS;
	run_to(s, s->now + 100 * S);
	totals.rotations++;
}

static void
run_seed(uint64_t seed)
{
	static const unsigned counts[] = {3, 8, 20, 5, 50, 12, 2, 100};
	static struct sim s;
	uint64_t end;

	sim_init(&s, seed, counts[seed % COUNTOF(counts)]);
	for (unsigned i = 0; i < s.count; i++) {
		node_start(&s, &s.nodes[i]);
		if (i > 0)
			node_join(&s, &s.nodes[i]);
		run_to(&s, s.now + below(&s, 200 * MS));
	}
	run_to(&s, s.now + 100 * S); /* whom no rumour reached learns it by comparing states, at the latest */
	check_views(&s);
	check_events(&s);
	rotate_keys(&s);
	check_views(&s);
	for (end = s.now + 60 * S + below(&s, 120 * S); s.now < end;) {
		chaos_step(&s);
		run_to(&s, s.now + below(&s, 4 * S));
	}
	heal(&s);
	/* reconnecting tries one failed member in 30 s in the average: that must have happened for each side of a cut */
	run_to(&s, s.now + 600 * S);
	check_views(&s);
	check_events(&s);
	rotate_keys(&s);
	check_views(&s);
	totals.seeds++;
	totals.ms += s.now / MS;
	totals.members += s.count;
	sim_free(&s);
}

int
main(int argc, char **argv)
{
	const char *limit = getenv("SIM_SECONDS");
	double seconds = limit == NULL ? 12 : strtod(limit, NULL);
	clock_t start = clock();

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc >= 4 && strcmp(argv[1], "measure") == 0) {
		measure((unsigned)strtoul(argv[2], NULL, 10), (unsigned)strtoul(argv[3], NULL, 10),
		    (const char *const *)argv + 4);
		return 0;
	}
	if (argc == 2) {
		run_seed(strtoull(argv[1], NULL, 10));
		printf("ok 1 - seed %s\n", argv[1]);
		return 0;
	}
	for (uint64_t seed = 1; seed <= SEEDS_MAX; seed++) {
		if (seed > SEEDS_MIN && (double)(clock() - start) / CLOCKS_PER_SEC > seconds)
			break;
		run_seed(seed);
	}
	printf("ok 1 - pools of members under faults: %" PRIu64 " seeds, %" PRIu64 " members, %.1f hours, %" PRIu64
	       " packets (%" PRIu64 " lost), %" PRIu64 " deaths, %" PRIu64 " returns, %" PRIu64 " leaves, %" PRIu64
	       " cuts, %" PRIu64 " pauses, %" PRIu64 " events, %" PRIu64 " queries, %" PRIu64
	       " rotations of keys (%" PRIu64 " packets too late for their key)\n",
	    totals.seeds, totals.members, (double)totals.ms / 3.6e6, totals.packets, totals.lost, totals.deaths,
	    totals.returns, totals.leaves, totals.cuts, totals.pauses, totals.events, totals.queries, totals.rotations,
	    totals.unreadable);
	return 0;
}
