SOURCES_gossipd = main.c
LIBS_gossipd =
