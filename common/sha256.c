/*
 * sha256.c - SHA-256 (contract: sha256.h)
 */
#include "sha256.h"

#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "mem.h"

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS 180-4, 4.2.2). */
static const uint32_t round_constant[64] = {
    0x428a2f98,
    0x71374491,
    0xb5c0fbcf,
    0xe9b5dba5,
    0x3956c25b,
    0x59f111f1,
    0x923f82a4,
    0xab1c5ed5,
    0xd807aa98,
    0x12835b01,
    0x243185be,
    0x550c7dc3,
    0x72be5d74,
    0x80deb1fe,
    0x9bdc06a7,
    0xc19bf174,
    0xe49b69c1,
    0xefbe4786,
    0x0fc19dc6,
    0x240ca1cc,
    0x2de92c6f,
    0x4a7484aa,
    0x5cb0a9dc,
    0x76f988da,
    0x983e5152,
    0xa831c66d,
    0xb00327c8,
    0xbf597fc7,
    0xc6e00bf3,
    0xd5a79147,
    0x06ca6351,
    0x14292967,
    0x27b70a85,
    0x2e1b2138,
    0x4d2c6dfc,
    0x53380d13,
    0x650a7354,
    0x766a0abb,
    0x81c2c92e,
    0x92722c85,
    0xa2bfe8a1,
    0xa81a664b,
    0xc24b8b70,
    0xc76c51a3,
    0xd192e819,
    0xd6990624,
    0xf40e3585,
    0x106aa070,
    0x19a4c116,
    0x1e376c08,
    0x2748774c,
    0x34b0bcb5,
    0x391c0cb3,
    0x4ed8aa4a,
    0x5b9cca4f,
    0x682e6ff3,
    0x748f82ee,
    0x78a5636f,
    0x84c87814,
    0x8cc70208,
    0x90befffa,
    0xa4506ceb,
    0xbef9a3f7,
    0xc67178f2,
};

static uint32_t
rotate(uint32_t x, int bits)
{
	return x >> bits | x << (32 - bits);
}

static void
block_add(uint32_t hash[8], const uint8_t block[64])
{
	uint32_t w[64], v[8];

	for (int i = 0; i < 16; i++)
		w[i] = be32_at(block + 4 * i);
	for (int i = 16; i < 64; i++)
		w[i] = w[i - 16] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
		       (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(v, hash, sizeof v);
	for (int i = 0; i < 64; i++) {
		uint32_t t1 = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) +
			      ((v[4] & v[5]) ^ (~v[4] & v[6])) + round_constant[i] + w[i];
		uint32_t t2 = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) +
			      ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

		memmove(v + 1, v, 7 * sizeof *v);
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (int i = 0; i < 8; i++)
		hash[i] += v[i];
}

void
sha256_begin(struct sha256 *s)
{
	*s = (struct sha256){
	    .hash = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
}

void
sha256_add(struct sha256 *s, struct bytes data)
{
	size_t used = s->size % sizeof s->block, size;

	s->size += data.size;
	if (used > 0) {
		size = MIN(data.size, sizeof s->block - used);
		if (size > 0)
			memcpy(s->block + used, data.data, size);
		if (used + size < sizeof s->block)
			return;
		block_add(s->hash, s->block);
		data = bytes_of(data.data + size, data.size - size);
	}
	for (; data.size >= sizeof s->block; data = bytes_of(data.data + sizeof s->block, data.size - sizeof s->block))
		block_add(s->hash, data.data);
	if (data.size > 0)
		memcpy(s->block, data.data, data.size);
}

void
sha256_end(struct sha256 *s, uint8_t out[SHA256_BYTES])
{
	static const uint8_t fill[64] = {0x80};
	uint64_t bits = s->size * 8;
	size_t used = s->size % sizeof s->block;
	uint8_t length[8];

	for (int i = 0; i < 8; i++)
		length[i] = (uint8_t)(bits >> (56 - 8 * i));
	sha256_add(s, bytes_of(fill, (used < 56 ? 56 : 120) - used));
	sha256_add(s, bytes_of(length, sizeof length));
	for (int i = 0; i < 8; i++) {
		out[4 * i] = (uint8_t)(s->hash[i] >> 24);
		out[4 * i + 1] = (uint8_t)(s->hash[i] >> 16);
		out[4 * i + 2] = (uint8_t)(s->hash[i] >> 8);
		out[4 * i + 3] = (uint8_t)s->hash[i];
	}
}

void
sha256(struct bytes data, uint8_t out[SHA256_BYTES])
{
	struct sha256 s;

	sha256_begin(&s);
	sha256_add(&s, data);
	sha256_end(&s, out);
}

char *
sha256_hex(const uint8_t digest[SHA256_BYTES], char out[SHA256_TEXT_MAX])
{
	for (size_t i = 0; i < SHA256_BYTES; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
	return out;
}

char *
sha256_text(struct bytes data, char out[SHA256_TEXT_MAX])
{
	uint8_t digest[SHA256_BYTES];

	sha256(data, digest);
	return sha256_hex(digest, out);
}
