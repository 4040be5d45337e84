/*
 * priority.c - work in the background (contract: priority.h; callers: catalogd's and raftd's snapshot helpers)
 *
 * Nice 19 and not SCHED_IDLE: on a machine that is busy for long the work must end all the same.
 */
#include "priority.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The C library has no wrapper, and no header of the system says it in full. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE (3 << 13)

void
priority_lowest(void)
{
	(void)setpriority(PRIO_PROCESS, 0, 19);
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}
