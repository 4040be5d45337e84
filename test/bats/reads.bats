#!/usr/bin/env bats
# What is read and written with three servers and a client: the promises of ?stale, default and ?consistent on each of them, and that they hold when
# the leader hands over, is stopped, is killed, or is left alone.

bats_require_minimum_version 1.5.0
load suite
load pool

setup() { pool_setup; }
teardown() {
	local n
	for n in "${NODES[@]}"; do all_of "$n" CONT; done
	[ -z "${ASKING-}" ] || kill -KILL $ASKING 2>/dev/null || true
	pool_teardown
}

# pool [FLAGS...]: s1 s2 s3, and the client c1
pool() {
	local n
	for n in s1 s2 s3 c1; do address "$n"; done
	JOIN=(-retry-join="${AT[s1]}" -retry-join="${AT[s2]}" -retry-join="${AT[s3]}" -retry-interval=1s)
	for n in s1 s2 s3; do spawn "$n" -server -bootstrap-expect=3 "${JOIN[@]}" "$@"; done
	spawn c1 "${JOIN[@]}" "$@"
	find_leader s1 s2 s3
	for n in s1 s2 s3 c1; do wait_for 20 put "$n" "ready/$n" yes; done
}

# ask NAME PATH [CURL ARGS...]: status, then what was answered
ask_agent() {
	local name=$1 path=$2
	shift 2
	curl -sS -m 30 "$@" "http://${AT[$name]}:8500$path"
}
get() { ask_agent "$1" "/v1/kv/$2?raw&${3-}" -f; }
put() { [ "$(ask_agent "$1" "/v1/kv/$2" -f -X PUT -d "$3")" = true ]; }
is() { [ "$(get "$1" "$2" "${4-}")" = "$3" ]; }
status_of() { ask_agent "$1" "$2" -o /dev/null -w '%{http_code}' "${@:3}"; }
# field NAME PATH HEADER
field() { ask_agent "$1" "$2" -o /dev/null -D - | tr -d '\r' | awk -v h="$3" 'tolower($1) == tolower(h) ":" {print $2}'; }

ask_raft() { python3 "$BATS_TEST_DIRNAME/raft.py" "$BATS_TEST_TMPDIR/$1/data/run/raftd.sock" "$2" "${3-{\}}"; }
leads() { [ "$(ask_raft "$1" Raft.Status | jq -r .State)" = leader ]; }
# find_leader NAME...: sets LEADER; the others are FOLLOWERS
find_leader() {
	local end=$((SECONDS + 60)) n
	LEADER=
	until [ -n "$LEADER" ]; do
		[ $SECONDS -lt $end ] || return 1
		for n in "$@"; do
			if leads "$n" 2>/dev/null; then LEADER=$n; fi
		done
	done
	FOLLOWERS=$(echo "$@" | tr ' ' '\n' | grep -vx "$LEADER")
}
daemon_of() { pgrep -P "${PIDS[$1]}" -x "$2"; }
# all_of NAME SIGNAL: the whole suite; the supervisor last when it is stopped, first when it goes on
all_of() {
	[ -z "${PIDS[$1]}" ] || kill "-$2" "${PIDS[$1]}" $(pgrep -P "${PIDS[$1]}") 2>/dev/null || true
}
# in_background FILE COMMAND...
in_background() {
	local file=$BATS_TEST_TMPDIR/$1
	shift
	"$@" >"$file" 2>&1 3>&- 4>&- &
	ASKING="${ASKING-} $!"
}
says() { [ "$(cat "$BATS_TEST_TMPDIR/$1")" = "$2" ]; }
stat_of() { ask_agent "$1" /v1/agent/self -f | jq -r ".Stats.$2"; }
parked() { local n sum=0; for n in s1 s2 s3; do sum=$((sum + $(stat_of "$n" catalogd.parked_queries))); done; [ "$sum" = "$1" ]; }
index_of() { field "$1" "$2" X-Consul-Index; }
# parks NAME KEY FILE [MODE]: a query of KEY that waits for its change
parks() {
	local index
	index=$(index_of "$1" "/v1/kv/$2")
	in_background "$3" get "$1" "$2" "index=$index&wait=5m&${4-}"
}

@test "stale, default and consistent reads on leader, follower and client" {
	local n mode
	pool
	for n in s1 s2 s3 c1; do
		# what is acknowledged anywhere is read everywhere at once, but by stale reads
		put "$n" color "$n"
		for mode in '' consistent; do
			for at in s1 s2 s3 c1; do is "$at" color "$n" "$mode"; done
		done
		for at in s1 s2 s3 c1; do wait_for 10 is "$at" color "$n" stale; done
		for mode in '' '?stale' '?consistent'; do
			[ "$(field "$n" "/v1/kv/color$mode" X-Consul-Knownleader)" = true ]
			[[ $(field "$n" "/v1/kv/color$mode" X-Consul-Lastcontact) =~ ^[0-9]+$ ]]
		done
		[ "$(field "$n" /v1/kv/color X-Consul-Lastcontact)" = 0 ]
		[ "$(field "$n" "/v1/kv/color?consistent" X-Consul-Lastcontact)" = 0 ]
		[ "$(field "$n" "/v1/catalog/nodes" X-Consul-Effective-Consistency)" = leader ]
		[ "$(field "$n" "/v1/catalog/nodes?stale" X-Consul-Effective-Consistency)" = stale ]
		[ "$(field "$n" "/v1/catalog/nodes?consistent" X-Consul-Effective-Consistency)" = consistent ]
	done
	[ "$(field "$LEADER" "/v1/kv/color?stale" X-Consul-Lastcontact)" = 0 ]
	# a follower whose state is older than was asked for has the leader asked
	for n in $FOLLOWERS; do
		[ "$(field "$n" "/v1/catalog/nodes?max_stale=1ns" X-Consul-Effective-Consistency)" = leader ]
		[ "$(field "$n" "/v1/catalog/nodes?max_stale=1h" X-Consul-Effective-Consistency)" = stale ]
	done
}

