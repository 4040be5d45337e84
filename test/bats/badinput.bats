# Input that nobody should send: answered by the right error, never a crash, never a hang, never memory without end; others are served meanwhile.
bats_require_minimum_version 1.5.0
load suite

setup() {
	suite_init
	echo '{ "limits": { "http_max_conns_per_client": 1000 } }' >"$CONFIG/limits.json"
}
teardown() { stop_suite; }

send() { python3 "$BATS_TEST_DIRNAME/badinput.py" "$1" "$ADDR"; }

DAEMONS="raftd catalogd httpd dnsd checkd gossipd"
pids() { for d in $DAEMONS; do pid_of "$d"; done; }
# Resident memory of a daemon in KiB, at its highest
peak() { sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$(pid_of "$1")/status"; }
# A sanitizer keeps freed memory for some time.
bound() { case $BUILD in *address*) echo $(($1 + 600000)) ;; *) echo "$1" ;; esac; }

# run_against NAME: all daemons are the same processes afterwards
run_against() {
	start_suite -dev
	before=$(pids)
	send "$1"
	[ "$(pids)" = "$before" ]
	has_leader
	[ "$(ask agent-one.node.consul +short)" = "$ADDR" ]
}

@test "malformed JSON and wrong types in every registration" { run_against json; }
@test "unknown paths, wrong methods, bad durations, bad indexes, bad UTF-8" { run_against requests; }
@test "request heads: malformed, oversized" { run_against heads; }
@test "bodies: cut, oversized, badly framed" { run_against framing; }
@test "pipelined requests are answered in order" { run_against pipeline; }
@test "half-open clients, many of them, while others are served" { run_against half-open; }
@test "malformed DNS packets" { run_against dns; }
@test "DNS over TCP with lengths that lie" { run_against dns-tcp; }

@test "slow readers of large answers do not hold up others, nor fill the memory" {
	run_against slow
	# 20 answers of 11 MB are one in memory, or not there at all
	[ "$(peak httpd)" -lt "$(bound 300000)" ]
}

@test "too many connections of one client: 429, others are welcome" {
	echo '{ "limits": { "http_max_conns_per_client": 50 } }' >"$CONFIG/limits.json"
	spawn_suite -dev
	wait_for 20 grep -q 'New leader elected' "$LOG"
	before=$(pids)
	# what asked before may still be seen as open
	send limit
	[ "$(pids)" = "$before" ]
}

@test "garbage at every port: the suite stays healthy, its memory bounded" {
	run_against garbage
	for d in $DAEMONS; do
		echo "$d $(peak "$d")"
		[ "$(peak "$d")" -lt "$(bound 150000)" ]
	done
}
