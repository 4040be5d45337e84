/*
 * meta.c - the rules for metadata of services (contract: meta.h; caller: nodes_apply.c)
 */
#include "meta.h"

#include <stdbool.h>
#include <stdio.h>

#include "mp.h"

#define RESERVED_PREFIX "consul-"
/* The one reserved key that a gateway may set for itself. */
#define GATEWAY_KEY "consul-wan-federation"

static bool
key_is_plain(struct bytes key)
{
	for (size_t i = 0; i < key.size; i++) {
		uint8_t b = key.data[i];

		if (!((b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') || b == '_' ||
			b == '-'))
			return false;
	}
	return true;
}

static int
judge_pair(struct bytes kind, struct bytes key, struct bytes value, char *text, size_t size)
{
	if (key.size == 0)
		snprintf(text, size, "Key cannot be blank");
	else if (!key_is_plain(key))
		snprintf(text, size, "Key contains invalid characters");
	else if (key.size > META_KEY_BYTES_MAX)
		snprintf(text, size, "Key is too long (limit: %d characters)", META_KEY_BYTES_MAX);
	else if (bytes_has_prefix(key, bytes_str(RESERVED_PREFIX)) &&
		 !(bytes_is(kind, "mesh-gateway") && bytes_is(key, GATEWAY_KEY)))
		snprintf(text, size, "Key prefix '%s' is reserved for internal use", RESERVED_PREFIX);
	else if (value.size > META_VALUE_BYTES_MAX)
		snprintf(text, size, "Value is too long (limit: %d characters)", META_VALUE_BYTES_MAX);
	else
		return 0;
	return -1;
}

int
meta_judge_service(struct bytes kind, struct bytes meta, char why[META_ERROR_MAX])
{
	struct mp in = mp_of(meta);
	uint32_t count = meta.size > 0 ? mp_map(&in) : 0;

	if (count > META_PAIRS_MAX) {
		snprintf(
		    why, META_ERROR_MAX, "Node metadata cannot contain more than %d key/value pairs", META_PAIRS_MAX);
		return -1;
	}
	for (; count > 0; count--) {
		struct bytes key = mp_str(&in), value = mp_str(&in);
		char text[80];

		if (judge_pair(kind, key, value, text, sizeof text) == 0)
			continue;
		/* Long keys and values are cut: the text is an answer, not a copy of the request. */
		snprintf(why, META_ERROR_MAX, "Couldn't load metadata pair ('%.*s', '%.*s'): %s",
		    (int)MIN(key.size, 160), (const char *)key.data, (int)MIN(value.size, 160),
		    (const char *)value.data, text);
		return -1;
	}
	return 0;
}
