/*
 * trace.c - what happens in a simulated cluster, in words, for whoever looks for the cause of a failed seed (contract: cluster.h)
 *
 * Only with SIM_LOG=1 in the environment; it changes nothing.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cluster.h"

static bool on;

void
trace_begin(void)
{
	const char *text = getenv("SIM_LOG");

	on = text != NULL && text[0] != '\0' && text[0] != '0';
}

void
trace(const struct sim *s, const struct server *v, const char *fmt, ...)
{
	va_list args;

	if (!on)
		return;
	printf("%6" PRIu64 ".%03" PRIu64 " ", s->now / MS, s->now % MS);
	if (v != NULL)
		printf("server %u: ", v->number);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

static void
print_id(const struct sim *s, struct raft_id id)
{
	unsigned server = server_of(s, id);

	if (server != NOBODY)
		printf("%u", server);
	else if (raft_id_is_none(id))
		printf("-");
	else
		printf("(%u before)", (unsigned)(id.low & 0xff) - 1);
}

static void
print_configuration(const struct sim *s, const struct raft_configuration *c)
{
	printf("%" PRIu64 " {", c->index);
	for (size_t i = 0; i < c->count; i++) {
		printf(i == 0 ? "" : " ");
		print_id(s, c->members[i].id);
		printf("%s", c->members[i].voter ? "" : "n");
	}
	printf("}");
}

static void
print_raftd(const struct sim *s, const struct server *v)
{
	const struct raftd *r = &v->raftd;
	const struct terms *log = raft_log(r->raft);

	printf("%s of term %" PRIu64 ", leader ", raft_role_name(raft_role(r->raft)), raft_term(r->raft));
	print_id(s, raft_leader(r->raft));
	printf(", log %" PRIu64 "-%" PRIu64 " of term %" PRIu64 ", stable %" PRIu64 ", commit %" PRIu64
	       ", configuration ",
	    log->base_index, log->last, terms_last_term(log), raft_stable(r->raft), raft_commit(r->raft));
	print_configuration(s, raft_configuration(r->raft));
	printf("%s%s%s%s%s\n", r->connection == 0 ? ", no catalogd" : "", r->syncing ? ", syncing" : "",
	    r->no_space ? ", no space" : "", r->installing ? ", installing" : "",
	    r->paused_until > s->now ? ", stopped" : "");
}

void
trace_raftd(const struct sim *s, struct server *v)
{
	struct raftd *r = &v->raftd;
	enum raft_role role = raft_role(r->raft);
	uint64_t term = raft_term(r->raft), configuration = raft_configuration(r->raft)->index;

	if (!on || (r->traced.role == role && r->traced.term == term && r->traced.configuration == configuration &&
		       raft_id_equal(r->traced.leader, raft_leader(r->raft))))
		return;
	r->traced.role = role;
	r->traced.term = term;
	r->traced.configuration = configuration;
	r->traced.leader = raft_leader(r->raft);
	printf("%6" PRIu64 ".%03" PRIu64 " server %u: ", s->now / MS, s->now % MS, v->number);
	print_raftd(s, v);
}

void
trace_servers(const struct sim *s)
{
	if (!on)
		return;
	for (unsigned i = 0; i < s->count; i++) {
		const struct server *v = &s->servers[i];

		printf("       server %u:%s%s%s%s ", i, v->damaged ? " damaged" : "", v->refused ? " refused" : "",
		    v->removed ? " removed" : "", v->started ? "" : " new");
		if (v->catalogd.alive)
			printf("applied %" PRIu64 ", ", store_state(v->catalogd.store).applied_index);
		if (v->raftd.alive)
			print_raftd(s, v);
		else
			printf("raftd does not run\n");
	}
}
