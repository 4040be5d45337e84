/*
 * value.c - the tree of a configuration file (contract: value.h)
 */
#include "value.h"

#include <stdlib.h>

#include "json.h"

struct value *
value_new(struct region *r, enum value_kind kind)
{
	struct value *v = region_alloc(r, sizeof *v);

	*v = (struct value){.kind = kind, .text = ""};
	return v;
}

struct value *
value_string(struct region *r, const char *text)
{
	struct value *v = value_new(r, VALUE_STRING);

	v->text = region_strndup(r, text, strlen(text));
	return v;
}

void
value_append(struct value *list, struct value *v)
{
	v->next = NULL;
	if (list->last == NULL)
		list->first = v;
	else
		list->last->next = v;
	list->last = v;
	list->count++;
}

void
value_set(struct value *map, const char *key, struct value *v)
{
	struct value *before = NULL;

	for (struct value *m = map->first; m != NULL; before = m, m = m->next) {
		if (strcmp(m->key, key) != 0)
			continue;
		if (before == NULL)
			map->first = m->next;
		else
			before->next = m->next;
		if (map->last == m)
			map->last = before;
		map->count--;
		break;
	}
	v->key = key;
	value_append(map, v);
}

struct value *
value_member(const struct value *map, const char *key)
{
	for (struct value *m = map->first; m != NULL; m = m->next)
		if (strcmp(m->key, key) == 0)
			return m;
	return NULL;
}

struct value *
value_copy(struct region *r, const struct value *v)
{
	struct value *copy = value_new(r, v->kind);

	*copy = *v;
	copy->text = region_strndup(r, v->text, strlen(v->text));
	copy->key = v->key == NULL ? NULL : region_strndup(r, v->key, strlen(v->key));
	copy->first = copy->last = copy->next = NULL;
	copy->count = 0;
	for (const struct value *m = v->first; m != NULL; m = m->next)
		value_append(copy, value_copy(r, m));
	return copy;
}

double
value_number(const struct value *v)
{
	return strtod(v->text, NULL);
}

const char *
value_type_name(const struct value *v)
{
	switch (v->kind) {
	case VALUE_NULL:
		return "nil";
	case VALUE_BOOL:
		return "bool";
	case VALUE_NUMBER:
		return v->whole ? "int" : "float64";
	case VALUE_STRING:
		return "string";
	case VALUE_LIST:
		return "[]interface {}";
	case VALUE_MAP:
		return "map[string]interface {}";
	}
	return "";
}

static int
compare_members(const void *a, const void *b)
{
	return strcmp((*(const struct value *const *)a)->key, (*(const struct value *const *)b)->key);
}

/* Go prints maps in the order of their keys. */
static void
print_map(const struct value *v, struct buf *out)
{
	const struct value **members = xreallocarray(NULL, v->count == 0 ? 1 : v->count, sizeof(struct value *));
	size_t n = 0;

	for (const struct value *m = v->first; m != NULL; m = m->next)
		members[n++] = m;
	if (n > 1)
		qsort(members, n, sizeof *members, compare_members);
	buf_put_str(out, "map[");
	for (size_t i = 0; i < n; i++) {
		buf_printf(out, "%s%s:", i == 0 ? "" : " ", members[i]->key);
		value_print(members[i], out);
	}
	buf_put_str(out, "]");
	free(members);
}

void
value_print(const struct value *v, struct buf *out)
{
	switch (v->kind) {
	case VALUE_NULL:
		buf_put_str(out, "<nil>");
		return;
	case VALUE_BOOL:
		buf_put_str(out, v->boolean ? "true" : "false");
		return;
	case VALUE_NUMBER:
		/* %v of a float64 is shortest form, with an exponent from 1e+21 on; whole numbers of a file are shorter than that */
		if (strpbrk(v->text, ".eE") == NULL && strlen(v->text) < 21)
			buf_put_str(out, v->text);
		else
			json_put_float(out, value_number(v));
		return;
	case VALUE_STRING:
		buf_put_str(out, v->text);
		return;
	case VALUE_LIST:
		buf_put_str(out, "[");
		for (const struct value *m = v->first; m != NULL; m = m->next) {
			if (m != v->first)
				buf_put_str(out, " ");
			value_print(m, out);
		}
		buf_put_str(out, "]");
		return;
	case VALUE_MAP:
		print_map(v, out);
		return;
	}
}

void
value_json(const struct value *v, struct buf *out)
{
	switch (v->kind) {
	case VALUE_NULL:
		buf_put_str(out, "null");
		return;
	case VALUE_BOOL:
		buf_put_str(out, v->boolean ? "true" : "false");
		return;
	case VALUE_NUMBER:
		buf_put_str(out, v->text);
		return;
	case VALUE_STRING:
		json_put_cstr(out, v->text);
		return;
	case VALUE_LIST:
	case VALUE_MAP:
		buf_put_u8(out, v->kind == VALUE_LIST ? '[' : '{');
		for (const struct value *m = v->first; m != NULL; m = m->next) {
			if (m != v->first)
				buf_put_u8(out, ',');
			if (v->kind == VALUE_MAP) {
				json_put_cstr(out, m->key);
				buf_put_u8(out, ':');
			}
			value_json(m, out);
		}
		buf_put_u8(out, v->kind == VALUE_LIST ? ']' : '}');
		return;
	}
}
