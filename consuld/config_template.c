/*
 * config_template.c - the small template language of address keys (config.md 5.1), and the host's own addresses
 *
 * {{ SOURCE [| OPERATION ARGUMENT...]... }} inside plain text. A source is the list of the host's addresses or a part of it; operations narrow and
 * order the list; attr and join make text of it. The functions that return text (GetPrivateIP ...) are lists with their join built in.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config_private.h"

#define ADDRESSES_MAX 256
#define ARGUMENTS_MAX 4
#define WORD_MAX 256

struct address {
	char name[IF_NAMESIZE];
	char text[INET6_ADDRSTRLEN];
	uint8_t raw[16];
	int family;
	unsigned bits; /* length of the network prefix */
	unsigned flags;
	bool is_default; /* on the interface of the default route */
};

struct addresses {
	struct address at[ADDRESSES_MAX];
	size_t count;
};

static bool
in_network(const struct address *a, const uint8_t *net, int family, unsigned bits)
{
	if (a->family != family)
		return false;
	for (unsigned i = 0; i < bits; i++)
		if (((a->raw[i / 8] ^ net[i / 8]) & 0x80u >> (i % 8)) != 0)
			return false;
	return true;
}

static bool
in_cidr(const struct address *a, const char *cidr)
{
	uint8_t net[16];
	char ip[64];
	const char *slash = strchr(cidr, '/');

	if (slash == NULL || (size_t)(slash - cidr) >= sizeof ip)
		return false;
	memcpy(ip, cidr, (size_t)(slash - cidr));
	ip[slash - cidr] = '\0';
	if (inet_pton(a->family, ip, net) != 1)
		return false;
	return in_network(
	    a, net, a->family, MIN((unsigned)strtoul(slash + 1, NULL, 10), a->family == AF_INET ? 32u : 128u));
}

static bool
in_any(const struct address *a, const char *const *cidrs)
{
	for (; *cidrs != NULL; cidrs++)
		if ((strchr(*cidrs, ':') != NULL) == (a->family == AF_INET6) && in_cidr(a, *cidrs))
			return true;
	return false;
}

/* RFC 1918, RFC 6598, unique local. */
static bool
is_private(const struct address *a)
{
	static const char *const cidrs[] = {
	    "10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", NULL};

	return in_any(a, cidrs);
}

/* What is never reachable from elsewhere. */
static bool
is_local(const struct address *a)
{
	static const char *const cidrs[] = {"127.0.0.0/8", "169.254.0.0/16", "0.0.0.0/8", "224.0.0.0/4", "::1/128",
	    "fe80::/10", "ff00::/8", "2001:db8::/32", NULL};

	return in_any(a, cidrs);
}

/* ---- the host ---- */

static void
default_interface(char name[IF_NAMESIZE])
{
	FILE *f = fopen("/proc/net/route", "re");
	char line[256], interface[64];
	unsigned long destination;

	name[0] = '\0';
	if (f == NULL)
		return;
	while (fgets(line, sizeof line, f) != NULL && name[0] == '\0')
		if (sscanf(line, "%63s %lx", interface, &destination) == 2 && destination == 0 &&
		    strlen(interface) < IF_NAMESIZE)
			memcpy(name, interface, strlen(interface) + 1);
	fclose(f);
}

static int
read_host(struct addresses *list, char *error, size_t size)
{
	char preferred[IF_NAMESIZE];
	struct ifaddrs *all;

	list->count = 0;
	default_interface(preferred);
	if (getifaddrs(&all) == -1) {
		snprintf(error, size, "%m");
		return -1;
	}
	for (struct ifaddrs *i = all; i != NULL && list->count < ADDRESSES_MAX; i = i->ifa_next) {
		struct address *a = &list->at[list->count];
		const void *raw, *mask;

		if (i->ifa_addr == NULL || i->ifa_netmask == NULL ||
		    (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		*a = (struct address){.family = i->ifa_addr->sa_family, .flags = i->ifa_flags};
		if (a->family == AF_INET) {
			raw = &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr;
			mask = &((const struct sockaddr_in *)(const void *)i->ifa_netmask)->sin_addr;
		} else {
			raw = &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr;
			mask = &((const struct sockaddr_in6 *)(const void *)i->ifa_netmask)->sin6_addr;
		}
		memcpy(a->raw, raw, a->family == AF_INET ? 4 : 16);
		for (unsigned b = 0; b < (a->family == AF_INET ? 32u : 128u); b++)
			a->bits += (((const uint8_t *)mask)[b / 8] & 0x80u >> (b % 8)) != 0;
		snprintf(a->name, sizeof a->name, "%s", i->ifa_name);
		a->is_default = strcmp(a->name, preferred) == 0;
		if (inet_ntop(a->family, raw, a->text, sizeof a->text) != NULL)
			list->count++;
	}
	freeifaddrs(all);
	return 0;
}

static void
keep(struct addresses *list, bool (*wanted)(const struct address *a))
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++)
		if (wanted(&list->at[i]))
			list->at[kept++] = list->at[i];
	list->count = kept;
}

