/*
 * proposals.c - writes on their way into the log and back (contract: proposals.h; caller: raftlog.c)
 *
 * All proposals stand in one window indexed by sequence number: slot[(sequence) & mask], holes where one ended. Sent ones have lower
 * numbers than waiting ones; one that goes back to waiting gets a new number at the end. So the order in which a process's
 * entries are sent is the order of their numbers.
 */
#include "proposals.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mem.h"
#include "mp.h"

#define WINDOW_MIN 1024
#define SEQUENCE_AT 10 /* of the sequence in an entry's head */

struct proposal {
	struct proposals *all;
	uint64_t sequence;
	uint64_t sent_term; /* 0: waiting */
	int64_t send_deadline_ns, outcome_deadline_ns;
	proposal_done *done;
	void *ctx;
	size_t size;
	uint8_t entry[];
};

struct proposals {
	uint64_t nonce;
	struct proposal **slots;
	size_t size;     /* a power of two */
	uint64_t first;  /* sequence of the first slot in use */
	uint64_t unsent; /* from here on they wait */
	uint64_t next;
	size_t count, bytes;
};

struct proposals *
proposals_new(uint64_t nonce)
{
	struct proposals *p = xcalloc(1, sizeof *p);

	p->nonce = nonce;
	p->size = WINDOW_MIN;
	p->slots = xcalloc(p->size, sizeof *p->slots);
	p->first = p->unsent = p->next = 1;
	return p;
}

void
proposals_free(struct proposals *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->size; i++)
		free(p->slots[i]);
	free(p->slots);
	free(p);
}

size_t
proposals_waiting(const struct proposals *p)
{
	return (size_t)(p->next - p->unsent);
}

size_t
proposals_count(const struct proposals *p)
{
	return p->count;
}

static struct proposal **
slot_of(const struct proposals *p, uint64_t sequence)
{
	return &p->slots[sequence & (p->size - 1)];
}

static void
window_grow(struct proposals *p)
{
	size_t size = p->size * 2;
	struct proposal **slots = xcalloc(size, sizeof *slots);

	for (uint64_t s = p->first; s < p->next; s++)
		slots[s & (size - 1)] = *slot_of(p, s);
	free(p->slots);
	p->slots = slots;
	p->size = size;
}

/* Gives it the next number, at the end of the window. */
static void
enqueue(struct proposals *p, struct proposal *proposal)
{
	if (p->next - p->first == p->size)
		window_grow(p);
	proposal->sequence = p->next;
	proposal->sent_term = 0;
	for (int i = 0; i < 8; i++)
		proposal->entry[SEQUENCE_AT + i] = (uint8_t)(p->next >> (56 - 8 * i));
	*slot_of(p, p->next) = proposal;
	p->next++;
}

static void
dequeue(struct proposals *p, struct proposal *proposal)
{
	*slot_of(p, proposal->sequence) = NULL;
	while (p->first < p->next && *slot_of(p, p->first) == NULL)
		p->first++;
	p->unsent = MAX(p->unsent, p->first);
}

struct proposal *
proposals_add(struct proposals *p, const struct proposal_options *options)
{
	struct apply_entry head = {.type = (uint8_t)options->type,
	    .version = APPLY_VERSION,
	    .nonce = p->nonce,
	    .time_ns = options->time_ns,
	    .body = options->body};
	size_t size = APPLY_HEAD_BYTES + options->body.size;
	struct proposal *proposal;
	struct buf entry;

	if (p->count >= PROPOSALS_COUNT_MAX || p->bytes + size > PROPOSALS_BYTES_MAX)
		return NULL;
	proposal = xmalloc(sizeof *proposal + size);
	*proposal = (struct proposal){.all = p,
	    .send_deadline_ns = options->send_deadline_ns,
	    .outcome_deadline_ns = options->outcome_deadline_ns,
	    .done = options->done,
	    .ctx = options->ctx,
	    .size = size};
	entry = (struct buf){.data = proposal->entry, .size = size, .max = size};
	apply_entry_put(&entry, &head);
	p->count++;
	p->bytes += size;
	enqueue(p, proposal);
	return proposal;
}

