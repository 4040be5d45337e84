# A store that is made again from snapshot and log has the same state, byte for byte by its dump, as the one that lived through it all:
# kills of every daemon under load, snapshots, restarts.
bats_require_minimum_version 1.5.0
load suite

setup() {
	suite_init
	[ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null || skip "needs the right to make a mount namespace"
	# snapshots now and then, so that what is made again comes from an archive and from entries
	cat >"$CONFIG/raft.json" <<-'J'
		{ "raft_snapshot_threshold": 500, "raft_snapshot_interval": "200ms", "raft_trailing_logs": 64 }
	J
	another_boot 1
}

teardown() {
	[ -z "${WRITER-}" ] || kill -KILL "$WRITER" 2>/dev/null || true
	stop_suite
}

# What is started from now on sees this boot.
another_boot() {
	printf '%08d-0000-4000-8000-000000000000\n' "$1" >"$DIR/boot_id"
	cat >"$DIR/inner" <<-C
		#!/bin/sh
		mount --bind "$DIR/boot_id" /proc/sys/kernel/random/boot_id || exit 77
		exec "$BUILD/bin/consulctl" "\$@"
	C
	cat >"$DIR/ctl" <<-C
		#!/bin/sh
		exec unshare -m "$DIR/inner" "\$@"
	C
	chmod +x "$DIR/inner" "$DIR/ctl"
	CTL=$DIR/ctl
}

made_again() { grep -qE 'the store is made again from the log.*the machine stopped while it was in use' "$LOG"; }
acked_above() { [ "$(wc -l <"$DIR/acked")" -gt "$1" ]; }
snapshot_there() { find "$DATA/raft" -path '*snapshot*' -type f | grep -q .; }

start_writer() {
	python3 "$BATS_TEST_DIRNAME/writer.py" "$ADDR" "$DIR/acked" >"$DIR/writer.out" 2>&1 3>&- &
	WRITER=$!
	wait_for 5 test -s "$DIR/acked"
}

# Sessions, locks, tombstones, registrations with checks, long keys and values: something in every table.
fill() {
	local session
	api /v1/agent/service/register -X PUT -d '{"Name":"web","Port":80,"Tags":["a","b"],"Check":{"CheckID":"web-ttl","TTL":"1h"}}'
	api /v1/catalog/register -X PUT -d '{"Node":"ext","ID":"11111111-2222-3333-4444-555555555555","Address":"10.0.0.9","Service":{"ID":"db1","Service":"db","Port":5432,"Connect":{"Native":true}},"Check":{"CheckID":"db1-up","Name":"up","Status":"passing","ServiceID":"db1"}}'
	session=$(api /v1/session/create -X PUT -d '{"Node":"ext","NodeChecks":[],"LockDelay":"1m"}' | jq -r .ID)
	[ "$(api "/v1/kv/lock?acquire=$session" -X PUT -d held)" = true ]
	api "/v1/session/destroy/$session" -X PUT
	session=$(api /v1/session/create -X PUT -d '{"Node":"ext","NodeChecks":[],"Behavior":"delete"}' | jq -r .ID)
	[ "$(api "/v1/kv/kept?acquire=$session" -X PUT -d held)" = true ]
	api "/v1/kv/$(printf 'long%.0s' {1..200})" -X PUT -d value
	api /v1/kv/gone -X PUT -d x
	api /v1/kv/gone -X DELETE
}

# The state without the position in the log, which each start moves: the first entry of a leader changes nothing.
dump() {
	"$BUILD/libexec/consuld/catalogd-snapshot" -D "$DATA/catalog" >"$DIR/whole"
	[ "$(sed '$d' "$DIR/whole" | sha256sum | cut -d' ' -f1)" = "$(tail -1 "$DIR/whole" | cut -f2)" ]
	grep -vE $'^(meta\tapplied_|sha256\t)' "$DIR/whole" >"$1"
}

# position NAME: the number behind it in the last dump
position() { sed -n "s/^meta\tapplied_$1\t//p" "$DIR/whole"; }

@test "kills under load, then another boot: the store that is made again has the same dump" {
	start_server
	fill
	start_writer
	for daemon in catalogd raftd catalogd; do
		old=$(pid_of "$daemon")
		kill -KILL "$old"
		wait_for 5 new_pid_of "$daemon" "$old"
		wait_for 10 has_leader
		wait_for 10 acked_above $(($(wc -l <"$DIR/acked") + 300))
	done
	wait_for 20 snapshot_there
	kill -TERM "$WRITER"
	wait "$WRITER"
	WRITER=
	for table in kvs tombstones lock_delays sessions session_keys nodes node_ids services service_connect checks; do
		wait_for 10 eval "dump '$DIR/living' && grep -q '^$table' '$DIR/living'"
	done
	kill_suite KILL
	dump "$DIR/lived"
	index=$(position index)
	# the same boot: kept as it is
	: >"$LOG"
	start_server
	run -1 made_again
	kill_suite KILL
	dump "$DIR/kept"
	diff "$DIR/lived" "$DIR/kept"
	# another one: made again
	another_boot 2
	: >"$LOG"
	start_server
	made_again
	kill_suite KILL
	dump "$DIR/again"
	diff "$DIR/lived" "$DIR/again"
	[ "$(position index)" -ge "$index" ]
	python3 - "$DIR/acked" "$DIR/again" <<-'P'
		import sys
		keys = {line.split("\t")[1] for line in open(sys.argv[2]) if line.startswith("kvs\t")}
		acked = set(open(sys.argv[1]).read().split())
		assert acked and not acked - keys, sorted(acked - keys)[:5]
	P
}

@test "a dump of a damaged store fails; made again it is what it was" {
	start_server
	fill
	wait_for 10 eval "dump '$DIR/lived' && grep -q '^kvs.*value' '$DIR/lived'"
	kill_suite TERM
	dump "$DIR/lived"
	python3 "$BATS_TEST_DIRNAME/damage.py" flip-all "$DATA/catalog/data.mdb" longlonglong
	run "$BUILD/libexec/consuld/catalogd-snapshot" -D "$DATA/catalog"
	[ "$status" = 111 ]
	[[ "$output" == *"the store is damaged"* ]]
	start_server
	kill_suite TERM
	dump "$DIR/again"
	diff "$DIR/lived" "$DIR/again"
}

@test "a dump takes a directory and nothing else" {
	run "$BUILD/libexec/consuld/catalogd-snapshot" -X "$DATA"
	[ "$status" = 100 ]
	run "$BUILD/libexec/consuld/catalogd-snapshot" -D "$DIR/nothing"
	[ "$status" = 111 ]
}
