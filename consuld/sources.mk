SOURCES_consuld = main.c
LIBS_consuld =
