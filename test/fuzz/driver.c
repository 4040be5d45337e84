/*
 * driver.c - runs a fuzz target over files (and directories of files), for compilers without libFuzzer
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned
run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data;
	struct stat st;
	size_t size;

	if (f == NULL || fstat(fileno(f), &st) == -1) {
		perror(path);
		exit(1);
	}
	/* exactly as large as the input: the sanitizer sees a read past its end */
	data = malloc(st.st_size > 0 ? (size_t)st.st_size : 1);
	size = fread(data, 1, (size_t)st.st_size, f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, size);
	/* and every cut of a short input */
	for (size_t cut = 0; size <= 512 && cut < size; cut++) {
		uint8_t *part = malloc(cut > 0 ? cut : 1);

		memcpy(part, data, cut);
		LLVMFuzzerTestOneInput(part, cut);
		free(part);
	}
	free(data);
	return 1;
}

int
main(int argc, char **argv)
{
	unsigned inputs = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;
		struct dirent *e;
		DIR *d;

		if (stat(argv[i], &st) == -1) {
			perror(argv[i]);
			return 1;
		}
		if (!S_ISDIR(st.st_mode)) {
			inputs += run_file(argv[i]);
			continue;
		}
		d = opendir(argv[i]);
		while (d != NULL && (e = readdir(d)) != NULL) {
			char path[4096];

			if (e->d_name[0] == '.')
				continue;
			snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
			inputs += run_file(path);
		}
		if (d != NULL)
			closedir(d);
	}
	printf("%u inputs\n", inputs);
	return inputs == 0;
}
