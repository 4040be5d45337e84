SOURCES_dnsd = main.c
LIBS_dnsd =