@test "leadership is handed over: what is parked goes along and wakes by the next write" {
	local n mode successor
	pool
	for n in s1 s2 s3 c1; do put "$n" "k/$n" old; done
	for n in s1 s2 s3 c1; do
		parks "$n" "k/$n" "$n.default"
		parks "$n" "k/$n" "$n.consistent" consistent
	done
	wait_for 20 parked 8
	successor=$(echo $FOLLOWERS | cut -d' ' -f1)
	ask_raft "$LEADER" Raft.TransferLeadership "{\"ID\":\"$(cat "$BATS_TEST_TMPDIR/$successor/data/node-id")\"}"
	wait_for 10 leads "$successor"
	wait_for 20 parked_at "$successor" 8
	for n in s1 s2 s3 c1; do put c1 "k/$n" "new $n"; done
	for n in s1 s2 s3 c1; do
		wait_for 10 says "$n.default" "new $n"
		wait_for 10 says "$n.consistent" "new $n"
	done
	parked 0
}
parked_at() { [ "$(stat_of "$1" catalogd.parked_queries)" = "$2" ]; }

@test "the leader is killed: writes and parked queries go on at the others and at the client" {
	local n old survivors
	pool
	old=$LEADER survivors="$FOLLOWERS c1"
	for n in $survivors; do put c1 "k/$n" old; done
	for n in $survivors; do parks "$n" "k/$n" "$n.parked"; done
	wait_for 20 parked_at "$old" 3
	crash "$old"
	for n in $survivors; do
		in_background "$n.write" put "$n" "after/$n" "$n" # it is held until there is a leader
	done
	for n in $survivors; do wait_for 20 is c1 "after/$n" "$n"; done
	for n in $survivors; do put c1 "k/$n" new; done
	for n in $survivors; do wait_for 10 says "$n.parked" new; done
	find_leader $FOLLOWERS
	# again, by its catalogd alone
	for n in $survivors; do parks "$n" "k/$n" "$n.parked2"; done
	wait_for 20 parked_at "$LEADER" 3
	kill -KILL "$(daemon_of "$LEADER" catalogd)"
	for n in $survivors; do wait_for 20 put c1 "k/$n" newer; done
	for n in $survivors; do
		wait_for 20 is "$n" "k/$n" newer
		wait_for 20 says "$n.parked2" newer
	done
}

@test "a minority refuses writes and default reads, and serves stale ones" {
	local n
	echo 'performance { rpc_hold_timeout = "500ms" }' >"$BATS_TEST_TMPDIR/hold.hcl"
	pool -config-file="$BATS_TEST_TMPDIR/hold.hcl"
	put c1 color blue
	wait_for 10 is "$LEADER" color blue stale
	for n in $FOLLOWERS; do all_of "$n" STOP; done
	wait_for 20 has_no_leader "$LEADER"
	[ "$(ask_agent "$LEADER" /v1/kv/color)" = "No cluster leader" ]
	[ "$(status_of "$LEADER" /v1/kv/color)" = 500 ]
	[ "$(ask_agent "$LEADER" "/v1/kv/color?consistent")" = "No cluster leader" ]
	[ "$(ask_agent "$LEADER" /v1/kv/color -X PUT -d red)" = "No cluster leader" ]
	is "$LEADER" color blue stale
	local first
	first=$(field "$LEADER" "/v1/kv/color?stale" X-Consul-Lastcontact)
	wait_for 10 contact_is_older "$LEADER" "$first"
	# its catalogd comes back without a leader: what raftd has heard is enough for stale reads
	kill -KILL "$(daemon_of "$LEADER" catalogd)"
	wait_for 20 is "$LEADER" color blue stale
	has_no_leader "$LEADER"
	for n in $FOLLOWERS; do all_of "$n" CONT; done
	find_leader s1 s2 s3
	for n in s1 s2 s3 c1; do wait_for 20 is "$n" color blue; done
	wait_for 20 put c1 color red
}
has_no_leader() { [ "$(field "$1" "/v1/kv/color?stale" X-Consul-Knownleader)" = false ]; }
contact_is_older() { [ "$(field "$1" "/v1/kv/color?stale" X-Consul-Lastcontact)" -gt "$2" ]; }

