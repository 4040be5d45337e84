# A client agent: no state of its own, every request answered by a server over the port between nodes.

load suite

# The second suite of a test: a client on an address of its own. CADDR, CLIENT_PID, CLOG.
start_client() {
	local server=$ADDR lock=$ADDR_LOCK
	take_address
	CADDR=$ADDR CLIENT_LOCK=$ADDR_LOCK ADDR=$server ADDR_LOCK=$lock
	CLOG=$BATS_TEST_TMPDIR/client.log
	mkdir -p "$BATS_TEST_TMPDIR/client-config"
	echo "servers = ( \"$server:8300\" );" >"$BATS_TEST_TMPDIR/conf"
	CONSULD_CONF=$BATS_TEST_TMPDIR/conf "$CTL" agent -bind="$CADDR" -client="$CADDR" -node=agent-two \
		-data-dir="$BATS_TEST_TMPDIR/client" -config-dir="$BATS_TEST_TMPDIR/client-config" "$@" \
		</dev/null >>"$CLOG" 2>&1 3>&- 4>&- &
	CLIENT_PID=$!
	wait_for 20 client_synced
}
client_synced() { api /v1/catalog/node/agent-two | grep -q '"lan_ipv4"'; }
client() { local path=$1; shift; curl -sS -f -m 30 "$@" "http://$CADDR:8500$path"; }
client_pid_of() { pgrep -P "$CLIENT_PID" -x "$1" | head -1; }
# "consulctl info" of the agent at an address: the value of a key
info_of() { "$CTL" info -http-addr="$1:8500" | sed -n "s/^[[:space:]]*$2 = //p" | head -1; }

teardown() {
	if [ -n "${CLIENT_PID-}" ]; then
		kill -TERM "$CLIENT_PID" 2>/dev/null || true
		wait "$CLIENT_PID" 2>/dev/null || true
		rmdir "$CLIENT_LOCK" 2>/dev/null || true
		[ -n "${BATS_TEST_COMPLETED-}" ] || tail -40 "$CLOG"
		! grep -nE -A25 'runtime error|AddressSanitizer|LeakSanitizer|panic:' "$CLOG"
	fi
	stop_suite
}

@test "a client answers as its server does: KV, catalog, health, sessions, status" {
	start_server
	start_client
	[ "$(client /v1/status/leader)" = "\"$ADDR:8300\"" ]
	[ "$(client /v1/status/peers)" = "[\"$ADDR:8300\"]" ]
	[ "$(client /v1/kv/color -X PUT -d blue)" = true ]
	[ "$(api /v1/kv/color?raw)" = blue ]
	[ "$(api /v1/kv/color)" = "$(client /v1/kv/color)" ]
	[ "$(client '/v1/kv/color?cas=1' -X PUT -d red)" = false ]
	[ "$(client /v1/kv/?keys)" = '["color"]' ]
	for mode in stale consistent ""; do
		client "/v1/kv/color?$mode" -D "$BATS_TEST_TMPDIR/head" >/dev/null
		grep -qi '^X-Consul-Knownleader: true' "$BATS_TEST_TMPDIR/head"
		grep -qi '^X-Consul-Lastcontact: 0' "$BATS_TEST_TMPDIR/head"
		grep -qi '^X-Consul-Index: [1-9]' "$BATS_TEST_TMPDIR/head"
	done
	local session
	session=$(client /v1/session/create -X PUT -d '{"Node":"agent-one"}' | sed 's/.*"ID":"\([^"]*\)".*/\1/')
	[ "$(client "/v1/kv/lock?acquire=$session" -X PUT -d x)" = true ]
	api "/v1/session/info/$session" | grep -q '"agent-one"'
	[ "$(client "/v1/session/destroy/$session" -X PUT)" = true ]
	[ "$(api /v1/catalog/nodes)" = "$(client /v1/catalog/nodes)" ]
	[ "$(client /v1/health/node/agent-one)" = "$(api /v1/health/node/agent-one)" ]
	[ "$(client /v1/catalog/datacenters)" = '["dc1"]' ]
	[ "$(info_of "$CADDR" known_servers)" = 1 ]
	[ ! -e "$BATS_TEST_TMPDIR/client/catalog" ]
}

