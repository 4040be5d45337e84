/*
 * priority.h - work in the background: helpers whose result nobody waits for in this second
 */
#ifndef COMMON_PRIORITY_H
#define COMMON_PRIORITY_H

/*
 * From now on the processor and the disk serve everybody else before this process. Where that is not granted, or not understood by the
 * disk's scheduler, it goes on as it was. Sandboxes must allow "setpriority" and "ioprio_set".
 */
void priority_lowest(void);

#endif