void
proposals_forget(struct proposal *proposal)
{
	proposal->done = NULL;
}

size_t
proposals_take(struct proposals *p, uint64_t term, size_t bytes_max, struct buf *out, uint64_t *first)
{
	size_t bytes = 0, place = mp_open_array(out);
	uint32_t count = 0;

	*first = p->unsent;
	for (; p->unsent < p->next; p->unsent++) {
		struct proposal *proposal = *slot_of(p, p->unsent);

		if (proposal == NULL) {
			/* A hole would break "the others follow": the batch ends before it. */
			if (count > 0)
				break;
			*first = p->unsent + 1;
			continue;
		}
		if (count > 0 && bytes + proposal->size > bytes_max)
			break;
		mp_put_str(out, proposal->entry, proposal->size);
		bytes += proposal->size;
		proposal->sent_term = term;
		count++;
	}
	mp_close(out, place, count);
	return count;
}

static struct proposal *
at(const struct proposals *p, uint64_t sequence)
{
	struct proposal *proposal;

	if (sequence < p->first || sequence >= p->next)
		return NULL;
	proposal = *slot_of(p, sequence);
	return proposal != NULL && proposal->sequence == sequence ? proposal : NULL;
}

void
proposals_return(struct proposals *p, uint64_t first, size_t count)
{
	for (uint64_t s = first; s < first + count; s++) {
		struct proposal *proposal = at(p, s);

		if (proposal == NULL || proposal->sent_term == 0)
			continue;
		dequeue(p, proposal);
		enqueue(p, proposal);
	}
}

void
proposals_end(struct proposals *p, struct proposal *proposal, const struct proposal_result *result)
{
	proposal_done *done = proposal->done;
	void *ctx = proposal->ctx;

	dequeue(p, proposal);
	p->count--;
	p->bytes -= proposal->size;
	free(proposal);
	if (done != NULL)
		done(ctx, result);
}

void
proposals_fail(struct proposals *p, uint64_t first, size_t count, const char *error)
{
	struct proposal_result result = {.outcome = PROPOSAL_FAILED, .error = error};

	for (uint64_t s = first; s < first + count; s++) {
		struct proposal *proposal = at(p, s);

		if (proposal != NULL)
			proposals_end(p, proposal, &result);
	}
}

struct proposal *
proposals_find(struct proposals *p, uint64_t nonce, uint64_t sequence)
{
	return nonce == p->nonce ? at(p, sequence) : NULL;
}

void
proposals_term(struct proposals *p, uint64_t term)
{
	uint64_t end = p->unsent;

	for (uint64_t s = p->first; s < end; s++) {
		struct proposal *proposal = at(p, s);

		if (proposal == NULL || proposal->sent_term == 0 || proposal->sent_term >= term)
			continue;
		dequeue(p, proposal);
		enqueue(p, proposal);
	}
}

static const struct proposal_result no_leader = {.outcome = PROPOSAL_NO_LEADER, .error = "No cluster leader"};

void
proposals_unsent_end(struct proposals *p)
{
	uint64_t end = p->next; /* what comes meanwhile is not meant */

	for (uint64_t s = p->unsent; s < end; s++) {
		struct proposal *proposal = at(p, s);

		if (proposal != NULL)
			proposals_end(p, proposal, &no_leader);
	}
	p->unsent = MAX(p->unsent, end);
}

size_t
proposals_expire(struct proposals *p, int64_t now_ns)
{
	static const struct proposal_result unknown = {.outcome = PROPOSAL_UNKNOWN,
	    .error =
		"the log did not confirm it in time: the outcome of this write is unknown, it may still take effect"};

	for (uint64_t s = p->first, end = p->next; s < end; s++) {
		struct proposal *proposal = at(p, s);

		if (proposal == NULL)
			continue;
		if (proposal->sent_term == 0 && now_ns >= proposal->send_deadline_ns)
			proposals_end(p, proposal, &no_leader);
		else if (proposal->sent_term != 0 && now_ns >= proposal->outcome_deadline_ns)
			proposals_end(p, proposal, &unknown);
	}
	return p->count;
}
