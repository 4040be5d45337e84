/*
 * validate.h - the rules for a service's fields, with the reference's texts (http-api.md 10.3, 11.16)
 */
#ifndef CHECKD_VALIDATE_H
#define CHECKD_VALIDATE_H

#include "structs_agent.h"

/* Several mistakes at once; those that do not fit are counted, not kept. */
#define MULTI_ERROR_LINES_MAX 16
#define MULTI_ERROR_LINE_MAX 256
struct multi_error {
	size_t count;
	char lines[MULTI_ERROR_LINES_MAX][MULTI_ERROR_LINE_MAX];
};

void multi_error_add(struct multi_error *m, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* "1 error occurred:\n\t* ...\n\n" */
void multi_error_text(const struct multi_error *m, char *out, size_t size);

/* NULL: fine. */
const char *validate_weights(struct bytes weights);
/* reserved_ok: consul-wan-federation may be set. -1: out says why. */
MUST_USE int validate_meta(struct bytes meta, bool reserved_ok, char *out, size_t size);
/* Locality, proxy, gateway, mesh. */
void validate_service(
    const struct service_definition *d, const struct service_connect *connect, struct multi_error *errors);

#endif
