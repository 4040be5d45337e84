SOURCES_dnsd = main.c name.c wire.c settings.c answer.c batch.c limit.c packet.c cache.c recursor.c resolve.c server.c
LIBS_dnsd =
