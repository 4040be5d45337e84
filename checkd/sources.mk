SOURCES_checkd = main.c checkd.c definition.c validate.c local.c compare.c sha256.c persist.c check.c check_net.c check_alias.c check_helper.c \
	check_text.c tail.c helper.c register.c sync.c serve.c run.c
LIBS_checkd =
HELPERS_checkd = check-exec
LIBS_check-exec =
