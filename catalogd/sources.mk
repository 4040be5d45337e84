SOURCES_catalogd = main.c store.c store_file.c fold.c
LIBS_catalogd = -llmdb
# nodes, services, checks
SOURCES_catalogd += canon.c catalog_query.c health_query.c internal_query.c meta.c nodes.c nodes_apply.c nodes_store.c register.c select.c \
	service_rules.c
