#!/usr/bin/env bats
# What those who run a cluster see of its servers and do to them, and what autopilot does by itself.

bats_require_minimum_version 1.5.0
load suite
load pool

WRITERS=()

setup() {
	pool_setup
	CONSULD_CONF=$BATS_TEST_TMPDIR/conf
	export CONSULD_CONF
	: >"$CONSULD_CONF"
	# quick, but slower than gossip
	echo 'autopilot { server_stabilization_time = "1s" }' >"$BATS_TEST_TMPDIR/autopilot.hcl"
}
teardown() {
	local w
	for w in "${WRITERS[@]}"; do kill -TERM "$w" 2>/dev/null || true; done
	pool_teardown
}

server() {
	local name=$1
	shift
	node "$name" -server -config-file="$BATS_TEST_TMPDIR/autopilot.hcl" "$@"
}
# servers N NAMES...: begin a cluster of N, each joined to the first
servers() {
	local expect=$1 first=$2 n
	shift
	address "$first"
	for n in "$@"; do server "$n" -bootstrap-expect="$expect" -retry-join="${AT[$first]}" -retry-interval=1s; done
	find_leader "$@"
	wait_for 20 voters_are "$first" "$@"
}
leader_among() {
	local n
	for n in "$@"; do
		if leads "$n"; then
			LEADER=$n
			return 0
		fi
	done
	return 1
}
find_leader() { # not in a subshell, as wait_for's output is
	wait_for 20 leader_among "$@"
	leader_among "$@"
}
id_of() { cat "$BATS_TEST_TMPDIR/$1/data/node-id"; }
# The rows of list-peers as AGENT has them, without the column of the index: NAME STATE VOTER
peers_of() { ctl "$@" operator raft list-peers | awk 'NR > 1 {print $1, $4, $5}' | sort; }
is_voter() { ctl "$1" operator raft list-peers | awk '{print $1, $5}' | grep -qx "$2 true"; }
is_peer() { ctl "$1" operator raft list-peers | awk '{print $1}' | grep -qx "$2"; }
no_peer() { ! is_peer "$@"; }
voters_are() { # AGENT SERVERS...
	local agent=$1
	shift
	[ "$(ctl "$agent" operator raft list-peers | awk '$5 == "true" {print $1}' | sort | tr '\n' ' ')" = "$(printf '%s\n' "$@" | sort | tr '\n' ' ')" ]
}
healthy() { [ "$(status_of "$1" /v1/operator/autopilot/health)" = 200 ]; }
tolerates() { of "$1" /v1/operator/autopilot/state | jq -e ".Healthy and .FailureTolerance == $2"; }
others() { # SERVERS... without LEADER
	local n
	for n in "$@"; do [ "$n" = "$LEADER" ] || echo "$n"; done
}
put() { [ "$(of "$1" "/v1/kv/$2" -X PUT -d "$3")" = true ]; }
has() { [ "$(of "$1" "/v1/kv/$2?raw")" = "$3" ]; }
in_catalog() { of "$1" /v1/catalog/nodes | jq -e "any(.[]; .Node == \"$2\")"; }
not_in_catalog() { ! in_catalog "$@"; }

# write_on SERVERS...: one key after the other, each by the next server; those that were answered true stand in the file acked
write_on() {
	local n urls=()
	for n in "$@"; do urls+=("http://${AT[$n]}:8500"); done
	python3 "$BATS_TEST_DIRNAME/operator_writer.py" "$BATS_TEST_TMPDIR/acked" "${urls[@]}" >"$BATS_TEST_TMPDIR/writer" 2>&1 3>&- 4>&- &
	WRITERS+=($!)
	acked_more
}
acked_more() {
	local before end=$((SECONDS + 60))
	before=$(wc -l 2>/dev/null <"$BATS_TEST_TMPDIR/acked" || echo 0)
	until [ "$(wc -l 2>/dev/null <"$BATS_TEST_TMPDIR/acked" || echo 0)" -gt $((before + 20)) ]; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}
