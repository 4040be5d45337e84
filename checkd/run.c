/*
 * run.c - is this checkd a new start of the suite? (contract: run.h; caller: main.c)
 *
 * The note names the boot and the supervisor's process, number and start time: a number alone comes again.
 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"

#define NOTE "checkd.run"
#define NOTE_BYTES_MAX 65536
#define START_TIME_FIELD 20 /* of /proc/PID/stat, counted behind the program's name */

int
run_read_file(int dir, const char *path, struct buf *out)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), saved_errno;
	ssize_t n;

	if (fd == -1)
		return -1;
	do {
		uint8_t *space = buf_space(out, 16384);
		if (space == NULL) {
			errno = EFBIG;
			n = -1;
			break;
		}
		n = read(fd, space, 16384);
		if (n > 0)
			buf_commit(out, (size_t)n);
	} while (n > 0 || (n == -1 && errno == EINTR));
	saved_errno = errno;
	close(fd);
	errno = saved_errno;
	return n == -1 ? -1 : 0;
}

static void
start_time(int64_t pid, struct buf *out)
{
	struct buf text = BUF_INIT(NOTE_BYTES_MAX);
	char path[64], *at;

	snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
	if (run_read_file(AT_FDCWD, path, &text) == 0) {
		buf_put_u8(&text, '\0');
		at = text.data != NULL ? strrchr((char *)text.data, ')') : NULL;
		for (int field = 0; at != NULL && field < START_TIME_FIELD; field++)
			at = strchr(at + 1, ' ');
		if (at != NULL)
			buf_printf(out, " %.*s", (int)strcspn(at + 1, " "), at + 1);
	}
	buf_free(&text);
}

static void
write_note(struct bytes note)
{
	int fd = open(NOTE, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd == -1 || write(fd, note.data, note.size) != (ssize_t)note.size)
		log_warn("agent", "can not write %s -- a restart of checkd alone will start its checks critical", NOTE);
	if (fd != -1)
		close(fd);
}

bool
run_is_same(int64_t supervisor_pid)
{
	struct buf now = BUF_INIT(NOTE_BYTES_MAX), before = BUF_INIT(NOTE_BYTES_MAX);
	int64_t pid = supervisor_pid > 1 ? supervisor_pid : getppid();
	bool same;

	if (run_read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &now) == -1)
		buf_put_str(&now, "unknown");
	buf_printf(&now, " %lld", (long long)pid);
	start_time(pid, &now);
	same = now.used != 0 && run_read_file(AT_FDCWD, NOTE, &before) == 0 &&
	       bytes_equal(buf_bytes(&now), buf_bytes(&before));
	if (!same)
		write_note(buf_bytes(&now));
	buf_free(&now);
	buf_free(&before);
	return same;
}
