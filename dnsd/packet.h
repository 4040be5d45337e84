/*
 * packet.h - an answer in wire form whose records can be given in any order
 *
 * Made once for a name and type from what the catalog says, then written for each query by copying: its question, id and flags, transport, EDNS and size decide
 * what of it is given, so one packet serves them all. Section 11 of the DNS contract holds as for answer_write. A packet holds no pointers into what it was made from.
 */
#ifndef DNSD_PACKET_H
#define DNSD_PACKET_H

#include <stdbool.h>

#include "answer.h"

struct packet;

/* All instances of a service, in a new random order each time. NULL: such an answer is not for keeping (host names, NXDOMAIN, too large). */
MUST_USE struct packet *packet_of_service(struct answer_context *c, const struct service_set *set);
/* The records of a, always in this order. NULL as above. */
MUST_USE struct packet *packet_of_answer(const struct answer_context *c, const struct dns_answer *a);
void packet_free(struct packet *p); /* p may be NULL */
/* Memory it takes. */
size_t packet_bytes(const struct packet *p);
/*
 * Writes the answer to q, whose name is that of the packet in any letter case. Returns the size; 0: it does not fit into size, or would be
 * cut although answer_write might find room for all of it.
 */
MUST_USE size_t packet_write(
    struct packet *p, const struct settings *settings, const struct dns_query *q, bool udp, uint8_t *out, size_t size);

#endif
