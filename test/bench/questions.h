/* questions.h - DNS questions from a file as dnsperf has it: lines of a name and a type, A or SRV */
#ifndef QUESTIONS_H
#define QUESTIONS_H

#include <stddef.h>
#include <stdint.h>

#define QUESTION_UDP_BYTES 1232u /* what its EDNS record says can be received */

struct question {
	uint16_t size;
	uint8_t packet[2 + 12 + 256 + 4 + 11]; /* its size, as TCP has it, then the message; the ID is 7 */
};

/* All questions of the file, up to 100,000; ends the program if there is none. */
const struct question *questions_read(const char *path, size_t *count);

unsigned questions_get16(const uint8_t *at);
void questions_put16(uint8_t *at, unsigned value);

#endif
