/*
 * keyring.c - keys and their file's text (contract: keyring.h; callers: envelope.c, serf.c, pool.c)
 */
#include "keyring.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "mp.h"

static bool
is_key_size(size_t size)
{
	return size == 16 || size == 24 || size == 32;
}

void
keyring_clear(struct keyring *k)
{
	explicit_bzero(k, sizeof *k);
}

/* k->count: not there. */
static size_t
place_of(const struct keyring *k, struct bytes key)
{
	size_t i = 0;

	while (i < k->count && (k->keys[i].size != key.size || memcmp(k->keys[i].bytes, key.data, key.size) != 0))
		i++;
	return i;
}

const char *
keyring_install(struct keyring *k, struct bytes key)
{
	if (!is_key_size(key.size))
		return "key size must be 16, 24 or 32 bytes";
	if (place_of(k, key) < k->count)
		return NULL;
	if (k->count == KEYRING_KEYS_MAX)
		return "too many keys in the keyring";
	memcpy(k->keys[k->count].bytes, key.data, key.size);
	k->keys[k->count++].size = key.size;
	return NULL;
}

const char *
keyring_use(struct keyring *k, struct bytes key)
{
	size_t i = place_of(k, key);
	struct keyring_key primary;

	if (i == k->count)
		return "Requested key is not in the keyring";
	primary = k->keys[i];
	memmove(&k->keys[1], &k->keys[0], i * sizeof k->keys[0]);
	k->keys[0] = primary;
	explicit_bzero(&primary, sizeof primary);
	return NULL;
}

const char *
keyring_remove(struct keyring *k, struct bytes key)
{
	size_t i = place_of(k, key);

	if (i == k->count)
		return NULL;
	if (i == 0)
		return "Removing the primary key is not allowed";
	memmove(&k->keys[i], &k->keys[i + 1], (k->count - i - 1) * sizeof k->keys[0]);
	explicit_bzero(&k->keys[--k->count], sizeof k->keys[0]);
	return NULL;
}

int
keyring_key_parse(struct bytes text, struct keyring_key *out)
{
	struct buf raw = BUF_INIT(256);
	int result = -1;

	if (base64_decode(text, &raw) == 0 && is_key_size(raw.used)) {
		memcpy(out->bytes, raw.data, raw.used);
		out->size = raw.used;
		result = 0;
	}
	if (raw.size > 0)
		explicit_bzero(raw.data, raw.size);
	buf_free(&raw);
	return result;
}

void
keyring_key_print(const struct keyring_key *key, struct buf *out)
{
	base64_encode((struct bytes){key->bytes, key->size}, out);
}

static int
keys_take(struct mp *in, const char *path, struct keyring *out, char error[KEYRING_ERROR_MAX])
{
	uint32_t count;

	if (mp_peek(in) != MP_ARRAY) {
		snprintf(error, KEYRING_ERROR_MAX, "%s: not a JSON array of keys", path);
		return -1;
	}
	count = mp_array(in);
	if (count == 0) {
		snprintf(error, KEYRING_ERROR_MAX, "no keys present in keyring: %s", path);
		return -1;
	}
	if (count > KEYRING_KEYS_MAX) {
		snprintf(error, KEYRING_ERROR_MAX, "%s: %u keys, at most %u are taken", path, count, KEYRING_KEYS_MAX);
		return -1;
	}
	for (uint32_t i = 0; i < count; i++) {
		if (mp_peek(in) != MP_STR || keyring_key_parse(mp_str(in), &out->keys[i]) == -1) {
			snprintf(error, KEYRING_ERROR_MAX,
			    "%s: Invalid key: number %u is not the base64 of 16, 24 or 32 bytes", path, i + 1);
			return -1;
		}
		out->count = i + 1;
	}
	return 0;
}

int
keyring_parse(struct bytes json, const char *path, struct keyring *out, char error[KEYRING_ERROR_MAX])
{
	struct buf value = BUF_INIT(64 * 1024);
	struct json_error json_error;
	struct mp in;
	int result = -1;

	keyring_clear(out);
	if (json_to_mp(json, &value, &json_error) == -1) {
		snprintf(error, KEYRING_ERROR_MAX, "%s: not a JSON array of keys", path); /* no byte of it in a log */
	} else {
		in = mp_of(buf_bytes(&value));
		result = keys_take(&in, path, out, error);
	}
	if (value.size > 0)
		explicit_bzero(value.data, value.size);
	buf_free(&value);
	if (result == -1)
		keyring_clear(out);
	return result;
}

void
keyring_print(const struct keyring *k, bool compact, struct buf *out)
{
	buf_put_u8(out, '[');
	for (size_t i = 0; i < k->count; i++) {
		buf_put_str(out, i > 0 ? "," : "");
		buf_put_str(out, compact ? "\"" : "\n  \"");
		keyring_key_print(&k->keys[i], out);
		buf_put_u8(out, '"');
	}
	buf_put_str(out, compact ? "]" : "\n]");
}
