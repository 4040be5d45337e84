/*
 * archive_form.c - the form of an archive of the state (contract: archive_form.h; callers: archive.c, catalogd_snapshot.c, tests)
 */
#include "archive_form.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "crc32c.h"
#include "mem.h"
#include "mp.h"

#define WRITE_BYTES (256u * 1024)
#define READ_BYTES (256u * 1024)
#define RECORD_BYTES_MAX (256u * 1024 * 1024)
#define HEAD_BYTES_MAX 256

/* ---- writing ---- */

struct writer {
	int fd;
	struct buf buf;
	uint32_t crc;
	uint64_t rows;
};

static int
writer_flush(struct writer *w)
{
	if (w->buf.overflow) {
		errno = EMSGSIZE;
		return -1;
	}
	if (bytes_write(w->fd, buf_bytes(&w->buf)) == -1)
		return -1;
	w->crc = crc32c(w->crc, w->buf.data, w->buf.used);
	buf_clear(&w->buf);
	return 0;
}

static int
table_write(struct writer *w, struct store_txn *t, enum store_table table)
{
	struct store_cursor c;
	int failed = 0;

	for (store_scan(&c, t, table, bytes_of(NULL, 0)); failed == 0 && store_next(&c);) {
		buf_put_u8(&w->buf, ARCHIVE_ROW);
		mp_put_array(&w->buf, 3);
		mp_put_cstr(&w->buf, store_table_name(table));
		mp_put_bytes(&w->buf, c.key);
		mp_put_bytes(&w->buf, c.value);
		w->rows++;
		if (w->buf.used >= WRITE_BYTES)
			failed = writer_flush(w);
	}
	store_scan_end(&c);
	return failed;
}

int
archive_write(struct store_txn *t, const struct store_state *state, int fd)
{
	struct writer w = {.fd = fd, .buf = BUF_INIT(RECORD_BYTES_MAX)};
	int failed = 0, saved_errno;

	mp_put_map(&w.buf, 3);
	mp_put_kv_uint(&w.buf, "LastIndex", state->applied_index);
	mp_put_kv_uint(&w.buf, "LastTerm", state->applied_term);
	mp_put_kv_uint(&w.buf, "Format", ARCHIVE_FORMAT);
	for (size_t i = 0; failed == 0 && i < STORE_TABLE_COUNT; i++)
		if (i != STORE_META)
			failed = table_write(&w, t, (enum store_table)i);
	if (failed == 0 && store_txn_result(t, NULL) != STORE_DONE) {
		errno = EBADMSG;
		failed = -1;
	}
	if (failed == 0 && (failed = writer_flush(&w)) == 0) {
		uint32_t crc = w.crc;

		buf_put_u8(&w.buf, ARCHIVE_END);
		mp_put_array(&w.buf, 2);
		mp_put_uint(&w.buf, w.rows);
		mp_put_uint(&w.buf, crc);
		failed = writer_flush(&w);
	}
	saved_errno = errno;
	buf_free(&w.buf);
	errno = saved_errno;
	return failed;
}

/* ---- reading ---- */

struct archive_reader {
	int fd;
	struct buf buf;
	uint32_t crc; /* of all that was consumed */
	uint64_t rows;
	bool head_is_read, end_is_read, file_is_read;
};

static int
head_parse(struct mp *in, struct archive_head *out)
{
	const uint8_t *start = in->at;
	struct bytes map;

	mp_skip(in);
	if (!mp_ok(in))
		return -1;
	map = bytes_of(start, (size_t)(in->at - start));
	*out = (struct archive_head){mp_find_uint(map, "LastIndex"), mp_find_uint(map, "LastTerm")};
	return mp_find_uint(map, "Format") == ARCHIVE_FORMAT ? 0 : -1;
}

int
archive_head_read(int fd, struct archive_head *out)
{
	uint8_t space[HEAD_BYTES_MAX];
	ssize_t size = read(fd, space, sizeof space);
	struct mp in = mp_of(bytes_of(space, size > 0 ? (size_t)size : 0));

	return mp_peek(&in) == MP_MAP ? head_parse(&in, out) : -1;
}

