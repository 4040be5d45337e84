/*
 * keyfile.c - the file of a pool's keys (contract: keyfile.h; caller: pool.c)
 */
#include "keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"
#include "replace.h"

#define FILE_BYTES_MAX 65536
#define PATH_BYTES_MAX 4096

/* The directory that path lies in, made if it is missing. -1 with errno. */
static int
directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char dir[PATH_BYTES_MAX];
	size_t size = slash == NULL ? 0 : (size_t)(slash - path);

	if (size == 0 || size >= sizeof dir) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(dir, path, size);
	dir[size] = '\0';
	if (mkdir(dir, 0700) == -1 && errno != EEXIST)
		return -1;
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int
replace(const char *path, struct bytes text)
{
	const char *name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
	int dir = directory_of(path), result, saved_errno;

	if (dir == -1)
		return -1;
	result = replace_file(dir, name, text, 0600, true);
	saved_errno = errno;
	close(dir);
	errno = saved_errno;
	return result;
}

const char *
keyfile_store(const char *path, const struct keyring *ring, bool compact)
{
	static char error[KEYRING_ERROR_MAX];
	struct buf text = BUF_INIT(FILE_BYTES_MAX);
	int result;

	keyring_print(ring, compact, &text);
	result = replace(path, buf_bytes(&text));
	if (result == -1)
		snprintf(error, sizeof error, "%.200s: %s", path, strerror(errno));
	explicit_bzero(text.data, text.size);
	buf_free(&text);
	return result == -1 ? error : NULL;
}

/* 1: read, 0: there is no file, -1: error. */
static int
file_read(const char *path, struct keyring *ring, char error[KEYRING_ERROR_MAX])
{
	static uint8_t text[FILE_BYTES_MAX];
	int fd = open(path, O_RDONLY | O_CLOEXEC), result = -1;
	size_t used = 0;
	ssize_t n = 0;

	if (fd == -1 && errno == ENOENT)
		return 0;
	while (fd != -1 && used < sizeof text && (n = read(fd, text + used, sizeof text - used)) > 0)
		used += (size_t)n;
	if (fd == -1 || n == -1)
		snprintf(error, KEYRING_ERROR_MAX, "%.200s: %s", path, strerror(errno));
	else if (keyring_parse(bytes_of(text, used), path, ring, error) == 0)
		result = 1;
	explicit_bzero(text, sizeof text);
	if (fd != -1)
		close(fd);
	return result;
}

static bool
has_key(const struct keyring *ring, const struct keyring_key *key)
{
	for (size_t i = 0; i < ring->count; i++)
		if (ring->keys[i].size == key->size && memcmp(ring->keys[i].bytes, key->bytes, key->size) == 0)
			return true;
	return false;
}

int
keyfile_load(const char *path, const char *encrypt, struct keyring *ring, bool *ignored, char error[KEYRING_ERROR_MAX])
{
	struct keyring_key key;
	const char *why;
	int found = path[0] == '\0' ? 0 : file_read(path, ring, error);

	*ignored = false;
	if (found == -1)
		return -1;
	if (found == 0)
		keyring_clear(ring);
	if (encrypt[0] == '\0')
		return 0;
	if (keyring_key_parse(bytes_str(encrypt), &key) == -1) {
		snprintf(error, KEYRING_ERROR_MAX, "Invalid key: encrypt is not the base64 of 16, 24 or 32 bytes");
		return -1;
	}
	if (found == 1) {
		*ignored = !has_key(ring, &key);
	} else {
		why = keyring_install(ring, bytes_of(key.bytes, key.size));
		if (why == NULL && path[0] != '\0')
			why = keyfile_store(path, ring, true);
		if (why != NULL) {
			snprintf(error, KEYRING_ERROR_MAX, "%.*s", KEYRING_ERROR_MAX - 1, why);
			found = -1;
		}
	}
	explicit_bzero(&key, sizeof key);
	return found == -1 ? -1 : 0;
}
