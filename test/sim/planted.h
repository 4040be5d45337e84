/*
 * planted.h - a simulation is worth what it finds: known mistakes are planted in the code under it, and it must catch each
 *
 * The code asks PLANTED(mistake); a program that looks for mistakes compiles it with them, has an enum of them whose 0 is none, and a list
 * for planted_run(). Each mistake runs in a process of its own: over the seed that exposed it last, then over seeds from 1 on. What that
 * process says is what was found: its first line is printed. A mistake that no seed exposes is a failed test; so is one that is
 * none, and is found.
 */
#ifndef SIM_PLANTED_H
#define SIM_PLANTED_H

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cdefs.h"

/* found_at: a seed where it was found last (0: an early one), tried first, since that saves time. Any change may move it. */
struct planted {
	unsigned mistake;
	const char *text;
	uint64_t found_at;
};

struct planted_run {
	const struct planted *list;
	size_t count;
	uint64_t seeds;
	uint64_t seeds_sound;            /* of mistake 0, which is none */
	void (*plant)(unsigned mistake); /* in the process that is to look for it */
	bool (*run_seed)(uint64_t seed); /* as in seeded.h */
};

static inline NORETURN void
planted_look(const struct planted_run *r, const struct planted *p, int out)
{
	bool sound = p->found_at == 0;

	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO); /* a panic is a catch too */
	close(out);
	r->plant(p->mistake);
	if (!sound)
		sound = r->run_seed(p->found_at);
	for (uint64_t seed = 1; sound && seed <= (p->mistake == 0 ? r->seeds_sound : r->seeds); seed++)
		sound = r->run_seed(seed);
	fflush(stdout);
	_exit(0);
}

/* false: nothing in all seeds. */
static inline bool
planted_find(const struct planted_run *r, const struct planted *p, char *text, size_t size)
{
	size_t used = 0;
	int ends[2], status;
	ssize_t n;
	pid_t pid;

	fflush(stdout);
	if (pipe(ends) == -1 || (pid = fork()) == -1) {
		perror("planted");
		exit(1);
	}
	if (pid == 0) {
		close(ends[0]);
		planted_look(r, p, ends[1]);
	}
	close(ends[1]);
	while (used < size - 1 && (n = read(ends[0], text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(ends[0]);
	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR) {
			perror("waitpid");
			exit(1);
		}
	if (used == 0 && WIFSIGNALED(status))
		snprintf(text, size, "signal %d", WTERMSIG(status));
	text[strcspn(text, "\n")] = '\0';
	return text[0] != '\0';
}

/* All of them, or the one whose number (from 1) argv names. Returns the exit status. */
static inline int
planted_run(const struct planted_run *r, int argc, char **argv)
{
	unsigned long only = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	static const char failure[] = "not ok 1 - ";
	unsigned wrong = 0;

	for (size_t i = 0; i < r->count; i++) {
		const struct planted *p = &r->list[i];
		char text[512];
		bool found;

		if (only != 0 && i + 1 != only)
			continue;
		found = planted_find(r, p, text, sizeof text);
		if (found != (p->mistake != 0)) {
			wrong++;
			printf("not ok %zu - %s: %s\n", i + 1, p->text, found ? text : "not found");
		} else
			printf("ok %zu - %s: %s\n", i + 1, p->text,
			    strncmp(text, failure, sizeof failure - 1) == 0 ? text + sizeof failure - 1 : text);
		fflush(stdout);
	}
	return wrong == 0 ? 0 : 1;
}

#endif
