/*
 * client.h - what the load generators of `make bench` share: connections over loopback, time, the head of an HTTP answer
 *
 * A generator is a small program of one loop, so that it takes as little as possible of the cores it shares with what is measured. What it
 * can not do ends it with a text on standard error and status 1.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the program: what failed, and errno's text. */
void client_die(const char *what) __attribute__((noreturn));
/* The same for what errno does not explain. */
void client_diex(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* CLOCK_MONOTONIC, as the python side has it in time.monotonic_ns(). */
uint64_t client_now_ns(void);

struct sockaddr_in client_address(const char *host, const char *port);

/* As many descriptors as the process may have; ends the program if that is less than wanted. */
void client_files(unsigned wanted);

/*
 * A TCP connection with Nagle's algorithm off. It comes from an address of its own for each 150 in a row of the 127.x.y.0 network that
 * source names (host order): the suite's limit for one client counts addresses, and an address has some 28,000 ports.
 */
int client_connect(const struct sockaddr_in *to, uint32_t source, unsigned i);

/*
 * The head of an HTTP/1.1 answer in text[0..size): 0 if it is not there yet, else its length with status, length of the body (0 if the
 * head names none) and X-Consul-Index (0) put out. A head that can not be read ends the program.
 */
struct client_head {
	unsigned status;
	size_t body;
	uint64_t index;
};
size_t client_head(const char *text, size_t size, struct client_head *out);

/* Sorts samples; the value that p (0 to 1) of them do not exceed. count is not 0. */
void client_sort(uint32_t *samples, size_t count);
uint32_t client_quantile(const uint32_t *sorted, size_t count, double p);

#endif
