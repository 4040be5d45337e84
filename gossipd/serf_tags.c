/*
 * serf_tags.c - what a member says of itself: its tags within SWIM's meta (contract: serf.h)
 */
#include "serf.h"

#include <string.h>

#define TAGS_MAGIC 0xff

/* In a map of text to text. */
static struct bytes
map_value(struct bytes map, const char *key)
{
	struct mp value;

	return map.size > 0 && mp_find(mp_of(map), key, &value) ? mp_str(&value) : (struct bytes){NULL, 0};
}

static bool
has_map(struct bytes meta)
{
	struct mp in = mp_of(bytes_of(meta.data + 1, meta.size == 0 ? 0 : meta.size - 1));

	return meta.size > 1 && meta.data[0] == TAGS_MAGIC && mp_peek(&in) == MP_MAP;
}

struct bytes
serf_tag(struct bytes meta, const char *name)
{
	if (has_map(meta))
		return map_value(bytes_of(meta.data + 1, meta.size - 1), name);
	if (meta.size > 0 && meta.data[0] != TAGS_MAGIC && strcmp(name, "role") == 0)
		return meta;
	return (struct bytes){NULL, 0};
}

void
serf_tags_put(struct bytes meta, struct buf *out)
{
	struct mp in = mp_of(bytes_of(meta.data + 1, meta.size == 0 ? 0 : meta.size - 1));
	uint32_t pairs, count = 0;
	size_t place = mp_open_map(out);

	if (has_map(meta)) {
		pairs = mp_map(&in);
		for (; count < pairs && mp_peek(&in) == MP_STR; count++) {
			mp_put_bytes(out, mp_str(&in));
			mp_put_bytes(out, mp_peek(&in) == MP_STR ? mp_str(&in) : (struct bytes){NULL, 0});
			if (!mp_ok(&in))
				break;
		}
	} else if (meta.size > 0 && meta.data[0] != TAGS_MAGIC) {
		mp_put_kv_str(out, "role", meta);
		count = 1;
	}
	mp_close(out, place, count);
}

int
serf_meta_put(struct bytes tags, struct buf *out)
{
	if (tags.size + 1 > GOSSIP_META_MAX)
		return -1;
	buf_put_u8(out, TAGS_MAGIC);
	buf_put_bytes(out, tags);
	return 0;
}
