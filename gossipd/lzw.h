/*
 * lzw.h - the compression of gossip messages: LZW, least significant bit first, literals of 8 bits, codes of 9 to 12 bits
 *
 * Code 256 clears the table, 257 ends, 258 is the first free one (the variant of GIF; Go's compress/lzw reads and writes it). Both
 * directions produce what the reference does, byte for byte.
 */
#ifndef GOSSIPD_LZW_H
#define GOSSIPD_LZW_H

#include "buf.h"
#include "cdefs.h"

/* Appends the compressed form of in. */
void lzw_compress(struct bytes in, struct buf *out);
/* Appends what was compressed. -1: not LZW, or out's maximum is passed (out then holds a part). */
MUST_USE int lzw_expand(struct bytes in, struct buf *out);

#endif