write_end() { # SERVER that has to have all of it
	kill -TERM "${WRITERS[0]}"
	wait "${WRITERS[0]}"
	WRITERS=()
	cat "$BATS_TEST_TMPDIR/writer"
	python3 "$BATS_TEST_DIRNAME/operator_writer.py" --check "$BATS_TEST_TMPDIR/acked" "http://${AT[$1]}:8500"
}

@test "list-peers, autopilot's state and settings are the same on each server and on a client" {
	local n follower
	servers 3 a b c
	node d -retry-join="${AT[a]}"
	wait_for 20 tolerates a 1
	for n in a b c d; do
		wait_for 20 sees "$n" d alive
		run -0 ctl "$n" operator raft list-peers
		[[ ${lines[0]} =~ ^Node\ +ID\ +Address\ +State\ +Voter\ +RaftProtocol\ +Commit\ Index\ +Trails\ Leader\ By$ ]]
		[ "${#lines[@]}" = 4 ]
		[ "$(grep -cE " leader +true +3 +[1-9][0-9]* +-\$" <<<"$output")" = 1 ]
		[ "$(grep -cE " follower +true +3 +[0-9]+ +[0-9]+ commits?\$" <<<"$output")" = 2 ]
		grep -qE "^$LEADER +$(id_of "$LEADER") +${AT[$LEADER]}:8300 +leader" <<<"$output"
		run -0 ctl "$n" operator autopilot state
		[[ $output == *"Failure Tolerance:            1"* && $output == *"Leader:                       $(id_of "$LEADER")"* ]]
		[ "$(grep -c '      Status:          voter' <<<"$output")" = 2 ]
		[ "$(grep -c '"consul-version"' <<<"$output")" = 3 ]
		of "$n" /v1/operator/autopilot/health | jq -e '.Healthy and (.Servers | length == 3 and all(.[]; .Healthy and .Voter and .SerfStatus == "alive"))'
	done
	follower=$(others a b c | head -1)
	run -0 ctl d operator autopilot set-config -min-quorum=3 -cleanup-dead-servers=false
	[ "$output" = 'Configuration updated!' ]
	for n in a b c d; do
		run -0 ctl "$n" operator autopilot get-config
		[[ ${lines[0]} = 'CleanupDeadServers = false' && ${lines[3]} = 'MinQuorum = 3' && ${lines[4]} = 'ServerStabilizationTime = 1s' ]]
	done
	[ "$(of "$follower" '/v1/operator/autopilot/configuration?cas=1' -X PUT -d '{}')" = false ]
	# what the file says counts once only
	end "$follower" TERM
	server "$follower" -retry-join="${AT[a]}" -retry-join="${AT[b]}"
	wait_for 20 sees "$LEADER" "$follower" alive
	[ "$(ctl "$follower" operator autopilot get-config | head -1)" = 'CleanupDeadServers = false' ]
}

@test "leadership is handed over, to whom one likes" {
	local n before target
	servers 3 a b c
	for n in 1 2 3; do
		before=$LEADER
		run -0 ctl "$(others a b c | head -1)" operator raft transfer-leader
		[ "$output" = Success ]
		find_leader a b c
		[ "$LEADER" != "$before" ]
	done
	target=$(others a b c | tail -1)
	run -0 ctl "$LEADER" operator raft transfer-leader -id="$(id_of "$target")"
	[ "$output" = Success ]
	wait_for 10 leads "$target"
	put "$target" k v
	run -1 ctl "$target" operator raft transfer-leader -id=nobody
	[ "$output" = 'Error transfering leadership: Failed to transfer leadership Unexpected response code: 500 (Could not find address for server id nobody)' ]
	run -1 ctl "$target" operator raft transfer-leader -id="$(id_of "$target")"
}

