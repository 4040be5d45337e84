#!/usr/bin/env bats
# Membership on the wire: pools of our agents, and of ours with Debian's serf agents, which are built from the reference's own libraries.

bats_require_minimum_version 1.5.0
load suite
load pool

setup() { pool_setup; }
teardown() { pool_teardown; }

members_and_failure() { # with the flags that our node and the serf agent need
	local -n ours=$1 theirs=$2

	node s1 -server -bootstrap-expect=1 "${ours[@]}"
	peer p1 -tag role=node -tag dc=dc1 -join="${AT[s1]}:8301" "${theirs[@]}"
	peer p2 -tag dc=dc1 "${theirs[@]}"
	run -0 srf p2 join "${AT[s1]}:8301"
	wait_for 10 sees s1 p1 alive
	wait_for 10 sees s1 p2 alive
	wait_for 10 sees_peer p1 s1 alive
	wait_for 10 sees_peer p2 p1 alive
	run -0 srf p1 members -name=s1
	[[ $output == *"build=1.21.4:"* && $output == *"role=consul"* && $output == *"port=8300"* ]]
	# two that are alive are enough to confirm that the third is not
	kill -KILL "${PIDS[p1]}"
	wait_for 20 sees s1 p1 failed
	wait_for 20 sees_peer p2 p1 failed
	run -0 srf p2 leave
	wait_for 20 sees s1 p2 left
}

@test "serf agents join our server: members, failure and leave are seen on both sides" {
	local ours=() theirs=(-disable-compression)
	members_and_failure ours theirs
}

@test "the same with encryption and compression" {
	local key ours theirs
	key=$("$CTL" keygen)
	ours=(-encrypt="$key") theirs=(-encrypt="$key")
	members_and_failure ours theirs
}

@test "our client joins a pool of serf agents; it leaves, and it fails" {
	peer p1
	peer p2 -join="${AT[p1]}:8301"
	node c1 -retry-join="${AT[p1]}"
	wait_for 10 sees_peer p2 c1 alive
	wait_for 10 sees c1 p1 alive
	wait_for 10 sees c1 p2 alive
	run -0 ctl c1 leave
	wait_for 10 sees_peer p1 c1 left
	wait_for 10 sees_peer p2 c1 left
	wait_for 20 port_free c1
	node c1 -join="${AT[p2]}"
	wait_for 10 sees_peer p1 c1 alive
	crash c1
	wait_for 20 sees_peer p1 c1 failed
	wait_for 20 sees_peer p2 c1 failed
}

@test "servers of two makes are kept apart, and each side is told why" {
	local foreign=(-tag role=consul -tag dc=dc1 -tag port=8300 -tag vsn=2 -tag build=1.21.4:)
	local why="is not a server of consuld (no tag 'consuld'): servers of one datacenter must all be of one make"

	node s1 -server -bootstrap-expect=1
	node c1 -retry-join="${AT[s1]}"
	wait_for 10 sees c1 s1 alive
	peer f1 "${foreign[@]}"
	# our server, and a client that knows it, take it neither by its own word nor by theirs
	for at in s1 c1; do
		run -1 srf f1 join "${AT[$at]}:8301"
		logged f1 "remote error: Member 'f1' $why"
		logged "$at" "memberlist: Failed push/pull merge: Member 'f1' $why from="
		sees_not f1 "$at"
	done
	for from in s1 c1; do
		run -1 ctl "$from" join "${AT[f1]}"
		[[ $output == *"Failed to join ${AT[f1]}:8301: Member 'f1' $why"* ]]
		sees_not "$from" f1
	done
	# a client that knows none takes the first make that it meets, and then that one alone
	peer f2 "${foreign[@]}"
	node c2 -retry-join="${AT[f2]}"
	wait_for 10 sees c2 f2 alive
	run -1 ctl c2 join "${AT[s1]}"
	[[ $output == *"Failed to join ${AT[s1]}:8301: remote error: Member 'f2' $why"* ]]
	sees_not c2 s1
	# until it is gone
	kill -KILL "${PIDS[f2]}"
	wait_for 20 sees c2 f2 failed
	run -0 ctl c2 join "${AT[s1]}"
	wait_for 10 sees c2 s1 alive
}

@test "who has no key, or another one, can not join, and the log says why" {
	local key
	key=$("$CTL" keygen)
	node s1 -server -bootstrap-expect=1 -encrypt="$key"
	node c1
	run -1 ctl c1 join "${AT[s1]}"
	[[ $output == *"Failed to join ${AT[s1]}:8301: Remote state is encrypted and encryption is not configured"* ]]
	logged s1 'memberlist: failed to receive: Encryption is configured but remote state is not encrypted from='
	node c2 -encrypt="$("$CTL" keygen)"
	run -1 ctl c2 join "${AT[s1]}"
	[[ $output == *"Failed to join ${AT[s1]}:8301: No installed keys could decrypt the message"* ]]
	peer p1
	run -1 srf p1 join "${AT[s1]}:8301"
	sees_not s1 c1
	sees_not s1 c2
	sees_not s1 p1
}

