/*
 * mp.c - msgpack reader and writer (contract: mp.h; format: consuld-protocol(7))
 *
 * Every read goes through head_read, which decodes one head (type, value or length) and checks it against
 * what is left of the message. A count is believed only if that many one-byte values could follow: so a loop
 * over it is bounded by the message's size.
 */
#include "mp.h"

#include <string.h>

/* What the first bytes of a value say. For text number is the length, for containers the count. */
struct head {
	enum mp_type type;
	uint64_t number; /* a negative integer as two's complement */
	double real;
	size_t size; /* bytes of the head itself */
};

static const struct head head_invalid = {MP_INVALID, 0, 0, 0};

static uint64_t
be_at(const uint8_t *p, size_t size)
{
	uint64_t value = 0;

	for (size_t i = 0; i < size; i++)
		value = value << 8 | p[i];
	return value;
}

/* The head with a big-endian number of size bytes behind its first byte. */
static struct head
head_number(const struct mp *m, enum mp_type type, size_t size)
{
	if ((size_t)(m->end - m->at) <= size)
		return head_invalid;
	return (struct head){type, be_at(m->at + 1, size), 0, 1 + size};
}

static struct head
head_signed(const struct mp *m, size_t size)
{
	struct head h = head_number(m, MP_UINT, size);
	unsigned shift = (unsigned)(64 - 8 * size);

	if (h.type == MP_INVALID)
		return h;
	h.number = (uint64_t)((int64_t)(h.number << shift) >> shift);
	if ((int64_t)h.number < 0)
		h.type = MP_INT;
	return h;
}

static struct head
head_float(const struct mp *m, size_t size)
{
	struct head h = head_number(m, MP_FLOAT, size);

	if (h.type == MP_INVALID)
		return h;
	if (size == 4) {
		uint32_t bits = (uint32_t)h.number;
		float value;
		memcpy(&value, &bits, sizeof value);
		h.real = (double)value;
	} else {
		memcpy(&h.real, &h.number, sizeof h.real);
	}
	return h;
}

static inline struct head
head_at(const struct mp *m)
{
	uint8_t c;

	if (m->at == m->end)
		return (struct head){MP_END, 0, 0, 0};
	c = *m->at;
	if (c <= 0x7f)
		return (struct head){MP_UINT, c, 0, 1};
	if (c >= 0xe0)
		return (struct head){MP_INT, (uint64_t)(int64_t)(int8_t)c, 0, 1};
	if (c <= 0x8f)
		return (struct head){MP_MAP, c & 0x0fu, 0, 1};
	if (c <= 0x9f)
		return (struct head){MP_ARRAY, c & 0x0fu, 0, 1};
	if (c <= 0xbf)
		return (struct head){MP_STR, c & 0x1fu, 0, 1};
	switch (c) {
	case 0xc0:
		return (struct head){MP_NIL, 0, 0, 1};
	case 0xc2:
	case 0xc3:
		return (struct head){MP_BOOL, c & 1u, 0, 1};
	case 0xc4:
	case 0xd9:
		return head_number(m, MP_STR, 1);
	case 0xc5:
	case 0xda:
		return head_number(m, MP_STR, 2);
	case 0xc6:
	case 0xdb:
		return head_number(m, MP_STR, 4);
	case 0xca:
		return head_float(m, 4);
	case 0xcb:
		return head_float(m, 8);
	case 0xcc:
	case 0xcd:
	case 0xce:
	case 0xcf:
		return head_number(m, MP_UINT, (size_t)1 << (c - 0xcc));
	case 0xd0:
	case 0xd1:
	case 0xd2:
	case 0xd3:
		return head_signed(m, (size_t)1 << (c - 0xd0));
	case 0xdc:
		return head_number(m, MP_ARRAY, 2);
	case 0xdd:
		return head_number(m, MP_ARRAY, 4);
	case 0xde:
		return head_number(m, MP_MAP, 2);
	case 0xdf:
		return head_number(m, MP_MAP, 4);
	default:
		return head_invalid; /* c1, ext */
	}
}

