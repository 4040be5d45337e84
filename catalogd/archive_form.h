/*
 * archive_form.h - the form of an archive of the state: writing all of it, reading it piece by piece (consuld-store.5)
 *
 * A msgpack map {LastIndex, LastTerm, Format}, then records to the end of the file: a type byte and a msgpack value each. The last one holds the
 * number of the others and their CRC-32C: a file that was cut is not taken for a smaller state.
 */
#ifndef CATALOGD_ARCHIVE_FORM_H
#define CATALOGD_ARCHIVE_FORM_H

#include "store.h"

#define ARCHIVE_FORMAT 1
#define ARCHIVE_HELPER_FD 3 /* where the helper finds its output file */

/* Types above those of the reference's snapshots. */
enum archive_type {
	ARCHIVE_ROW = 200, /* [table, key, value] */
	ARCHIVE_END = 201, /* [rows, crc of all bytes before this record] */
};

struct archive_head {
	uint64_t index;
	uint64_t term;
};

/* Writes the state that t sees, and says that it is the one of state, to fd. 0 or -1 with errno (EBADMSG: t has failed). */
MUST_USE int archive_write(struct store_txn *t, const struct store_state *state, int fd);
/* The head of the file whose offset is 0. -1: it has none. */
MUST_USE int archive_head_read(int fd, struct archive_head *out);

struct archive_reader;

/* fd is owned by the reader; reading begins at its start. */
MUST_USE struct archive_reader *archive_reader_new(int fd);
void archive_reader_free(struct archive_reader *r);
/* Puts some bytes_max bytes of records into t. 1: there is more; 0: all is there and the sums agree; -1: error says why. */
MUST_USE int archive_reader_step(
    struct archive_reader *r, struct store_txn *t, size_t bytes_max, char error[STORE_ERROR_MAX]);

#endif
