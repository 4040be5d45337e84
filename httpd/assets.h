/*
 * assets.h - the web UI's files, /, /robots.txt and the other paths outside /v1
 */
#ifndef HTTPD_ASSETS_H
#define HTTPD_ASSETS_H

#include "conn.h"

/*
 * Reads the UI's files into memory (before rights are dropped and the sandbox closes the file system): those of ui_config.dir, or of the suite's own
 * share/consuld-ui. NULL dir: none.
 */
void assets_load(const char *dir);
/*
 * Answers path (decoded) if it is one of ours; *location set: the caller is to redirect there (absolute path, percent-encoded) instead. false: not one
 * of ours.
 */
MUST_USE bool assets_answer(
    struct exchange *x, const struct http1_head *head, struct bytes path, struct bytes *location);

#endif
