/*
 * main.c - consulctl, the command line of the suite: finds the command and hands over
 */
#include <stdio.h>

#include "command.h"

int
main(int argc, char **argv)
{
	return command_main(argc, argv);
}
