# Starting and stopping: the seed command lines, errors that say what is wrong, signals, pid file.

load suite

teardown() { stop_suite; }

pid_file_there() { [ -s "$DIR/pid" ]; }

@test "-dev: one node in memory, leader at once, nothing left behind" {
	start_suite -dev
	[ "$(cat "$DIR/pid")" = "$SUITE_PID" ]
	grep -q '==> Starting Consul agent...' "$LOG"
	grep -qE "^ +Server: true" "$LOG"
	grep -q 'Consul agent running!' "$LOG"
	run_dir=$(readlink "/proc/$(pid_of raftd)/cwd")
	kill -INT "$SUITE_PID"
	wait "$SUITE_PID" || status=$?
	[ "${status-0}" = 1 ]
	[ ! -e "$run_dir" ]
	[ ! -e "$DIR/pid" ]
	grep -q 'Caught: signal=interrupt' "$LOG"
	grep -q 'Graceful shutdown disabled. Exiting' "$LOG"
}

@test "leave by the API ends with 0" {
	start_server
	api /v1/agent/leave -X PUT
	wait_for 20 suite_gone
	wait "$SUITE_PID"
	grep -q 'Graceful exit completed' "$LOG"
}

@test "a port in use is named" {
	suite_init
	python3 -c "
import socket, sys, time
s = socket.socket(); s.bind(('$ADDR', 8500)); s.listen(); print('up', flush=True); time.sleep(60)" >"$DIR/holder" 3>&- &
	holder=$!
	wait_for 5 test -s "$DIR/holder"
	spawn_suite -dev
	status=0
	wait "$SUITE_PID" || status=$?
	kill "$holder"
	[ "$status" = 1 ]
	grep -q "listen tcp $ADDR:8500: bind: address already in use" "$LOG"
}

@test "a second agent on the same data directory is told who has it" {
	start_server
	first=$SUITE_PID
	run timeout 20 "$CTL" agent -server -bootstrap-expect=1 -data-dir="$DATA" -bind=127.0.0.1 -http-port=0 -dns-port=0
	[ "$status" = 1 ]
	[[ "$output" == *"locked by process $first"* ]]
	has_leader
}

@test "no permission on the data directory" {
	[ "$(id -u)" = 0 ] || skip "needs a file system that refuses"
	suite_init
	run timeout 20 "$CTL" agent -server -bootstrap-expect=1 -data-dir=/proc/nowhere -bind="$ADDR"
	[ "$status" = 1 ]
	[[ "$output" == *"/proc/nowhere"* ]]
}

@test "a broken file is named with line and key" {
	suite_init
	printf '{\n  "service": {\n    "name": "x",\n    "bogus": 1\n  }\n}\n' >"$CONFIG/x.json"
	run timeout 20 "$CTL" agent -dev -config-dir="$CONFIG"
	[ "$status" = 1 ]
	[[ "$output" == *"x.json"* && "$output" == *"bogus"* ]]
	printf '{\n  "service": {\n    "name": "x",,\n  }\n}\n' >"$CONFIG/x.json"
	run timeout 20 "$CTL" agent -dev -config-dir="$CONFIG"
	[ "$status" = 1 ]
	[[ "$output" == *"x.json"* && "$output" == *"3"* ]]
}

@test "everything is there after a restart" {
	start_server
	api /v1/kv/keep -X PUT -d me
	api /v1/agent/service/register -X PUT -d '{"Name":"kept","Port":7}'
	node_id=$(api /v1/agent/self | jq -r .Config.NodeID)
	kill_suite TERM
	[ "$SUITE_STATUS" = 1 ]
	start_server
	[ "$(api '/v1/kv/keep?raw')" = me ]
	api /v1/agent/services | jq -e '.kept.Port == 7'
	wait_for 5 kept_in_catalog
	[ "$(api /v1/agent/self | jq -r .Config.NodeID)" = "$node_id" ]
}
kept_in_catalog() { api /v1/catalog/service/kept | jq -e 'length == 1'; }

@test "a server that was away for too long does not come back" {
	start_server
	note=$DATA/server_metadata.json
	wait_for 10 test -s "$note"
	stop_suite
	echo "{\"last_seen_unix\":$(($(date +%s) - 7 * 3600))}" >"$note"
	echo '{"server_rejoin_age_max":"6h"}' >"$CONFIG/age.json"
	spawn_suite -server -bootstrap-expect=1 -data-dir="$DATA"
	status=0
	wait "$SUITE_PID" || status=$?
	[ "$status" = 1 ]
	grep -q 'refusing to rejoin cluster because server has been offline for more than the configured server_rejoin_age_max (6h0m0s)' "$LOG"
	echo '{"server_rejoin_age_max":"8h"}' >"$CONFIG/age.json"
	start_server
	noted_anew() { [ "$(jq .last_seen_unix "$note" 2>/dev/null)" -gt $(($(date +%s) - 3600)) ]; }
	wait_for 10 noted_anew
}