static bool
is_running_private(const struct address *a)
{
	return (a->flags & IFF_UP) != 0 && is_private(a) && !is_local(a);
}

static bool
is_running_public(const struct address *a)
{
	return (a->flags & IFF_UP) != 0 && !is_private(a) && !is_local(a);
}

static bool
is_default_one(const struct address *a)
{
	return (a->flags & IFF_UP) != 0 && a->is_default && !is_local(a);
}

static bool
is_ipv4(const struct address *a)
{
	return a->family == AF_INET;
}

static bool
is_ipv6(const struct address *a)
{
	return a->family == AF_INET6;
}

static int
count_of(bool (*scope)(const struct address *a), bool (*family)(const struct address *a), char *out, size_t size)
{
	struct addresses *list = xcalloc(1, sizeof *list);
	int count = -1;

	if (read_host(list, out, size) == 0) {
		keep(list, scope);
		keep(list, family);
		count = (int)list->count;
		if (count > 0)
			snprintf(out, size, "%s", list->at[0].text);
	}
	free(list);
	return count;
}

int
template_private_ipv4(char *out, size_t size)
{
	return count_of(is_running_private, is_ipv4, out, size);
}

int
template_public_ipv6(char *out, size_t size)
{
	return count_of(is_running_public, is_ipv6, out, size);
}

/* ---- operations ---- */

struct call {
	char name[WORD_MAX];
	char arguments[ARGUMENTS_MAX][WORD_MAX];
	size_t count;
};

struct evaluation {
	struct addresses *list;
	struct buf *out; /* text once made, or the error */
	bool text;       /* the value has become text */
};

static int
complain(struct evaluation *v, const char *fmt, const char *what)
{
	buf_clear(v->out);
	buf_printf(v->out, fmt, what);
	return -1;
}

static int
order(const struct address *a, const struct address *b, const char *keys)
{
	while (*keys != '\0') {
		const bool reverse = *keys == '-';
		const char *key = keys + (reverse || *keys == '+');
		const size_t length = strcspn(key, ",");
		int result = 0;

		if (strncmp(key, "default", length) == 0)
			result = (int)b->is_default - (int)a->is_default;
		else if (strncmp(key, "type", length) == 0)
			result = (a->family == AF_INET6) - (b->family == AF_INET6);
		else if (strncmp(key, "size", length) == 0)
			result = (int)b->bits - (int)a->bits;
		else if (strncmp(key, "name", length) == 0)
			result = strcmp(a->name, b->name);
		else if (strncmp(key, "private", length) == 0)
			result = (int)is_private(b) - (int)is_private(a);
		else if (strncmp(key, "address", length) == 0)
			result = a->family != b->family ? (a->family == AF_INET6) - (b->family == AF_INET6)
							: memcmp(a->raw, b->raw, sizeof a->raw);
		if (result != 0)
			return reverse ? -result : result;
		keys = key + length + (key[length] == ',');
	}
	return 0;
}

/* Insertion: the lists are short, and equal ones keep their order. */
static void
sort_by(struct addresses *list, const char *keys)
{
	for (size_t i = 1; i < list->count; i++) {
		const struct address a = list->at[i];
		size_t j = i;

		for (; j > 0 && order(&a, &list->at[j - 1], keys) < 0; j--)
			list->at[j] = list->at[j - 1];
		list->at[j] = a;
	}
}

/* 1 fits, 0 does not, -1 no such selector or bad value. */
static int
fits(const struct address *a, const char *selector, const char *value)
{
	static const struct {
		const char *name;
		unsigned flag;
	} flags[] = {{"up", IFF_UP}, {"broadcast", IFF_BROADCAST}, {"loopback", IFF_LOOPBACK},
	    {"pointtopoint", IFF_POINTOPOINT}, {"multicast", IFF_MULTICAST}};
	regex_t pattern;
	int result;

	if (strcmp(selector, "type") == 0)
		return strcasecmp(value, "ip") == 0 || (strcasecmp(value, "ipv4") == 0 && a->family == AF_INET) ||
		       (strcasecmp(value, "ipv6") == 0 && a->family == AF_INET6);
	if (strcmp(selector, "network") == 0)
		return in_cidr(a, value);
	if (strcmp(selector, "size") == 0)
		return a->bits == (unsigned)strtoul(*value == '/' ? value + 1 : value, NULL, 10);
	if (strcmp(selector, "port") == 0)
		return strcmp(value, "0") == 0;
	if (strcmp(selector, "flag") == 0 || strcmp(selector, "flags") == 0) {
		for (size_t i = 0; i < COUNTOF(flags); i++)
			if (strcasecmp(flags[i].name, value) == 0)
				return (a->flags & flags[i].flag) != 0;
		if (strcasecmp(value, "forwardable") == 0)
			return !is_local(a);
		return -1;
	}
	if (strcmp(selector, "name") != 0 && strcmp(selector, "address") != 0)
		return -1;
	if (regcomp(&pattern, value, REG_EXTENDED | REG_NOSUB) != 0)
		return -1;
	result = regexec(&pattern, selector[0] == 'n' ? a->name : a->text, 0, NULL, 0) == 0;
	regfree(&pattern);
	return result;
}

