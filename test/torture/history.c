/*
 * history.c - are the promises kept, key by key (contract: history.h; callers: check.c, test/unit/torture_history_test.c)
 *
 * What the system says of itself comes first: one ModifyIndex for one value, never going back. That is cheap, and finds nearly everything, in
 * histories of any length. The search for an order (linear.h) believes nothing but the answers.
 *
 * A write of unknown outcome may come at any time after its call, or never; whoever has seen its value sets an end to that time.
 * One that nobody has seen is left out at first: an order without it is an order. Only if there is none is it searched again with them, since a
 * failed cas may be explained by one.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../sim/linear.h"
#include "history.h"
#include "mem.h"

#define VALUE_BITS 24
#define SESSION_BITS 20
#define LOCK_BITS 20
#define SHOWN_BEFORE 6 /* operations of an order that failed */
#define SHOWN_MAX 16

enum kind { GET, PUT, CAS, DELETE, ACQUIRE, RELEASE, DESTROY, KINDS };
enum mode { DEFAULT, CONSISTENT, STALE, MODES };
enum end { OK, FAIL, UNKNOWN, ENDS };

static const char *const kind_names[KINDS] = {"get", "put", "cas", "delete", "acquire", "release", "destroy"};
static const char *const mode_names[MODES] = {"default", "consistent", "stale"};
static const char *const end_names[ENDS] = {"ok", "fail", "unknown"};

struct op {
	enum kind kind;
	enum mode mode;
	enum end end;
	const char *key; /* "" for a destroy */
	const char *at;
	uint64_t called, returned;
	uint64_t value, index, session, lock_index, expect;
	bool good;
	char *line;  /* as it came */
	char *words; /* what key and at point into */
};

struct history {
	struct op *ops;
	size_t count, size;
	struct history_result *result;
	FILE *out;
};

/* The operations of one key. */
struct part {
	struct history *h;
	const struct op **ops; /* by call, those that the search is about first */
	size_t count;
	const char *key;
	const struct op **stale;
	size_t stale_count;
	bool locks; /* has sessions: its ModifyIndex may change without its value */
	/* in the search */
	struct linear_item *items;
	const struct op **searched;
	size_t searched_count;
};

/* ---- lines ---- */

struct history *
history_new(void)
{
	return xcalloc(1, sizeof(struct history));
}

void
history_free(struct history *h)
{
	for (size_t i = 0; i < h->count; i++) {
		free(h->ops[i].line);
		free(h->ops[i].words);
	}
	free(h->ops);
	free(h);
}

static int
choose(const char *const *names, int count, const char *text)
{
	for (int i = 0; i < count; i++)
		if (strcmp(names[i], text) == 0)
			return i;
	return -1;
}

/* One word. -1: the value is none for this name. */
static int
word_take(struct op *op, const char *name, const char *value)
{
	const struct {
		const char *name;
		uint64_t *number;
		uint64_t max;
	} numbers[] = {{"call", &op->called, LINEAR_NEVER - 1}, {"return", &op->returned, LINEAR_NEVER - 1},
	    {"value", &op->value, (1u << VALUE_BITS) - 1}, {"expect", &op->expect, (1u << VALUE_BITS) - 1},
	    {"index", &op->index, UINT64_MAX}, {"session", &op->session, (1u << SESSION_BITS) - 1},
	    {"lockindex", &op->lock_index, (1u << LOCK_BITS) - 1}};
	int chosen = 0;

	if (strcmp(name, "op") == 0)
		op->kind = (enum kind)(chosen = choose(kind_names, KINDS, value));
	else if (strcmp(name, "mode") == 0)
		op->mode = (enum mode)(chosen = choose(mode_names, MODES, value));
	else if (strcmp(name, "end") == 0)
		op->end = (enum end)(chosen = choose(end_names, ENDS, value));
	else if (strcmp(name, "key") == 0)
		op->key = value;
	else if (strcmp(name, "at") == 0)
		op->at = value;
	else if (strcmp(name, "good") == 0)
		op->good = value[0] == '1';
	else
		for (size_t i = 0; i < COUNTOF(numbers); i++)
			if (strcmp(name, numbers[i].name) == 0 &&
			    (bytes_to_u64(bytes_str(value), numbers[i].number) == -1 ||
				*numbers[i].number > numbers[i].max))
				return -1;
	return chosen == -1 ? -1 : 0;
}

