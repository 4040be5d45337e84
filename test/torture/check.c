/*
 * check.c - reads a recorded history and says whether the cluster kept its promises (history.h)
 *
 *	check [FILE]
 *
 * Violations are said on the standard output, then one line that counts. Exit status: 0 none, 1 some, 2 that is no history.
 */
#include <stdio.h>
#include <stdlib.h>

#include "history.h"

int
main(int argc, char **argv)
{
	struct history *h = history_new();
	struct history_result result;
	char *line = NULL, error[HISTORY_ERROR_MAX];
	size_t size = 0;
	FILE *in = stdin;
	int status = 2;

	if (argc > 2) {
		fprintf(stderr, "usage: check [FILE]\n");
		goto end;
	}
	if (argc == 2 && (in = fopen(argv[1], "re")) == NULL) {
		perror(argv[1]);
		goto end;
	}
	while (getline(&line, &size, in) != -1)
		if (history_add(h, line, error) == -1) {
			fprintf(stderr, "%s\n", error);
			goto end;
		}
	if (ferror(in)) {
		perror("read");
		goto end;
	}
	history_check(h, stdout, &result);
	printf("# history: operations %zu, keys %zu, undecided %zu, violations %zu\n", result.operations, result.keys,
	    result.undecided, result.violations);
	status = result.violations == 0 ? 0 : 1;

end:
	if (in != NULL && in != stdin)
		fclose(in);
	free(line);
	history_free(h);
	return status;
}
