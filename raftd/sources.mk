SOURCES_raftd = main.c serve.c serve_members.c node.c node_open.c node_lead.c node_life.c node_peers.c node_install.c node_members.c node_recover.c raft.c raft_follow.c raft_replicate.c raft_lease.c raft_members.c terms.c message.c tail.c entry_source.c wal.c wal_scan.c wal_format.c wal_io.c syncer.c snapshot.c snapshot_store.c transport.c transport_in.c
LIBS_raftd =
