SOURCES_gossipd = main.c admit.c aead.c background.c broadcast.c coordinate.c envelope.c events.c join.c keyfile.c keyring.c keys.c lzw.c member.c pool.c pool_ops.c resolve.c \
	serf.c serf_event.c serf_intent.c serf_leave.c serf_state.c serf_tags.c serve.c snapshot.c stream.c stream_reader.c swim.c swim_address.c swim_card.c swim_probe.c swim_spread.c swim_state.c swim_suspicion.c timers.c transport.c wire.c
LIBS_gossipd = -lm -ldl
