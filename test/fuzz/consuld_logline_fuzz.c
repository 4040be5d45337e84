/*
 * consuld_logline_fuzz.c - log lines hold what peers sent: any bytes are taken apart and made JSON without harm
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "json.h"
#include "logline.h"
#include "mem.h"
#include "schema.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf out = BUF_INIT(16u * 1024 * 1024), again = BUF_INIT(16u * 1024 * 1024);
	struct json_error error;
	struct logline line;

	if (size > 8192)
		return 0;
	logline_parse(bytes_of(data, size), &line);
	logline_json(&line, 0, &out);
	/* Whatever came in, what goes out is one JSON object. */
	if (out.overflow || json_to_mp(buf_bytes(&out), &again, &error) == -1)
		abort();
	buf_free(&out);
	buf_free(&again);
	return 0;
}
