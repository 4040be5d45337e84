/*
 * serve.h - the Agent.* methods of checkd.sock (structs_agent.h)
 */
#ifndef CHECKD_SERVE_H
#define CHECKD_SERVE_H

#include "ipc.h"
#include "register.h"

struct serve;

/* hold_ns: how long a registration waits for its first push. */
MUST_USE struct serve *serve_new(struct ev_loop *loop, struct registrar *registrar, int64_t hold_ns);
void serve_free(struct serve *v);
/* A service is there with another definition, or gone: who waits for its hash is answered. */
void serve_service_changed(struct serve *v, const char *id);

enum serve_method {
	SERVE_SERVICES,
	SERVE_SERVICE,
	SERVE_CHECKS,
	SERVE_HEALTH,
	SERVE_REGISTER_SERVICE,
	SERVE_DEREGISTER_SERVICE,
	SERVE_REGISTER_CHECK,
	SERVE_DEREGISTER_CHECK,
	SERVE_UPDATE_CHECK,
	SERVE_SERVICE_MAINTENANCE,
	SERVE_NODE_MAINTENANCE,
	SERVE_STATS,
	SERVE_METHODS
};
/* One request; it is answered, now or later. */
void serve_request(struct serve *v, enum serve_method method, struct ipc_stream *s, struct bytes args);

#endif
