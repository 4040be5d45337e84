/*
 * dnsd_answer_fixture.h - a question for the service "many" and its settings, and room for its instances
 */
#ifndef DNSD_ANSWER_FIXTURE_H
#define DNSD_ANSWER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "buf.h"
#include "mem.h"
#include "mp.h"

#define INSTANCES_MAX 5000

static struct settings settings;
static struct dns_query query;
static struct answer_context context;
static struct instance instances[INSTANCES_MAX];
static char node_names[INSTANCES_MAX][32], addresses[INSTANCES_MAX][64];
static struct buf meta; /* of all nodes: what the test puts there */
static uint8_t out[DNS_MESSAGE_MAX];

static inline void
name_set(struct name *n, const char *text)
{
	assert_int_equal(name_from_text(bytes_str(text), n), 0);
}

static inline void
context_start(void)
{
	memset(&settings, 0, sizeof settings);
	memset(&query, 0, sizeof query);
	memset(&context, 0, sizeof context);
	memset(instances, 0, sizeof instances);
	name_set(&settings.domain, "consul");
	settings.node_meta_txt = settings.compress = true;
	settings.udp_answer_limit = 3;
	query.class = 1;
	query.type = DNS_A;
	query.flags = DNS_FLAG_RD;
	name_set(&query.name, "many.service.consul");
	context.region = region_new();
	context.settings = &settings;
	context.query = &query;
	context.zone = settings.domain;
	context.service = "many";
	meta = BUF_INIT(256);
}

static inline int
teardown(void **state)
{
	(void)state;
	region_free(context.region);
	buf_free(&meta);
	free(settings.service_ttls);
	return 0;
}

#endif
