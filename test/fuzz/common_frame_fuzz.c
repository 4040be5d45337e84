/*
 * common_frame_fuzz.c - frames: whatever comes in, the decoder stays inside it and what it returns lies inside it
 */
#include <stdlib.h>

#include "frame.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0;

	for (;;) {
		struct frame f;
		size_t used = 0, need = 0;
		int got = frame_decode((struct bytes){data + at, size - at}, &f, &used, &need);

		if (got != 1)
			return 0;
		if (used > size - at || f.payload.data + f.payload.size != data + at + used ||
		    f.streams + (size_t)f.more_streams * 4 != f.payload.data)
			abort();
		at += used;
	}
}
