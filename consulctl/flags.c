/*
 * flags.c - parsing of flags (contract: flags.h)
 */
#include "flags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "duration.h"
#include "log.h"

#define FLAGS_MAX 64

struct entry {
	const struct flag *flag;
	const char **values;
	size_t count;
};

struct flags {
	struct region *region;
	struct entry entries[FLAGS_MAX];
	size_t count;
	const char *error;
};

struct flags *
flags_new(struct region *region, const struct flag *const *tables)
{
	struct flags *f = region_alloc(region, sizeof *f);

	*f = (struct flags){.region = region};
	for (; *tables != NULL; tables++)
		for (const struct flag *flag = *tables; flag->name != NULL; flag++) {
			if (f->count == FLAGS_MAX)
				panic("flags: more than %d flags", FLAGS_MAX);
			f->entries[f->count++] = (struct entry){.flag = flag};
		}
	return f;
}

static struct entry *
find(const struct flags *f, const char *name, size_t size)
{
	for (size_t i = 0; i < f->count; i++)
		if (strlen(f->entries[i].flag->name) == size && memcmp(f->entries[i].flag->name, name, size) == 0)
			return (struct entry *)&f->entries[i];
	return NULL;
}

static const struct entry *
entry_of(const struct flags *f, const char *name)
{
	const struct entry *e = find(f, name, strlen(name));

	if (e == NULL)
		panic("flags: -%s is not declared", name);
	return e;
}

int
flags_parse_bool(const char *text, bool *value)
{
	static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
	static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};

	for (size_t i = 0; i < COUNTOF(yes); i++) {
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*value = strcmp(text, yes[i]) == 0;
			return 0;
		}
	}
	return -1;
}

static int
parse_uint(const char *text, uint64_t *value)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	*value = strtoull(text, &end, 0);
	return errno != 0 || *end != '\0' ? -1 : 0;
}

static int
parse_int(const char *text, int64_t *value)
{
	char *end;
	const char *digits = *text == '-' || *text == '+' ? text + 1 : text;

	if (*digits < '0' || *digits > '9')
		return -1;
	errno = 0;
	*value = strtoll(text, &end, 0);
	return errno != 0 || *end != '\0' ? -1 : 0;
}

/* Why the value does not suit the kind; NULL: it does. */
static const char *
value_error(struct flags *f, const struct flag *flag, const char *value)
{
	enum duration_error e;
	char why[256];
	int64_t number, ns;
	uint64_t unsigned_number;
	bool on;

	switch (flag->kind) {
	case FLAG_UINT:
		return parse_uint(value, &unsigned_number) == -1 ? "parse error" : NULL;
	case FLAG_INT:
		return parse_int(value, &number) == -1 ? "parse error" : NULL;
	case FLAG_DURATION:
		return duration_parse(bytes_str(value), &ns) != DURATION_OK ? "parse error" : NULL;
	case FLAG_MAP:
		if (strchr(value, '=') == NULL)
			return region_printf(f->region, "Missing \"=\" value in argument: %s", value);
		return NULL;
	case FLAG_TRISTATE:
		if (flags_parse_bool(value, &on) == -1)
			return region_printf(f->region, "strconv.ParseBool: parsing \"%s\": invalid syntax", value);
		return NULL;
	case FLAG_STRICT_UINT:
		if (parse_uint(value, &unsigned_number) == -1)
			return region_printf(f->region, "strconv.ParseUint: parsing \"%s\": invalid syntax", value);
		return NULL;
	case FLAG_STRICT_DURATION:
		e = duration_parse(bytes_str(value), &ns);
		if (e == DURATION_OK)
			return NULL;
		duration_error_text(e, bytes_str(value), why, sizeof why);
		return region_printf(f->region, "%s", why);
	case FLAG_BOOL:
	case FLAG_STRING:
	case FLAG_LIST:
		break;
	}
	return NULL;
}

