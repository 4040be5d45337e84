SOURCES_catalogd = main.c
LIBS_catalogd =
