SOURCES_raftd = main.c
LIBS_raftd =
