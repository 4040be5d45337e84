SOURCES_gossipd = main.c admit.c aead.c background.c broadcast.c coordinate.c envelope.c events.c join.c keyfile.c keyring.c keys.c lzw.c member.c pool.c pool_ops.c resolve.c \
	serf.c serf_event.c serve.c snapshot.c stream.c stream_reader.c swim.c swim_probe.c swim_spread.c timers.c transport.c wire.c
LIBS_gossipd = -lm -ldl
