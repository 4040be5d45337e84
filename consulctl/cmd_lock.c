/*
 * cmd_lock.c - lock (cli.md 8.9)
 *
 * Three processes: the child that the operator wants, a keeper that renews the session and watches the key, and this one, which waits for
 * either of them to end and for signals. The keeper dies with us; then the session expires and the lock is free.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api.h"
#include "duration.h"
#include "handler.h"
#include "lock.h"
#include "output.h"

#define GRACE_S 5

struct run {
	struct invocation *in;
	struct lock lock;
	bool verbose;
	bool interrupted;
	pid_t child;
	pid_t keeper;
	sigset_t signals;
};

static void PRINTF_LIKE(2, 3) tell(const struct run *r, const char *fmt, ...)
{
	va_list args;

	if (!r->verbose)
		return;
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

/* Signals are blocked all the time and taken one by one; while a request is on its way they are only looked at. */
static bool
signal_waits(void)
{
	sigset_t pending;

	return sigpending(&pending) == 0 && (sigismember(&pending, SIGINT) == 1 || sigismember(&pending, SIGTERM) == 1);
}

/* ---- the keeper ---- */

/* Ends with 0 when the lock is lost. */
static void NORETURN
keep(struct run *r, pid_t parent)
{
	int64_t retries = flags_int(r->in->flags, "monitor-retry", 3), failures = 0;
	int held;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	r->lock.interrupted = NULL;
	r->lock.api = api_connect(r->in); /* the parent's connection is the parent's */
	while (r->lock.api != NULL) {
		held = lock_still_held(&r->lock);
		if (held == 0 || (held == -1 && failures++ >= retries))
			break;
		if (held == 1)
			failures = 0;
		else
			sleep(1);
	}
	_exit(0);
}

/* ---- the child ---- */

/* The next signal, 0 after the time (negative: none). */
static int
next_signal(const struct run *r, int64_t left_ns)
{
	struct timespec t = {left_ns / NS_PER_S, left_ns % NS_PER_S};
	int number;

	do
		number = left_ns < 0 ? sigwaitinfo(&r->signals, NULL) : sigtimedwait(&r->signals, NULL, &t);
	while (number == -1 && errno == EINTR);
	return number == -1 ? 0 : number;
}

/* Takes the keeper if it has ended. */
static bool
keeper_ended(struct run *r)
{
	if (r->keeper <= 0 || waitpid(r->keeper, NULL, WNOHANG) != r->keeper)
		return false;
	r->keeper = -1;
	return true;
}

/* SIGTERM, and SIGKILL if that did not help. The child's status. */
static int
end_child(struct run *r)
{
	int64_t start_ns = monotime_now().ns, left_ns;
	int status = 0;

	tell(r, "Terminating child pid %d", (int)r->child);
	kill(r->child, SIGTERM);
	for (;;) {
		if (waitpid(r->child, &status, WNOHANG) == r->child) {
			tell(r, "Child terminated");
			return status;
		}
		left_ns = start_ns + GRACE_S * NS_PER_S - monotime_now().ns;
		if (left_ns <= 0)
			break;
		next_signal(r, left_ns);
	}
	tell(r, "Child did not exit after grace period of %ds\nKilling child pid %d", GRACE_S, (int)r->child);
	kill(r->child, SIGKILL);
	while (waitpid(r->child, &status, 0) == -1 && errno == EINTR)
		;
	return status;
}

/* Until the child ends, by itself or by us. Its status. */
static int
wait_for_child(struct run *r)
{
	int status = 0, number;

	for (;;) {
		if (waitpid(r->child, &status, WNOHANG) == r->child) {
			tell(r, "Child terminated, releasing lock");
			return status;
		}
		if (keeper_ended(r)) {
			tell(r, "Lock lost, killing child");
			return end_child(r);
		}
		number = next_signal(r, -1);
		if (number == SIGINT || number == SIGTERM) {
			r->interrupted = true;
			tell(r, "Shutdown triggered, killing child");
			kill(r->child, number);
			return end_child(r);
		}
		if (number != SIGCHLD && number != 0)
			kill(r->child, number);
	}
}

/* With the lock held. The exit status. */
static int
run_child(struct run *r)
{
	char variable[] = "CONSUL_LOCK_HELD=true", why[512];
	struct handler h = {r->in->argv + 1, r->in->argc - 1, flags_bool_or(r->in->flags, "shell", true), variable, -1};
	pid_t self = getpid();
	int status;

	if (flags_bool(r->in->flags, "pass-stdin")) {
		tell(r, "Stdin passed to handler process");
		h.input = dup(STDIN_FILENO);
	}
	tell(r, "Starting handler");
	fflush(stdout);
	r->child = handler_start(&h, why, sizeof why);
	if (h.input != -1)
		close(h.input);
	if (r->child == -1) {
		command_fail("Error starting handler: %s", why);
		return flags_bool(r->in->flags, "child-exit-code") ? 2 : 0;
	}
	r->keeper = fork();
	if (r->keeper == 0)
		keep(r, self);
	status = wait_for_child(r);
	if (r->keeper > 0) {
		kill(r->keeper, SIGKILL);
		while (waitpid(r->keeper, NULL, 0) == -1 && errno == EINTR)
			;
	}
	handler_outcome(status, why, sizeof why);
	if (*why == '\0')
		return 0;
	command_fail("Error running handler: %s", why);
	return flags_bool(r->in->flags, "child-exit-code") ? 2 : 0;
}

