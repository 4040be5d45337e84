/*
 * ipc_table.c - streams by number, methods by name (contract: ipc_table.h, ipc_private.h)
 */
#include "ipc_private.h"

#include <stdlib.h>

#include "log.h"
#include "mem.h"

static struct slot **
table_place(const struct table *t, uint32_t id)
{
	struct slot **at;

	if (t->size == 0)
		return NULL;
	for (at = &t->buckets[(id >> 1) & (t->size - 1)]; *at != NULL; at = &(*at)->next)
		if ((*at)->id == id)
			break;
	return at;
}

struct slot *
ipc_table_find(const struct table *t, uint32_t id)
{
	struct slot **at = table_place(t, id);

	return at == NULL ? NULL : *at;
}

void
ipc_table_insert(struct table *t, struct slot *s)
{
	struct slot **at;

	if (t->count >= t->size) {
		struct table bigger = {.size = t->size == 0 ? 64 : t->size * 2};

		bigger.buckets = xcalloc(bigger.size, sizeof *bigger.buckets);
		for (size_t i = 0; i < t->size; i++)
			while (t->buckets[i] != NULL) {
				struct slot *moved = t->buckets[i];

				t->buckets[i] = moved->next;
				moved->next = NULL;
				ipc_table_insert(&bigger, moved);
			}
		free(t->buckets);
		*t = bigger;
	}
	at = &t->buckets[(s->id >> 1) & (t->size - 1)];
	s->next = *at;
	*at = s;
	t->count++;
}

void
ipc_table_remove(struct table *t, struct slot *s)
{
	struct slot **at = table_place(t, s->id);

	if (at == NULL || *at != s)
		panic("ipc: stream %u is not in its table", s->id);
	*at = s->next;
	s->next = NULL;
	t->count--;
}

struct slot *
ipc_table_any(const struct table *t, size_t *place)
{
	for (size_t i = 0; t->count > 0 && i < t->size; i++) {
		size_t at = (*place + i) & (t->size - 1);

		if (t->buckets[at] != NULL) {
			*place = at;
			return t->buckets[at];
		}
	}
	return NULL;
}

/* ---- methods by name ---- */

static uint32_t
name_hash(struct bytes name)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < name.size; i++)
		h = (h ^ name.data[i]) * 16777619u;
	return h;
}

struct dispatch *
ipc_dispatch_of(struct ipc *ipc, const struct ipc_service *service)
{
	struct dispatch *d;

	if (service == NULL)
		return NULL;
	for (size_t i = 0; i < ipc->dispatch_count; i++)
		if (ipc->dispatches[i]->service == service)
			return ipc->dispatches[i];
	d = xcalloc(1, sizeof *d);
	d->service = service;
	for (d->size = 16; d->size < service->count * 2; d->size *= 2)
		;
	d->buckets = xcalloc(d->size, sizeof *d->buckets);
	for (size_t i = 0; i < service->count; i++) {
		size_t at = name_hash(bytes_str(service->methods[i].name)) & (d->size - 1);

		while (d->buckets[at] != NULL)
			at = (at + 1) & (d->size - 1);
		d->buckets[at] = &service->methods[i];
	}
	ipc->dispatches = xreallocarray(ipc->dispatches, ipc->dispatch_count + 1, sizeof *ipc->dispatches);
	ipc->dispatches[ipc->dispatch_count++] = d;
	return d;
}

const struct ipc_method *
ipc_dispatch_find(const struct dispatch *d, struct bytes name)
{
	size_t at;

	if (d == NULL)
		return NULL;
	for (at = name_hash(name) & (d->size - 1); d->buckets[at] != NULL; at = (at + 1) & (d->size - 1))
		if (bytes_is(name, d->buckets[at]->name))
			return d->buckets[at];
	return NULL;
}

const struct ipc_method *
ipc_method_find(struct ipc *ipc, const struct ipc_service *service, struct bytes name)
{
	return ipc_dispatch_find(ipc_dispatch_of(ipc, service), name);
}
