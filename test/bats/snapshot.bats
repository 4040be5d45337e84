# Snapshots of the log: taken by themselves when enough has been written, old segments are dropped, and whatever is killed or deleted
# afterwards comes back from snapshot and log.
bats_require_minimum_version 1.5.0
load suite

setup() {
	suite_init
	cat >"$CONFIG/raft.json" <<-'J'
		{ "raft_snapshot_threshold": 32, "raft_snapshot_interval": "100ms", "raft_trailing_logs": 16 }
	J
}

teardown() {
	[ -z "${WRITER-}" ] || kill -KILL "$WRITER" 2>/dev/null || true
	stop_suite
}

# write_many FROM TO BYTES: keys many/N with values of that size; load/ keys are the writer's
write_many() {
	python3 - "$ADDR" "$@" <<-'P'
		import http.client, sys
		c = http.client.HTTPConnection(sys.argv[1], 8500, timeout=60)
		for i in range(int(sys.argv[2]), int(sys.argv[3])):
		    c.request("PUT", "/v1/kv/many/%05d" % i, ("%05d" % i) * (int(sys.argv[4]) // 5))
		    r = c.getresponse()
		    assert r.read() == b"true", r.status
	P
}
# has_many COUNT BYTES
has_many() {
	python3 - "$ADDR" "$@" <<-'P'
		import base64, http.client, json, sys
		c = http.client.HTTPConnection(sys.argv[1], 8500, timeout=60)
		c.request("GET", "/v1/kv/many/?keys")
		keys = json.loads(c.getresponse().read())
		assert keys == ["many/%05d" % i for i in range(int(sys.argv[2]))], len(keys)
		for i in range(0, int(sys.argv[2]), 7):
		    c.request("GET", "/v1/kv/many/%05d?raw" % i)
		    assert c.getresponse().read() == ("%05d" % i).encode() * (int(sys.argv[3]) // 5), i
	P
}
snapshots() { find "$DATA/raft/snapshots" -mindepth 1 -maxdepth 1 -type d ! -name '*.tmp' 2>/dev/null | wc -l; }
has_snapshot() { [ "$(snapshots)" -ge 1 ]; }
newest() { ls "$DATA/raft/snapshots" | grep -v '\.tmp$' | sort -t- -k1n -k2n | tail -1; }
newer_than() { [ -n "$(newest)" ] && [ "$(newest)" != "$1" ]; }
first_segment_gone() { [ ! -e "$DATA/raft/log/0000000001.log" ]; }

@test "writes make snapshots, old ones and old segments go" {
	start_server
	write_many 0 100 1000
	wait_for 20 has_snapshot
	first=$(newest)
	jq -e '.' "$DATA/raft/snapshots/$first/meta.json"
	[ -s "$DATA/raft/snapshots/$first/state.bin" ]
	# some 36 MB: more than two segments of 16 MiB
	write_many 100 190 400000
	wait_for 20 newer_than "$first"
	write_many 190 290 1000
	wait_for 20 first_segment_gone
	few() { [ "$(snapshots)" -le 2 ] && ! ls -d "$DATA"/raft/snapshots/*.tmp; }
	wait_for 20 few
	suite_alive
	[ "$(api_status /v1/kv/many/00150)" = 200 ]
}

@test "kill -9, then everything is there; also without the store" {
	start_server
	api /v1/agent/service/register -X PUT -d '{"Name":"web","Port":80,"Check":{"CheckID":"web-ttl","TTL":"1h"}}'
	api /v1/agent/check/pass/web-ttl -X PUT
	session=$(api /v1/session/create -X PUT -d '{"Name":"held","LockDelay":"0s"}' | jq -r .ID)
	[ "$(api "/v1/kv/lock?acquire=$session" -X PUT -d mine)" = true ]
	api /v1/kv/gone -X PUT -d x
	api /v1/kv/gone -X DELETE
	write_many 0 100 350000
	wait_for 20 has_snapshot
	write_many 100 200 100
	wait_for 20 first_segment_gone
	lock=$(api /v1/kv/lock)
	node=$(api /v1/catalog/node/agent-one | jq -S .)
	for what in keep store store-and-clean; do
		if [ "$what" = store-and-clean ]; then kill_suite TERM; else kill_suite KILL; fi
		[ "$what" = keep ] || rm -rf "$DATA/catalog"
		start_server
		python3 - "$ADDR" <<-'P'
			import http.client, json, sys
			c = http.client.HTTPConnection(sys.argv[1], 8500, timeout=60)
			c.request("GET", "/v1/kv/many/?keys")
			assert json.loads(c.getresponse().read()) == ["many/%05d" % i for i in range(200)]
			for i in range(200):
			    c.request("GET", "/v1/kv/many/%05d?raw" % i)
			    assert c.getresponse().read() == ("%05d" % i).encode() * ((350000 if i < 100 else 100) // 5), i
		P
		# with all indexes, the lock, and the session
		[ "$(api /v1/kv/lock)" = "$lock" ]
		[ "$(api "/v1/kv/lock?acquire=$session" -X PUT -d mine)" = true ]
		lock=$(api /v1/kv/lock)
		[ "$(api_status /v1/kv/gone)" = 404 ]
		wait_for 10 web_passing
		[ "$(api /v1/catalog/node/agent-one | jq -S .)" = "$node" ]
	done
}
web_passing() { api '/v1/health/service/web?passing' | jq -e 'length == 1'; }

@test "raftd and catalogd killed while snapshots are made: nothing acknowledged is lost" {
	start_server
	write_many 0 150 100000
	python3 "$BATS_TEST_DIRNAME/writer.py" "$ADDR" "$DIR/acked" >"$DIR/writer.out" 2>&1 3>&- &
	WRITER=$!
	wait_for 5 test -s "$DIR/acked"
	wait_for 20 has_snapshot
	for daemon in raftd catalogd raftd catalogd; do
		last=$(newest)
		old=$(pid_of $daemon)
		kill -KILL "$old"
		wait_for 10 new_pid_of $daemon "$old"
		wait_for 20 has_leader
		wait_for 30 newer_than "$last"
	done
	kill_suite KILL
	kill -TERM "$WRITER"
	wait "$WRITER" || { cat "$DIR/writer.out"; false; }
	WRITER=
	rm -rf "$DATA/catalog"
	start_server
	python3 "$BATS_TEST_DIRNAME/writer.py" --check "$ADDR" "$DIR/acked"
	has_many 150 100000
}

@test "a snapshot that was not finished is thrown away" {
	start_server
	write_many 0 100 1000
	wait_for 20 has_snapshot
	kill_suite KILL
	mkdir "$DATA/raft/snapshots/9-999999-1.tmp"
	echo junk >"$DATA/raft/snapshots/9-999999-1.tmp/state.bin"
	start_server
	[ ! -e "$DATA/raft/snapshots/9-999999-1.tmp" ]
	has_many 100 1000
}

@test "a damaged snapshot that is needed is not believed" {
	start_server
	write_many 0 100 350000
	wait_for 20 has_snapshot
	write_many 100 200 100
	wait_for 20 first_segment_gone
	kill_suite KILL
	for s in "$DATA"/raft/snapshots/*/state.bin; do
		python3 "$BATS_TEST_DIRNAME/damage.py" flip "$s" $(($(stat -c %s "$s") / 2))
	done
	cp -r "$DATA/catalog" "$DIR/catalog"
	rm -rf "$DATA/catalog"
	spawn_suite -server -bootstrap-expect=1 -data-dir="$DATA"
	told() { grep -iE 'snapshot' "$LOG" | grep -iE 'checksum|damaged|crc'; }
	wait_for 20 told
	# half a catalog is never shown
	run -1 has_many 100 350000
	[ "$(api_status '/v1/kv/many/?keys')" != 200 ]
	kill_suite KILL
	# with a store that is whole nobody needs it
	rm -rf "$DATA/catalog"
	cp -r "$DIR/catalog" "$DATA/catalog"
	start_server
	[ "$(api '/v1/kv/many/?keys' | jq length)" = 200 ]
}
