/*
 * trace.h - the log lines of requests: finished (DEBUG), failed (ERROR)
 */
#ifndef HTTPD_TRACE_H
#define HTTPD_TRACE_H

#include "conn.h"

/* Notes method and URL (a token in it is hidden), as long as x lives. */
void trace_begin(struct exchange *x, const struct http1_head *head);
/* x is answered with the error text: logged, at most 60 lines a minute. */
void trace_failed(struct exchange *x, struct bytes text);
/* x is answered, or its client has gone. */
void trace_end(struct exchange *x);

#endif
