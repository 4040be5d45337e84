/*
 * checkd.h - what the files of this room share: error of a request, statuses
 */
#ifndef CHECKD_CHECKD_H
#define CHECKD_CHECKD_H

#include <stdbool.h>
#include <stddef.h>

#include "cdefs.h"

/* Why a request or a definition was refused: text for the client, HTTP status (0: front end decides, 500). */
#define CHECKD_ERROR_MAX 4096
struct checkd_error {
	unsigned code;
	char text[CHECKD_ERROR_MAX];
};

/* Sets *e and returns -1, so that it can end a function. */
MUST_USE int checkd_refuse(struct checkd_error *e, unsigned code, const char *fmt, ...) PRINTF_LIKE(3, 4);

enum status { STATUS_PASSING, STATUS_WARNING, STATUS_CRITICAL };

/* "passing", "warning", "critical". */
const char *status_text(enum status s);
MUST_USE int status_parse(struct bytes text, enum status *out);

#define CHECK_OUTPUT_DEFAULT 4096
#define CHECK_TYPE_MAINTENANCE "maintenance"
#define NODE_MAINTENANCE_ID "_node_maintenance"
#define SERVICE_MAINTENANCE_PREFIX "_service_maintenance:"

#endif
