/*
 * store_file.c - the files around the store (contract: store_file.h; caller: store.c)
 *
 * "starting" counts the starts that have not come to their end; "damaged" is left by a process that read a record whose checksum
 * was wrong; "crashes" has a byte for each death by a fault since the last clean stop. All are only hints: losing one in a power cut
 * costs nothing, since such a store is not trusted anyway.
 */
#include "store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"

#define FORMAT 1u
#define START_DEATHS_MAX 2
#define CRASHES_MAX 2
#define STATE_FIXED_BYTES (4 + 8 + 8 + 1 + 1 + 1)

#define FILE_STARTING "starting"
#define FILE_DAMAGED "damaged"
#define FILE_CRASHES "crashes"

int
store_file_state_get(struct bytes value, struct store_file_state *out)
{
	const uint8_t *p = value.data;
	size_t boot_size, log_size;

	*out = (struct store_file_state){0};
	if (value.size < STATE_FIXED_BYTES || be32_at(p) != FORMAT)
		return -1;
	out->state.applied_index = be64_at(p + 4);
	out->state.applied_term = be64_at(p + 12);
	out->clean = p[20] != 0;
	boot_size = p[21];
	log_size = p[22];
	if (value.size != STATE_FIXED_BYTES + boot_size + log_size || boot_size >= sizeof out->boot_id ||
	    log_size >= sizeof out->state.log_id)
		return -1;
	memcpy(out->boot_id, p + STATE_FIXED_BYTES, boot_size);
	memcpy(out->state.log_id, p + STATE_FIXED_BYTES + boot_size, log_size);
	return 0;
}

int
store_file_state_put_record(struct store_txn *t, const struct store_state *state, bool clean)
{
	char boot_id[STORE_FILE_BOOT_MAX];
	uint8_t space[STATE_FIXED_BYTES + STORE_FILE_BOOT_MAX + STORE_LOG_ID_MAX];
	struct buf record = {.data = space, .size = sizeof space, .max = sizeof space};

	store_file_boot_id(boot_id);
	buf_put_be32(&record, FORMAT);
	buf_put_be64(&record, state->applied_index);
	buf_put_be64(&record, state->applied_term);
	buf_put_u8(&record, clean);
	buf_put_u8(&record, (uint8_t)strlen(boot_id));
	buf_put_u8(&record, (uint8_t)strlen(state->log_id));
	buf_put_str(&record, boot_id);
	buf_put_str(&record, state->log_id);
	store_put(t, STORE_META, bytes_str("state"), buf_bytes(&record));
	return store_txn_result(t, NULL) == STORE_DONE ? 0 : -1;
}

void
store_file_boot_id(char out[STORE_FILE_BOOT_MAX])
{
	static char boot_id[STORE_FILE_BOOT_MAX];

	if (boot_id[0] == '\0') {
		int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
		ssize_t got = fd == -1 ? -1 : read(fd, boot_id, sizeof boot_id - 1);

		if (fd != -1)
			close(fd);
		boot_id[got > 0 ? got : 0] = '\0';
		boot_id[strcspn(boot_id, "\n")] = '\0';
		if (boot_id[0] == '\0')
			snprintf(boot_id, sizeof boot_id, "unknown");
	}
	memcpy(out, boot_id, sizeof boot_id);
}

/* directory/name in a static buffer; a name too long for it opens nothing. */
static const char *
path_of(const char *directory, const char *name)
{
	static char path[4096];

	if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, name) >= sizeof path)
		path[0] = '\0';
	return path;
}

static void
file_write(const char *directory, const char *name, const char *text)
{
	int fd = open(path_of(directory, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd == -1)
		return;
	/* A hint that can not be written is no reason to stop. */
	if (write(fd, text, strlen(text)) == -1) {
		close(fd);
		return;
	}
	close(fd);
}

int
store_file_start(const char *directory, char error[STORE_ERROR_MAX])
{
	char text[8] = "";
	struct stat crashes;
	int fd, deaths = 0;

	if (access(path_of(directory, FILE_DAMAGED), F_OK) == 0) {
		snprintf(error, STORE_ERROR_MAX, "it was found damaged");
		return -1;
	}
	if (stat(path_of(directory, FILE_CRASHES), &crashes) == 0 && crashes.st_size >= CRASHES_MAX) {
		snprintf(error, STORE_ERROR_MAX, "%lld processes died over it", (long long)crashes.st_size);
		return -1;
	}
	fd = open(path_of(directory, FILE_STARTING), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd != -1) {
		ssize_t got = read(fd, text, sizeof text - 1);

		if (got > 0)
			deaths = text[0] - '0';
		close(fd);
	}
	if (deaths >= START_DEATHS_MAX) {
		snprintf(error, STORE_ERROR_MAX, "%d starts in a row died over it", deaths);
		return -1;
	}
	snprintf(text, sizeof text, "%d\n", MAX(deaths, 0) + 1);
	file_write(directory, FILE_STARTING, text);
	return 0;
}

void
store_file_started(const char *directory)
{
	(void)unlink(path_of(directory, FILE_STARTING));
}

void
store_file_damaged(const char *directory)
{
	file_write(directory, FILE_DAMAGED, "a record failed its checksum\n");
}

static const int crash_signals[] = {SIGSEGV, SIGBUS, SIGABRT};
static struct sigaction crash_former[COUNTOF(crash_signals)];
static char crash_path[4096];

/* Async-signal-safe. The fault comes again when we return, and then it is the former handler's. */
static void
on_crash(int signal_number)
{
	int fd = open(crash_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	for (size_t i = 0; i < COUNTOF(crash_signals); i++)
		(void)sigaction(crash_signals[i], &crash_former[i], NULL);
	if (fd != -1 && write(fd, "x", 1) == 1)
		(void)close(fd);
	(void)signal_number;
}

void
store_file_count_crashes(const char *directory)
{
	struct sigaction action = {.sa_handler = on_crash};

	if (crash_path[0] != '\0')
		return;
	snprintf(crash_path, sizeof crash_path, "%s", path_of(directory, FILE_CRASHES));
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < COUNTOF(crash_signals); i++)
		(void)sigaction(crash_signals[i], &action, &crash_former[i]);
}

void
store_file_forget_crashes(const char *directory)
{
	(void)unlink(path_of(directory, FILE_CRASHES));
}

int
store_file_erase(const char *directory)
{
	static const char *const names[] = {"data.mdb", "lock.mdb", FILE_STARTING, FILE_DAMAGED, FILE_CRASHES};

	for (size_t i = 0; i < COUNTOF(names); i++)
		if (unlink(path_of(directory, names[i])) == -1 && errno != ENOENT)
			return -1;
	return 0;
}
