SOURCES_common = mem.c crc32c.c sha256.c buf.c log.c duration.c uuid.c net.c place.c priority.c utf8.c mp.c json.c json_parse.c json_input.c schema.c schema_json.c schema_input.c structs.c structs_agent.c structs_gossip.c filter.c filter_parse.c filter_regex.c frame.c ipc.c ipc_conn.c ipc_table.c page.c conf.c daemon.c sandbox.c metrics.c
LIBS_common = -lev -lyajl -lpcre2-8 -lconfig -lseccomp -lm
