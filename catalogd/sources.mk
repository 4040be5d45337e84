SOURCES_catalogd = main.c apply.c archive.c archive_form.c catalogd.c dump.c heard.c held.c kv.c notice.c proposals.c publish.c pull_order.c query.c raftlog.c read_place.c rpcport.c scrub.c serve.c \
	session.c session_timer.c stats.c store.c store_file.c store_key.c store_open.c store_pages.c watch.c
LIBS_catalogd = -llmdb -lm
HELPERS_catalogd = catalogd-snapshot
LIBS_catalogd-snapshot = -llmdb -lm
# the cluster's own care
SOURCES_catalogd += autopilot.c autopilot_config.c autopilot_run.c operator.c
# the cluster: members, its beginning and configuration, what the leader does
SOURCES_catalogd += bootstrap.c gossip.c leader.c leave.c member_record.c members.c raft_members.c raft_peers.c reconcile.c
# other nodes
SOURCES_catalogd += forward.c names.c neighbour.c pools.c remote.c router.c rpc.c rpcpool.c rpcserver.c servers.c wire.c yamux.c
# nodes, services, checks, coordinates
SOURCES_catalogd += canon.c catalog_query.c health_query.c internal_query.c meta.c nodes.c nodes_apply.c nodes_store.c register.c select.c \
	service_rules.c coordinate.c coordinate_pending.c coordinate_updates.c near.c