static void
fail(struct mp *m)
{
	m->bad = true;
	m->at = m->end;
}

/* Reads a head whose length or count fits into the rest; the cursor then stands behind the head. */
static struct head
head_read(struct mp *m)
{
	struct head h = head_at(m);
	size_t left = (size_t)(m->end - m->at) - h.size;

	if (h.type == MP_END || h.type == MP_INVALID || ((h.type == MP_STR || h.type == MP_ARRAY) && h.number > left) ||
	    (h.type == MP_MAP && h.number > left / 2)) {
		fail(m);
		return head_invalid;
	}
	m->at += h.size;
	return h;
}

/*
 * Most values of our messages are told by one byte: texts of up to 31 bytes, small numbers, nil and booleans. These are read without a
 * struct head.
 */
static inline bool
short_str(struct mp *m, struct bytes *text)
{
	size_t left = (size_t)(m->end - m->at), size;

	if (left == 0 || (*m->at & 0xe0) != 0xa0 || (size = *m->at & 0x1fu) >= left)
		return false;
	*text = (struct bytes){m->at + 1, size};
	m->at += 1 + size;
	return true;
}

static inline bool
short_uint(struct mp *m, uint8_t *value)
{
	if (m->at == m->end || *m->at > 0x7f)
		return false;
	*value = *m->at++;
	return true;
}

static inline bool
short_skip(struct mp *m)
{
	struct bytes text;
	uint8_t c;

	if (m->at == m->end)
		return false;
	c = *m->at;
	if (c <= 0x7f || c >= 0xe0 || c == 0xc0 || (c & 0xfe) == 0xc2) {
		m->at++;
		return true;
	}
	return short_str(m, &text);
}

struct mp
mp_of(struct bytes message)
{
	static const uint8_t nothing;

	if (message.size == 0)
		return (struct mp){&nothing, &nothing, false};
	return (struct mp){message.data, message.data + message.size, false};
}

enum mp_type
mp_peek(const struct mp *m)
{
	return head_at(m).type;
}

bool
mp_nil(struct mp *m)
{
	if (m->at == m->end || *m->at != 0xc0)
		return false;
	m->at++;
	return true;
}

bool
mp_bool(struct mp *m)
{
	struct head h = head_read(m);

	if (h.type == MP_NIL)
		return false;
	if (h.type == MP_BOOL || (h.type == MP_UINT && h.number <= 1))
		return h.number != 0;
	fail(m);
	return false;
}

uint64_t
mp_uint(struct mp *m)
{
	struct head h;
	uint8_t small;

	if (short_uint(m, &small))
		return small;
	h = head_read(m);
	if (h.type == MP_UINT)
		return h.number;
	if (h.type != MP_NIL)
		fail(m);
	return 0;
}

int64_t
mp_int(struct mp *m)
{
	struct head h;
	uint8_t small;

	if (short_uint(m, &small))
		return small;
	h = head_read(m);
	if (h.type == MP_INT || (h.type == MP_UINT && h.number <= INT64_MAX))
		return (int64_t)h.number;
	if (h.type != MP_NIL)
		fail(m);
	return 0;
}

double
mp_float(struct mp *m)
{
	struct head h = head_read(m);

	switch (h.type) {
	case MP_FLOAT:
		return h.real;
	case MP_UINT:
		return (double)h.number;
	case MP_INT:
		return (double)(int64_t)h.number;
	case MP_NIL:
		return 0;
	default:
		fail(m);
		return 0;
	}
}

struct bytes
mp_str(struct mp *m)
{
	struct bytes text;
	struct head h;

	if (short_str(m, &text))
		return text;
	h = head_read(m);
	text = (struct bytes){m->at, 0};
	if (h.type == MP_STR) {
		text.size = h.number;
		m->at += h.number;
	} else if (h.type != MP_NIL) {
		fail(m);
	}
	return text;
}

