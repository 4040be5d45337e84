/*
 * banner.h - what the agent prints before its log begins (config.md 12.2 of the reference facts)
 */
#ifndef CONSULD_BANNER_H
#define CONSULD_BANNER_H

#include "buf.h"
#include "config.h"

void banner_print(const struct config *c, struct buf *out);

#endif
