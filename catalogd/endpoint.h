/*
 * endpoint.h - one method of the request language
 */
#ifndef CATALOGD_ENDPOINT_H
#define CATALOGD_ENDPOINT_H

#include "query.h"

struct endpoint {
	const char *method;
	query_fn *read; /* or */
	write_fn *write;
};

#endif
