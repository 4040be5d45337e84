/*
 * service_rules.h - what a service registration must satisfy (http-api.md 10.3)
 */
#ifndef CATALOGD_SERVICE_RULES_H
#define CATALOGD_SERVICE_RULES_H

#include "buf.h"
#include "structs.h"

/*
 * 0, or -1 with *out holding all that is wrong as one text: "2 errors occurred:\n\t* first\n\t* second\n\n". out is cleared first;
 * it may overflow, then holds what fitted.
 */
int service_rules_judge(const struct node_service *s, struct buf *out);

#endif
