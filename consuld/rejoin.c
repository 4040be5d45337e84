/*
 * rejoin.c - when this server last ran (contract: rejoin.h; caller: suite.c)
 */
#include "rejoin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "buf.h"
#include "duration.h"
#include "json.h"
#include "mp.h"
#include "replace.h"

#define NAME "server_metadata.json"
#define BYTES_MAX 4096

static int
directory_open(const char *data_dir)
{
	return open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Seconds since 1970; -1: there is no note. */
static int64_t
noted(int dir)
{
	int fd = openat(dir, NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct buf message = BUF_INIT(BYTES_MAX);
	struct json_error error;
	uint8_t text[BYTES_MAX];
	ssize_t size = fd == -1 ? -1 : read(fd, text, sizeof text);
	int64_t seconds = -1;

	if (fd != -1)
		close(fd);
	if (size > 0 && json_to_mp(bytes_of(text, (size_t)size), &message, &error) == 0)
		seconds = mp_find_int(buf_bytes(&message), "last_seen_unix");
	buf_free(&message);
	return seconds > 0 && seconds < INT64_MAX / NS_PER_S ? seconds : -1;
}

bool
rejoin_is_stale(const char *data_dir, int64_t wall_ns, int64_t age_max_ns)
{
	int dir = directory_open(data_dir);
	int64_t seconds;

	if (dir == -1)
		return false;
	seconds = noted(dir);
	close(dir);
	return seconds != -1 && wall_ns - seconds * NS_PER_S > age_max_ns;
}

int
rejoin_note(const char *data_dir, int64_t wall_ns)
{
	int dir = directory_open(data_dir), result, saved_errno;
	char text[64];

	if (dir == -1)
		return -1;
	snprintf(text, sizeof text, "{\"last_seen_unix\":%lld}", (long long)(wall_ns / NS_PER_S));
	result = replace_file(dir, NAME, bytes_str(text), 0600, true);
	saved_errno = errno;
	close(dir);
	errno = saved_errno;
	return result;
}
