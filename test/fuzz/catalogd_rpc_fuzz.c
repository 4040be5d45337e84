/*
 * catalogd_rpc_fuzz.c - messages between nodes: where one ends does not depend on how it is cut, nothing announced is believed beyond the bound, and
 * what is read can be written again
 */
#include <stdlib.h>

#include "mem.h"
#include "rpc.h"

#define MAX_BYTES 4096

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = bytes_of(data, size), message;
	struct buf again = BUF_INIT(1024 * 1024);
	struct rpc_scan scan;
	struct rpc_request request, twice;
	struct rpc_response response;
	size_t whole = 0, used = 0;
	int got, pieces = 0;

	rpc_scan_init(&scan);
	got = rpc_scan(&scan, in, MAX_BYTES, &whole);
	rpc_scan_init(&scan);
	for (size_t n = 0; n <= size && pieces == 0; n++) /* 0: more is needed */
		pieces = rpc_scan(&scan, bytes_of(data, n), MAX_BYTES, &used);
	if (pieces != got || (got == 1 && (used != whole || whole > MIN(size, (size_t)MAX_BYTES))))
		abort();
	if (got != 1)
		return 0;
	message = bytes_of(data, whole);
	if (rpc_response_read(message, &response) == 0) {
		rpc_response_put(&again, &response);
		rpc_scan_init(&scan);
		if (again.overflow || rpc_scan(&scan, buf_bytes(&again), 2 * MAX_BYTES, &used) != 1 ||
		    used != again.used)
			abort();
	}
	buf_clear(&again);
	if (rpc_request_read(message, &request) == 0) {
		rpc_request_put(&again, &request);
		if (rpc_request_read(buf_bytes(&again), &twice) == -1 || twice.seq != request.seq ||
		    !bytes_equal(twice.method, request.method) || twice.forwarded != request.forwarded)
			abort();
	}
	buf_free(&again);
	return 0;
}
