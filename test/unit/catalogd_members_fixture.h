/*
 * catalogd_members_fixture.h - a table of members as tests fill it
 */
#ifndef CATALOGD_MEMBERS_FIXTURE_H
#define CATALOGD_MEMBERS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"
#include "members.h"

static inline int
take_event(struct members *table, const struct gossip_event *event)
{
	const char *error = NULL;
	int result = members_take(table, event, &error);

	assert_true((result == -1) == (error != NULL));
	return result;
}

/* tags: name and value in turn, NULL at the end. */
static inline int
feed_member(struct members *table, const char *event, const char *name, enum member_status status, const char *address,
    const char *const *tags)
{
	struct buf list = BUF_INIT(4096), body = BUF_INIT(4096);
	struct member m = {.name = bytes_str(name), .addr = bytes_str(address), .port = 8301, .status = status};
	size_t place = mp_open_map(&list);
	uint32_t pairs = 0;
	int result;

	for (; tags[2 * pairs] != NULL; pairs++)
		mp_put_kv_cstr(&list, tags[2 * pairs], tags[2 * pairs + 1]);
	mp_close(&list, place, pairs);
	m.tags = buf_bytes(&list);
	schema_encode(&member_schema, &m, &body);
	result = take_event(table, &(struct gossip_event){.event = bytes_str(event), .member = buf_bytes(&body)});
	buf_free(&list);
	buf_free(&body);
	return result;
}

/* The id of the server with this number; servers have address 10.0.0.NUMBER. */
static inline const char *
server_id(unsigned number)
{
	static char ids[8][40];
	static unsigned next;
	char *id = ids[next++ % 8];

	snprintf(id, sizeof ids[0], "%08x-0000-4000-8000-000000000000", number);
	return id;
}

/* Server "sNUMBER" of dc1; tag and value: one more, NULL: none. */
static inline void
feed_server(struct members *table, unsigned number, enum member_status status, const char *tag, const char *value)
{
	const char *tags[] = {"role", "consul", "dc", "dc1", "id", server_id(number), "port", "8300", "build",
	    "1.21.4:", "consuld", "1", tag, value, NULL, NULL};
	char name[16], address[16];

	snprintf(name, sizeof name, "s%u", number);
	snprintf(address, sizeof address, "10.0.0.%u", number);
	assert_int_equal(feed_member(table, "member-update", name, status, address, tags), 0);
}

#endif
