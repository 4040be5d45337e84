/*
 * endpoint.h - one method of the request language
 */
#ifndef CATALOGD_ENDPOINT_H
#define CATALOGD_ENDPOINT_H

#include "query.h"

struct endpoint {
	const char *method;
	query_fn *read;  /* or */
	write_fn *write; /* or */
	leader_fn *ask;
	bool repeatable; /* ask: it changes nothing, so that it may be sent again */
	bool stale;      /* ask: any server answers if AllowStale is set */
};

#endif
