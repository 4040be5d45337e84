/*
 * later.h - endpoints of capabilities that this version does not have
 */
#ifndef HTTPD_LATER_H
#define HTTPD_LATER_H

#include "request.h"

/* Refuses r: 400 or 413 if its body is wrong anyway (as it would be refused by a version that has the endpoint), else 500 naming the capability. */
void later_answer(struct request *r);

#endif
