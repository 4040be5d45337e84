/*
 * dump.c - the whole state as text (contract: dump.h; form: consuld-store.5; callers: catalogd_snapshot.c, tests)
 *
 * One line for each fact: table, key and value with a tab between them, in the order of tables and keys. What is not printable
 * stands as \xNN, so that a value can not pass for a line.
 */
#include "dump.h"

#include <errno.h>
#include <string.h>

#include "buf.h"
#include "mem.h"

#define WRITE_BYTES (64u * 1024)
#define LINE_BYTES_MAX (1u << 30) /* of a record and all that stands before it in the buffer */

struct dump {
	int fd;
	struct buf out;
	struct sha256 sum;
};

static int
flush(struct dump *d)
{
	if (d->out.overflow) {
		errno = EMSGSIZE;
		return -1;
	}
	sha256_add(&d->sum, buf_bytes(&d->out));
	if (bytes_write(d->fd, buf_bytes(&d->out)) == -1)
		return -1;
	buf_clear(&d->out);
	return 0;
}

static void
put_text(struct buf *out, struct bytes text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < text.size; i++) {
		uint8_t c = text.data[i];

		if (c == '\\')
			buf_put(out, "\\\\", 2);
		else if (c >= 0x20 && c < 0x7f)
			buf_put_u8(out, c);
		else
			buf_put(out, (const char[]){'\\', 'x', digits[c >> 4], digits[c & 15]}, 4);
	}
}

static int
put_table(struct dump *d, struct store_txn *t, enum store_table table)
{
	struct store_cursor c;
	int failed = 0;

	for (store_scan(&c, t, table, bytes_of(NULL, 0)); failed == 0 && store_next(&c);) {
		buf_put_str(&d->out, store_table_name(table));
		buf_put_u8(&d->out, '\t');
		put_text(&d->out, c.key);
		buf_put_u8(&d->out, '\t');
		put_text(&d->out, c.value);
		buf_put_u8(&d->out, '\n');
		if (d->out.used >= WRITE_BYTES)
			failed = flush(d);
	}
	store_scan_end(&c);
	return failed;
}

/* Of table meta only where in the log it stands: the log itself has another ID on each server. */
static int
put_state(struct dump *d, struct store_txn *t)
{
	struct store_state state;

	if (store_state_read(t, &state) == -1) {
		errno = EBADMSG;
		return -1;
	}
	buf_printf(&d->out, "consuld-store dump\t%u\n", DUMP_FORMAT);
	buf_printf(&d->out, "meta\tapplied_index\t%llu\n", (unsigned long long)state.applied_index);
	buf_printf(&d->out, "meta\tapplied_term\t%llu\n", (unsigned long long)state.applied_term);
	return 0;
}

int
dump_write(struct store_txn *t, int fd, char digest[SHA256_TEXT_MAX])
{
	struct dump d = {.fd = fd, .out = BUF_INIT(LINE_BYTES_MAX)};
	uint8_t sum[SHA256_BYTES];
	int failed, saved_errno;

	sha256_begin(&d.sum);
	failed = put_state(&d, t);
	for (size_t i = 0; failed == 0 && i < STORE_TABLE_COUNT; i++)
		if (i != STORE_META)
			failed = put_table(&d, t, (enum store_table)i);
	if (failed == 0 && store_txn_result(t, NULL) != STORE_DONE) {
		errno = EBADMSG;
		failed = -1;
	}
	if (failed == 0 && (failed = flush(&d)) == 0) {
		sha256_end(&d.sum, sum);
		sha256_hex(sum, digest);
		buf_printf(&d.out, "sha256\t%s\n", digest);
		failed = flush(&d);
	}
	saved_errno = errno;
	buf_free(&d.out);
	errno = saved_errno;
	return failed;
}