@test "values larger than a window pass a client both ways" {
	start_server
	start_client
	head -c 500000 /dev/urandom >"$BATS_TEST_TMPDIR/big"
	for i in 1 2 3; do
		[ "$(client "/v1/kv/big$i" -X PUT --data-binary @"$BATS_TEST_TMPDIR/big")" = true ]
		client "/v1/kv/big$i?raw" | cmp - "$BATS_TEST_TMPDIR/big"
		api "/v1/kv/big$i?raw" | cmp - "$BATS_TEST_TMPDIR/big"
	done
	[ "$(client '/v1/kv/?recurse' | wc -c)" -gt 2000000 ]
}

@test "a service registered on a client is in the catalog, and in DNS of both, until it is not" {
	start_server
	start_client
	client /v1/agent/service/register -X PUT -d '{"Name":"web","Port":8080,"Check":{"TTL":"600s","Status":"passing"}}'
	in_catalog() { api /v1/health/service/web?passing | grep -q agent-two; }
	wait_for 10 in_catalog
	local at
	for at in "$ADDR" "$CADDR"; do
		[ "$(dig +time=2 +tries=1 +short @"$at" -p 8600 web.service.consul)" = "$CADDR" ]
	done
	# what the client's DNS keeps follows changes that are made elsewhere
	api /v1/catalog/register -X PUT -d '{"Node":"other","Address":"10.9.8.7","Service":{"Service":"web","Port":1}}'
	two_now() { [ "$(dig +time=2 +tries=1 +short @"$CADDR" -p 8600 web.service.consul | sort | tr '\n' ' ')" = "10.9.8.7 $CADDR " ]; }
	[ "$CADDR" \> 10.9.8.7 ]
	wait_for 10 two_now
	api /v1/catalog/deregister -X PUT -d '{"Node":"other"}'
	one_now() { [ "$(dig +time=2 +tries=1 +short @"$CADDR" -p 8600 web.service.consul)" = "$CADDR" ]; }
	wait_for 10 one_now
	client /v1/agent/service/deregister/web -X PUT
	none_now() { [ -z "$(dig +time=2 +tries=1 +short @"$CADDR" -p 8600 web.service.consul)" ]; }
	wait_for 10 none_now
}

@test "100 watchers of one key on a client cost the server one, and all see the change" {
	start_server
	start_client
	api /v1/kv/k -X PUT -d one
	local index i pids=()
	index=$(client /v1/kv/k -o /dev/null -D - | tr -d '\r' | sed -n 's/^X-Consul-Index: //Ip')
	for i in $(seq 100); do
		client "/v1/kv/k?raw&index=$index&wait=120s" >"$BATS_TEST_TMPDIR/w$i" &
		pids+=($!)
	done
	all_wait() { [ "$(info_of "$ADDR" parked_queries)" = 1 ] && [ "$(info_of "$CADDR" waiting_requests)" = 100 ]; }
	wait_for 20 all_wait
	api /v1/kv/other -X PUT -d x
	api /v1/kv/k -X PUT -d two
	for i in "${pids[@]}"; do wait "$i"; done
	for i in $(seq 100); do [ "$(cat "$BATS_TEST_TMPDIR/w$i")" = two ]; done
	[ "$(info_of "$CADDR" waiting_requests)" = 0 ]
}

@test "who loses interest on a client is forgotten at the server" {
	start_server
	start_client
	api /v1/kv/k -X PUT -d one
	local index pid
	index=$(client /v1/kv/k -o /dev/null -D - | tr -d '\r' | sed -n 's/^X-Consul-Index: //Ip')
	client "/v1/kv/k?index=$index&wait=120s" >/dev/null 2>&1 3>&- &
	pid=$!
	parked() { [ "$(info_of "$ADDR" parked_queries)" = "$1" ]; }
	wait_for 10 parked 1
	pkill -KILL -P "$pid" || kill -KILL "$pid"
	wait_for 10 parked 0
}