# The primary key of every member is KEY.
primary_is() { ctl "$1" keyring -list-primary | grep -q "$2 \[$3/$3\]"; }

@test "keys are rotated from our side and from theirs, and nobody is lost" {
	local one two three n
	one=$("$CTL" keygen) two=$("$CTL" keygen) three=$("$CTL" keygen)
	printf '["%s"]' "$one" >"$BATS_TEST_TMPDIR/ring"
	node s1 -server -bootstrap-expect=1 -encrypt="$one"
	node c1 -encrypt="$one" -retry-join="${AT[s1]}"
	peer p1 -keyring-file="$BATS_TEST_TMPDIR/ring" -tag dc=dc1 -join="${AT[s1]}:8301"
	wait_for 10 sees s1 c1 alive
	wait_for 10 sees s1 p1 alive
	run -0 ctl s1 keyring -install="$two"
	run -0 ctl s1 keyring -use="$two"
	wait_for 10 primary_is s1 "$two" 3
	run -0 ctl s1 keyring -remove="$one"
	[ "$(jq -r '.[0]' "$BATS_TEST_TMPDIR/ring")" = "$two" ]
	[ "$(jq -r 'length' "$BATS_TEST_TMPDIR/ring")" = 1 ]
	[ "$(jq -r '.[0]' "$BATS_TEST_TMPDIR/s1/data/serf/local.keyring")" = "$two" ]
	[ "$(jq -r '.[0]' "$BATS_TEST_TMPDIR/s1/data/serf/remote.keyring")" = "$two" ]
	[ "$(stat -c %a "$BATS_TEST_TMPDIR/c1/data/serf/local.keyring")" = 600 ]
	run -0 serf keys -rpc-addr="${AT[p1]}:7373" -install="$three"
	run -0 serf keys -rpc-addr="${AT[p1]}:7373" -use="$three"
	run -0 serf keys -rpc-addr="${AT[p1]}:7373" -list
	[[ $output == *"$three"* && $output == *"[3/3]"* ]]
	[ "$(jq -r '.[0]' "$BATS_TEST_TMPDIR/c1/data/serf/local.keyring")" = "$three" ]
	run -1 ctl s1 keyring -remove="$three"
	[[ $output == *"Removing the primary key is not allowed"* ]]
	run -1 ctl s1 keyring -use="$one"
	[[ $output == *"Requested key is not in the keyring"* ]]
	# nobody was taken for dead in between, and nothing was said that another one could not read
	run ! logged s1 'EventMemberFailed'
	run ! logged c1 'EventMemberFailed'
	run ! logged p1 'EventMemberFailed'
	for n in s1 c1 p1; do run ! logged "$n" 'No installed keys could decrypt'; done
	# the file wins over the flag
	crash c1
	node c1 -encrypt="$one"
	wait_for 10 sees s1 c1 alive
	logged c1 "keyring doesn't include key provided with -encrypt, using keyring"
}

heard_by_peer() { grep -q "$1" "$BATS_TEST_TMPDIR/events"; }
event_names() { curl -sS -f -m 20 "http://${AT[$1]}:8500/v1/event/list" | jq -r '.[].Name' | sort | tr '\n' ' '; }
event_heard() { [[ " $(event_names "$1")" == *" $2 "* ]]; }

@test "user events and queries across" {
	printf '#!/bin/sh\necho "$SERF_EVENT $SERF_USER_EVENT $SERF_QUERY_NAME" >>%s\ncat >>%s\n' \
		"$BATS_TEST_TMPDIR/events" "$BATS_TEST_TMPDIR/events" >"$BATS_TEST_TMPDIR/handler"
	chmod +x "$BATS_TEST_TMPDIR/handler"
	node s1 -server -bootstrap-expect=1
	node c1 -retry-join="${AT[s1]}"
	peer p1 -tag dc=dc1 -join="${AT[s1]}:8301" -event-handler="$BATS_TEST_TMPDIR/handler"
	wait_for 10 sees s1 c1 alive
	wait_for 10 sees c1 p1 alive
	run -0 ctl s1 event -name=deploy 'the payload'
	[[ $output == "Event ID: "* ]]
	wait_for 10 event_heard s1 deploy
	wait_for 10 event_heard c1 deploy
	wait_for 10 heard_by_peer 'user consul:event:deploy'
	wait_for 10 heard_by_peer 'the payload'
	run -0 ctl c1 event -name=only-c -node=^c
	run -0 ctl c1 event -name=last
	wait_for 10 event_heard s1 last
	wait_for 10 event_heard c1 only-c
	[ "$(event_names s1)" = "deploy last " ]
	# not one of Consul's kind: passed on, not listed
	run -0 srf p1 event -coalesce=false other x
	run -0 srf p1 query -timeout=2s who
	[[ $output == *"Ack from 's1'"* && $output == *"Ack from 'c1'"* && $output == *"Total Acks: 3"* ]]
	run -0 srf p1 reachability
	[[ $output == *"Successfully contacted all live nodes"* ]]
	[ "$(event_names s1)" = "deploy last " ]
	run -0 srf p1 rtt s1
	[[ $output == "Estimated s1 <-> p1 rtt: "* ]]
}

