/*
 * contact.c - when a server last heard of its leader (contract: contact.h; writer: raftd/node_peers.c, reader: catalogd/heard.c)
 */
#include "contact.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"

#define MAGIC UINT64_C(0x31746e6f43736e43) /* "CnsCont1" in memory */

struct shared {
	uint64_t magic;
	_Atomic uint64_t heard_ns;
};

struct contact {
	struct shared *shared;
	int fd; /* -1: a reader's */
};

static struct contact *
made(void *shared, int fd)
{
	struct contact *c = xcalloc(1, sizeof *c);

	c->shared = shared;
	c->fd = fd;
	return c;
}

struct contact *
contact_new(void)
{
	int fd = memfd_create("contact", MFD_CLOEXEC | MFD_ALLOW_SEALING), error;
	struct shared *shared = MAP_FAILED;

	if (fd == -1)
		return NULL;
	if (ftruncate(fd, sizeof *shared) == 0)
		shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shared != MAP_FAILED &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0) {
		shared->magic = MAGIC;
		return made(shared, fd);
	}
	error = errno;
	if (shared != MAP_FAILED)
		(void)munmap(shared, sizeof *shared);
	close(fd);
	errno = error;
	return NULL;
}

struct contact *
contact_map(int fd)
{
	struct shared *shared;
	struct stat st;

	if (fstat(fd, &st) == -1)
		return NULL;
	if (st.st_size != (off_t)sizeof *shared) {
		errno = EBADMSG;
		return NULL;
	}
	shared = mmap(NULL, sizeof *shared, PROT_READ, MAP_SHARED, fd, 0);
	if (shared == MAP_FAILED)
		return NULL;
	if (shared->magic != MAGIC) {
		(void)munmap(shared, sizeof *shared);
		errno = EBADMSG;
		return NULL;
	}
	return made(shared, -1);
}

void
contact_free(struct contact *c)
{
	if (c == NULL)
		return;
	(void)munmap(c->shared, sizeof *c->shared);
	if (c->fd != -1)
		close(c->fd);
	free(c);
}

int
contact_fd(const struct contact *c)
{
	return fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
}

void
contact_set(struct contact *c, uint64_t boottime_ns)
{
	atomic_store_explicit(&c->shared->heard_ns, boottime_ns, memory_order_relaxed);
}

uint64_t
contact_get(const struct contact *c)
{
	return atomic_load_explicit(&c->shared->heard_ns, memory_order_relaxed);
}
