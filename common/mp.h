/*
 * mp.h - msgpack: a bounded reading cursor and a writer onto struct buf
 *
 * Format: the original one (no bin, no str8, no ext on output), as Consul's RPC and snapshots use it
 * (raw strings for text and bytes alike, shortest integers, durations as signed nanoseconds).
 * On input also str8, bin8-32 and any integer width are accepted.
 *
 * The reader never allocates and never reads past end. Errors are sticky: the first one sets bad, moves
 * the cursor to the end and makes every later read return zero; check mp_ok() once after a message.
 */
#ifndef COMMON_MP_H
#define COMMON_MP_H

#include <stdbool.h>

#include "buf.h"
#include "cdefs.h"
#include "mem.h"

#define MP_DEPTH_MAX 100

enum mp_type { MP_END, MP_NIL, MP_BOOL, MP_UINT, MP_INT, MP_FLOAT, MP_STR, MP_ARRAY, MP_MAP, MP_INVALID };

struct mp {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

struct mp mp_of(struct bytes message);
static inline bool
mp_ok(const struct mp *m)
{
	return !m->bad;
}
/* Type of the next value; MP_END when there is none. MP_INT is only reported for negative numbers. */
enum mp_type mp_peek(const struct mp *m);
/* Consumes a nil if one is next. */
bool mp_nil(struct mp *m);
/* nil reads as false, 0, 0.0, an empty run, 0 elements. A number 0 or 1 reads as bool, an integer as float. */
bool mp_bool(struct mp *m);
uint64_t mp_uint(struct mp *m); /* negative: bad */
int64_t mp_int(struct mp *m);   /* over INT64_MAX: bad */
double mp_float(struct mp *m);
struct bytes mp_str(struct mp *m); /* points into the message */
uint32_t mp_array(struct mp *m);   /* number of elements that follow; checked against what is left */
uint32_t mp_map(struct mp *m);     /* number of pairs that follow; checked likewise */
void mp_skip(struct mp *m);        /* one value, nested to MP_DEPTH_MAX */
struct bytes mp_raw(struct mp *m); /* skips one value and returns its bytes */
/*
 * Searches the map that message starts with for key. true: *value stands on its value. Does not touch the
 * cursor it is given.
 */
bool mp_find(struct mp map, const char *key, struct mp *value);
/* mp_find plus a read, the zero value when absent. */
struct bytes mp_find_str(struct bytes map, const char *key);
uint64_t mp_find_uint(struct bytes map, const char *key);
int64_t mp_find_int(struct bytes map, const char *key);
bool mp_find_bool(struct bytes map, const char *key);
struct bytes mp_find_raw(struct bytes map, const char *key);

void mp_put_nil(struct buf *b);
void mp_put_bool(struct buf *b, bool value);
void mp_put_uint(struct buf *b, uint64_t value);
void mp_put_int(struct buf *b, int64_t value);
void mp_put_float(struct buf *b, double value);
void mp_put_str(struct buf *b, const void *data, size_t size);
void mp_put_bytes(struct buf *b, struct bytes value);
void mp_put_cstr(struct buf *b, const char *text);
void mp_put_array(struct buf *b, uint32_t count);
void mp_put_map(struct buf *b, uint32_t count);
/* One pair of a map: */
void mp_put_kv_str(struct buf *b, const char *key, struct bytes value);
void mp_put_kv_cstr(struct buf *b, const char *key, const char *value);
void mp_put_kv_uint(struct buf *b, const char *key, uint64_t value);
void mp_put_kv_int(struct buf *b, const char *key, int64_t value);
void mp_put_kv_bool(struct buf *b, const char *key, bool value);

/*
 * A container whose count is known only at its end: open writes a 32-bit header and returns its place,
 * close fills in the count (pairs for a map).
 */
MUST_USE size_t mp_open_array(struct buf *b);
MUST_USE size_t mp_open_map(struct buf *b);
void mp_close(struct buf *b, size_t place, uint32_t count);

#endif
