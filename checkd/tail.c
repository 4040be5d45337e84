/*
 * tail.c - the last bytes of a stream (contract: tail.h; callers: check_exec.c, check_http.c)
 *
 * The buffer grows to twice what is kept and is then moved down, so that a byte is moved once on average.
 */
#include "tail.h"

void
tail_init(struct tail *t, size_t keep)
{
	*t = (struct tail){.keep = keep, .b = BUF_INIT(2 * keep)};
}

void
tail_free(struct tail *t)
{
	buf_free(&t->b);
}

void
tail_put(struct tail *t, const void *data, size_t size)
{
	const char *from = data;

	t->total += size;
	if (size > t->keep) {
		from += size - t->keep;
		size = t->keep;
	}
	if (t->b.used + size > 2 * t->keep)
		buf_consume(&t->b, t->b.used - (t->keep - MIN(t->keep, size)));
	buf_put(&t->b, from, size);
}

struct bytes
tail_bytes(const struct tail *t)
{
	size_t skip = t->b.used > t->keep ? t->b.used - t->keep : 0;

	return (struct bytes){t->b.data + skip, t->b.used - skip};
}

uint64_t
tail_total(const struct tail *t)
{
	return t->total;
}
