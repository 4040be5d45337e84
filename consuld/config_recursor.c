/*
 * config_recursor.c - the DNS servers asked for names outside the domain (config.md 3.2)
 *
 * dnsd gets plain "ip:port" texts: a resolver that had to resolve its own upstreams would wait for itself.
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#include "config_private.h"
#include "net.h"

#define DNS_PORT 53

int
recursor_expand(struct config *c, struct config_error *e)
{
	struct value *list = config_value(c, "recursors"), *kept = value_new(c->region, VALUE_LIST);

	for (const struct value *v = list == NULL ? NULL : list->first; v != NULL; v = v->next) {
		struct buf text = BUF_INIT(65536);
		struct value *one;
		bool seen = false;

		if (template_expand(v->text, &text) == -1) {
			config_fail(e, "Invalid DNS recursor template \"%s\": %.*s", v->text, (int)text.used,
			    (const char *)text.data);
			buf_free(&text);
			return -1;
		}
		buf_put_u8(&text, 0);
		one = split_blanks(c, (const char *)text.data);
		buf_free(&text);
		for (struct value *a = one->first, *next; a != NULL; a = next) {
			next = a->next;
			if (strncmp(a->text, "unix://", 7) == 0)
				return config_fail(e, "DNS Recursors cannot be unix sockets: %s", a->text);
			for (const struct value *k = kept->first; k != NULL; k = k->next)
				seen = seen || strcmp(k->text, a->text) == 0;
			if (!seen)
				value_append(kept, a);
		}
	}
	c->values[config_row("recursors")] = kept;
	return 0;
}

int
recursor_check(struct config *c, struct config_error *e)
{
	for (size_t i = 0; i < config_list_count(c, "recursors"); i++) {
		const char *text = config_list_at(c, "recursors", i);

		if (strcmp(text, "0.0.0.0") == 0 || strcmp(text, "::") == 0 || strcmp(text, "[::]") == 0)
			return config_fail(e, "DNS recursor address cannot be 0.0.0.0, :: or [::]");
	}
	return 0;
}

static int
resolve(struct config *c, struct value *v, struct config_error *e)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
	char host[256], text[NET_ADDR_TEXT_MAX];
	struct addrinfo *found;
	union net_addr a;
	uint16_t port = DNS_PORT;
	int error;

	if (net_addr_parse(v->text, DNS_PORT, &a) == 0 || net_addr_parse_port(v->text, &a) == 0) {
		v->text = value_string(c->region, net_addr_text_port(&a, text))->text;
		return 0;
	}
	if (net_split_port(v->text, host, sizeof host, &port) == -1)
		snprintf(host, sizeof host, "%s", v->text);
	error = getaddrinfo(host, NULL, &hints, &found);
	if (error != 0)
		return config_fail(e, "Invalid recursor address: lookup %s: %s", host,
		    error == EAI_NONAME ? "no such host" : gai_strerror(error));
	memcpy(&a, found->ai_addr, MIN((size_t)found->ai_addrlen, sizeof a));
	freeaddrinfo(found);
	if (a.sa.sa_family == AF_INET)
		a.in.sin_port = htons(port);
	else
		a.in6.sin6_port = htons(port);
	v->text = value_string(c->region, net_addr_text_port(&a, text))->text;
	return 0;
}

int
recursor_resolve(struct config *c, struct config_error *e)
{
	struct value *list = config_value(c, "recursors");

	for (struct value *v = list->first; v != NULL; v = v->next)
		if (resolve(c, v, e) == -1)
			return -1;
	return 0;
}
