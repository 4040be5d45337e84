/*
 * main.c - raftd(8): one replicated log
 */
#include "serve.h"

int
main(int argc, char **argv)
{
	struct serve *serve = serve_new();
	int status = daemon_main(argc, argv, &raftd_ops, serve);

	serve_free(serve);
	return status;
}
