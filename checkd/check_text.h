/*
 * check_text.h - error texts as the reference's tools expect them in outputs of checks
 */
#ifndef CHECKD_CHECK_TEXT_H
#define CHECKD_CHECK_TEXT_H

#include "cdefs.h"

/* "connection refused": strerror with a small first letter. Returns out. */
char *check_text_errno(int error, char *out, size_t size);

#endif
