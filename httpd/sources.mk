SOURCES_httpd = main.c
LIBS_httpd =
