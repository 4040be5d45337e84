SOURCES_gossipd = main.c member.c join.c serve.c packets.c
LIBS_gossipd =
