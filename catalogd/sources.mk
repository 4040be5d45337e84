SOURCES_catalogd = main.c store.c store_file.c fold.c
LIBS_catalogd = -llmdb
