/*
 * catalogd_register_fuzz.c - any bytes as the arguments of Catalog.Register: what is proposed is canonical, so judging it again changes
 * nothing, and it can be applied
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canon.h"
#include "query.h"
#include "store.h"
#include "structs.h"

#define BODY_MAX (1u << 22)

static void
check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "catalogd_register_fuzz: %s\n", what);
	abort();
}

static struct store *
scratch_store(void)
{
	static char dir[] = "/tmp/catalogd_fuzz.XXXXXX";
	struct store_options options = {.directory = mkdtemp(dir), .map_bytes = 1u << 28};
	char error[STORE_ERROR_MAX];
	struct store *s;

	check(store_open(&options, &s, error) == STORE_OPENED, error);
	check(store_erase(dir) == 0, "erase"); /* it lives on without names */
	return s;
}

static int
propose(struct store *s, struct bytes args, struct buf *body)
{
	struct write w = {.args = args,
	    .txn = store_read(s),
	    .region = region_new(),
	    .datacenter = "dc1",
	    .node_name = "n",
	    .body = body};
	int result = nodes_register_write(&w);

	check(result == 0 || w.error[0] != '\0', "refused without a reason");
	region_free(w.region);
	store_read_end(s);
	return result;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct store *store;
	static struct apply apply;
	static struct buf reply = {.max = BODY_MAX};
	struct buf first = BUF_INIT(BODY_MAX), second = BUF_INIT(BODY_MAX);

	if (store == NULL) {
		store = scratch_store();
		apply_init(&apply);
		apply.reply = &reply;
	}
	if (propose(store, bytes_of(data, size), &first) == 0 && !first.overflow) {
		struct apply_entry entry = {
		    .type = APPLY_TYPE_REGISTER, .version = APPLY_VERSION, .body = buf_bytes(&first)};
		char error[STORE_ERROR_MAX];
		enum apply_status status;

		check(propose(store, buf_bytes(&first), &second) == 0, "our own body is refused");
		check(bytes_equal(buf_bytes(&first), buf_bytes(&second)), "our own body is not canonical");
		apply.txn = store_write(store, error);
		apply.index = 1;
		status = apply_entry(&apply, &entry);
		check(status == APPLY_DONE || status == APPLY_REFUSED, "not applied");
		store_abort(apply.txn); /* each input meets the empty catalog */
	}
	buf_free(&first);
	buf_free(&second);
	return 0;
}