@test "a parked query and reads survive the death of the server's catalogd" {
	start_server
	start_client
	api /v1/kv/k -X PUT -d one
	local index pid old
	index=$(client /v1/kv/k -o /dev/null -D - | tr -d '\r' | sed -n 's/^X-Consul-Index: //Ip')
	client "/v1/kv/k?raw&index=$index&wait=120s" >"$BATS_TEST_TMPDIR/parked" &
	pid=$!
	parked() { [ "$(info_of "$ADDR" parked_queries)" = 1 ]; }
	wait_for 10 parked
	old=$(pid_of catalogd)
	kill -KILL "$old"
	# asked while there is nobody: answered when there is
	[ "$(client /v1/kv/k?raw)" = one ]
	wait_for 10 new_pid_of catalogd "$old"
	wait_for 10 parked
	[ "$(client /v1/kv/k -X PUT -d two)" = true ]
	wait "$pid"
	[ "$(cat "$BATS_TEST_TMPDIR/parked")" = two ]
}

@test "a write is not sent twice: each of many that are answered while the server's catalogd dies is there once" {
	start_server
	start_client
	local i out
	(sleep 0.3; kill -KILL "$(pid_of catalogd)") 3>&- &
	local killer=$!
	for i in $(seq 150); do
		# cas=0 succeeds once: a second sending of the same write would answer false
		out=$(curl -sS -m 30 -X PUT -d "$i" "http://$CADDR:8500/v1/kv/once/$i?cas=0")
		case $out in
		true) [ "$(client "/v1/kv/once/$i?raw")" = "$i" ] ;;
		*"outcome is unknown"*) ;;
		*)
			echo "write $i: $out"
			return 1
			;;
		esac
	done
	wait "$killer"
}

@test "a client whose server is away says so, and works again when it is back" {
	start_server
	start_client
	kill_suite TERM
	run curl -sS -m 40 "http://$CADDR:8500/v1/kv/k"
	[[ $output == *"rpc error getting client: failed to get conn: "* ]]
	start_suite -server -bootstrap-expect=1 -data-dir="$DATA"
	[ "$(client /v1/kv/k -X PUT -d back)" = true ]
}

@test "a client that knows no server" {
	suite_init
	spawn_suite -data-dir="$DATA"
	local_api() { api /v1/agent/self | grep -q agent-one; }
	wait_for 20 local_api
	[ "$(curl -sS -m 5 "http://$ADDR:8500/v1/kv/x")" = "No known Consul servers" ]
	[ "$(api_status /v1/catalog/nodes)" = 500 ]
	api /v1/agent/service/register -X PUT -d '{"Name":"web"}'
	api /v1/agent/services | grep -q '"web"'
}

@test "the errors of the server come through a client with their status" {
	start_server
	start_client
	run curl -sS -m 10 -w ' %{http_code}' -X PUT -d x "http://$CADDR:8500/v1/kv/k?acquire=11111111-2222-3333-4444-555555555555"
	[[ $output == *'invalid session "11111111-2222-3333-4444-555555555555" 500' ]]
	run curl -sS -m 10 -w ' %{http_code}' "http://$CADDR:8500/v1/kv/k?dc=elsewhere"
	[[ $output == *"No path to datacenter 500" ]]
	[ "$(curl -sS -m 10 -o /dev/null -w '%{http_code}' "http://$CADDR:8500/v1/kv/nothing")" = 404 ]
}

@test "the port between nodes: kinds of connections, calls byte by byte, garbage, bounds" {
	start_server
	python3 "$BATS_TEST_DIRNAME/rpcraw.py" "$ADDR" "$BATS_TEST_DIRNAME/../data/rpc-errors.txt"
	[ "$(api /v1/kv/k -X PUT -d x)" = true ]
	suite_alive
}