/* ---- the lock ---- */

static int
release_and_clean(struct run *r)
{
	r->lock.interrupted = NULL;
	if (lock_release(&r->lock) == -1)
		return command_fail("Lock release failed: %s", r->lock.error);
	lock_end_session(&r->lock);
	switch (lock_clean(&r->lock)) {
	case -1:
		return command_fail("Lock cleanup failed: %s", r->lock.error);
	case 1:
		tell(r, "Cleanup aborted, lock in use");
		break;
	default:
		tell(r, "Cleanup succeeded");
	}
	return 0;
}

/* -1: told. */
static int
check_arguments(struct invocation *in)
{
	if (flags_int(in->flags, "n", 1) <= 0)
		return -command_fail("Lock holder limit must be positive");
	if (in->argc < 2)
		return -command_fail("Key prefix and child command must be specified");
	if (flags_duration_ns(in->flags, "timeout", 0) < 0 || flags_duration_ns(in->flags, "try", 0) < 0)
		return -command_fail("Timeout must be positive");
	if (flags_int(in->flags, "monitor-retry", 3) < 0)
		return -command_fail("Number for 'monitor-retry' must be >= 0");
	return 0;
}

static void
set_up(struct run *r)
{
	struct invocation *in = r->in;
	struct lock *l = &r->lock;
	struct buf words = BUF_INIT(1 << 20);

	l->prefix = *in->argv[0] == '/' ? in->argv[0] + 1 : in->argv[0];
	l->key = region_printf(in->region, "%s/.lock", l->prefix);
	l->limit = (uint64_t)flags_int(in->flags, "n", 1);
	l->timeout_ns = flags_duration_ns(in->flags, "timeout", flags_duration_ns(in->flags, "try", 0));
	l->interrupted = signal_waits;
	for (int i = 1; i < in->argc; i++)
		buf_printf(&words, "%s%s", i == 1 ? "" : " ", in->argv[i]);
	l->name = flags_text(in->flags, "name", "");
	if (*l->name == '\0')
		l->name = region_printf(in->region, "Consul lock for '%.*s' at '%s'", (int)words.used,
		    words.used == 0 ? "" : (const char *)words.data, l->prefix);
	buf_free(&words);
	if (l->limit > 1)
		tell(r, "Setting up semaphore (limit %ju) at prefix: %s", (uintmax_t)l->limit, l->prefix);
	else
		tell(r, "Setting up lock at path: %s", l->key);
}

static int
acquire_and_run(struct run *r)
{
	int result;

	tell(r, "Attempting lock acquisition");
	result = lock_acquire(&r->lock);
	if (result != 0) {
		r->lock.interrupted = NULL;
		if (result == -1)
			command_fail("Lock acquisition failed: %s", r->lock.error);
		else
			command_fail("Shutdown triggered or timeout during lock acquisition");
		lock_end_session(&r->lock);
		return 1;
	}
	result = run_child(r);
	return release_and_clean(r) != 0 ? 1 : result;
}

static int
lock_run(struct invocation *in)
{
	static const int taken[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};
	struct run r = {.in = in, .verbose = flags_bool(in->flags, "verbose"), .child = -1, .keeper = -1};
	struct response response;
	int result;

	if (check_arguments(in) == -1)
		return 1;
	sigemptyset(&r.signals);
	for (size_t i = 0; i < COUNTOF(taken); i++)
		sigaddset(&r.signals, taken[i]);
	sigprocmask(SIG_BLOCK, &r.signals, NULL);
	r.lock.api = api_connect(in);
	if (r.lock.api == NULL)
		return 1;
	if (api_json_of(r.lock.api, "/v1/agent/self", &response) == -1) {
		result = command_fail("Error querying Consul agent: %s", response.error);
	} else {
		set_up(&r);
		result = acquire_and_run(&r);
	}
	response_free(&response);
	api_free(r.lock.api);
	return result;
}

static const struct flag lock_flags[] = {
    {"child-exit-code", FLAG_BOOL, "Exit with 2 if the child fails. The default is false."},
    {"monitor-retry", FLAG_INT, "How often a failing watch of the lock is repeated, a second apart. The default is 3."},
    {"n", FLAG_INT, "How many may hold the lock; more than 1 makes it a semaphore. The default is 1."},
    {"name", FLAG_STRING, "Name of the session. The default is made of the command and the prefix."},
    {"pass-stdin", FLAG_BOOL, "Give our standard input to the child. The default is false."},
    {"shell", FLAG_BOOL, "Run the child by a shell. The default is true."},
    {"timeout", FLAG_DURATION, "How long to wait for the lock. The default is 0: for ever."},
    {"try", FLAG_DURATION, NULL},
    {"verbose", FLAG_BOOL, "Say what happens. The default is false."},
    {NULL},
};

const struct command lock_commands[] = {
    {"lock", "Execute a command holding a lock", "[options] PREFIX CHILD...",
	"Acquires the lock PREFIX/.lock, runs CHILD and releases the lock. If the lock\nis lost meanwhile, CHILD is "
	"ended. With -n "
	"the lock is a semaphore.",
	COMMAND_CLIENT | COMMAND_SERVER, lock_flags, lock_run},
    {NULL},
};
