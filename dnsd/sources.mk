SOURCES_dnsd = main.c name.c wire.c settings.c answer.c limit.c
LIBS_dnsd =
