SOURCES_checkd = main.c
LIBS_checkd =
