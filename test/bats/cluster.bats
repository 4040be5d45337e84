#!/usr/bin/env bats
# Servers and clients become one cluster, and stay one while members come, fail, leave and return.

bats_require_minimum_version 1.5.0
load suite
load pool

setup() {
	pool_setup
	CONSULD_CONF=$BATS_TEST_TMPDIR/conf
	export CONSULD_CONF
	: >"$CONSULD_CONF"
}
teardown() { pool_teardown; }

# The leader as all of these agents say, which is one of them; sets LEADER.
leader_of() {
	local n leader one=
	for n in "$@"; do
		leader=$(of "$n" /v1/status/leader)
		[ -n "$one" ] || one=$leader
		[ "$leader" = "$one" ] || return 1
	done
	for n in "$@"; do
		if [ "$one" = "\"${AT[$n]}:8300\"" ]; then
			LEADER=$n
			return 0
		fi
	done
	return 1
}
find_leader() { # not in a subshell, as wait_for's output is
	wait_for 20 leader_of "$@"
	leader_of "$@"
}
# The servers of the configuration as an agent has it: their addresses, sorted.
peers_of() { of "$1" /v1/status/peers | jq -r '.[]' | sort | tr '\n' ' '; }
peers_are() { # AGENT SERVERS...
	local agent=$1 n
	shift
	[ "$(peers_of "$agent")" = "$(for n in "$@"; do echo "${AT[$n]}:8300"; done | sort | tr '\n' ' ')" ]
}
voters_are() { # AGENT SERVERS...
	local agent=$1 n
	shift
	[ "$(of "$agent" /v1/operator/raft/configuration | jq -r '.Servers[] | select(.Voter) | .Address' | sort | tr '\n' ' ')" = \
		"$(for n in "$@"; do echo "${AT[$n]}:8300"; done | sort | tr '\n' ' ')" ]
}
nodes_are() { # AGENT NODES...
	local agent=$1
	shift
	[ "$(of "$agent" /v1/catalog/nodes | jq -r '.[].Node' | sort | tr '\n' ' ')" = "$(printf '%s\n' "$@" | sort | tr '\n' ' ')" ]
}
# serfHealth of a node: "passing", "critical"
health_is() { [ "$(of "$1" "/v1/health/node/$2" | jq -r '.[] | select(.CheckID == "serfHealth") | .Status')" = "$3" ]; }
found_by_dns() { [ "$(dig +time=2 +tries=1 +short "@${AT[$1]}" -p 8600 "$2" | sort | tr '\n' ' ')" = "$3" ]; }
member_lines() { ctl "$1" members | sort; }
put() { [ "$(of "$1" "/v1/kv/$2" -X PUT -d "$3")" = true ]; }
has() { [ "$(of "$1" "/v1/kv/$2?raw")" = "$3" ]; }

