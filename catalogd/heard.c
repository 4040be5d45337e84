/*
 * heard.c - when this server's state was last known to be the leader's (contract: heard.h; caller: raftlog.c)
 */
#include "heard.h"

#include <stdlib.h>
#include <unistd.h>

#include "contact.h"
#include "log.h"
#include "mem.h"

#define MODULE "agent.server.raft"
#define TIMEOUT_MS 10000

struct heard {
	struct contact *contact; /* NULL: not given yet */
	struct ipc_call *call;
	bool leads;
	uint64_t lease_until_ns; /* the last one of this term of office */
	uint64_t floor_ns; /* known to have been in contact then, whatever the contact says; 0: nothing is known */
};

static void
on_contact(void *ctx, const struct ipc_answer *answer)
{
	struct heard *h = ctx;
	struct contact *c;

	h->call = NULL;
	if (answer->status != IPC_OK || answer->fd == -1) {
		log_warnx(MODULE,
		    "raftd does not say when it heard of the leader, stale answers look older than they are: error=%s",
		    answer->status == IPC_OK ? "no-descriptor" : log_quote_bytes(answer->error));
		return;
	}
	c = contact_map(answer->fd);
	if (c == NULL)
		log_warn(MODULE, "raftd's mark of when it heard of the leader can not be used");
	close(answer->fd);
	if (c == NULL)
		return;
	if (h->contact != NULL)
		h->floor_ns = MAX(h->floor_ns, contact_get(h->contact));
	contact_free(h->contact);
	h->contact = c;
}

void
heard_raftd_up(struct heard *h, struct ipc_peer *raftd)
{
	if (h->call != NULL)
		ipc_cancel(h->call);
	h->call = ipc_call(raftd, "Raft.Contact", bytes_of(NULL, 0),
	    &(struct ipc_call_options){.timeout_ms = TIMEOUT_MS}, on_contact, h);
}

void
heard_status(struct heard *h, bool leads, uint64_t lease_until_ns, uint64_t now_ns)
{
	/* A leader that has lost its office was in contact with a quorum while it had its lease. */
	if (h->leads && !leads)
		h->floor_ns = MAX(h->floor_ns, MIN(now_ns, h->lease_until_ns == 0 ? now_ns : h->lease_until_ns));
	if (!leads)
		h->lease_until_ns = 0;
	else if (lease_until_ns != 0)
		h->lease_until_ns = lease_until_ns;
	h->leads = leads;
}

bool
heard_ever(const struct heard *h)
{
	return h->leads || h->floor_ns != 0 || (h->contact != NULL && contact_get(h->contact) != 0);
}

int64_t
heard_silence_ns(const struct heard *h, uint64_t now_ns)
{
	uint64_t last_ns = MAX(h->floor_ns, h->contact == NULL ? 0 : contact_get(h->contact));

	return h->leads || last_ns >= now_ns ? 0 : (int64_t)(now_ns - last_ns);
}

struct heard *
heard_new(void)
{
	return xcalloc(1, sizeof(struct heard));
}

void
heard_free(struct heard *h)
{
	if (h == NULL)
		return;
	if (h->call != NULL)
		ipc_cancel(h->call);
	contact_free(h->contact);
	free(h);
}
