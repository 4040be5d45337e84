#!/usr/bin/env bats
# How agents find their pool, keep it, and are kept out of it: what flags and configuration say about joining, names, keys and addresses.

bats_require_minimum_version 1.5.0
load suite
load pool

setup() { pool_setup; }
teardown() { pool_teardown; }

times_logged() { grep -c -- "$2" "$BATS_TEST_TMPDIR/$1/log"; }
# refused NAME TEXT...: "consulctl join" of s1 says this, in the reference's layout
refused() {
	local name=$1
	shift
	run -1 ctl "$name" join "${AT[s1]}"
	[[ $output == "Error joining address '${AT[s1]}': Unexpected response code: 500 (1 error occurred:
	* Failed to join ${AT[s1]}:8301: $*"*"Failed to join any nodes." ]]
}
id_of() { cat "$BATS_TEST_TMPDIR/$1/data/node-id"; }

@test "-retry-join waits for a node that comes later; -retry-max ends the agent" {
	address s1
	spawn c1 -retry-join="${AT[s1]}" -retry-interval=1s
	wait_for 20 logged c1 '\[WARN\]  agent: Join cluster failed, will retry: cluster=LAN retry_interval=1s error="1 error occurred:'
	logged c1 '\[INFO\]  agent: Joining cluster...: cluster=LAN'
	logged c1 "\\[INFO\\]  agent: (LAN) joining: lan_addresses=\\[\"${AT[s1]}\"\\]"
	logged c1 "Failed to join ${AT[s1]}:8301: dial tcp ${AT[s1]}:8301: connect: connection refused"
	node s1 -server -bootstrap-expect=1
	wait_for 20 logged c1 'agent: Join cluster completed. Synced with initial agents: cluster=LAN num_agents=1'
	wait_for 10 sees s1 c1 alive
	address nobody
	spawn c2 -retry-join="${AT[nobody]}" -retry-interval=1s -retry-max=2
	ends_with c2 1
	[ "$(times_logged c2 'Join cluster failed, will retry')" = 2 ]
	logged c2 '\[ERROR\] agent: Retry join failed: error="agent: max join LAN retry exhausted, exiting"'
}

@test "-join and start_join: one attempt, of which one address is enough; with retry_join the agent goes on" {
	address nobody
	node s1 -server -bootstrap-expect=1
	spawn c1 -join="${AT[nobody]}"
	ends_with c1 1
	logged c1 "\\[WARN\\]  agent: (LAN) couldn't join: number_of_nodes=0 error=\"1 error occurred:"
	logged c1 "Failed to join ${AT[nobody]}:8301: dial tcp ${AT[nobody]}:8301: connect: connection refused"
	run ! logged c1 'Consul agent running!'
	echo "start_join = [\"${AT[nobody]}\", \"${AT[s1]}\"]" >"$BATS_TEST_TMPDIR/join.hcl"
	node c1 -config-file="$BATS_TEST_TMPDIR/join.hcl"
	logged c1 'agent: (LAN) joined: number_of_nodes=1'
	wait_for 10 sees s1 c1 alive
	echo "start_join = [\"${AT[nobody]}\"] retry_join = [\"${AT[s1]}\"]" >"$BATS_TEST_TMPDIR/join.hcl"
	node c2 -config-file="$BATS_TEST_TMPDIR/join.hcl"
	wait_for 10 sees s1 c2 alive
	address c3
	node c3 -join="${AT[c3]}" # itself
}

@test "WAN: -join-wan, -retry-join-wan, -retry-max-wan, ports; members -wan" {
	node s1 -server -bootstrap-expect=1
	node s2 -server -bootstrap-expect=1 -datacenter=dc2 -join-wan="${AT[s1]}"
	node s3 -server -bootstrap-expect=1 -datacenter=dc3 -retry-join-wan="${AT[s1]}:8302"
	wait_for 10 sees_wan s1 s2.dc2 alive
	wait_for 10 sees_wan s1 s3.dc3 alive
	wait_for 10 sees_wan s2 s3.dc3 alive
	logged s3 'agent: Join cluster completed. Synced with initial agents: cluster=WAN num_agents=1'
	run -0 ctl s2 members -wan -detailed
	[[ $output == *"s1.dc1 "*"${AT[s1]}:8302"*"alive"*"dc=dc1"* ]]
	sees_not s1 s2
	node s4 -server -bootstrap-expect=1 -datacenter=dc4
	run -0 ctl s4 join -wan "${AT[s1]}"
	[ "$output" = "Successfully joined cluster by contacting 1 nodes." ]
	wait_for 10 sees_wan s1 s4.dc4 alive
	node c1
	run -1 ctl c1 join -wan "${AT[s1]}"
	[[ $output == *"Must be a server to join WAN cluster"* ]]
	address nobody
	spawn s5 -server -bootstrap-expect=1 -datacenter=dc5 -retry-join-wan="${AT[nobody]}" -retry-interval-wan=1s -retry-max-wan=1
	ends_with s5 1
	logged s5 'Retry join failed: error="agent: max join WAN retry exhausted, exiting"'
}

@test "addresses and ports of gossip: bound, told to the others, moved, none" {
	address lan
	address wan
	address told
	node s1 -server -bootstrap-expect=1 -serf-lan-bind="${AT[lan]}" -serf-wan-bind="${AT[wan]}" -serf-lan-port=9301 \
		-serf-wan-port=9302
	[ -n "$(ss -lntH "src ${AT[lan]}:9301")" ]
	[ -n "$(ss -lnuH "src ${AT[lan]}:9301")" ]
	[ -n "$(ss -lntH "src ${AT[wan]}:9302")" ]
	[ -z "$(ss -lntH "src ${AT[s1]}:9301")" ]
	ctl s1 members | grep -q "^s1 .*${AT[s1]}:9301 "
	ctl s1 members -wan | grep -q "^s1.dc1 .*${AT[s1]}:9302 "
	node c1 -serf-lan-port=9301 -advertise="${AT[told]}" -serf-lan-bind="${AT[told]}" -join="${AT[lan]}"
	wait_for 10 sees s1 c1 alive
	ctl s1 members | grep -q "^c1 .*${AT[told]}:9301 "
	node s2 -server -bootstrap-expect=1 -serf-wan-port=-1 -advertise-wan="${AT[told]}"
	[ -z "$(ss -lntuH "src ${AT[s2]}:8302")" ]
	node s3 -server -bootstrap-expect=1 -advertise-wan="${AT[told]}"
	ctl s3 members -wan | grep -q "^s3.dc1 .*${AT[told]}:8302 "
	ctl s3 members | grep -q "^s3 .*${AT[s3]}:8301 "
}

@test "members: status, details, nobody" {
	node s1 -server -bootstrap-expect=1
	node c1 -join="${AT[s1]}"
	wait_for 10 sees s1 c1 alive
	run -0 ctl s1 members
	[[ ${lines[0]} =~ ^Node\ +Address\ +Status\ +Type\ +Build\ +Protocol\ +DC\ +Partition\ +Segment$ ]]
	[[ ${lines[1]} =~ ^s1\ +${AT[s1]}:8301\ +alive\ +server\ +[0-9.]+\ +2\ +dc1\ +default\ +\<all\>$ ]]
	[[ ${lines[2]} =~ ^c1\ +${AT[c1]}:8301\ +alive\ +client\ +[0-9.]+\ +2\ +dc1\ +default\ +\<default\>$ ]]
	[ "$output" = "$(ctl c1 members)" ]
	run -2 ctl s1 members '-status=failed|left'
	crash c1
	wait_for 20 sees s1 c1 failed
	run -0 ctl s1 members '-status=failed|left'
	[ "${#lines[@]}" = 2 ]
	[[ ${lines[1]} == "c1 "*" failed "* ]]
	run -0 ctl s1 members -detailed -status=failed
	[[ ${lines[1]} == *"id=$(id_of c1)"*"role=node"* ]]
}

@test "cloned machines have the same node ID: refused with the reason, until each has one of its own" {
	local own=5d7c8a0e-3b1f-4c65-9a27-0f4b6f3e2d11
	node s1 -server -bootstrap-expect=1
	mkdir -p "$BATS_TEST_TMPDIR/c1/data"
	cp "$BATS_TEST_TMPDIR/s1/data/node-id" "$BATS_TEST_TMPDIR/c1/data/node-id"
	node c1
	refused c1 "Member 's1' has conflicting node ID '$(id_of s1)' with this agent's ID"
	logged s1 "memberlist: Failed push/pull merge: Member 'c1' has conflicting node ID '$(id_of s1)' with this agent's ID from="
	end c1 INT
	spawn c1 -join="${AT[s1]}"
	ends_with c1 1
	logged c1 "Member 's1' has conflicting node ID '$(id_of s1)' with this agent's ID"
	rm "$BATS_TEST_TMPDIR/c1/data/node-id"
	node c1 -disable-host-node-id -join="${AT[s1]}"
	[ "$(id_of c1)" != "$(id_of s1)" ]
	wait_for 10 sees s1 c1 alive
	end c1 INT
	node c2 -node-id="$(tr a-z A-Z <<<"$own")" -join="${AT[s1]}"
	wait_for 10 sees s1 c2 alive
	ctl s1 members -detailed | grep -q "^c2 .*id=$own"
	spawn c3 -node-id=not-a-uuid
	ends_with c3 1
	logged c3 'failed to setup node ID: specified NodeID is invalid: '
	# the third node's ID is that of the second
	node c4 -node-id=$own
	refused c4 "Member 'c2' has conflicting node ID '$own' with this agent's ID"
}

@test "a name that another node has: both say so, the first one keeps it until it has left" {
	node s1 -server -bootstrap-expect=1
	node c1 -join="${AT[s1]}"
	wait_for 10 sees s1 c1 alive
	node twin -node=c1 -retry-join="${AT[s1]}"
	wait_for 10 logged s1 "memberlist: Conflicting address for c1. Mine: ${AT[c1]}:8301 Theirs: ${AT[twin]}:8301 Old state: 0"
	wait_for 10 logged s1 "serf: Name conflict for 'c1' both ${AT[c1]}:8301 and ${AT[twin]}:8301 are claiming"
	wait_for 10 logged twin "serf: Node name conflicts with another node at ${AT[c1]}:8301. Names must be unique! (Resolution enabled: false)"
	ctl s1 members | grep -q "^c1 .*${AT[c1]}:8301 .*alive"
	end twin KILL
	run -0 ctl c1 leave
	wait_for 10 sees s1 c1 left
	wait_for 20 port_free c1
	node twin -node=c1 -join="${AT[s1]}"
	at_twin() { ctl s1 members | grep -q "^c1 .*${AT[twin]}:8301 .*alive"; }
	wait_for 10 at_twin
}

@test "encryption is turned on in a running pool, step by step, as the reference documents it" {
	local key step
	key=$("$CTL" keygen)
	node s1 -server -bootstrap-expect=1
	node c1 -retry-join="${AT[s1]}"
	wait_for 10 sees s1 c1 alive
	for step in 'false false' 'false true' 'true true'; do
		printf 'encrypt = "%s" encrypt_verify_incoming = %s encrypt_verify_outgoing = %s\n' "$key" $step >"$BATS_TEST_TMPDIR/encrypt.hcl"
		end s1 KILL
		node s1 -server -bootstrap-expect=1 -config-file="$BATS_TEST_TMPDIR/encrypt.hcl"
		wait_for 20 sees c1 s1 alive
		wait_for 20 sees s1 c1 alive
		end c1 KILL
		node c1 -retry-join="${AT[s1]}" -config-file="$BATS_TEST_TMPDIR/encrypt.hcl"
		wait_for 20 sees s1 c1 alive
		wait_for 20 sees c1 s1 alive
	done
	node c2
	refused c2 "Remote state is encrypted and encryption is not configured"
	spawn c3 -encrypt=c2hvcnQ=
	ends_with c3 1
	node c4 -encrypt="$key" -disable-keyring-file -join="${AT[s1]}"
	wait_for 10 sees s1 c4 alive
	[ ! -e "$BATS_TEST_TMPDIR/c4/data/serf/local.keyring" ]
	[ -e "$BATS_TEST_TMPDIR/c1/data/serf/local.keyring" ]
	run -0 ctl s1 keyring -list
	[[ $output == *"dc1 (LAN):"*"$key [3/3]"* ]]
}

@test "who failed is forgotten after reconnect_timeout, who left after the time it asked for" {
	echo 'reconnect_timeout = "2s"' >"$BATS_TEST_TMPDIR/soon.hcl"
	echo 'advertise_reconnect_timeout = "3s"' >"$BATS_TEST_TMPDIR/mine.hcl"
	node s1 -server -bootstrap-expect=1 -config-file="$BATS_TEST_TMPDIR/soon.hcl"
	node c1 -join="${AT[s1]}"
	node c2 -join="${AT[s1]}" -config-file="$BATS_TEST_TMPDIR/mine.hcl"
	wait_for 10 sees s1 c1 alive
	wait_for 10 sees s1 c2 alive
	crash c1
	wait_for 20 logged s1 "serf: EventMemberFailed: c1 ${AT[c1]}"
	run -0 ctl c2 leave
	wait_for 10 logged s1 "serf: EventMemberLeave: c2 ${AT[c2]}"
	wait_for 30 logged s1 "serf: EventMemberReap: c1 ${AT[c1]}"
	wait_for 30 logged s1 "serf: EventMemberReap: c2 ${AT[c2]}"
	run -0 ctl s1 members
	[ "${#lines[@]}" = 2 ]
}

@test "a failed member that has forgotten everybody is found by the others" {
	node s1 -server -bootstrap-expect=1
	node c1 -join="${AT[s1]}"
	wait_for 10 sees s1 c1 alive
	crash c1
	wait_for 20 sees s1 c1 failed
	rm "$BATS_TEST_TMPDIR/c1/data/serf/local.snapshot"
	node c1
	wait_for 60 sees s1 c1 alive
	wait_for 10 sees c1 s1 alive
	logged s1 "serf: attempting reconnect to c1 ${AT[c1]}:8301"
}

# All processes of an agent.
family() { local p; echo "$1"; for p in $(pgrep -P "$1"); do family "$p"; done; }

@test "an agent that slept is taken for failed, and comes back by itself as it was" {
	local before all
	node s1 -server -bootstrap-expect=1
	node c1 -join="${AT[s1]}"
	node c2 -join="${AT[s1]}"
	wait_for 10 sees s1 c1 alive
	wait_for 10 sees c2 c1 alive
	wait_for 10 sees c1 c2 alive
	all=$(family "${PIDS[c1]}")
	before=$(sort -n <<<"$all")
	kill -STOP $all
	wait_for 20 sees s1 c1 failed
	wait_for 20 sees c2 c1 failed
	sleep 7 # longer than consuld lets a daemon be silent: it slept too, and must not blame them
	kill -CONT $all
	wait_for 8 sees s1 c1 alive # by its own word: later it would be forgotten, and come as a new one
	wait_for 20 sees c2 c1 alive
	wait_for 20 sees c1 s1 alive
	wait_for 20 sees c1 c2 alive
	wait_for 10 logged c1 'memberlist: Refuting a \(suspect\|dead\) message'
	[ "$(family "${PIDS[c1]}" | sort -n)" = "$before" ]
}

# No member was ever taken for anything but alive, and it is the gossipd of the beginning.
unharmed() {
	local n
	for n in s1 c1 c2; do
		[ "$(pgrep -P "${PIDS[$n]}" -x gossipd)" = "${WAS[$n]}" ] || { echo "$n: another gossipd"; return 1; }
		run ! logged "$n" 'EventMemberFailed'
		[ "$(ctl s1 members -status=alive | wc -l)" = 4 ]
	done
}

throw_garbage() { # at a pool whose agents have these flags too
	local n
	declare -gA WAS
	# a machine under load must not be taken for one that garbage has broken
	FAST='gossip_lan { gossip_interval = "100ms" } gossip_wan { gossip_interval = "100ms" }'
	node s1 -server -bootstrap-expect=1 "$@"
	node c1 -join="${AT[s1]}" "$@"
	node c2 -join="${AT[s1]}" "$@"
	for n in s1 c1 c2; do
		wait_for 10 sees s1 "$n" alive
		WAS[$n]=$(pgrep -P "${PIDS[$n]}" -x gossipd)
	done
	run -0 timeout 120 python3 "$BATS_TEST_DIRNAME/garbage.py" "${AT[s1]}" "${AT[c1]}" "${AT[c2]}"
	unharmed
	for n in s1 c1 c2; do
		[ "$(wc -l <"$BATS_TEST_TMPDIR/$n/log")" -lt 3000 ] # a line that a peer can provoke is limited
	done
	# news still go round
	run -0 ctl c1 event -name=still-here
	heard() { curl -sS -f -m 20 "http://${AT[c2]}:8500/v1/event/list" | grep -q still-here; }
	wait_for 20 heard
	node c3 -join="${AT[c2]}" "$@"
	wait_for 20 sees s1 c3 alive
}

@test "garbage at every gossip port of a running pool" {
	throw_garbage
}

@test "garbage at every gossip port of a running pool that is encrypted" {
	throw_garbage -encrypt="$("$CTL" keygen)"
}
