/*
 * api_status.c - /v1/status and the endpoints of ACLs, which are switched off (http-api.md 14)
 */
#include "api.h"
#include "ask.h"
#include "reply.h"

static const struct ask_form ANY = {NULL, ask_any, NULL};

static void
ask_status(struct request *r, const char *method)
{
	struct buf *b = ask_args();

	mp_put_map(b, 1);
	mp_put_kv_str(b, "Datacenter", r->dc);
	r->x->form = &ANY;
	ask_again(r->x, "catalogd", method, buf_bytes(b), 0, ask_formed);
}

void
status_leader(struct request *r)
{
	ask_status(r, "Status.Leader");
}

void
status_peers(struct request *r)
{
	ask_status(r, "Status.Peers");
}

void
acl_disabled(struct request *r)
{
	if (config.acl)
		reply_error(r->x, 500, "not supported by this version of consuld: access control lists");
	else
		reply_error(r->x, 401, "ACL support disabled");
}
