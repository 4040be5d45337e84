/*
 * Configuration files: JSON or HCL text (told by the first byte) through reader, decoder, defaults, validation and resolved text. No file is
 * read and no name is resolved (validate mode).
 */
#include <stdlib.h>

#include "config_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *argv[] = {NULL};
	struct config *c = config_new("/", 0, argv);
	struct config_error e = {NULL, false};
	struct flag_sources f;
	struct buf out = BUF_INIT(1u << 20);

	c->validating = true;
	c->fragments = true;
	f = (struct flag_sources){
	    .lists = source_new(c, ""),
	    .scalars = source_new(c, ""),
	    .paths = value_new(c->region, VALUE_LIST),
	    .fragments = value_new(c->region, VALUE_LIST),
	    .format = "",
	};
	if (size < 65536) {
		char *text = bytes_dup(bytes_of(data, size));

		value_append(f.fragments, value_string(c->region, text));
		free(text);
	}
	if (config_assemble(c, &f, &e) == 0) {
		definition_write(c, &out);
		config_agent_self(c, &out);
	}
	buf_free(&out);
	config_error_free(&e);
	config_free(c);
	return 0;
}
