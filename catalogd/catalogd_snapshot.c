/*
 * catalogd_snapshot.c - helper of catalogd: writes an archive of the store in a directory to descriptor ARCHIVE_HELPER_FD, and exits 0; with -D a dump
 * of it to the standard output, for whoever looks for a fault (catalogd-snapshot.8)
 *
 * It copies the store first (the reader on the living one is gone when the copy is made) and reads the copy; archives at idle priority.
 * Nothing is synced: who keeps the archive makes it durable, and a large sync would hold up those of the log on the same disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "archive_form.h"
#include "dump.h"
#include "log.h"
#include "priority.h"

#define MODULE "agent.server.snapshot"

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

/* The copy in descriptor fd, as a store that is only read. Ends the process if that can not be. */
static struct store *
copy_store(int fd, const char *directory)
{
	char path[64], error[STORE_ERROR_MAX];
	struct store *store;
	int failed = store_copy(directory, fd);

	if (failed != 0)
		fatalx(MODULE, "copy: directory=%s error=%s", directory, log_quote(store_copy_error(failed)));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (store_open(&(struct store_options){.directory = path, .copy = true}, &store, error) != STORE_OPENED)
		fatalx(MODULE, "copy: directory=%s error=%s", directory, log_quote(error));
	return store;
}

static void
archive(struct store_txn *t)
{
	struct store_state state;

	if (store_state_read(t, &state) == -1)
		fatalx(MODULE, "copy: can not be read");
	if (archive_write(t, &state, ARCHIVE_HELPER_FD) == -1)
		fatal(MODULE, "write");
}

static void
dump(struct store_txn *t)
{
	char digest[SHA256_TEXT_MAX], error[STORE_ERROR_MAX];

	if (dump_write(t, STDOUT_FILENO, digest) == 0)
		return;
	if (store_txn_result(t, error) != STORE_DONE)
		fatalx(MODULE, "the store is damaged: error=%s", log_quote(error));
	fatal(MODULE, "dump");
}

int
main(int argc, char **argv)
{
	bool dumping = argc == 3 && strcmp(argv[1], "-D") == 0;
	const char *directory = argv[argc - 1];
	struct store *store;
	struct store_txn *t;
	int copy;

	log_init("catalogd-snapshot", LOG_INFO_LEVEL);
	if (!dumping && (argc != 2 || argv[1][0] == '-'))
		fatal_permanent(MODULE, "usage: catalogd-snapshot [-D] directory");
	if (!dumping)
		priority_lowest();
	if ((copy = copy_open(directory)) == -1)
		fatal(MODULE, "copy: directory=%s", directory);
	store = copy_store(copy, directory);
	if ((t = store_read(store)) == NULL)
		fatalx(MODULE, "copy: can not be read");
	if (dumping)
		dump(t);
	else
		archive(t);
	store_close(store, false);
	return 0;
}