@test "the list of events blocks while its index is the same; names and filters" {
	local index
	node s1 -server -bootstrap-expect=1
	run -0 ctl s1 event -name=a
	index=$(curl -sS -D - -o /dev/null "http://${AT[s1]}:8500/v1/event/list" | tr -d '\r' | awk '/X-Consul-Index/ {print $2}')
	curl -sS -f -m 60 "http://${AT[s1]}:8500/v1/event/list?index=$index&wait=50s" >"$BATS_TEST_TMPDIR/blocked" &
	run -0 ctl s1 event -name=b
	wait $!
	[ "$(jq -r '.[].Name' "$BATS_TEST_TMPDIR/blocked" | tr '\n' ' ')" = "a b " ]
	[ "$(curl -sS -f "http://${AT[s1]}:8500/v1/event/list?index=$index&wait=1ms&name=a" | jq length)" = 1 ]
	curl -sS -f -X PUT -d '{"Name":"web","Tags":["v1"]}' "http://${AT[s1]}:8500/v1/agent/service/register"
	run -0 ctl s1 event -name=for-web -service='^web$' -tag=v1
	run -0 ctl s1 event -name=for-db -service=db
	run -0 ctl s1 event -name=for-v2 -service=web -tag=v2
	wait_for 10 event_heard s1 for-web
	[ "$(event_names s1)" = "a b for-web " ]
	run -0 curl -sS -X PUT "http://${AT[s1]}:8500/v1/event/fire/x?tag=a"
	[ "$output" = "Cannot provide tag filter without service filter" ]
	run -0 curl -sS -X PUT --data-binary "$(head -c 405 /dev/zero | tr '\0' x)" "http://${AT[s1]}:8500/v1/event/fire/deploy"
	[ "$output" = "error broadcasting event: encoded user event exceeds configured limit of 512 bytes after encoding" ]
	run -0 curl -sS -f -o /dev/null -X PUT --data-binary "$(head -c 404 /dev/zero | tr '\0' x)" \
		"http://${AT[s1]}:8500/v1/event/fire/deploy"
}

@test "servers join by command, are flooded into the WAN pool, fail, come back by themselves, are removed" {
	node s1 -server -bootstrap-expect=1
	node s2 -server
	node c1
	run -0 ctl s2 join "${AT[s1]}"
	[ "$output" = "Successfully joined cluster by contacting 1 nodes." ]
	run -0 ctl c1 join "${AT[s2]}"
	wait_for 10 sees s1 s2 alive
	wait_for 10 sees s1 c1 alive
	wait_for 10 sees c1 s1 alive
	wait_for 10 sees_wan s1 s2.dc1 alive
	wait_for 10 sees_wan s2 s1.dc1 alive
	crash c1
	wait_for 20 sees s1 c1 failed
	wait_for 20 sees s2 c1 failed
	node c1 # without any address: it remembers
	wait_for 10 sees s1 c1 alive
	wait_for 10 sees s2 c1 alive
	logged c1 'serf: Re-joined to previously known node: s'
	run -0 ctl c1 leave
	wait_for 10 sees s1 c1 left
	wait_for 20 port_free c1
	node c1 # it left: it remembers nobody
	run ! logged c1 'Ignoring previous leave'
	sees_not c1 s1
	run -0 ctl c1 leave
	wait_for 20 port_free c1
	crash s2
	wait_for 20 sees s1 s2 failed
	run -0 ctl s1 force-leave s2
	wait_for 10 sees s1 s2 left
	wait_for 10 sees_wan s1 s2.dc1 left
	run -0 ctl s1 force-leave -prune c1
	wait_for 10 sees_not s1 c1
	run -1 ctl s1 force-leave nosuch
	[[ $output == *"agent: No node found with name 'nosuch'"* ]]
}

@test "rejoin_after_leave; SIGTERM makes a client leave and a server fail" {
	node s1 -server -bootstrap-expect=1
	node c1 -rejoin -retry-join="${AT[s1]}"
	wait_for 10 sees s1 c1 alive
	end c1 TERM
	wait_for 10 sees s1 c1 left
	node c1 -rejoin
	wait_for 10 sees s1 c1 alive
	logged c1 'serf: Ignoring previous leave in snapshot'
	node s2 -server -retry-join="${AT[s1]}"
	wait_for 10 sees c1 s2 alive
	end s2 TERM
	wait_for 20 sees c1 s2 failed
}

@test "another datacenter, an ID that is taken, a network that is not allowed: refused with the reason" {
	node s1 -server -bootstrap-expect=1
	node c1 -datacenter=dc9
	run -1 ctl c1 join "${AT[s1]}"
	[[ $output == *"Failed to join ${AT[s1]}:8301: Member 's1' part of wrong datacenter 'dc1'"* ]]
	wait_for 10 logged s1 "Failed push/pull merge: Member 'c1' part of wrong datacenter 'dc9' from="
	node c2 -node-id="$(cat "$BATS_TEST_TMPDIR/s1/data/node-id")"
	run -1 ctl c2 join "${AT[s1]}"
	[[ $output == *"Member 's1' has conflicting node ID '$(cat "$BATS_TEST_TMPDIR/s1/data/node-id")' with this agent's ID"* ]]
	node c3 -serf-lan-allowed-cidrs=192.0.2.0/24
	run -0 ctl c3 join "${AT[s1]}" # it was contacted; it is not taken
	sees_not c3 s1
	sees_not s1 c1
	sees_not s1 c2
}

@test "another node with the same name does not take it away from the one that lives" {
	node s1 -server -bootstrap-expect=1
	node c1 -retry-join="${AT[s1]}"
	wait_for 10 sees s1 c1 alive
	peer c1-twin # a serf agent by the name of c1
	kill "${PIDS[c1-twin]}"
	wait "${PIDS[c1-twin]}" 2>/dev/null || true
	address twin
	serf agent -node=c1 -bind="${AT[twin]}:8301" -rpc-addr="${AT[twin]}:7373" -tag dc=dc1 -join="${AT[s1]}:8301" \
		</dev/null >>"$BATS_TEST_TMPDIR/c1-twin/log" 2>&1 3>&- 4>&- &
	PIDS[c1-twin]=$!
	wait_for 10 logged s1 "memberlist: Conflicting address for c1. Mine: ${AT[c1]}:8301 Theirs: ${AT[twin]}:8301 Old state: 0"
	wait_for 10 logged s1 "serf: Name conflict for 'c1' both ${AT[c1]}:8301 and ${AT[twin]}:8301 are claiming"
	sees s1 c1 alive
	ctl s1 members | grep -q "${AT[c1]}:8301"
}

@test "names are looked up, off the loop" {
	local port=$((10000 + RANDOM % 20000))
	node c1
	run -1 ctl c1 join nosuch.invalid
	[[ $output == *"Failed to resolve nosuch.invalid: lookup nosuch.invalid: "* ]]
	mkdir -p "$BATS_TEST_TMPDIR/local"
	address local
	serf agent -node=local -bind=127.0.0.1:$port -rpc-addr="${AT[local]}:7373" </dev/null \
		>>"$BATS_TEST_TMPDIR/local/log" 2>&1 3>&- 4>&- &
	PIDS[local]=$! PEERS+=(local)
	joins() { ctl c1 join "localhost:$port"; }
	wait_for 10 joins
	wait_for 10 sees c1 local alive
}

gossip_pid() { pgrep -P "${PIDS[$1]}" -x gossipd; }
other_gossipd() { [ -n "$(gossip_pid "$1")" ] && [ "$(gossip_pid "$1")" != "$2" ]; }

@test "kill -9 of gossipd alone: it comes back into the pool, even when the node to join is away" {
	local was
	node s1 -server -bootstrap-expect=1
	node c1 -join="${AT[s1]}"
	wait_for 10 sees s1 c1 alive
	was=$(gossip_pid c1)
	kill -KILL "$was"
	wait_for 10 other_gossipd c1 "$was"
	wait_for 10 sees c1 s1 alive
	wait_for 10 sees s1 c1 alive
	crash s1
	was=$(gossip_pid c1)
	kill -KILL "$was"
	wait_for 10 other_gossipd c1 "$was"
	wait_for 10 logged c1 "(LAN) couldn't join"
	kill -0 "${PIDS[c1]}"
	wait_for 10 sees c1 c1 alive
}
