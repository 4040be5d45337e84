SOURCES_consulctl = main.c command.c
LIBS_consulctl = -lcurl