@test "two servers with -bootstrap-expect 2 and a client: the documents' first example" {
	address n1
	node n1 -server -bootstrap-expect 2 -rejoin -join "${AT[n1]}"
	logged n1 'agent: (LAN) joined: number_of_nodes=1'
	logged n1 'agent: bootstrap_expect = 2: A cluster with 2 servers will provide no failure tolerance.'
	! grep -q 'not supported' "$BATS_TEST_TMPDIR/n1/log"
	# alone it waits
	[ "$(of n1 /v1/status/leader)" = '""' ]
	[ "$(of n1 /v1/status/peers)" = '[]' ]
	[ "$(ctl n1 members | awk 'NR > 1 {print $1, $2, $3, $4}')" = "n1 ${AT[n1]}:8301 alive server" ]
	node n2 -server -bootstrap-expect 2 -rejoin -join "${AT[n1]}"
	node n3 -rejoin -join "${AT[n1]}"
	find_leader n1 n2
	local n a
	for n in n1 n2; do
		a=$(grep -o 'Found expected number of peers, attempting bootstrap: peers=.*' "$BATS_TEST_TMPDIR/$n/log")
		[[ $a == *"peers=${AT[n1]}:8300,${AT[n2]}:8300" || $a == *"peers=${AT[n2]}:8300,${AT[n1]}:8300" ]]
		wait_for 10 logged "$n" "agent.server: New leader elected: payload=$LEADER"
	done
	wait_for 10 logged n3 "agent.client: New leader elected: payload=$LEADER"
	logged "$LEADER" 'agent.server: cluster leadership acquired'
	for n in n1 n2 n3; do
		wait_for 10 nodes_are "$n" n1 n2 n3
		peers_are "$n" n1 n2
		[ "$(of "$n" /v1/status/leader)" = "\"${AT[$LEADER]}:8300\"" ]
		wait_for 10 logged "$LEADER" "agent.server: member joined, marking health alive: member=$n"
		[ "$(member_lines "$n")" = "$(member_lines n1)" ]
	done
	[ "$(ctl n3 members | head -1)" = "$(ctl n1 members | head -1)" ]
	[[ "$(ctl n3 members | head -1)" =~ ^Node\ +Address\ +Status\ +Type\ +Build\ +Protocol\ +DC\ +Partition\ +Segment$ ]]
	run -0 ctl n3 catalog nodes
	[[ ${lines[0]} =~ ^Node\ +ID\ +Address\ +DC$ && ${#lines[@]} = 4 ]]
	put n3 color blue
	for n in n1 n2 n3; do wait_for 10 has "$n" color blue; done
}

@test "one server with -bootstrap, two that are joined to it" {
	local n
	node a -server -bootstrap
	node b -server
	node c -server
	for n in a b c; do [ "$(ctl "$n" members | wc -l)" = 2 ]; done
	run -0 "$CTL" join --http-addr "${AT[b]}:8500" "${AT[a]}"
	[ "$output" = 'Successfully joined cluster by contacting 1 nodes.' ]
	run -0 "$CTL" join --http-addr "${AT[c]}:8500" "${AT[a]}"
	[ "$output" = 'Successfully joined cluster by contacting 1 nodes.' ]
	for n in a b c; do
		wait_for 10 sees "$n" a alive
		wait_for 10 sees "$n" b alive
		wait_for 10 sees "$n" c alive
		wait_for 20 peers_are "$n" a b c
		[ "$(of "$n" /v1/status/leader)" = "\"${AT[a]}:8300\"" ]
		wait_for 10 nodes_are "$n" a b c
	done
	[ "$(member_lines a)" = "$(member_lines b)" ]
	[ "$(member_lines a)" = "$(member_lines c)" ]
	wait_for 30 voters_are a a b c
	# all three count: without the first the others go on
	put a k before
	crash a
	find_leader b c
	wait_for 10 logged b "New leader elected: payload=$LEADER"
	wait_for 10 logged c "New leader elected: payload=$LEADER"
	has b k before
	put c k after
	wait_for 10 has b k after
}

@test "three servers with -bootstrap-expect 3 begin one cluster, one that comes with it later joins that" {
	local n
	address s1
	node s1 -server -bootstrap-expect=3
	node s2 -server -bootstrap-expect=3 -retry-join="${AT[s1]}"
	[ "$(of s1 /v1/status/leader)" = '""' ]
	node s3 -server -bootstrap-expect=3 -retry-join="${AT[s1]}"
	find_leader s1 s2 s3
	node s4 -server -bootstrap-expect=3 -retry-join="${AT[s2]}"
	for n in s1 s2 s3 s4; do wait_for 20 peers_are "$n" s1 s2 s3 s4; done
	wait_for 20 logged s4 'Existing Raft peers reported by server, disabling bootstrap mode\|Raft data found, disabling bootstrap mode\|Found expected number of peers'
	! grep -q 'raft: bootstrapped' "$BATS_TEST_TMPDIR/s4/log"
	[ "$(cat "$BATS_TEST_TMPDIR"/s[123]/log | grep -c 'agent.server.raft: bootstrapped')" = 1 ]
	# a start with what is there begins nothing
	end s1 TERM
	node s1 -server -bootstrap-expect=3
	wait_for 20 logged s1 'Raft data found, disabling bootstrap mode'
	find_leader s1 s2 s3 s4
	peers_are s1 s1 s2 s3 s4
}

@test "servers that expect different numbers, and two that begin alone" {
	address s1
	node s1 -server -bootstrap-expect=2
	node s2 -server -bootstrap-expect=3 -retry-join="${AT[s1]}"
	wait_for 10 logged s1 'Member has a conflicting expect value. All nodes should expect the same number.: member=s2'
	wait_for 10 logged s2 'Member has a conflicting expect value. All nodes should expect the same number.: member=s1'
	[ "$(of s1 /v1/status/leader)" = '""' ]
	node b1 -server -bootstrap
	node b2 -server -bootstrap
	wait_for 20 leads b1
	wait_for 20 leads b2
	run -0 ctl b2 join "${AT[b1]}"
	wait_for 10 logged b1 'Two nodes are in bootstrap mode. Only one node should be in bootstrap mode, not adding Raft peer.'
	leads b1
	leads b2
	peers_are b1 b1
}

# Three servers and a client with a service.
three_and_client() {
	address s1
	spawn s1 -server -bootstrap-expect=3 "$@"
	spawn s2 -server -bootstrap-expect=3 -retry-join="${AT[s1]}" -retry-interval=1s "$@"
	spawn s3 -server -bootstrap-expect=3 -retry-join="${AT[s1]}" -retry-interval=1s "$@"
	spawn c1 -retry-join="${AT[s1]}" -retry-interval=1s "$@"
	find_leader s1 s2 s3
	wait_for 20 nodes_are s1 s1 s2 s3 c1
	of c1 /v1/agent/service/register -X PUT -d '{"Name":"web","Port":8080}'
	wait_for 10 found_by_dns s1 web.service.consul "${AT[c1]} "
}

@test "a client that is killed: failed, critical, out of DNS, its sessions gone; it comes back by itself" {
	three_and_client
	local session n
	session=$(of c1 /v1/session/create -X PUT -d '{}' | jq -r .ID)
	[ "$(of c1 "/v1/kv/lock?acquire=$session" -X PUT -d x)" = true ]
	crash c1
	for n in s1 s2 s3; do wait_for 20 sees "$n" c1 failed; done
	wait_for 10 health_is s1 c1 critical
	[ "$(of s2 /v1/health/node/c1 | jq -r '.[] | select(.CheckID == "serfHealth") | .Output')" = 'Agent not live or unreachable' ]
	logged "$LEADER" 'agent.server: member failed, marking health critical: member=c1'
	for n in s1 s2 s3; do wait_for 10 found_by_dns "$n" web.service.consul ""; done
	# node and service stay in the catalog, its session does not
	nodes_are s1 s1 s2 s3 c1
	[ "$(of s1 /v1/catalog/service/web | jq -r '.[].Node')" = c1 ]
	[ "$(of s3 "/v1/session/info/$session")" = '[]' ]
	[ "$(of s3 /v1/kv/lock | jq -r '.[].Session')" = null ]
	# it remembers whom it knew
	node c1
	for n in s1 s2 s3; do wait_for 20 sees "$n" c1 alive; done
	wait_for 10 health_is s1 c1 passing
	wait_for 10 found_by_dns s2 web.service.consul "${AT[c1]} "
}

@test "leaving: a client by Ctrl-C and by the command, a server, the leader" {
	three_and_client
	local n left
	run -0 ctl c1 leave
	[ "$output" = 'Graceful leave complete' ]
	ends_with c1 0
	for n in s1 s2 s3; do wait_for 10 sees "$n" c1 left; done
	wait_for 10 nodes_are s1 s1 s2 s3
	logged "$LEADER" 'agent.server: deregistering member: member=c1 partition=default reason=left'
	wait_for 10 found_by_dns s1 web.service.consul ""
	node c1 -retry-join="${AT[s2]}"
	wait_for 10 nodes_are s1 s1 s2 s3 c1
	kill -INT "${PIDS[c1]}"
	ends_with c1 0
	wait_for 10 nodes_are s1 s1 s2 s3
	# the leader hands its office on first
	put s1 k v
	left=$LEADER
	run -0 ctl "$left" leave
	ends_with "$left" 0
	! grep -q 'failed to leave raft configuration gracefully' "$BATS_TEST_TMPDIR/$left/log"
	local rest=()
	for n in s1 s2 s3; do [ "$n" = "$left" ] || rest+=("$n"); done
	find_leader "${rest[@]}"
	wait_for 10 peers_are "${rest[0]}" "${rest[@]}"
	wait_for 10 nodes_are "${rest[0]}" "${rest[@]}"
	for n in "${rest[@]}"; do sees "$n" "$left" left; done
	put "${rest[1]}" k w
	# of two the second that leaves leaves one that goes on
	left=${rest[0]}
	[ "$left" != "$LEADER" ] || left=${rest[1]}
	run -0 ctl "$left" leave
	ends_with "$left" 0
	peers_are "$LEADER" "$LEADER"
	put "$LEADER" k x
	# and who left may come back
	node "$left" -server -retry-join="${AT[$LEADER]}"
	wait_for 20 peers_are "$LEADER" "$LEADER" "$left"
	wait_for 10 has "$left" k x
}

@test "force-leave, and -prune" {
	three_and_client
	crash c1
	wait_for 20 sees s1 c1 failed
	run -0 ctl s2 force-leave c1
	for n in s1 s2 s3; do wait_for 10 sees "$n" c1 left; done
	wait_for 10 nodes_are s3 s1 s2 s3
	run -0 ctl s2 force-leave -prune c1
	for n in s1 s2 s3; do wait_for 10 sees_not "$n" c1; done
	run -1 ctl s2 force-leave nosuch
	[ "$output" = "Error force leaving: Unexpected response code: 500 (agent: No node found with name 'nosuch')" ]
	# pruned before the leader has seen it leave
	node c1 -retry-join="${AT[s1]}"
	wait_for 10 nodes_are s3 s1 s2 s3 c1
	crash c1
	wait_for 20 sees s1 c1 failed
	run -0 ctl s1 force-leave -prune c1
	for n in s1 s2 s3; do wait_for 10 sees_not "$n" c1; done
	wait_for 10 nodes_are s3 s1 s2 s3
}

@test "a member that was away for reconnect_timeout is forgotten, and its node with it" {
	three_and_client -hcl 'reconnect_timeout = "1s"'
	crash c1
	for n in s1 s2 s3; do wait_for 40 sees_not "$n" c1; done
	wait_for 10 nodes_are s3 s1 s2 s3
	logged "$LEADER" 'agent.server: deregistering member: member=c1 partition=default reason=reaped'
}

@test "all servers come back with other addresses, and are the same cluster" {
	local n
	address s1
	spawn s1 -server -bootstrap-expect=3
	spawn s2 -server -bootstrap-expect=3 -retry-join="${AT[s1]}" -retry-interval=1s
	spawn s3 -server -bootstrap-expect=3 -retry-join="${AT[s1]}" -retry-interval=1s
	find_leader s1 s2 s3
	put s1 k v
	for n in s1 s2 s3; do crash "$n"; done
	for n in s1 s2 s3; do AT[$n]=; done
	for n in s1 s2 s3; do address "$n"; done
	spawn s1 -server
	spawn s2 -server -retry-join="${AT[s1]}" -retry-interval=1s
	spawn s3 -server -retry-join="${AT[s1]}" -retry-interval=1s
	find_leader s1 s2 s3
	for n in s1 s2 s3; do wait_for 20 peers_are "$n" s1 s2 s3; done
	has s2 k v
	put s3 k w
}

@test "a gossipd of the leader that forgets all members takes none of them away" {
	local n old LEADER=s1
	node s1 -server -bootstrap
	spawn s2 -server -retry-join="${AT[s1]}" -retry-interval=1s
	spawn s3 -server -retry-join="${AT[s1]}" -retry-interval=1s
	spawn c1 -retry-join="${AT[s1]}" -retry-interval=1s
	wait_for 20 nodes_are s1 s1 s2 s3 c1
	wait_for 20 peers_are s1 s1 s2 s3
	of c1 /v1/agent/service/register -X PUT -d '{"Name":"web","Port":8080}'
	wait_for 10 found_by_dns s1 web.service.consul "${AT[c1]} "
	# it finds nothing to remember, and nobody has told it whom to join: the others find it
	rm "$BATS_TEST_TMPDIR/$LEADER/data/serf/local.snapshot"
	old=$(pgrep -P "${PIDS[$LEADER]}" -x gossipd)
	kill -KILL "$old"
	for n in s1 s2 s3 c1; do wait_for 40 sees "$LEADER" "$n" alive; done
	[ "$(pgrep -P "${PIDS[$LEADER]}" -x gossipd)" != "$old" ]
	! cat "$BATS_TEST_TMPDIR"/s?/log | grep 'marking health critical\|deregistering member\|removing server'
	nodes_are s1 s1 s2 s3 c1
	found_by_dns s1 web.service.consul "${AT[c1]} "
	# and it sees what happens from then on
	crash c1
	wait_for 20 health_is "$LEADER" c1 critical
}

@test "a session with a TTL outlives the leader for as long as it is renewed, and not for longer" {
	three_and_client -hcl 'session_ttl_min = "1s"'
	local session n rest=()
	session=$(of c1 /v1/session/create -X PUT -d '{"TTL":"1s"}' | jq -r .ID)
	[ "$(of c1 "/v1/kv/lock?acquire=$session" -X PUT -d x)" = true ]
	for n in s1 s2 s3; do [ "$n" = "$LEADER" ] || rest+=("$n"); done
	crash "$LEADER"
	find_leader "${rest[@]}"
	[ "$(of c1 "/v1/session/renew/$session" -X PUT | jq -r '.[].ID')" = "$session" ]
	holds "$session"
	wait_for 20 released
	[ "$(of c1 "/v1/session/info/$session")" = '[]' ]
}
holds() { [ "$(of c1 /v1/kv/lock | jq -r '.[].Session')" = "$1" ]; }
released() { holds null; }

@test "an agent that was renamed takes its node along; a name that is in use is not given away" {
	three_and_client
	local id
	id=$(cat "$BATS_TEST_TMPDIR/c1/data/node-id")
	run -0 ctl c1 leave
	ends_with c1 0
	wait_for 10 nodes_are s1 s1 s2 s3
	mv "$BATS_TEST_TMPDIR/c1" "$BATS_TEST_TMPDIR/renamed"
	AT[renamed]=${AT[c1]}
	node renamed -retry-join="${AT[s1]}" -retry-interval=1s
	wait_for 20 nodes_are s1 s1 s2 s3 renamed
	[ "$(of s1 /v1/catalog/node/renamed | jq -r .Node.ID)" = "$id" ]
	# registered by hand under the name and an ID of its own: the live agent's is refused no name
	[ "$(of s1 /v1/catalog/register -X PUT -w '%{http_code}' -o "$BATS_TEST_TMPDIR/answer" -d \
		'{"Node":"renamed","ID":"bbbbbbbb-0000-4000-8000-000000000000","Address":"10.0.0.1"}' 2>/dev/null || true)" = 500 ]
	[ "$(of s1 /v1/catalog/node/renamed | jq -r .Node.ID)" = "$id" ]
}

@test "a server leaves also when its catalogd hangs" {
	three_and_client
	local n rest=() catalogd
	for n in s1 s2 s3; do [ "$n" = "$LEADER" ] || rest+=("$n"); done
	catalogd=$(pgrep -P "${PIDS[${rest[0]}]}" -x catalogd)
	kill -STOP "$catalogd"
	run -0 ctl "${rest[0]}" leave
	ends_with "${rest[0]}" 0
	wait_for 10 peers_are "$LEADER" "$LEADER" "${rest[1]}"
	wait_for 10 nodes_are "$LEADER" "$LEADER" "${rest[1]}" c1
}