static int
filter(struct evaluation *v, const struct call *call)
{
	const bool include = strcmp(call->name, "include") == 0;
	size_t kept = 0;

	if (strcmp(call->arguments[0], "rfc") == 0)
		return complain(v, "function \"%s\" not supported", "rfc");
	for (size_t i = 0; i < v->list->count; i++) {
		const int result = fits(&v->list->at[i], call->arguments[0], call->arguments[1]);

		if (result == -1)
			return complain(v, "invalid selector: \"%s\"", call->arguments[0]);
		if ((result == 1) == include)
			v->list->at[kept++] = v->list->at[i];
	}
	v->list->count = kept;
	return 0;
}

static void
put_attribute(const struct address *a, const char *name, struct buf *out)
{
	if (strcmp(name, "name") == 0)
		buf_put_str(out, a->name);
	else if (strcmp(name, "type") == 0)
		buf_put_str(out, a->family == AF_INET ? "IPv4" : "IPv6");
	else if (strcmp(name, "size") == 0)
		buf_printf(out, "%u", a->bits);
	else if (strcmp(name, "network") == 0)
		buf_printf(out, "%s/%u", a->text, a->bits);
	else
		buf_put_str(out, a->text);
}

static void
join(struct evaluation *v, const char *attribute, const char *separator, size_t count)
{
	for (size_t i = 0; i < MIN(count, v->list->count); i++) {
		if (i > 0)
			buf_put_str(v->out, separator);
		put_attribute(&v->list->at[i], attribute, v->out);
	}
	v->text = true;
}

static int
unique(struct evaluation *v, const char *by)
{
	size_t kept = 0;

	if (strcmp(by, "name") != 0 && strcmp(by, "address") != 0)
		return complain(v, "unsupported unique constraint: %s", by);
	for (size_t i = 0; i < v->list->count; i++) {
		bool seen = false;

		for (size_t j = 0; j < kept; j++)
			seen = seen || (*by == 'n' ? strcmp(v->list->at[j].name, v->list->at[i].name) == 0
						   : strcmp(v->list->at[j].text, v->list->at[i].text) == 0);
		if (!seen)
			v->list->at[kept++] = v->list->at[i];
	}
	v->list->count = kept;
	return 0;
}

/* The first function of an expression. 1: it was none. */
static int
source(struct evaluation *v, const struct call *call)
{
	static const struct {
		const char *name;
		bool (*wanted)(const struct address *a);
		size_t texts; /* 0: a list; else so many as text */
	} all[] = {
	    {"GetAllInterfaces", NULL, 0},
	    {"GetDefaultInterfaces", is_default_one, 0},
	    {"GetPrivateInterfaces", is_running_private, 0},
	    {"GetPublicInterfaces", is_running_public, 0},
	    {"GetPrivateIP", is_running_private, 1},
	    {"GetPrivateIPs", is_running_private, ADDRESSES_MAX},
	    {"GetPublicIP", is_running_public, 1},
	    {"GetPublicIPs", is_running_public, ADDRESSES_MAX},
	    {"GetInterfaceIP", NULL, 1},
	    {"GetInterfaceIPs", NULL, ADDRESSES_MAX},
	};
	char error[128];

	for (size_t i = 0; i < COUNTOF(all); i++) {
		size_t kept = 0;

		if (strcmp(all[i].name, call->name) != 0)
			continue;
		if (read_host(v->list, error, sizeof error) == -1)
			return complain(v, "%s", error);
		if (strncmp(call->name, "GetInterface", 12) == 0) {
			if (call->count != 1)
				return complain(v, "wrong number of args for %s", call->name);
			for (size_t j = 0; j < v->list->count; j++)
				if (strcmp(v->list->at[j].name, call->arguments[0]) == 0)
					v->list->at[kept++] = v->list->at[j];
			v->list->count = kept;
		}
		if (all[i].wanted != NULL)
			keep(v->list, all[i].wanted);
		sort_by(v->list, "default,type,size");
		if (all[i].texts > 0)
			join(v, "address", " ", all[i].texts);
		return 0;
	}
	return 1;
}

