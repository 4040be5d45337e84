/*
 * stream_reader.h - what has come of a stream, taken apart as it comes (pure; callers: stream.c, the fuzz target)
 *
 * An exchange has one message in each direction: sealed or not, compressed or not, and of its own kind.
 */
#ifndef GOSSIPD_STREAM_READER_H
#define GOSSIPD_STREAM_READER_H

#include "envelope.h"
#include "swim.h"

#define STREAM_EXPANDED_MAX (40u * 1024 * 1024) /* of a compressed message */
#define STREAM_IN_MAX (GOSSIP_STREAM_MAX + 64u * 1024)

struct stream_reader {
	struct buf in; /* what has come */
	struct buf plain, expanded;
	struct swim_state_progress progress;
};

void stream_reader_init(struct stream_reader *r);
void stream_reader_free(struct stream_reader *r);
/*
 * 0: more is needed; 1: *message is the whole message with its type byte (a user message: the bytes behind its head, type SERF's), in memory of
 * the reader; -1: *why (static) says what is wrong.
 */
MUST_USE int stream_reader_next(
    struct stream_reader *r, const struct envelope *e, bool from_opener, struct bytes *message, const char **why);
/* What a user message carries (message: as stream_reader_next gave it). */
struct bytes stream_user_message(struct bytes message);

#endif
