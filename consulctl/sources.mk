SOURCES_consulctl = main.c
LIBS_consulctl =
