/*
 * fdatasync.c - what one durable write costs on a file system
 *
 *	fdatasync FILE COUNT	writes a block of 4 KiB into a file made before, syncs it, COUNT times; prints the median of the
 *				latency of write and sync together, and its p99, as JSON in microseconds
 *
 * The file has its size and its blocks beforehand, as the log's segments have: no metadata is written.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

#define BLOCK 4096
#define BLOCKS 4096

int
main(int argc, char **argv)
{
	static char block[BLOCK];
	size_t count = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	uint32_t *took_us;
	int fd;

	if (count == 0 || (took_us = calloc(count, sizeof *took_us)) == NULL)
		client_diex("usage: fdatasync FILE COUNT");
	fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd == -1)
		client_die(argv[1]);
	for (size_t i = 0; i < BLOCKS; i++)
		if (write(fd, block, sizeof block) != sizeof block)
			client_die(argv[1]);
	if (fsync(fd) == -1)
		client_die(argv[1]);
	memset(block, 'x', sizeof block);
	for (size_t i = 0; i < count; i++) {
		uint64_t start_ns = client_now_ns();

		if (pwrite(fd, block, sizeof block, (off_t)(i % BLOCKS) * BLOCK) != sizeof block || fdatasync(fd) == -1)
			client_die(argv[1]);
		took_us[i] = (uint32_t)((client_now_ns() - start_ns) / 1000);
	}
	close(fd);
	client_sort(took_us, count);
	printf("{\"median_us\": %u, \"p99_us\": %u}\n", client_quantile(took_us, count, 0.5),
	    client_quantile(took_us, count, 0.99));
	free(took_us);
	return 0;
}
