SOURCES_checkd = main.c checkd.c definition.c validate.c local.c compare.c persist.c check.c check_net.c check_alias.c check_helper.c \
	check_text.c tail.c helper.c register.c sync.c sync_compare.c serve.c run.c probe.c probe_http.c probe_grpc.c probe_h2.c probe_udp.c probe_docker.c
LIBS_checkd =
# The probes are in the room's library for check-http alone: nothing of checkd refers to them, so it is not linked with libcurl.
HELPERS_checkd = check-exec check-http
LIBS_check-exec =
LIBS_check-http = -lcurl
