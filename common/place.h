/*
 * place.h - files beside our own program
 *
 * Programs of the suite find each other relative to where they lie themselves, so that the build tree, a DESTDIR and an installation
 * run as they stand.
 */
#ifndef COMMON_PLACE_H
#define COMMON_PLACE_H

#include <stddef.h>

#include "cdefs.h"

/*
 * Writes DIRECTORY/relative into out, DIRECTORY being where the file of the running program lies ("check-http", "../sbin/consuld"). -1 with errno
 * (ENAMETOOLONG: it does not fit).
 */
MUST_USE int place_beside(const char *relative, char *out, size_t size);

#endif
