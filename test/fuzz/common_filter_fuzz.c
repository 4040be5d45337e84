/*
 * common_filter_fuzz.c - any bytes as a filter expression, run over elements
 */
#include "filter.h"
#include "json.h"
#include "mem.h"
#include "structs.h"

#include <stdlib.h>

static struct buf
make_element(const struct schema *s, const char *json)
{
	struct buf out = BUF_INIT(1 << 16);
	struct json_error error;

	if (schema_from_json(s, bytes_str(json), &out, &error) == -1)
		abort();
	return out;
}

static void
over(const struct schema *s, struct bytes expression, const struct buf *element)
{
	struct filter_error error;
	struct filter *f;

	if (filter_compile(expression, s, &f, &error) == -1) {
		if (memcmp(error.text, FILTER_ERROR_PREFIX, strlen(FILTER_ERROR_PREFIX)) != 0)
			abort();
		return;
	}
	(void)!filter_match(f, mp_of(buf_bytes(element)));
	filter_free(f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct buf node, instance;

	if (node.used == 0) {
		node = make_element(
		    &node_schema, "{\"Node\":\"f1\",\"Address\":\"10.0.3.1\",\"Meta\":{\"os\":\"linux\"}}");
		instance = make_element(&check_service_node_schema,
		    "{\"Node\":{\"Node\":\"f1\"},\"Service\":{\"ID\":\"s1\",\"Tags\":[\"prod\"],\"Port\":80,\"Meta\":{"
		    "\"team\":\"red\"}},"
		    "\"Checks\":[{\"Status\":\"passing\"},{\"Status\":\"critical\",\"Output\":\"timed out\"}]}");
	}
	over(&node_schema, bytes_of(data, size), &node);
	over(&check_service_node_schema, bytes_of(data, size), &instance);
	return 0;
}
