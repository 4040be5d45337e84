/*
 * replace.h - a small file made anew as a whole
 */
#ifndef COMMON_REPLACE_H
#define COMMON_REPLACE_H

#include <stdbool.h>
#include <sys/types.h>

#include "cdefs.h"

#define REPLACE_NAME_MAX 250

/*
 * Makes dir/name of content, by way of dir/name.tmp: whoever opens it finds all of the old or all of the new content. durable: and so does
 * a start after a loss of power. mode: of a new file. 0, or -1 with errno: the old file is as it was (after a failed sync of the directory it may be
 * the new one already).
 */
MUST_USE int replace_file(int dir, const char *name, struct bytes content, mode_t mode, bool durable);

#endif