@test "a leader that is asked to remove itself says that it is done, and takes nothing more into its log" {
	local n round
	servers 3 a b c
	for n in a b c; do
		python3 "$BATS_TEST_DIRNAME/writer.py" "${AT[$n]}" "$BATS_TEST_TMPDIR/acked-$n" "load-$n" >"$BATS_TEST_TMPDIR/writer-$n" 2>&1 3>&- 4>&- &
		WRITERS+=($!)
	done
	for round in 1 2 3; do
		run -0 ctl "$LEADER" operator raft remove-peer -id="$(id_of "$LEADER")"
		[ "$output" = "Removed peer with id \"$(id_of "$LEADER")\"" ]
		find_leader a b c
		wait_for 20 tolerates "$LEADER" 1 # it is alive, and comes back
	done
	kill -TERM "${WRITERS[@]}"
	wait "${WRITERS[@]}" || { cat "$BATS_TEST_TMPDIR"/writer-?; false; }
	WRITERS=()
	for n in a b c; do
		[ -s "$BATS_TEST_TMPDIR/acked-$n" ]
		python3 "$BATS_TEST_DIRNAME/writer.py" --check "${AT[$n]}" "$BATS_TEST_TMPDIR/acked-$n" "load-$n"
		! grep -E 'panic:|daemon died|daemon is back' "$BATS_TEST_TMPDIR/$n/log"
	done
}

@test "servers are removed by ID and by address; one that is alive comes back when it joins anew" {
	local gone other
	servers 3 a b c
	ctl a operator autopilot set-config -cleanup-dead-servers=false
	gone=$(others a b c | head -1) other=$(others a b c | tail -1)
	crash "$gone"
	wait_for 20 sees "$LEADER" "$gone" failed
	! healthy "$LEADER"
	run -0 ctl "$other" operator raft remove-peer -id="$(id_of "$gone")"
	[ "$output" = "Removed peer with id \"$(id_of "$gone")\"" ]
	no_peer "$other" "$gone"
	run -1 ctl "$LEADER" operator raft remove-peer -id="$(id_of "$gone")"
	[ "$output" = "Error removing peer: Unexpected response code: 500 (id \"$(id_of "$gone")\" was not found in the Raft configuration)" ]
	put "$LEADER" k 1
	server "$gone" -retry-join="${AT[$LEADER]}"
	wait_for 30 is_voter "$LEADER" "$gone"
	# one that is alive
	run -0 ctl "$LEADER" operator raft remove-peer -address="${AT[$gone]}:8300"
	[ "$output" = "Removed peer with address \"${AT[$gone]}:8300\"" ]
	no_peer "$LEADER" "$gone"
	put "$LEADER" k 2
	run -1 ctl "$LEADER" operator raft remove-peer -address="${AT[$gone]}:8300"
	[ "$output" = "Error removing peer: Unexpected response code: 500 (address \"${AT[$gone]}:8300\" was not found in the Raft configuration)" ]
	end "$gone" TERM
	wait_for 20 sees "$LEADER" "$gone" failed
	server "$gone" -retry-join="${AT[$LEADER]}"
	wait_for 30 is_voter "$LEADER" "$gone"
	wait_for 10 has "$gone" k 2
}

@test "a dead server is removed, from the log and the catalog, but not two of three" {
	local dead second
	servers 3 a b c
	wait_for 20 tolerates "$LEADER" 1
	dead=$(others a b c | head -1) second=$(others a b c | tail -1)
	crash "$dead"
	wait_for 30 voters_are "$LEADER" "$LEADER" "$second"
	logged "$LEADER" "agent.server.autopilot: Attempting removal of failed server node: id=$(id_of "$dead") name=$dead address=${AT[$dead]}:8300"
	wait_for 20 not_in_catalog "$LEADER" "$dead"
	wait_for 20 tolerates "$LEADER" 0
	put "$LEADER" k v
	# it comes back, and is a voter again
	server "$dead" -retry-join="${AT[$LEADER]}"
	wait_for 30 voters_are "$LEADER" a b c
	wait_for 20 tolerates "$LEADER" 1
	in_catalog "$LEADER" "$dead"
	# a majority is gone: nothing is removed, whoever is left knows whom it misses
	crash "$dead"
	crash "$second"
	wait_for 20 sees "$LEADER" "$dead" failed
	wait_for 20 sees "$LEADER" "$second" failed
	run -0 ctl "$LEADER" operator raft list-peers -stale
	[ "${#lines[@]}" = 4 ]
	server "$dead" -retry-join="${AT[$LEADER]}"
	server "$second" -retry-join="${AT[$LEADER]}"
	wait_for 30 voters_are "$dead" a b c
	find_leader a b c
	wait_for 10 has "$LEADER" k v
}

