/*
 * catalogd_snapshot.c - helper of catalogd: writes an archive of the store in directory argv[1] to descriptor ARCHIVE_HELPER_FD, and exits 0
 *
 * It copies the store first (the reader on the living one is gone when the copy is made) and encodes from the copy, at idle priority.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "archive_form.h"
#include "log.h"

#define MODULE "agent.server.snapshot"
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE (3 << 13)

static int
copy_open(const char *directory)
{
	char path[4096];
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd != -1 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	if ((size_t)snprintf(path, sizeof path, "%s/copy.XXXXXX", directory) >= sizeof path)
		return -1;
	if ((fd = mkostemp(path, O_CLOEXEC)) != -1)
		(void)unlink(path);
	return fd;
}

int
main(int argc, char **argv)
{
	char path[64], error[STORE_ERROR_MAX];
	struct store *store;
	struct store_state state;
	struct store_txn *t;
	int copy, failed;

	log_init("catalogd-snapshot", LOG_INFO_LEVEL);
	if (argc != 2)
		fatal_permanent(MODULE, "usage: catalogd-snapshot directory");
	(void)setpriority(PRIO_PROCESS, 0, 19);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
	if ((copy = copy_open(argv[1])) == -1)
		fatal(MODULE, "copy: directory=%s", argv[1]);
	if ((failed = store_copy(argv[1], copy)) != 0)
		fatalx(MODULE, "copy: error=%s", log_quote(store_copy_error(failed)));
	snprintf(path, sizeof path, "/proc/self/fd/%d", copy);
	if (store_open(&(struct store_options){.directory = path, .copy = true}, &store, error) != STORE_OPENED)
		fatalx(MODULE, "copy: error=%s", log_quote(error));
	if ((t = store_read(store)) == NULL || store_state_read(t, &state) == -1)
		fatalx(MODULE, "copy: can not be read");
	if (archive_write(t, &state, ARCHIVE_HELPER_FD) == -1)
		fatal(MODULE, "write");
	if (fdatasync(ARCHIVE_HELPER_FD) == -1)
		fatal(MODULE, "sync");
	store_close(store, false);
	return 0;
}
