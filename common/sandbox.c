/*
 * sandbox.c - what a daemon may still do once it runs (contract: sandbox.h)
 *
 * The list is what libev, the C library, our sockets and reading files need. Refused calls answer EPERM: a call that a
 * library makes on a rare path then fails as a clear error of that path, and does not end a daemon that people depend on.
 */
#include "sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

int
sandbox_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

#ifdef CONSULD_SANITIZED

int
sandbox_enter(const char *const *extra)
{
	(void)extra;
	return sandbox_no_new_privs();
}

#else

static const char *const base[] = {
    /* memory, time, signals, threads of libraries */
    "brk",
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "futex",
    "set_robust_list",
    "rseq",
    "clock_gettime",
    "clock_nanosleep",
    "clock_getres",
    "nanosleep",
    "gettimeofday",
    "time",
    "getrandom",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "restart_syscall",
    "exit",
    "exit_group",
    "tgkill",
    "kill",
    "getpid",
    "gettid",
    "getppid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "sched_yield",
    "sched_getaffinity",
    "sysinfo",
    "uname",
    "prlimit64",
    "getrlimit",
    "getrusage",
    "prctl",
    /* descriptors, sockets, the loop */
    "read",
    "write",
    "readv",
    "writev",
    "close",
    "fcntl",
    "dup",
    "dup2",
    "dup3",
    "ioctl",
    "pipe2",
    "eventfd2",
    "poll",
    "ppoll",
    "select",
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "timerfd_create",
    "timerfd_settime",
    "signalfd4",
    "socket",
    "socketpair",
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "shutdown",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "sendmmsg",
    "recvmmsg",
    /* files: what each daemon may reach is a matter of its user and its directories */
    "open",
    "openat",
    "stat",
    "lstat",
    "fstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "lseek",
    "pread64",
    "getdents64",
    "readlink",
    "readlinkat",
    "getcwd",
    "unlink",
    "unlinkat",
    "umask",
    "chmod",
    "fchmod",
    "fchmodat",
    "chdir",
};

int
sandbox_enter(const char *const *extra)
{
	scmp_filter_ctx filter;
	int error = -ENOMEM;

	if (sandbox_no_new_privs() == -1)
		return -1;
	filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (filter == NULL)
		goto out;
	for (size_t i = 0; i < COUNTOF(base) + (size_t)(extra != NULL); i++) {
		/* the last round walks the daemon's own list */
		const char *const *names = i < COUNTOF(base) ? &base[i] : extra;

		for (; *names != NULL; names++) {
			int number = seccomp_syscall_resolve_name(*names);

			/* a name that this architecture does not have needs no permission */
			if (number >= 0 && (error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0)) < 0 &&
			    error != -EEXIST)
				goto out;
			if (i < COUNTOF(base))
				break;
		}
	}
	error = seccomp_load(filter);

out:
	seccomp_release(filter);
	if (error < 0) {
		errno = -error;
		return -1;
	}
	return 0;
}

#endif
