/*
 * sandbox.h - what a daemon may still do once it runs
 */
#ifndef COMMON_SANDBOX_H
#define COMMON_SANDBOX_H

#include "cdefs.h"

/*
 * no_new_privs, no core dumps with secrets (PR_SET_DUMPABLE stays as the build type wants it), and a seccomp filter that allows the skeleton's
 * calls and those named in extra (NULL-terminated). Another call fails with EPERM and is logged by the kernel. Builds with sanitizers
 * install no filter. 0 or -1 with errno.
 */
MUST_USE int sandbox_enter(const char *const *extra);

/*
 * For a process that must start programs (check helper): no_new_privs only.
 */
MUST_USE int sandbox_no_new_privs(void);

#endif