static int
apply(struct evaluation *v, const struct call *call)
{
	static const struct {
		const char *name;
		size_t arguments;
	} operations[] = {{"include", 2}, {"exclude", 2}, {"sort", 1}, {"limit", 1}, {"offset", 1}, {"unique", 1},
	    {"join", 2}, {"attr", 1}};
	size_t number;

	if (strcmp(call->name, "math") == 0)
		return complain(v, "function \"%s\" not supported", "math");
	for (size_t i = 0; i < COUNTOF(operations); i++) {
		if (strcmp(operations[i].name, call->name) != 0)
			continue;
		if (operations[i].arguments != call->count || v->text)
			return complain(v, "wrong number or type of args for %s", call->name);
		number = strtoul(call->arguments[0], NULL, 10);
		switch (i) {
		case 0:
		case 1:
			return filter(v, call);
		case 2:
			sort_by(v->list, call->arguments[0]);
			return 0;
		case 3:
			v->list->count = MIN(v->list->count, number);
			return 0;
		case 4:
			number = MIN(v->list->count, number);
			v->list->count -= number;
			memmove(v->list->at, v->list->at + number, v->list->count * sizeof *v->list->at);
			return 0;
		case 5:
			return unique(v, call->arguments[0]);
		case 6:
			join(v, call->arguments[0], call->arguments[1], ADDRESSES_MAX);
			return 0;
		default:
			join(v, call->arguments[0], "", 1);
			return 0;
		}
	}
	return complain(v, "template: sockaddr.Parse:1: function \"%s\" not defined", call->name);
}

/* ---- the text ---- */

/* One word: bare, or in quotes. Returns what is behind it, or NULL. */
static const char *
read_word(const char *at, const char *end, char out[WORD_MAX])
{
	size_t used = 0;

	if (at < end && (*at == '"' || *at == '`')) {
		const char quote = *at++;

		while (at < end && *at != quote && used < WORD_MAX - 1) {
			if (*at == '\\' && quote == '"' && at + 1 < end)
				at++;
			out[used++] = *at++;
		}
		if (at >= end || *at != quote)
			return NULL;
		at++;
	} else {
		while (at < end && (isalnum((unsigned char)*at) || strchr("_-.,/:", *at) != NULL) && *at != '\0' &&
		       used < WORD_MAX - 1)
			out[used++] = *at++;
		if (used == 0)
			return NULL;
	}
	out[used] = '\0';
	return at;
}

static int
evaluate(const char *at, const char *end, struct evaluation *v)
{
	bool first = true;

	for (;;) {
		struct call call = {.count = 0};

		while (at < end && isspace((unsigned char)*at))
			at++;
		at = read_word(at, end, call.name);
		if (at == NULL)
			return complain(v, "template: sockaddr.Parse:1: %s", "unexpected character in command");
		for (;;) {
			while (at < end && isspace((unsigned char)*at))
				at++;
			if (at >= end || *at == '|')
				break;
			if (call.count == ARGUMENTS_MAX ||
			    (at = read_word(at, end, call.arguments[call.count])) == NULL)
				return complain(v, "template: sockaddr.Parse:1: %s", "unexpected character in operand");
			call.count++;
		}
		if (first) {
			const int result = source(v, &call);

			if (result == -1)
				return -1;
			if (result == 1)
				return complain(
				    v, "template: sockaddr.Parse:1: function \"%s\" not defined", call.name);
		} else if (apply(v, &call) == -1) {
			return -1;
		}
		first = false;
		if (at >= end)
			break;
		at++; /* the bar */
	}
	if (!v->text) {
		if (v->list->count > 0)
			return complain(v, "%s",
			    "the expression ends in a list; add | attr \"address\" or | join \"address\" \" \"");
		v->text = true;
	}
	return 0;
}

int
template_expand(const char *text, struct buf *out)
{
	struct addresses *list = NULL;
	struct buf piece = BUF_INIT(65536);
	const char *at = text;
	int result = 0;

	while (result == 0) {
		const char *open = strstr(at, "{{"), *close = open == NULL ? NULL : strstr(open, "}}");
		struct evaluation v;

		if (open == NULL) {
			buf_put_str(out, at);
			break;
		}
		buf_put(out, at, (size_t)(open - at));
		if (list == NULL)
			list = xcalloc(1, sizeof *list);
		buf_clear(&piece);
		v = (struct evaluation){.list = list, .out = &piece};
		result = close == NULL ? complain(&v, "template: sockaddr.Parse:1: %s", "unclosed action")
				       : evaluate(open + 2, close, &v);
		if (result == -1) {
			buf_clear(out);
			buf_printf(out, "unable to parse template \"%s\": %.*s", text, (int)piece.used,
			    (const char *)piece.data);
			break;
		}
		buf_put_bytes(out, buf_bytes(&piece));
		at = close + 2;
	}
	buf_free(&piece);
	free(list);
	return result;
}