@test "a leader that was stopped does not answer default reads from its old state" {
	local old n p
	pool
	put c1 color old
	# so often that httpd has a copy of its own
	for n in 1 2 3 4 5; do is "$LEADER" color old; done
	old=$LEADER
	all_of "$old" STOP
	find_leader $FOLLOWERS
	wait_for 20 put "$LEADER" color new
	for n in 1 2 3 4 5; do in_background "answer$n" get "$old" color; done
	in_background consistent get "$old" color consistent
	# All but raftd go on: nobody has told them yet that another server leads.
	p=$(daemon_of "$old" raftd)
	kill -CONT "${PIDS[$old]}" $(pgrep -P "${PIDS[$old]}" | grep -vx "$p")
	wait_for 10 is "$old" color old stale
	for n in 1 2 3 4 5; do says "answer$n" ''; done
	kill -CONT "$p"
	for n in 1 2 3 4 5; do wait_for 20 says "answer$n" new; done
	wait_for 20 says consistent new
	is "$old" color new
}

@test "a leader that has given up its lease answers by a quorum's word" {
	local gone
	pool
	put c1 color blue
	gone=$(echo $FOLLOWERS | cut -d' ' -f1)
	all_of "$gone" STOP
	# whom leadership is handed to does not take it: the lease was given up for nothing
	run ! ask_raft "$LEADER" Raft.TransferLeadership "{\"ID\":\"$(cat "$BATS_TEST_TMPDIR/$gone/data/node-id")\"}"
	leads "$LEADER"
	[ "$(ask_raft "$LEADER" Raft.Status | jq .LeaseUntil)" = 0 ]
	is "$LEADER" color blue
	is c1 color blue
	parks c1 color parked
	put c1 color red
	wait_for 10 says parked red
	is "$LEADER" color red
	[ "$(field "$LEADER" /v1/kv/color X-Consul-Knownleader)" = true ]
}

@test "a client writes through the loss of one leader after another, and nothing that was acknowledged is missing" {
	local i round
	pool
	in_background writer write_on
	for round in 1 2; do
		wait_for 20 acked_more
		find_leader s1 s2 s3
		crash "$LEADER"
		wait_for 20 acked_more
		spawn "$LEADER" -server -bootstrap-expect=3 "${JOIN[@]}"
		wait_for 20 leads_or_follows "$LEADER"
	done
	touch "$BATS_TEST_TMPDIR/enough"
	wait_for 20 test -e "$BATS_TEST_TMPDIR/finished"
	for i in $(cat "$BATS_TEST_TMPDIR/acked"); do is c1 "w/$i" "$i"; done
}
write_on() {
	local i=0
	while [ ! -e "$BATS_TEST_TMPDIR/enough" ]; do
		i=$((i + 1))
		if put c1 "w/$i" "$i"; then echo "$i" >>"$BATS_TEST_TMPDIR/acked"; fi
	done
	touch "$BATS_TEST_TMPDIR/finished"
}
# Ten more than when it was last called with success.
acked_more() {
	local now
	now=$(wc -l <"$BATS_TEST_TMPDIR/acked") || return 1
	[ "$now" -ge $((${ACKED:-0} + 10)) ] && ACKED=$now
}
leads_or_follows() { [ -n "$(ask_raft "$1" Raft.Status | jq -r .LeaderAddress)" ]; }

@test "a thousand watchers on a client are one question to the servers" {
	echo '{"limits":{"http_max_conns_per_client":2000}}' >"$BATS_TEST_TMPDIR/limits.json"
	ulimit -n "$(ulimit -H -n)"
	[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge 4096 ] || skip "needs 4,096 descriptors"
	pool -config-file="$BATS_TEST_TMPDIR/limits.json"
	ask_agent c1 /v1/agent/service/register -f -X PUT -d '{"Name":"web","Port":80}'
	wait_for 10 has_web s1
	in_background watchers.out python3 "$BATS_TEST_DIRNAME/watchers.py" "${AT[c1]}" "$BATS_TEST_TMPDIR/watchers" 1000 /v1/health/service/web
	wait_for 60 grep -q parked "$BATS_TEST_TMPDIR/watchers"
	wait_for 20 waiting_at c1 1000
	wait_for 20 parked 1
	[ "$(stat_of c1 catalogd.calls)" = 1 ]
	ask_agent c1 /v1/agent/service/register -f -X PUT -d '{"Name":"web","Port":81}'
	wait_for 30 woken 1000
	[ "$(grep -v parked "$BATS_TEST_TMPDIR/watchers" | cut -d' ' -f2- | sort -u | wc -l)" = 1 ]
	[ "$(grep -c " 200 $(index_of s1 /v1/health/service/web) " "$BATS_TEST_TMPDIR/watchers")" = 1000 ]
}
has_web() { ask_agent "$1" /v1/health/service/web -f | grep -q '"Port":80'; }
waiting_at() { [ "$(stat_of "$1" catalogd.waiting_requests)" -ge "$2" ]; }
woken() { [ "$(grep -vc parked "$BATS_TEST_TMPDIR/watchers")" = "$1" ]; }