@test "one by one to five servers, and down again, under a writer: nothing acknowledged is lost" {
	local n i
	servers 1 a
	write_on a
	for n in b c d e; do
		server "$n" -retry-join="${AT[a]}"
		wait_for 30 is_voter a "$n"
		acked_more
	done
	wait_for 20 tolerates a 2
	# down again, whoever leads: by leaving
	for n in a b c d; do
		ctl "$n" leave
		ends_with "$n" 0
		for i in b c d e; do
			[ -z "${PIDS[$i]}" ] || wait_for 30 no_peer "$i" "$n"
		done
		[ "$n" != a ] || { kill -TERM "${WRITERS[0]}"; wait "${WRITERS[0]}"; WRITERS=(); write_on e; }
		acked_more
	done
	[ "$(peers_of e)" = 'e leader true' ]
	write_end e
}

@test "a server that lost its data and kept its ID counts for nothing, until the others have admitted it again" {
	local lost third
	servers 3 a b c
	put a k before
	lost=$(others a b c | head -1) third=$(others a b c | tail -1)
	end "$lost" KILL
	cp "$BATS_TEST_TMPDIR/$lost/data/node-id" "$BATS_TEST_TMPDIR/node-id"
	rm -r "$BATS_TEST_TMPDIR/$lost/data"
	mkdir "$BATS_TEST_TMPDIR/$lost/data"
	cp "$BATS_TEST_TMPDIR/node-id" "$BATS_TEST_TMPDIR/$lost/data/node-id"
	# it was told to expect three, and finds that they are there already
	server "$lost" -bootstrap-expect=3 -retry-join="${AT[$LEADER]}" -retry-join="${AT[$third]}"
	wait_for 30 logged "$LEADER" "agent.server.autopilot: Demoting server: id=$(id_of "$lost") .*reason=\"it has lost its log\""
	wait_for 30 voters_are "$LEADER" a b c
	wait_for 20 tolerates "$LEADER" 1
	has "$lost" k before
	# its vote counts again
	crash "$third"
	put "$LEADER" k after
	wait_for 10 has "$lost" k after
}

@test "a server with an empty directory and another ID takes the place of the one that had its name and address" {
	local lost old
	servers 3 a b c
	put a k before
	lost=$(others a b c | head -1) old=$(id_of "$lost")
	end "$lost" KILL
	rm -r "$BATS_TEST_TMPDIR/$lost/data"
	server "$lost" -retry-join="${AT[$LEADER]}"
	[ "$(id_of "$lost")" != "$old" ]
	wait_for 60 voters_are "$LEADER" a b c
	[ "$(ctl "$LEADER" operator raft list-peers | grep -c "$old")" = 0 ]
	wait_for 20 tolerates "$LEADER" 1
	wait_for 10 has "$lost" k before
}

@test "peers.json: one of three is left, goes on alone, and grows again" {
	local left gone
	servers 3 a b c
	put a k v
	left=$LEADER
	for gone in $(others a b c); do end "$gone" KILL; done
	end "$left" KILL
	echo "[{\"id\":\"$(id_of "$left")\",\"address\":\"${AT[$left]}:8300\",\"non_voter\":false}]" >"$BATS_TEST_TMPDIR/$left/data/raft/peers.json"
	server "$left"
	wait_for 20 leads "$left"
	logged "$left" 'found peers.json file, recovering Raft configuration...'
	[ ! -e "$BATS_TEST_TMPDIR/$left/data/raft/peers.json" ]
	[ "$(peers_of "$left")" = "$left leader true" ]
	has "$left" k v
	put "$left" k again
	# the others come with empty directories
	for gone in $(others a b c); do
		rm -r "$BATS_TEST_TMPDIR/$gone/data"
		server "$gone" -retry-join="${AT[$left]}"
	done
	wait_for 40 voters_are "$left" a b c
	for gone in $(others a b c); do wait_for 10 has "$gone" k again; done
}
