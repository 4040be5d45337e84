SOURCES_httpd = main.c http1.c params.c route.c client.c listener.c conn.c conn_in.c reply.c copies.c trace.c request.c ask.c later.c assets.c api_kv.c api_session.c api_catalog.c api_health.c api_status.c api_operator.c api_event.c api_coordinate.c api_ui.c api_agent.c api_local.c
LIBS_httpd = -lhttp_parser -lz
