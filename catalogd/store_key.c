/*
 * store_key.c - keys made of several parts (contract: store.h; format: consuld-store.5; callers: all tables that have them)
 */
#include "store.h"

#include <string.h>

#include "mem.h"

void
store_key_part(struct buf *key, struct bytes part)
{
	while (part.size > 0) {
		const uint8_t *zero = memchr(part.data, 0, part.size);
		size_t run = zero == NULL ? part.size : (size_t)(zero - part.data);

		buf_put(key, part.data, run);
		part = bytes_of(part.data + run, part.size - run);
		if (zero != NULL) {
			buf_put(key, "\x00\xff", 2);
			part = bytes_of(part.data + 1, part.size - 1);
		}
	}
	buf_put(key, "\x00\x01", 2);
}

struct bytes
store_key(struct buf *key, const struct bytes *parts, size_t count)
{
	buf_clear(key);
	for (size_t i = 0; i < count; i++)
		store_key_part(key, parts[i]);
	return buf_bytes(key);
}

bool
store_key_take(struct bytes *key, struct buf *out)
{
	size_t at = 0;

	for (;;) {
		const uint8_t *zero = at < key->size ? memchr(key->data + at, 0, key->size - at) : NULL;
		size_t run = zero == NULL ? 0 : (size_t)(zero - (key->data + at));

		if (zero == NULL || at + run + 1 >= key->size)
			return false;
		if (out != NULL)
			buf_put(out, key->data + at, run);
		at += run + 2;
		if (zero[1] == 0x01)
			break;
		if (zero[1] != 0xff)
			return false;
		if (out != NULL)
			buf_put_u8(out, 0);
	}
	*key = bytes_of(key->data + at, key->size - at);
	return true;
}
