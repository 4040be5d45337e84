/*
 * batch.h - the datagrams that one turn of the loop reads from a socket, and their answers
 *
 * There is one batch in the process: read it, give each message its answer or none, send it. Answers of one size to one peer leave as one message that
 * the kernel (or the card) cuts into datagrams: a proxy or resolver that asks for many names from one socket costs one way through the stack.
 */
#ifndef DNSD_BATCH_H
#define DNSD_BATCH_H

#include "cdefs.h"
#include "net.h"
#include "wire.h"

#define BATCH_MAX 64

/* Reads what waits, at most BATCH_MAX datagrams, and forgets the batch before. Returns their number, 0 if there is none. */
MUST_USE unsigned batch_receive(int fd);
struct bytes batch_message(unsigned i);
const union net_addr *batch_peer(unsigned i);
/* DNS_MESSAGE_MAX octets for the next answer. */
uint8_t *batch_room(void);
/* What stands in batch_room, size > 0 octets of it, goes to the sender of message i. At most one for each message. */
void batch_answer(unsigned i, size_t size);
/* Sends the answers. What the socket does not take is dropped, as UDP may. */
void batch_send(int fd);

#endif
