SOURCES_gossipd = main.c member.c join.c serve.c packets.c wire.c lzw.c keyring.c envelope.c timers.c broadcast.c swim.c swim_probe.c swim_spread.c serf.c serf_event.c coordinate.c
LIBS_gossipd = -lcrypto -lm
