/*
 * catalogd_heard_test.c - how old a stale answer is: what raftd shares of it, and what catalogd knows from its own terms of office
 *
 * raftd's side is a service on a socketpair in the same loop that gives the descriptor of a struct contact.
 */
#include "heard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "contact.h"

static struct ev_loop *loop;
static struct ipc *raftd, *catalogd;
static struct ipc_peer *peer;
static struct contact *contact;
static struct heard *heard;

static void
handle_contact(struct ipc_stream *s, struct bytes args, void *ctx)
{
	(void)args, (void)ctx;
	ipc_reply_fd(s, bytes_of(NULL, 0), contact_fd(contact));
}

static const struct ipc_method methods[] = {{"Raft.Contact", handle_contact}};
static const struct ipc_service service = {methods, COUNTOF(methods), NULL};

static int
setup(void **state)
{
	int fds[2];

	(void)state;
	loop = ev_loop_new(EVFLAG_AUTO);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	raftd = ipc_new(loop, "raftd");
	catalogd = ipc_new(loop, "catalogd");
	assert_non_null(ipc_peer_from_fd(raftd, fds[0], false, &service));
	peer = ipc_peer_from_fd(catalogd, fds[1], true, NULL);
	contact = contact_new();
	assert_non_null(contact);
	heard = heard_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	heard_free(heard);
	contact_free(contact);
	ipc_free(catalogd);
	ipc_free(raftd);
	ev_loop_destroy(loop);
	return 0;
}

static void
raftd_up(void)
{
	heard_raftd_up(heard, peer);
	for (int i = 0; i < 8; i++)
		ev_run(loop, EVRUN_NOWAIT);
}

static void
test_a_follower_reads_what_raftd_writes(void **state)
{
	(void)state;
	assert_false(heard_ever(heard));
	raftd_up();
	assert_false(heard_ever(heard));
	contact_set(contact, 1000);
	assert_true(heard_ever(heard));
	assert_int_equal(heard_silence_ns(heard, 1500), 500);
	contact_set(contact, 2000);
	assert_int_equal(heard_silence_ns(heard, 2000), 0);
	/* heard between the reading of the clock and of the mark */
	assert_int_equal(heard_silence_ns(heard, 1990), 0);
}

static void
test_a_raftd_that_starts_again_forgets_nothing(void **state)
{
	(void)state;
	contact_set(contact, 1000);
	raftd_up();
	contact_free(contact);
	contact = contact_new();
	assert_int_equal(heard_silence_ns(heard, 1500), 500); /* the memory outlives it */
	raftd_up();
	assert_true(heard_ever(heard));
	assert_int_equal(heard_silence_ns(heard, 1600), 600);
	contact_set(contact, 1700);
	assert_int_equal(heard_silence_ns(heard, 1800), 100);
}

/* Who led was in contact with a quorum as long as it had its lease. */
static void
test_a_leader_and_after(void **state)
{
	(void)state;
	raftd_up();
	heard_status(heard, true, 0, 100);
	assert_true(heard_ever(heard));
	assert_int_equal(heard_silence_ns(heard, 5000), 0);
	heard_status(heard, true, 6000, 5000);
	heard_status(heard, false, 0, 7000);
	assert_int_equal(heard_silence_ns(heard, 7500), 1500);
	/* stepped back with a lease that had not run out */
	heard_status(heard, true, 9000, 8000);
	heard_status(heard, false, 0, 8500);
	assert_int_equal(heard_silence_ns(heard, 8600), 100);
	/* the only voter's has no end */
	heard_status(heard, true, UINT64_MAX, 9000);
	heard_status(heard, false, 0, 9500);
	assert_int_equal(heard_silence_ns(heard, 9600), 100);
	/* a follower's further statuses change nothing */
	heard_status(heard, false, 0, 20000);
	assert_int_equal(heard_silence_ns(heard, 20000), 10500);
}

/* The memory can only be read, and not be cut off under the writer. */
static void
test_the_reader_can_do_no_harm(void **state)
{
	int fd = contact_fd(contact);

	(void)state;
	assert_true(fd != -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_ptr_equal(mmap(NULL, 16, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	close(fd);
	fd = memfd_create("other", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fd, 16), 0);
	assert_null(contact_map(fd));
	assert_int_equal(ftruncate(fd, 8), 0);
	assert_null(contact_map(fd));
	close(fd);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_a_follower_reads_what_raftd_writes),
	    T(test_a_raftd_that_starts_again_forgets_nothing),
	    T(test_a_leader_and_after),
	    T(test_the_reader_can_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
