/*
 * config_template.c - the small template language of address keys (config.md 5.1), and the host's own addresses
 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_private.h"

static bool
in_net4(uint32_t ip, uint32_t net, unsigned bits)
{
	return (ip >> (32 - bits)) == (net >> (32 - bits));
}

static bool
private_ipv4(const struct in_addr *a)
{
	const uint32_t ip = ntohl(a->s_addr);

	return in_net4(ip, 0x0a000000, 8) || in_net4(ip, 0x64400000, 10) || in_net4(ip, 0xac100000, 12) ||
	       in_net4(ip, 0xc0a80000, 16);
}

static bool
public_ipv6(const struct in6_addr *a)
{
	const uint8_t first = a->s6_addr[0];

	/* not loopback or unspecified, link-local, unique local, multicast, documentation */
	return !IN6_IS_ADDR_LOOPBACK(a) && !IN6_IS_ADDR_UNSPECIFIED(a) && !IN6_IS_ADDR_LINKLOCAL(a) &&
	       (first & 0xfe) != 0xfc && first != 0xff &&
	       !(first == 0x20 && a->s6_addr[1] == 0x01 && a->s6_addr[2] == 0x0d && a->s6_addr[3] == 0xb8);
}

/* Counts the addresses of running interfaces that fit, the first goes to out. -1: out says why. */
static int
find_addresses(int family, char *out, size_t size)
{
	struct ifaddrs *all;
	int count = 0;

	if (getifaddrs(&all) == -1) {
		snprintf(out, size, "%m");
		return -1;
	}
	for (struct ifaddrs *i = all; i != NULL; i = i->ifa_next) {
		const void *raw;

		if (i->ifa_addr == NULL || i->ifa_addr->sa_family != family || (i->ifa_flags & IFF_UP) == 0)
			continue;
		if (family == AF_INET) {
			raw = &((const struct sockaddr_in *)(const void *)i->ifa_addr)->sin_addr;
			if (!private_ipv4(raw))
				continue;
		} else {
			raw = &((const struct sockaddr_in6 *)(const void *)i->ifa_addr)->sin6_addr;
			if (!public_ipv6(raw))
				continue;
		}
		if (count++ == 0 && inet_ntop(family, raw, out, (socklen_t)size) == NULL)
			out[0] = '\0';
	}
	freeifaddrs(all);
	return count;
}

int
template_private_ipv4(char *out, size_t size)
{
	return find_addresses(AF_INET, out, size);
}

int
template_public_ipv6(char *out, size_t size)
{
	return find_addresses(AF_INET6, out, size);
}

int
template_expand(const char *text, struct buf *out)
{
	if (strstr(text, "{{") == NULL) {
		buf_put_str(out, text);
		return 0;
	}
	buf_put_str(out, "templates are not supported");
	return -1;
}
