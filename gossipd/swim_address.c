/*
 * swim_address.c - names and addresses of members, from the wire and as text (contract: swim.h)
 */
#include "swim.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool
swim_is_name(struct bytes name)
{
	return name.size > 0 && name.size < SWIM_NAME_MAX && memchr(name.data, 0, name.size) == NULL;
}

void
swim_address_of(struct bytes ip, uint64_t port, uint16_t default_port, struct swim_address *out)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	*out = (struct swim_address){.port = port == 0 ? default_port : (uint16_t)port};
	if (ip.size == 16 && memcmp(ip.data, mapped, sizeof mapped) == 0)
		ip = (struct bytes){ip.data + 12, 4};
	if (ip.size != 4 && ip.size != 16)
		return;
	out->ip_size = (uint8_t)ip.size;
	memcpy(out->ip, ip.data, ip.size);
}

bool
swim_address_equal(const struct swim_address *a, const struct swim_address *b)
{
	return a->port == b->port && a->ip_size == b->ip_size && memcmp(a->ip, b->ip, a->ip_size) == 0;
}

char *
swim_ip_text(const struct swim_address *a, char out[SWIM_ADDRESS_TEXT_MAX])
{
	out[0] = '\0';
	if (a->ip_size != 0)
		(void)inet_ntop(a->ip_size == 4 ? AF_INET : AF_INET6, a->ip, out, SWIM_ADDRESS_TEXT_MAX);
	return out;
}

char *
swim_address_text(const struct swim_address *a, char out[SWIM_ADDRESS_TEXT_MAX])
{
	char ip[SWIM_ADDRESS_TEXT_MAX];

	snprintf(
	    out, SWIM_ADDRESS_TEXT_MAX, a->ip_size == 16 ? "[%.46s]:%u" : "%.46s:%u", swim_ip_text(a, ip), a->port);
	return out;
}