static uint32_t
container(struct mp *m, enum mp_type type)
{
	struct head h = head_read(m);

	if (h.type == type)
		return (uint32_t)h.number;
	if (h.type != MP_NIL)
		fail(m);
	return 0;
}

uint32_t
mp_array(struct mp *m)
{
	return container(m, MP_ARRAY);
}

uint32_t
mp_map(struct mp *m)
{
	return container(m, MP_MAP);
}

void
mp_skip(struct mp *m)
{
	uint64_t left[MP_DEPTH_MAX + 1]; /* values still to come, by depth */
	size_t depth = 0;

	left[0] = 1;
	for (;;) {
		struct head h;

		while (left[depth] == 0) {
			if (depth-- == 0)
				return;
		}
		left[depth]--;
		if (short_skip(m))
			continue;
		h = head_read(m);
		if (h.type == MP_INVALID)
			return;
		if (h.type == MP_STR) {
			m->at += h.number;
		} else if ((h.type == MP_ARRAY || h.type == MP_MAP) && h.number > 0) {
			if (depth == MP_DEPTH_MAX) {
				fail(m);
				return;
			}
			left[++depth] = h.type == MP_MAP ? 2 * h.number : h.number;
		}
	}
}

struct bytes
mp_raw(struct mp *m)
{
	const uint8_t *start = m->at;

	mp_skip(m);
	if (m->bad)
		return (struct bytes){m->end, 0};
	return (struct bytes){start, (size_t)(m->at - start)};
}

bool
mp_find(struct mp map, const char *key, struct mp *value)
{
	size_t size = strlen(key);

	if (mp_peek(&map) != MP_MAP)
		return false;
	for (uint32_t left = mp_map(&map); left > 0 && mp_ok(&map); left--) {
		struct bytes name = mp_str(&map);
		if (mp_ok(&map) && name.size == size && memcmp(name.data, key, size) == 0) {
			*value = map;
			return true;
		}
		mp_skip(&map);
	}
	return false;
}

struct bytes
mp_find_str(struct bytes map, const char *key)
{
	struct mp value;

	return mp_find(mp_of(map), key, &value) ? mp_str(&value) : (struct bytes){NULL, 0};
}

uint64_t
mp_find_uint(struct bytes map, const char *key)
{
	struct mp value;

	return mp_find(mp_of(map), key, &value) ? mp_uint(&value) : 0;
}

int64_t
mp_find_int(struct bytes map, const char *key)
{
	struct mp value;

	return mp_find(mp_of(map), key, &value) ? mp_int(&value) : 0;
}

bool
mp_find_bool(struct bytes map, const char *key)
{
	struct mp value;

	return mp_find(mp_of(map), key, &value) && mp_bool(&value);
}

struct bytes
mp_find_raw(struct bytes map, const char *key)
{
	struct mp value;

	return mp_find(mp_of(map), key, &value) ? mp_raw(&value) : (struct bytes){NULL, 0};
}

/* ---- writer ---- */

/* A first byte and a big-endian number of size bytes. */
static void
put_head(struct buf *b, uint8_t first, uint64_t number, size_t size)
{
	uint8_t *p = buf_space(b, 1 + size);

	if (p == NULL)
		return;
	p[0] = first;
	for (size_t i = size; i > 0; i--) {
		p[i] = (uint8_t)number;
		number >>= 8;
	}
	buf_commit(b, 1 + size);
}

void
mp_put_nil(struct buf *b)
{
	buf_put_u8(b, 0xc0);
}

void
mp_put_bool(struct buf *b, bool value)
{
	buf_put_u8(b, value ? 0xc3 : 0xc2);
}

void
mp_put_uint(struct buf *b, uint64_t value)
{
	if (value <= 0x7f)
		buf_put_u8(b, (uint8_t)value);
	else if (value <= UINT8_MAX)
		put_head(b, 0xcc, value, 1);
	else if (value <= UINT16_MAX)
		put_head(b, 0xcd, value, 2);
	else if (value <= UINT32_MAX)
		put_head(b, 0xce, value, 4);
	else
		put_head(b, 0xcf, value, 8);
}

