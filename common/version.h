/*
 * version.h - the version of the contract that we keep, reported wherever the reference reports its own
 */
#ifndef COMMON_VERSION_H
#define COMMON_VERSION_H

#define CONSULD_COMPAT_VERSION "1.21.4"

#endif
