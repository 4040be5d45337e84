/*
 * cmd_kv.h - what kv export and kv import share with the other kv commands
 */
#ifndef CONSULCTL_CMD_KV_H
#define CONSULCTL_CMD_KV_H

#include "api.h"
#include "command.h"

/* A request for /v1/kv/KEY. */
void kv_request(struct request *r, struct region *region, const char *method, const char *key);
/* The first positional without a leading '/'; "" if there is none. */
const char *kv_key_argument(const struct invocation *in);

int kv_export_run(struct invocation *in);
int kv_import_run(struct invocation *in);

#endif