struct archive_reader *
archive_reader_new(int fd)
{
	struct archive_reader *r = xcalloc(1, sizeof *r);

	r->fd = fd;
	buf_init(&r->buf, RECORD_BYTES_MAX);
	return r;
}

void
archive_reader_free(struct archive_reader *r)
{
	if (r == NULL)
		return;
	close(r->fd);
	buf_free(&r->buf);
	free(r);
}

static int
reader_fill(struct archive_reader *r)
{
	uint8_t *space = buf_space(&r->buf, READ_BYTES);
	ssize_t n;

	if (space == NULL) {
		errno = EMSGSIZE;
		return -1;
	}
	do
		n = read(r->fd, space, READ_BYTES);
	while (n == -1 && errno == EINTR);
	if (n == -1)
		return -1;
	buf_commit(&r->buf, (size_t)n);
	r->file_is_read = n == 0;
	return 0;
}

/* One record at the front of in. 1: taken; 0: it is not complete; -1: bad. */
static int
record_take(struct archive_reader *r, struct store_txn *t, struct bytes in, uint32_t crc_before, size_t *used)
{
	struct mp m;
	struct bytes name, key, value;
	enum store_table table;
	uint8_t type;

	if (in.size < 2)
		return 0;
	type = in.data[0];
	m = mp_of(bytes_of(in.data + 1, in.size - 1));
	mp_skip(&m);
	if (!mp_ok(&m))
		return 0; /* or nonsense: the end of the file will tell */
	*used = (size_t)(m.at - in.data);
	m = mp_of(bytes_of(in.data + 1, *used - 1));
	if (type == ARCHIVE_ROW) {
		if (mp_array(&m) != 3)
			return -1;
		name = mp_str(&m);
		key = mp_str(&m);
		value = mp_str(&m);
		if (!mp_ok(&m) || store_table_find(name, &table) == -1 || table == STORE_META || key.size == 0)
			return -1;
		store_put(t, table, key, value);
		r->rows++;
		return 1;
	}
	if (type != ARCHIVE_END || mp_array(&m) != 2 || mp_uint(&m) != r->rows || mp_uint(&m) != crc_before ||
	    !mp_ok(&m))
		return -1;
	r->end_is_read = true;
	return 1;
}

/* Takes what is complete in the buffer. -1: bad. */
static int
reader_take(struct archive_reader *r, struct store_txn *t)
{
	size_t at = 0, used = 0;
	int got = 1;

	if (!r->head_is_read) {
		struct mp in = mp_of(buf_bytes(&r->buf));
		struct archive_head head;

		if (head_parse(&in, &head) == -1)
			return r->buf.used >= HEAD_BYTES_MAX || r->file_is_read ? -1 : 0;
		r->head_is_read = true;
		at = (size_t)(in.at - r->buf.data);
		r->crc = crc32c(0, r->buf.data, at);
	}
	while (!r->end_is_read &&
	       (got = record_take(r, t, bytes_of(r->buf.data + at, r->buf.used - at), r->crc, &used)) == 1) {
		r->crc = crc32c(r->crc, r->buf.data + at, used);
		at += used;
	}
	buf_consume(&r->buf, at);
	return got == -1 ? -1 : 0;
}

int
archive_reader_step(struct archive_reader *r, struct store_txn *t, size_t bytes_max, char error[STORE_ERROR_MAX])
{
	for (size_t read_bytes = 0; read_bytes < bytes_max && !r->file_is_read; read_bytes += READ_BYTES) {
		if (reader_fill(r) == -1) {
			snprintf(error, STORE_ERROR_MAX, "read: %s", strerror(errno));
			return -1;
		}
		if (reader_take(r, t) == -1) {
			snprintf(error, STORE_ERROR_MAX, "row %llu is damaged", (unsigned long long)r->rows);
			return -1;
		}
	}
	if (store_txn_result(t, error) != STORE_DONE)
		return -1;
	if (!r->file_is_read)
		return 1;
	if (r->end_is_read && r->buf.used == 0)
		return 0;
	snprintf(error, STORE_ERROR_MAX, "the file ends in the middle");
	return -1;
}
