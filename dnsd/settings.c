/*
 * settings.c - what dnsd takes from its configuration (contract: answer.h)
 */
#include "answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "duration.h"

static uint32_t
seconds(int64_t ns)
{
	return ns <= 0 ? 0 : (uint32_t)MIN(ns / NS_PER_S, (int64_t)INT32_MAX);
}

static int
zone(const struct conf *conf, const char *key, const char *fallback, struct name *out, char error[CONF_ERROR_MAX])
{
	const char *text = conf_str(conf, key, fallback);

	if (name_from_text(bytes_str(text), out) == -1) {
		snprintf(error, CONF_ERROR_MAX, "%s: not a domain name: %s", key, text);
		return -1;
	}
	name_lower(out);
	return 0;
}

static void
service_ttls(const struct conf *conf, struct settings *s)
{
	size_t count = conf_map_count(conf, "dns_config.service_ttl");

	s->service_ttls = xcalloc(count, sizeof *s->service_ttls);
	for (size_t i = 0; i < count; i++) {
		const char *key = conf_map_key(conf, "dns_config.service_ttl", i);
		const char *text = conf_map_value(conf, "dns_config.service_ttl", i);
		struct service_ttl *t = &s->service_ttls[s->service_ttl_count];
		size_t length = strlen(key);
		int64_t ns;

		if (duration_parse(bytes_str(text), &ns) != DURATION_OK)
			continue; /* consuld has checked it */
		t->prefix = length > 0 && key[length - 1] == '*';
		t->name = xstrndup(key, length - t->prefix);
		t->ttl = seconds(ns);
		s->service_ttl_count++;
	}
}

struct settings *
settings_new(const struct conf *conf, char error[CONF_ERROR_MAX])
{
	struct settings *s = xcalloc(1, sizeof *s);

	s->refs = 1;
	if (zone(conf, "domain", "consul.", &s->domain, error) == -1 ||
	    zone(conf, "alt_domain", "", &s->alt_domain, error) == -1) {
		settings_unref(s);
		return NULL;
	}
	s->has_alt_domain = s->alt_domain.size > 1;
	snprintf(s->datacenter, sizeof s->datacenter, "%s", conf_str(conf, "datacenter", "dc1"));
	s->node_ttl = seconds(conf_duration(conf, "dns_config.node_ttl", 0));
	service_ttls(conf, s);
	s->allow_stale = conf_bool(conf, "dns_config.allow_stale", true);
	s->max_stale_ns = conf_duration(conf, "dns_config.max_stale", 87600 * 3600 * NS_PER_S);
	s->hold_ns = conf_duration(conf, "performance.rpc_hold_timeout", 7 * NS_PER_S);
	s->only_passing = conf_bool(conf, "dns_config.only_passing", false);
	s->enable_truncate = conf_bool(conf, "dns_config.enable_truncate", false);
	s->node_meta_txt = conf_bool(conf, "dns_config.enable_additional_node_meta_txt", true);
	s->compress = !conf_bool(conf, "dns_config.disable_compression", false);
	s->udp_answer_limit = (unsigned)conf_int(conf, "dns_config.udp_answer_limit", 3);
	s->a_record_limit = (unsigned)conf_int(conf, "dns_config.a_record_limit", 0);
	s->soa_refresh = (uint32_t)conf_int(conf, "dns_config.soa.refresh", 3600);
	s->soa_retry = (uint32_t)conf_int(conf, "dns_config.soa.retry", 600);
	s->soa_expire = (uint32_t)conf_int(conf, "dns_config.soa.expire", 86400);
	s->soa_min_ttl = (uint32_t)conf_int(conf, "dns_config.soa.min_ttl", 0);
	s->recursor_count = conf_list_count(conf, "recursors");
	s->recursors = xcalloc(s->recursor_count, sizeof *s->recursors);
	for (size_t i = 0; i < s->recursor_count; i++)
		s->recursors[i] = xstrdup(conf_list_str(conf, "recursors", i));
	s->recursor_random = strcmp(conf_str(conf, "dns_config.recursor_strategy", "sequential"), "random") == 0;
	s->recursor_timeout_ns = conf_duration(conf, "dns_config.recursor_timeout", 2 * NS_PER_S);
	return s;
}

struct settings *
settings_ref(struct settings *s)
{
	s->refs++;
	return s;
}

void
settings_unref(struct settings *s)
{
	if (s == NULL || --s->refs > 0)
		return;
	for (size_t i = 0; i < s->service_ttl_count; i++)
		free(s->service_ttls[i].name);
	free(s->service_ttls);
	for (size_t i = 0; i < s->recursor_count; i++)
		free(s->recursors[i]);
	free(s->recursors);
	free(s);
}

uint32_t
settings_service_ttl(const struct settings *s, const char *service)
{
	size_t best = 0;
	uint32_t ttl = 0;

	for (size_t i = 0; i < s->service_ttl_count; i++) {
		const struct service_ttl *t = &s->service_ttls[i];
		size_t length = strlen(t->name);

		if (!t->prefix && strcmp(t->name, service) == 0)
			return t->ttl;
		if (t->prefix && strncmp(t->name, service, length) == 0 && length + 1 > best) {
			best = length + 1;
			ttl = t->ttl;
		}
	}
	return ttl;
}