static void
append(struct flags *f, struct entry *e, const char *value)
{
	const char **bigger;

	if ((e->count & (e->count - 1)) == 0) { /* full at every power of two */
		bigger = region_alloc(f->region, (e->count == 0 ? 1 : 2 * e->count) * sizeof *bigger);
		if (e->count > 0)
			memcpy(bigger, e->values, e->count * sizeof *bigger);
		e->values = bigger;
	}
	e->values[e->count++] = value;
}

/* One flag, arg[0] is '-'. next: the following argument or NULL. Returns how many arguments it took, 0: error. */
static int
parse_one(struct flags *f, const char *arg, const char *next)
{
	const char *name = arg[1] == '-' ? arg + 2 : arg + 1, *value, *why;
	size_t size = strcspn(name, "=");
	struct entry *e;
	bool on;
	int used = 1;

	if (size == 0 || name[0] == '-') {
		f->error = region_printf(f->region, "bad flag syntax: %s", arg);
		return 0;
	}
	value = name[size] == '=' ? name + size + 1 : NULL;
	e = find(f, name, size);
	if (e == NULL) {
		f->error = region_printf(f->region, "flag provided but not defined: -%.*s", (int)size, name);
		return 0;
	}
	if (e->flag->kind == FLAG_BOOL) {
		if (value == NULL)
			value = "true";
		if (flags_parse_bool(value, &on) == -1) {
			f->error = region_printf(
			    f->region, "invalid boolean value \"%s\" for -%s: parse error", value, e->flag->name);
			return 0;
		}
	} else if (value == NULL) {
		if (next == NULL) {
			f->error = region_printf(f->region, "flag needs an argument: -%s", e->flag->name);
			return 0;
		}
		value = next;
		used = 2;
	}
	why = value_error(f, e->flag, value);
	if (why != NULL) {
		f->error = region_printf(f->region, "invalid value \"%s\" for flag -%s: %s", value, e->flag->name, why);
		return 0;
	}
	append(f, e, value);
	return used;
}

int
flags_parse(struct flags *f, int argc, char *const *argv, int *rest)
{
	int i = 0, used;

	while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0') {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		used = parse_one(f, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
		if (used == 0)
			return -1;
		i += used;
	}
	*rest = i;
	return 0;
}

const char *
flags_error(const struct flags *f)
{
	return f->error;
}

bool
flags_has(const struct flags *f, const char *name)
{
	return find(f, name, strlen(name)) != NULL;
}

bool
flags_given(const struct flags *f, const char *name)
{
	return entry_of(f, name)->count > 0;
}

size_t
flags_count(const struct flags *f, const char *name)
{
	return entry_of(f, name)->count;
}

const char *
flags_at(const struct flags *f, const char *name, size_t i)
{
	const struct entry *e = entry_of(f, name);

	if (i >= e->count)
		panic("flags: -%s has no value %zu", name, i);
	return e->values[i];
}

const char *
flags_text(const struct flags *f, const char *name, const char *fallback)
{
	const struct entry *e = entry_of(f, name);

	return e->count == 0 ? fallback : e->values[e->count - 1];
}

bool
flags_bool_or(const struct flags *f, const char *name, bool fallback)
{
	const char *text = flags_text(f, name, NULL);
	bool on;

	return text == NULL || flags_parse_bool(text, &on) == -1 ? fallback : on;
}

bool
flags_bool(const struct flags *f, const char *name)
{
	return flags_bool_or(f, name, false);
}

uint64_t
flags_uint(const struct flags *f, const char *name, uint64_t fallback)
{
	const char *text = flags_text(f, name, NULL);
	uint64_t value;

	return text == NULL || parse_uint(text, &value) == -1 ? fallback : value;
}

int64_t
flags_int(const struct flags *f, const char *name, int64_t fallback)
{
	const char *text = flags_text(f, name, NULL);
	int64_t value;

	return text == NULL || parse_int(text, &value) == -1 ? fallback : value;
}

int64_t
flags_duration_ns(const struct flags *f, const char *name, int64_t fallback)
{
	const char *text = flags_text(f, name, NULL);
	int64_t ns;

	return text == NULL || duration_parse(bytes_str(text), &ns) != DURATION_OK ? fallback : ns;
}
