/*
 * crc32c.h - CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected, as in RFC 3720)
 *
 * SSE 4.2 where the processor has it, tables elsewhere; the result is the same.
 */
#ifndef COMMON_CRC32C_H
#define COMMON_CRC32C_H

#include "cdefs.h"

/*
 * The checksum of data behind what crc covers already: start with 0; crc32c(crc32c(0, a), b) is that of a and b together.
 * crc32c(0, "123456789") is 0xe3069283.
 */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);
/* The same by tables alone, for the tests. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif
