SOURCES_gossipd = main.c member.c join.c serve.c packets.c wire.c lzw.c keyring.c envelope.c
LIBS_gossipd = -lcrypto
