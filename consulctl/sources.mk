SOURCES_consulctl = main.c command.c flags.c table.c json_value.c api.c output.c consuld.c handler.c shape.c lock.c \
	cmd_members.c cmd_catalog.c cmd_kv.c cmd_kv_tree.c cmd_info.c cmd_services.c cmd_monitor.c cmd_watch.c cmd_lock.c \
	cmd_operator.c cmd_snapshot.c cmd_event.c cmd_later.c
LIBS_consulctl = -lcurl