int
history_add(struct history *h, const char *line, char error[HISTORY_ERROR_MAX])
{
	struct op op = {.kind = KINDS, .key = "", .at = "", .end = ENDS, .returned = LINEAR_NEVER};
	char *save = NULL;

	op.line = xstrndup(line, strcspn(line, "\n"));
	op.words = xstrdup(op.line);
	for (char *word = strtok_r(op.words, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
		char *value = strchr(word, '=');

		if (value == NULL || value[1] == '\0')
			goto fail;
		*value++ = '\0';
		if (word_take(&op, word, value) == -1)
			goto fail;
	}
	if (op.kind == KINDS || op.end == ENDS || op.called == 0 || (op.key[0] == '\0') != (op.kind == DESTROY) ||
	    (op.end == OK && op.returned == LINEAR_NEVER) || op.returned < op.called)
		goto fail;
	if (op.end == UNKNOWN)
		op.returned = LINEAR_NEVER;
	if (h->count == h->size) {
		h->size = MAX(1024, 2 * h->size);
		h->ops = xreallocarray(h->ops, h->size, sizeof *h->ops);
	}
	h->ops[h->count++] = op;
	return 0;

fail:
	snprintf(error, HISTORY_ERROR_MAX, "not a line of a history: %.200s", op.line);
	free(op.line);
	free(op.words);
	return -1;
}

/* ---- violations ---- */

/* a and b (or NULL) show it. */
static void PRINTF_LIKE(4, 5)
    violated(const struct part *p, const struct op *a, const struct op *b, const char *fmt, ...)
{
	FILE *out = p->h->out;
	va_list args;

	p->h->result->violations++;
	va_start(args, fmt);
	fprintf(out, "# violation: key %s: ", a->key[0] == '\0' ? "(session)" : a->key);
	vfprintf(out, fmt, args);
	fprintf(out, "\n");
	va_end(args);
	fprintf(out, "#   %s\n", a->line);
	if (b != NULL)
		fprintf(out, "#   %s\n", b->line);
}

/* ---- by what the system says of itself ---- */

static bool
writes(const struct op *op)
{
	return op->kind == PUT || op->kind == CAS || op->kind == ACQUIRE || op->kind == RELEASE;
}

/* Whether the write was, or may have been, applied. */
static bool
may_be_applied(const struct op *op)
{
	return op->end == UNKNOWN || (op->end == OK && (op->kind == PUT || op->good));
}

static int
by_value(const void *a, const void *b)
{
	const struct op *const *x = a, *const *y = b;

	if ((*x)->value != (*y)->value)
		return (*x)->value < (*y)->value ? -1 : 1;
	return (*x)->called < (*y)->called ? -1 : (*x)->called > (*y)->called;
}

static const struct op *
write_of(const struct op *const *by_values, size_t count, uint64_t value)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (by_values[middle]->value < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low < count && by_values[low]->value == value ? by_values[low] : NULL;
}

/* Each value that was read was written, and stands at one index. */
static void
check_values(struct part *p)
{
	const struct op **written = xcalloc(p->count + 1, sizeof *written);
	const struct op **sorted = xcalloc(p->count + p->stale_count + 1, sizeof *sorted);
	size_t written_count = 0, sorted_count = 0;

	for (size_t i = 0; i < p->count; i++)
		if (writes(p->ops[i]))
			written[written_count++] = p->ops[i];
	qsort(written, written_count, sizeof *written, by_value);
	for (size_t i = 0; i < p->count; i++)
		if (p->ops[i]->kind == GET && p->ops[i]->value != 0)
			sorted[sorted_count++] = p->ops[i];
	for (size_t i = 0; i < p->stale_count; i++)
		if (p->stale[i]->value != 0)
			sorted[sorted_count++] = p->stale[i];
	qsort(sorted, sorted_count, sizeof *sorted, by_value);
	for (size_t i = 0; i < sorted_count; i++) {
		const struct op *write = write_of(written, written_count, sorted[i]->value);

		if (write == NULL)
			violated(p, sorted[i], NULL, "a value that nobody wrote");
		else if (!may_be_applied(write))
			violated(p, sorted[i], write, "the value of a write that was refused");
		else if (write->called > sorted[i]->returned)
			violated(p, sorted[i], write, "a value before it was written");
		if (i > 0 && !p->locks && sorted[i]->value == sorted[i - 1]->value &&
		    sorted[i]->index != sorted[i - 1]->index)
			violated(p, sorted[i - 1], sorted[i], "one write at two indexes");
	}
	free(written);
	free(sorted);
}

static int
by_return(const void *a, const void *b)
{
	const struct op *const *x = a, *const *y = b;

	return (*x)->returned < (*y)->returned ? -1 : (*x)->returned > (*y)->returned;
}

static int
by_call(const void *a, const void *b)
{
	const struct op *const *x = a, *const *y = b;

	return (*x)->called < (*y)->called ? -1 : (*x)->called > (*y)->called;
}

/* Reads (by call) do not go back: none shows an index below one that was shown before it was sent. */
static void
check_indexes(struct part *p, const struct op *const *reads, size_t count, const char *what)
{
	const struct op **returned = xcalloc(count + 1, sizeof *returned), *floor = NULL;
	size_t next = 0;

	memcpy(returned, reads, count * sizeof *returned);
	qsort(returned, count, sizeof *returned, by_return);
	for (size_t i = 0; i < count; i++) {
		for (; next < count && returned[next]->returned < reads[i]->called; next++)
			if (returned[next]->value != 0 && (floor == NULL || returned[next]->index > floor->index))
				floor = returned[next];
		if (floor != NULL && reads[i]->value != 0 && reads[i]->index < floor->index) {
			violated(p, floor, reads[i], "%s went back", what);
			break; /* the rest of them shows the same */
		}
	}
	free(returned);
}

static int
by_server(const void *a, const void *b)
{
	const struct op *const *x = a, *const *y = b;
	int order = strcmp((*x)->at, (*y)->at);

	return order != 0 ? order : by_call(a, b);
}

static void
check_stale(struct part *p)
{
	qsort(p->stale, p->stale_count, sizeof *p->stale, by_server);
	for (size_t i = 0, end; i < p->stale_count; i = end) {
		for (end = i + 1; end < p->stale_count && strcmp(p->stale[end]->at, p->stale[i]->at) == 0;)
			end++;
		/* who answers a client agent may change */
		if (p->stale[i]->at[0] != '\0')
			check_indexes(p, p->stale + i, end - i, "stale reads of one server");
	}
}

static void
check_reads(struct part *p)
{
	const struct op **reads = xcalloc(p->count + 1, sizeof *reads);
	size_t count = 0;

	for (size_t i = 0; i < p->count; i++)
		if (p->ops[i]->kind == GET)
			reads[count++] = p->ops[i];
	check_indexes(p, reads, count, "reads");
	free(reads);
}

/* ---- by search ---- */

static uint64_t
state_of(uint64_t value, uint64_t session, uint64_t lock_index)
{
	return value | session << VALUE_BITS | lock_index << (VALUE_BITS + SESSION_BITS);
}

/* Whether a write with a condition may come now; what it answered says whether the condition held. */
static bool
conditional(const struct op *op, bool holds)
{
	return op->end == UNKNOWN ? holds : op->good == holds;
}

static bool
step(void *ctx, size_t item, uint64_t *state)
{
	const struct part *p = ctx;
	const struct op *op = p->searched[item];
	uint64_t value = *state & ((1u << VALUE_BITS) - 1);
	uint64_t session = *state >> VALUE_BITS & ((1u << SESSION_BITS) - 1);
	uint64_t lock_index = *state >> (VALUE_BITS + SESSION_BITS);
	bool holds;

	switch (op->kind) {
	case GET:
		return value == op->value && session == op->session && lock_index == op->lock_index;
	case PUT:
		*state = state_of(op->value, session, lock_index);
		return true;
	case DELETE:
		*state = 0;
		return true;
	case CAS:
		holds = value == op->expect;
		if (holds)
			*state = state_of(op->value, session, lock_index);
		return conditional(op, holds);
	case ACQUIRE:
		holds = session == 0 || session == op->session;
		if (holds)
			*state = state_of(op->value, op->session, lock_index + (session == 0));
		return conditional(op, holds);
	case RELEASE:
		holds = session == op->session;
		if (holds)
			*state = state_of(op->value, 0, lock_index);
		return conditional(op, holds);
	case DESTROY:
		if (session == op->session)
			*state = state_of(value, 0, lock_index);
		return true;
	case KINDS:
		break;
	}
	return false;
}

static bool
value_seen(const struct part *p, uint64_t value, uint64_t *seen_at)
{
	bool seen = false;

	for (size_t i = 0; i < p->count + p->stale_count; i++) {
		const struct op *op = i < p->count ? p->ops[i] : p->stale[i - p->count];
		uint64_t known = op->kind == GET                                ? op->value
				 : op->kind == CAS && op->end == OK && op->good ? op->expect
										: 0;

		if (known == value) {
			if (op->mode !=
			    STALE) /* a follower may have it before the leader, whose disk is full, shows it */
				*seen_at = MIN(*seen_at, op->returned);
			seen = true;
		}
	}
	return seen;
}

/* all: with the unknown writes that nobody has seen. */
static enum linear_result
search(struct part *p, bool all, struct linear *l)
{
	p->searched_count = 0;
	for (size_t i = 0; i < p->count; i++) {
		const struct op *op = p->ops[i];
		struct linear_item item = {.called = op->called, .returned = op->returned};

		if (op->end == FAIL)
			continue;
		if (op->end == UNKNOWN && op->kind != DESTROY) {
			if (op->kind == DELETE || !value_seen(p, op->value, &item.returned)) {
				if (!all)
					continue;
			}
		}
		p->items[p->searched_count] = item;
		p->searched[p->searched_count++] = op;
	}
	*l = (struct linear){
	    .items = p->items, .count = p->searched_count, .step = step, .ctx = p, .longest = l->longest};
	return linear_search(l);
}

/* What had an order, its last part, and what could not follow. */
static void
show_dead_end(struct part *p, const struct linear *l)
{
	bool *placed = xcalloc(l->count + 1, sizeof *placed);
	uint64_t end = LINEAR_NEVER;
	size_t shown = 0;

	for (size_t i = 0; i < l->longest_count; i++)
		placed[l->longest[i]] = true;
	for (size_t i = l->longest_count - MIN(l->longest_count, SHOWN_BEFORE); i < l->longest_count; i++)
		fprintf(p->h->out, "#   in order:  %s\n", p->searched[l->longest[i]]->line);
	for (size_t i = 0; i < l->count; i++)
		if (!placed[i])
			end = MIN(end, p->items[i].returned);
	for (size_t i = 0; i < l->count && shown < SHOWN_MAX; i++)
		if (!placed[i] && p->items[i].called <= end) {
			fprintf(p->h->out, "#   then none: %s\n", p->searched[i]->line);
			shown++;
		}
	free(placed);
}

static void
check_order(struct part *p)
{
	struct linear l = {.longest = xcalloc(p->count + 1, sizeof *l.longest)};
	enum linear_result result;

	p->items = xcalloc(p->count + 1, sizeof *p->items);
	p->searched = xcalloc(p->count + 1, sizeof *p->searched);
	result = search(p, false, &l);
	if (result != LINEAR_FOUND)
		result = search(p, true, &l);
	if (result == LINEAR_UNDECIDED)
		p->h->result->undecided++;
	if (result == LINEAR_NONE) {
		p->h->result->violations++;
		fprintf(
		    p->h->out, "# violation: key %s: no order of its operations explains what clients saw\n", p->key);
		show_dead_end(p, &l);
	}
	free(l.longest);
	free(p->items);
	free(p->searched);
}

/* ---- all of it ---- */

static int
by_key(const void *a, const void *b)
{
	const struct op *x = a, *y = b;
	int order = strcmp(x->key, y->key);

	return order != 0 ? order : by_call(&x, &y);
}

static bool
part_has_session(const struct part *p, uint64_t session)
{
	for (size_t i = 0; i < p->count; i++)
		if (p->ops[i]->kind == ACQUIRE && p->ops[i]->session == session)
			return true;
	return false;
}

static void
check_key(struct history *h, const struct op *ops, size_t count, const struct op *destroyed, size_t destroyed_count)
{
	struct part p = {.h = h, .key = ops[0].key};

	p.ops = xcalloc(count + destroyed_count + 1, sizeof *p.ops);
	p.stale = xcalloc(count + 1, sizeof *p.stale);
	for (size_t i = 0; i < count; i++) {
		p.locks |= ops[i].kind == ACQUIRE;
		if (ops[i].kind != GET)
			p.ops[p.count++] = &ops[i];
		else if (ops[i].end != OK)
			continue;
		else if (ops[i].mode == STALE)
			p.stale[p.stale_count++] = &ops[i];
		else
			p.ops[p.count++] = &ops[i];
	}
	for (size_t i = 0; p.locks && i < destroyed_count; i++)
		if (part_has_session(&p, destroyed[i].session))
			p.ops[p.count++] = &destroyed[i];
	qsort(p.ops, p.count, sizeof *p.ops, by_call);
	if (p.count > 0) {
		check_values(&p);
		check_reads(&p);
		check_stale(&p);
		check_order(&p);
	}
	free(p.ops);
	free(p.stale);
}

/* A session that is gone acquires nothing. */
static void
check_sessions(struct history *h, const struct op *destroyed, size_t destroyed_count)
{
	struct part p = {.h = h};

	for (size_t i = 0; i < destroyed_count; i++)
		for (size_t k = 0; destroyed[i].end == OK && k < h->count; k++)
			if (h->ops[k].kind == ACQUIRE && h->ops[k].session == destroyed[i].session &&
			    h->ops[k].end == OK && h->ops[k].good && h->ops[k].called > destroyed[i].returned)
				violated(&p, &destroyed[i], &h->ops[k], "a lock for a session that was destroyed");
}

void
history_check(struct history *h, FILE *out, struct history_result *result)
{
	size_t destroyed = 0;

	*result = (struct history_result){.operations = h->count};
	h->out = out;
	h->result = result;
	qsort(h->ops, h->count, sizeof *h->ops, by_key);
	/* those without a key come first */
	while (destroyed < h->count && h->ops[destroyed].kind == DESTROY)
		destroyed++;
	check_sessions(h, h->ops, destroyed);
	for (size_t i = destroyed, end; i < h->count; i = end) {
		for (end = i + 1; end < h->count && strcmp(h->ops[end].key, h->ops[i].key) == 0;)
			end++;
		result->keys++;
		check_key(h, &h->ops[i], end - i, h->ops, destroyed);
	}
}
