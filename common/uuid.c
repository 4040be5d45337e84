/*
 * uuid.c - random identifiers in the 8-4-4-4-12 form (contract: uuid.h)
 */
#include "uuid.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "log.h"

void
random_bytes(void *out, size_t len)
{
	uint8_t *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			fatal("agent", "getrandom");
		p += n;
		len -= (size_t)n;
	}
}

/* SplitMix64 from a random seed: enough for jitter, one system call a process. */
uint64_t
random_below(uint64_t bound)
{
	static uint64_t state;
	uint64_t z, limit;

	if (bound == 0)
		panic("random_below: no range");
	if (state == 0)
		random_bytes(&state, sizeof state);
	limit = UINT64_MAX - UINT64_MAX % bound;
	do {
		state += UINT64_C(0x9e3779b97f4a7c15);
		z = state;
		z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
		z ^= z >> 31;
	} while (z >= limit);
	return z % bound;
}

void
uuid_new(char out[UUID_TEXT_SIZE])
{
	uint8_t b[16];

	random_bytes(b, sizeof b);
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(out, UUID_TEXT_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
	    b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

bool
uuid_is_valid(struct bytes text)
{
	if (text.size != UUID_TEXT_SIZE - 1)
		return false;
	for (size_t i = 0; i < text.size; i++) {
		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (text.data[i] != '-')
				return false;
		} else if (!isxdigit(text.data[i])) {
			return false;
		}
	}
	return true;
}
