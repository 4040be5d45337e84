/*
 * copies.h - encoded answers that are given again while catalogd's shared page says that they still hold (common/page.h)
 *
 * A copy is found by the bytes of a request's head: equal bytes ask for equal answers, as long as the configuration stays. Kept is only the
 * answer to a GET without body that was asked twice, that catalogd has given the versions of (never those of blocking, ?consistent and
 * ?cached reads), and after which the connection stays. Whoever listens to the log lines of requests (debug) gets them from the long way: no copy
 * is given or made then.
 *
 * Bounds: COPIES_BYTES_MAX for all, COPY_HEAD_BYTES_MAX and COPY_BYTES_MAX for one, COPIES_MAX of them; what was not asked for in
 * the meantime goes first.
 */
#ifndef HTTPD_COPIES_H
#define HTTPD_COPIES_H

#include <time.h>

#include "conn.h"
#include "page.h"

#define COPIES_MAX 4096u /* a power of two */
#define COPIES_BYTES_MAX (4u * 1024 * 1024)
#define COPY_HEAD_BYTES_MAX 2048u
#define COPY_BYTES_MAX (64u * 1024)
#define COPY_DATE_BYTES 37u /* "Date: Sat, 21 Nov 2026 16:36:58 GMT\r\n" */

/* Asks catalogd for its page, now and whenever the connection comes up again. */
void copies_open(struct ipc_peer *catalogd);
/* Takes p (owned from now on; NULL: none) as the page, and clock for page_clock. Forgets all copies and what was asked. */
void copies_set_page(const struct page *p, uint64_t (*clock)(void));
/* Forgets all copies, and those on their way: the configuration has changed. */
void copies_forget(void);
size_t copies_count(void);
size_t copies_bytes(void);

/*
 * The request at the front of in has a copy that may be given to it now: *used is set to the size of the request. The bytes live until the next
 * call into this file. Size 0: there is none. date: the line that now stands for the date.
 */
struct bytes copies_find(struct bytes in, const char date[COPY_DATE_BYTES + 1], size_t *used);

/* x asks what head says and would be answered the same again if nothing changed: is the answer to be kept (ask for versions then)? */
MUST_USE bool copies_want(struct exchange *x, struct bytes head);
/* What the answer to x depends on: taken from the message. */
void copies_claim(struct exchange *x, struct mp *in);
/* x is answered by head and body; the date's line stands at date_at. Keeps it if it was wanted and can be. */
void copies_keep(struct exchange *x, struct bytes head, struct bytes body, size_t date_at);
/* x is over. */
void copies_ended(struct exchange *x);

#endif
