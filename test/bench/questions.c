/* questions.c - DNS questions from a file (contract: questions.h) */
#include "questions.h"

#include <stdio.h>
#include <string.h>

#include "client.h"

#define QUESTIONS_MAX 100000u

void
questions_put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

unsigned
questions_get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static void
question(struct question *q, char *name, unsigned type)
{
	static const uint8_t head[12] = {0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1},
			     edns[11] = {0, 0, 41, QUESTION_UDP_BYTES >> 8, QUESTION_UDP_BYTES & 255};
	uint8_t *p = q->packet + 2;
	char *rest;

	if (strlen(name) > 250)
		client_diex("too long a name: %s", name);
	memcpy(p, head, sizeof head);
	p += sizeof head;
	for (char *label = strtok_r(name, ".", &rest); label != NULL; label = strtok_r(NULL, ".", &rest)) {
		size_t size = strlen(label);

		if (size > 63)
			client_diex("too long a label: %s", label);
		*p++ = (uint8_t)size;
		memcpy(p, label, size);
		p += size;
	}
	*p++ = 0;
	questions_put16(p, type);
	questions_put16(p + 2, 1);
	memcpy(p + 4, edns, sizeof edns);
	q->size = (uint16_t)(p + 4 + sizeof edns - q->packet - 2);
	questions_put16(q->packet, q->size);
}

const struct question *
questions_read(const char *path, size_t *count)
{
	static struct question questions[QUESTIONS_MAX];
	FILE *f = fopen(path, "r");
	char name[300], type[8];

	if (f == NULL)
		client_die(path);
	for (*count = 0; *count < QUESTIONS_MAX && fscanf(f, "%299s %7s", name, type) == 2; ++*count)
		question(&questions[*count], name, strcmp(type, "SRV") == 0 ? 33 : 1);
	fclose(f);
	if (*count == 0)
		client_diex("%s: no questions", path);
	return questions;
}
