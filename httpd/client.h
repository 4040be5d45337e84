/*
 * client.h - how many connections each client address has (pure)
 */
#ifndef HTTPD_CLIENT_H
#define HTTPD_CLIENT_H

#include "cdefs.h"
#include "net.h"

/* One address that has connections; alive as long as its count is not 0. */
struct client {
	struct client *next;
	uint8_t address[16]; /* IPv4 mapped into IPv6 */
	unsigned count;
};

struct clients;

MUST_USE struct clients *clients_new(void);
void clients_free(struct clients *all);
/* Counts one more connection of a (AF_INET or AF_INET6). */
struct client *clients_add(struct clients *all, const union net_addr *a);
/* One less; k may be gone afterwards. */
void clients_remove(struct clients *all, struct client *k);

#endif
