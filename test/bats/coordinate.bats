#!/usr/bin/env bats
# Network coordinates, user events and gossip keys, asked of servers and of clients.

bats_require_minimum_version 1.5.0
load suite
load pool

setup() {
	pool_setup
	# coordinates come at once, not in half a minute
	CONSULD_CONF=$BATS_TEST_TMPDIR/conf
	export CONSULD_CONF
	printf 'coordinate_interval_ms = 200;\ncoordinate_period_ms = 100;\n' >"$CONSULD_CONF"
}
teardown() { pool_teardown; }

rpc() { python3 "$BATS_TEST_DIRNAME/rpc.py" "${AT[$1]}" "${@:2}"; }

server_and_client() {
	node s1 -server -bootstrap-expect=1 "$@"
	node c1 -retry-join="${AT[s1]}" "$@"
	wait_for 20 leads s1
	wait_for 20 answers c1 /v1/catalog/nodes '"c1"'
}
# at AGENT NODE X: the node's coordinate, told to that agent
at() {
	[ "$(of "$1" /v1/coordinate/update -X PUT -d "{\"Node\":\"$2\",\"Coord\":{\"Vec\":[$3,0,0,0,0,0,0,0],\"Error\":0.5,\"Height\":0.00001}}")" = "" ]
	wait_for 10 answers "$1" "/v1/coordinate/node/$2" "\"Vec\":\\[$3,"
}
external() { of "$1" /v1/catalog/register -X PUT -d "{\"Node\":\"$2\",\"Address\":\"10.0.0.1\",\"Service\":{\"Service\":\"geo\"},\"Check\":{\"Node\":\"$2\",\"Name\":\"up\",\"Status\":\"passing\",\"ServiceID\":\"geo\"}}" >/dev/null; }
names() { grep -o '"Node":"[^"]*"' | tr '\n' ' '; }

@test "agents send where they are; rtt estimates from it, on servers and clients" {
	server_and_client
	for agent in s1 c1; do
		wait_for 20 answers "$agent" /v1/coordinate/nodes '"Node":"s1","Segment":"","Coord":{"Vec":\['
		wait_for 20 answers "$agent" /v1/coordinate/nodes '"Node":"c1","Segment":"","Coord":{"Vec":\['
		run -0 ctl "$agent" rtt s1 C1
		[[ $output =~ ^"Estimated s1 <-> C1 rtt: "[0-9]+\.[0-9]{3}" ms (using LAN coordinates)"$ ]]
		# the servers of the WAN pool are a server's to know
		answers "$agent" /v1/coordinate/datacenters '"Datacenter":"dc1","AreaID":"wan","Coordinates":\[{"Node":"s1"'
		run -0 ctl "$agent" rtt -wan s1.dc1 S1.dc1
		[[ $output =~ ^"Estimated s1.dc1 <-> S1.dc1 rtt: "[0-9]+\.[0-9]{3}" ms (using WAN coordinates)"$ ]]
	done
	# the second node is by default the agent's own
	run -0 ctl c1 rtt s1
	[[ $output == "Estimated s1 <-> c1 rtt: "* ]]
	run -1 ctl c1 rtt s1 nobody
	[ "$output" = 'Could not find a coordinate for node "nobody"' ]
	run -1 ctl c1 rtt -wan s1
	[ "$output" = 'Node names must be specified as <node name>.<datacenter> with -wan' ]
	# who leaves takes his coordinate along
	run -0 ctl c1 leave
	wait_for 20 lacks s1 /v1/coordinate/nodes '"c1"'
	[ "$(status_of s1 /v1/coordinate/node/c1)" = 404 ]
}

@test "lists are sorted by ?near=, whoever is asked; what is told outlives a crash, and goes with the node" {
	server_and_client
	for node in far mid near lost; do external c1 $node; done
	at c1 far 0.5
	at s1 mid 0.25
	at c1 near 0.125
	for agent in s1 c1; do
		[[ $(of "$agent" '/v1/catalog/service/geo?near=near' | names) == '"Node":"near" "Node":"mid" "Node":"far" "Node":"lost" ' ]]
		[[ $(of "$agent" '/v1/health/service/geo?near=far&stale' | grep -o '"Node":"[^"]*","Address' | tr '\n' ' ') == \
			'"Node":"far","Address "Node":"mid","Address "Node":"near","Address "Node":"lost","Address ' ]]
		[[ $(of "$agent" '/v1/health/checks/geo?near=far' | names) == '"Node":"far" "Node":"mid" "Node":"near" "Node":"lost" ' ]]
		run -0 ctl "$agent" catalog nodes -near=mid -service=geo
		[ "$(awk 'NR > 1 {print $1}' <<<"$output" | tr '\n' ' ')" = "mid near far lost " ]
		run -0 ctl "$agent" rtt far near
		[ "$output" = 'Estimated far <-> near rtt: 375.020 ms (using LAN coordinates)' ]
	done
	crash s1
	node s1 -server -bootstrap-expect=1
	wait_for 20 leads s1
	[[ $(of s1 '/v1/catalog/service/geo?near=near' | names) == '"Node":"near" "Node":"mid" "Node":"far" "Node":"lost" ' ]]
	[ "$(of s1 /v1/catalog/deregister -X PUT -d '{"Node":"mid"}')" = true ]
	[ "$(status_of s1 /v1/coordinate/node/mid)" = 404 ]
	answers s1 /v1/coordinate/node/far '"Vec":\[0.5,'
}

@test "coordinates: what is refused, what waits, segments" {
	node s1 -server -bootstrap-expect=1
	wait_for 20 leads s1
	external s1 one
	external s1 two
	at s1 one 0.5
	[ "$(status_of s1 /v1/coordinate/update -X PUT -d '{"Node":"one","Coord":{"Vec":[1]}}')" = 500 ]
	[ "$(curl -sS -X PUT -d '{"Node":"one"}' "http://${AT[s1]}:8500/v1/coordinate/update")" = "invalid coordinate" ]
	[ "$(status_of s1 /v1/coordinate/update -X PUT -d '{"Node":"one","Coord":{"Vec":["a"]}}')" = 400 ]
	[ "$(status_of s1 /v1/coordinate/update -X PUT -d '{"Node":"one","Partition":"x"}')" = 400 ]
	# who waits for all hears of two, who waits for one does not
	local index
	index=$(curl -sS -o /dev/null -D - "http://${AT[s1]}:8500/v1/coordinate/nodes" | tr -d '\r' | sed -n 's/^X-Consul-Index: //Ip')
	of s1 "/v1/coordinate/nodes?index=$index&wait=60s" >"$BATS_TEST_TMPDIR/all" 3>&- &
	local all=$!
	of s1 "/v1/coordinate/node/one?index=$index&wait=2s" >"$BATS_TEST_TMPDIR/one" 3>&- &
	local one=$!
	at s1 two 0.25
	wait $all
	grep -q '"two"' "$BATS_TEST_TMPDIR/all"
	kill -0 $one
	wait $one
	grep -q '"Vec":\[0.5,' "$BATS_TEST_TMPDIR/one"
	# any text is a segment
	of s1 /v1/coordinate/update -X PUT -d '{"Node":"one","Segment":"alpha","Coord":{"Vec":[0,0,0,0,0,0,0,1],"Error":1}}'
	wait_for 10 answers s1 /v1/coordinate/node/one '"Segment":"alpha"'
	[ "$(of s1 '/v1/coordinate/nodes?segment=alpha' | names)" = '"Node":"one" ' ]
	[[ $(of s1 '/v1/coordinate/node/one?segment=' | grep -o '"Segment":"[^"]*"') == '"Segment":""' ]]
	[ "$(status_of s1 '/v1/coordinate/node/two?segment=alpha')" = 404 ]
	[ "$(of s1 '/v1/coordinate/nodes?segment=beta')" = '[]' ]
}

@test "disable_coordinates: nobody sends, nothing is told" {
	echo 'disable_coordinates = true' >"$BATS_TEST_TMPDIR/off.hcl"
	node s1 -server -bootstrap-expect=1
	node c1 -retry-join="${AT[s1]}" -config-file="$BATS_TEST_TMPDIR/off.hcl"
	wait_for 20 leads s1
	wait_for 20 answers s1 /v1/catalog/nodes '"c1"'
	for path in nodes datacenters node/s1; do
		[ "$(status_of c1 "/v1/coordinate/$path")" = 401 ]
	done
	[ "$(status_of c1 /v1/coordinate/update -X PUT -d '{}')" = 401 ]
	run -1 ctl c1 rtt s1
	[ "$output" = 'Error getting coordinates: Unexpected response code: 401 (Coordinate support disabled)' ]
	# several of the server's own have come, and none of the client's
	external s1 mark
	for x in 0.5 0.25 0.125; do at s1 mark $x; done
	wait_for 20 answers s1 /v1/coordinate/nodes '"s1"'
	lacks s1 /v1/coordinate/nodes '"c1"'
	! logged c1 'Failed to get coordinate' || false
}

@test "an event fired at a client is sent by a server and heard by all" {
	server_and_client
	node c2 -retry-join="${AT[s1]}"
	wait_for 20 sees c1 c2 alive
	local id
	run -0 ctl c1 event -name=deploy -node='^[cs]1$' payload
	[[ $output =~ ^"Event ID: "[0-9a-f-]{36}$ ]]
	id=${output#Event ID: }
	for agent in s1 c1; do
		wait_for 20 answers "$agent" '/v1/event/list?name=deploy' "\"ID\":\"$id\",\"Name\":\"deploy\",\"Payload\":\"cGF5bG9hZA==\""
	done
	run -0 ctl s1 event -name=all
	id=${output#Event ID: }
	for agent in s1 c1 c2; do wait_for 20 answers "$agent" /v1/event/list "$id"; done
	lacks c2 /v1/event/list deploy
	# the server's word on what it can not send
	run -1 ctl c1 event -name=big "$(printf 'x%.0s' {1..600})"
	[ "$output" = 'Error firing event: Unexpected response code: 500 (rpc error making call: error broadcasting event: user event exceeds configured limit of 512 bytes before encoding)' ]
	run -1 ctl s1 event -name=big "$(printf 'x%.0s' {1..600})"
	[ "$output" = 'Error firing event: Unexpected response code: 500 (error broadcasting event: user event exceeds configured limit of 512 bytes before encoding)' ]
	# as an agent of the reference asks for it; what it carries was made by that agent
	run -0 rpc s1 Internal.EventFire '{"Datacenter":"dc1","Name":"foreign","Payload":"no event","AllowStale":true}'
	wait_for 20 logged c2 'Failed to decode event: name=consul:event:foreign'
	run -1 rpc s1 Internal.EventFire '{"Datacenter":"dc9","Name":"x"}'
	[[ $output == "No path to datacenter" ]]
	# no server, no event
	end s1 TERM
	wait_for 20 sees c1 s1 failed
	run -1 ctl c1 event -name=late
	[[ $output == "Error firing event: Unexpected response code: 500 ("* ]]
	lacks c1 /v1/event/list late
}

@test "keys of both pools are listed and rotated from a client" {
	local key new
	key=$("$CTL" keygen) new=$("$CTL" keygen)
	server_and_client -encrypt="$key"
	wait_for 20 sees_wan s1 s1.dc1 alive
	for agent in s1 c1; do
		run -0 ctl "$agent" keyring -list
		[ "$output" = "==> Gathering installed encryption keys...

WAN:
  $key [1/1]

dc1 (LAN):
  $key [2/2]" ]
	done
	run -0 ctl c1 keyring -install="$new"
	run -0 ctl c1 keyring -use="$new"
	run -0 ctl c1 keyring -remove="$key"
	run -0 ctl s1 keyring -list-primary
	[ "$output" = "==> Gathering installed primary encryption keys...

WAN:
  $new [1/1]

dc1 (LAN):
  $new [2/2]" ]
	run -0 ctl c1 keyring -list -local-only
	[[ $output != *WAN* && $output == *"$new [2/2]"* ]]
	run -1 ctl c1 keyring -remove="$new"
	[[ $output == *"4 errors occurred:"*"* WAN error: 1/1 nodes reported failure"*"* s1.dc1: Removing the primary key is not allowed"* ]] ||
		[[ $output == *"errors occurred:"*"* dc1 (LAN) error: 2/2 nodes reported failure"*"* c1: Removing the primary key is not allowed"* ]]
	# as a server of another datacenter asks: our LAN pool alone
	run -0 rpc s1 Internal.KeyringOperation '{"Operation":"list","Forwarded":true}'
	[[ $output == *'"WAN": false, "Datacenter": "dc1"'*'"NumNodes": 2'* && $output != *'"WAN": true'* ]]
	run -1 rpc s1 Internal.KeyringOperation '{"Operation":"install","LocalOnly":true}'
	[ "$output" = 'argument error: LocalOnly can only be used for List operations' ]
}

@test "an agent of the reference is told of: Coordinate.* between nodes" {
	node s1 -server -bootstrap-expect=1
	wait_for 20 leads s1
	external s1 one
	run -0 rpc s1 Coordinate.Update '{"Datacenter":"dc1","Node":"one","Segment":"","Coord":{"Vec":[0.5,0.0,0.0,0.0,0.0,0.0,0.0,0.0],"Error":1.0,"Adjustment":0.0,"Height":0.25}}'
	[ "$output" = '{}' ]
	wait_for 10 answers s1 /v1/coordinate/node/one '"Vec":\[0.5,'
	run -0 rpc s1 Coordinate.Node '{"Datacenter":"dc1","Node":"one"}'
	[[ $output == '{"Coordinates": [{"Node": "one", "Segment": "", "Coord": {"Vec": [0.5, 0.0, '*'"Height": 0.25}}], "Index": '* ]]
	run -0 rpc s1 Coordinate.ListDatacenters
	[[ $output == '[{"Datacenter": "dc1", "AreaID": "wan", "Coordinates": [{"Node": "s1", '* ]]
	run -1 rpc s1 Coordinate.Update '{"Datacenter":"dc1","Node":"one"}'
	[ "$output" = 'invalid coordinate' ]
}

@test "three servers: whoever is told, all know where everybody is, also under the next leader" {
	local leader=
	for n in s1 s2 s3; do address $n; done
	for n in s1 s2 s3; do
		node $n -server -bootstrap-expect=3 -retry-join="${AT[s1]}" -retry-join="${AT[s2]}"
	done
	node c1 -retry-join="${AT[s1]}"
	one_leads() {
		leader=
		for n in "$@"; do if leads $n; then leader=$n; fi; done
		[ -n "$leader" ]
	}
	wait_for 30 one_leads s1 s2 s3
	for agent in s1 s2 s3 c1; do
		for n in s1 s2 s3 c1; do wait_for 20 answers $agent '/v1/coordinate/nodes?stale' "\"Node\":\"$n\",\"Segment\""; done
	done
	local rest=() n
	for n in s1 s2 s3; do [ $n = "$leader" ] || rest+=($n); done
	external "${rest[0]}" near
	external "${rest[0]}" far
	at "${rest[0]}" near 0.125
	at "${rest[1]}" far 0.5
	crash "$leader"
	wait_for 30 one_leads "${rest[@]}"
	for agent in "${rest[@]}" c1; do
		[[ $(of "$agent" '/v1/catalog/service/geo?near=near' | names) == '"Node":"near" "Node":"far" ' ]]
		wait_for 10 answers "$agent" '/v1/catalog/service/geo?near=near&stale' '"Node":"near".*"Node":"far"'
	done
	at c1 near 0.75
}
