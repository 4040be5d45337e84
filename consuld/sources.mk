SOURCES_consuld = main.c param.c value.c sha512.c config.c config_address.c config_check.c config_command.c config_decode.c config_definition.c config_files.c config_flags.c config_hcl.c config_json.c config_node.c config_recursor.c config_self.c config_template.c config_watch.c resolved.c
SOURCES_consuld += backoff.c banner.c child.c control.c host.c listeners.c logfile.c logline.c logs.c notify.c owner.c rejoin.c reload.c rundir.c spawn.c stop.c suite.c table.c
LIBS_consuld =
