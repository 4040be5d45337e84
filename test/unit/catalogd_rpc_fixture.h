/*
 * catalogd_rpc_fixture.h - captured messages as the tests of node-to-node RPC read them: lines of words, bytes in hex
 */
#ifndef CATALOGD_RPC_FIXTURE_H
#define CATALOGD_RPC_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "buf.h"
#include "mem.h"

#define WORDS_MAX 8

/* Calls line for each line of test/data/NAME that is no comment, with its words. */
static inline size_t
each_line(const char *name, void (*line)(char *words[WORDS_MAX], size_t count))
{
	char *path = xasprintf("%s/%s", TEST_DATA, name), *text = NULL;
	size_t size = 0, lines = 0;
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	while (getline(&text, &size, f) != -1) {
		char *words[WORDS_MAX] = {NULL}, *save = NULL;
		size_t count = 0;

		if (text[0] == '#')
			continue;
		for (char *w = strtok_r(text, " \n", &save); w != NULL && count < WORDS_MAX;
		     w = strtok_r(NULL, " \n", &save))
			words[count++] = w;
		line(words, count);
		lines++;
	}
	fclose(f);
	free(text);
	free(path);
	return lines;
}

/* Appends the bytes of a word in hex; "-" is nothing. */
static inline void
put_hex(struct buf *out, const char *hex)
{
	if (strcmp(hex, "-") == 0)
		return;
	for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2) {
		char digits[3] = {hex[0], hex[1], '\0'};

		buf_put_u8(out, (uint8_t)strtoul(digits, NULL, 16));
	}
}

#endif