void
mp_put_int(struct buf *b, int64_t value)
{
	if (value >= 0)
		mp_put_uint(b, (uint64_t)value);
	else if (value >= -32)
		buf_put_u8(b, (uint8_t)value);
	else if (value >= INT8_MIN)
		put_head(b, 0xd0, (uint64_t)value, 1);
	else if (value >= INT16_MIN)
		put_head(b, 0xd1, (uint64_t)value, 2);
	else if (value >= INT32_MIN)
		put_head(b, 0xd2, (uint64_t)value, 4);
	else
		put_head(b, 0xd3, (uint64_t)value, 8);
}

void
mp_put_float(struct buf *b, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof bits);
	put_head(b, 0xcb, bits, 8);
}

void
mp_put_str(struct buf *b, const void *data, size_t size)
{
	size_t head = size < 32 ? 0 : size <= UINT16_MAX ? 2 : 4;
	uint8_t *p;

	if (size > UINT32_MAX) { /* not expressible: too much for any buffer of ours */
		b->overflow = true;
		return;
	}
	p = buf_space(b, 1 + head + size);
	if (p == NULL)
		return;
	if (head == 0) {
		*p++ = (uint8_t)(0xa0 | size);
	} else if (head == 2) {
		*p++ = 0xda;
	} else {
		*p++ = 0xdb;
		*p++ = (uint8_t)(size >> 24);
		*p++ = (uint8_t)(size >> 16);
	}
	if (head != 0) {
		*p++ = (uint8_t)(size >> 8);
		*p++ = (uint8_t)size;
	}
	if (size > 0)
		memcpy(p, data, size);
	buf_commit(b, 1 + head + size);
}

void
mp_put_bytes(struct buf *b, struct bytes value)
{
	mp_put_str(b, value.data, value.size);
}

void
mp_put_cstr(struct buf *b, const char *text)
{
	mp_put_str(b, text, strlen(text));
}

void
mp_put_array(struct buf *b, uint32_t count)
{
	if (count < 16)
		buf_put_u8(b, (uint8_t)(0x90 | count));
	else if (count <= UINT16_MAX)
		put_head(b, 0xdc, count, 2);
	else
		put_head(b, 0xdd, count, 4);
}

void
mp_put_map(struct buf *b, uint32_t count)
{
	if (count < 16)
		buf_put_u8(b, (uint8_t)(0x80 | count));
	else if (count <= UINT16_MAX)
		put_head(b, 0xde, count, 2);
	else
		put_head(b, 0xdf, count, 4);
}

void
mp_put_kv_str(struct buf *b, const char *key, struct bytes value)
{
	mp_put_cstr(b, key);
	mp_put_bytes(b, value);
}

void
mp_put_kv_cstr(struct buf *b, const char *key, const char *value)
{
	mp_put_cstr(b, key);
	mp_put_cstr(b, value);
}

void
mp_put_kv_uint(struct buf *b, const char *key, uint64_t value)
{
	mp_put_cstr(b, key);
	mp_put_uint(b, value);
}

void
mp_put_kv_int(struct buf *b, const char *key, int64_t value)
{
	mp_put_cstr(b, key);
	mp_put_int(b, value);
}

void
mp_put_kv_bool(struct buf *b, const char *key, bool value)
{
	mp_put_cstr(b, key);
	mp_put_bool(b, value);
}

size_t
mp_open_array(struct buf *b)
{
	size_t place = b->used;

	put_head(b, 0xdd, 0, 4);
	return place;
}

size_t
mp_open_map(struct buf *b)
{
	size_t place = b->used;

	put_head(b, 0xdf, 0, 4);
	return place;
}

void
mp_close(struct buf *b, size_t place, uint32_t count)
{
	if (b->overflow)
		return;
	for (size_t i = 0; i < 4; i++)
		b->data[place + 1 + i] = (uint8_t)(count >> (24 - 8 * i));
}
