/*
 * run.h - is this checkd a new start of the suite, or was checkd alone restarted?
 */
#ifndef CHECKD_RUN_H
#define CHECKD_RUN_H

#include <stdbool.h>

#include "buf.h"

/*
 * true: a checkd was here before in this run of the suite: same boot, same supervisor. Leaves a note in the working
 * directory for the next one.
 */
bool run_is_same(int64_t supervisor_pid);
/* A whole file, path below dir (AT_FDCWD: the working directory); links are not followed. -1 with errno (EFBIG: over out's maximum). */
MUST_USE int run_read_file(int dir, const char *path, struct buf *out);

#endif
