# Three servers and more: election, replication, failures, snapshots, membership. What a catalogd that knows the others would ask of raftd is
# asked by raft.py here.

load suite

PAIRS=() # ADDRESS=SOCKET of each server

setup() {
	DIR=$BATS_TEST_TMPDIR
	declare -gA ADDRESS PID LOCK
}

teardown() {
	local i end
	[ -z "${WRITER-}" ] || kill -TERM "$WRITER" 2>/dev/null || true
	for i in "${!PID[@]}"; do
		all_of "$i" CONT
		kill -TERM "${PID[$i]}" 2>/dev/null || true
	done
	for i in "${!PID[@]}"; do
		end=$((SECONDS + 15))
		while kill -0 "${PID[$i]}" 2>/dev/null && [ $SECONDS -lt $end ]; do sleep 0.05; done
		kill -KILL "${PID[$i]}" 2>/dev/null || true
		wait "${PID[$i]}" 2>/dev/null || true
		rmdir "${LOCK[$i]}" 2>/dev/null || true
	done
	for i in "${!PID[@]}"; do
		if [ -z "${BATS_TEST_COMPLETED-}" ]; then
			echo "--- server $i, last lines"
			tail -25 "$DIR/s$i/log"
		fi
		if grep -qE 'runtime error|AddressSanitizer|LeakSanitizer|panic:' "$DIR/s$i/log"; then
			grep -nE -A25 'runtime error|AddressSanitizer|LeakSanitizer|panic:' "$DIR/s$i/log" | head -80
			return 1
		fi
	done
}

id() { printf '%08d-0000-4000-8000-%012d' "$1" "$1"; }
socket() { echo "$DIR/s$1/data/run/raftd.sock"; }

# start N FLAGS...: server N, on an address of its own that it keeps.
start() {
	local i=$1
	shift
	if [ -z "${ADDRESS[$i]-}" ]; then
		take_address
		ADDRESS[$i]=$ADDR LOCK[$i]=$ADDR_LOCK
		PAIRS+=("$ADDR=$(socket "$i")")
	fi
	mkdir -p "$DIR/s$i"
	"$CTL" agent -server -bootstrap-expect=3 -hcl='autopilot{cleanup_dead_servers=false}' -bind="${ADDRESS[$i]}" -client="${ADDRESS[$i]}" -node="server-$i" -node-id="$(id "$i")" \
		-data-dir="$DIR/s$i/data" -pid-file="$DIR/s$i/pid" "$@" </dev/null >>"$DIR/s$i/log" 2>&1 3>&- 4>&- &
	PID[$i]=$!
	wait_for 20 ask_raft "$i" Raft.Peers
}

# ask_raft N METHOD [JSON]
ask_raft() { python3 "$BATS_TEST_DIRNAME/raft.py" "$(socket "$1")" "$2" "${3-{\}}"; }
state_of() { ask_raft "$1" Raft.Status | jq -r .State; }
leads() { [ "$(state_of "$1")" = leader ]; }
follows() { [ "$(ask_raft "$1" Raft.Status | jq -r .LeaderAddress)" = "${ADDRESS[$2]}:8300" ]; }
# leader [N...]: the number of the one that leads, of these or all; sets LEADER
leader() {
	local i
	for i in "${@:-${!ADDRESS[@]}}"; do
		if leads "$i" 2>/dev/null; then
			LEADER=$i
			return 0
		fi
	done
	return 1
}
find_leader() { # not in a subshell, as wait_for's output is
	local end=$((SECONDS + 60))
	until leader "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}
member() { printf '{"ID":"%s","Address":"%s:8300"}' "$(id "$1")" "${ADDRESS[$1]}"; }

# The same, with the life of its log: a number that jq would round.
living() {
	local m
	m=$(member "$1")
	echo "${m%\}},\"Life\":$(ask_raft "$1" Raft.Peers | grep -o '"Life": *[0-9]*' | grep -o '[0-9]*$')}"
}

start_three() {
	local i
	for i in 1 2 3; do start "$i" "$@"; done
	[ "$(state_of 1)" = follower ] # waits to be told
	ask_raft 1 Raft.Bootstrap "{\"Servers\":[$(member 1),$(living 2),$(living 3)]}"
	find_leader
	for i in 1 2 3; do wait_for 20 follows "$i" "$LEADER"; done
}

put() { [ "$(curl -sS -m 10 -X PUT -d "$3" "http://${ADDRESS[$1]}:8500/v1/kv/$2")" = true ]; }
has() { [ "$(curl -sS -m 10 "http://${ADDRESS[$1]}:8500/v1/kv/$2?stale&raw")" = "$3" ]; }

all_of() { kill "-$2" "${PID[$1]}" $(pgrep -P "${PID[$1]}") 2>/dev/null || true; }
kill_server() {
	kill -KILL "${PID[$1]}"
	wait "${PID[$1]}" 2>/dev/null || true
	wait_for 10 gone "$1"
}
gone() { ! pgrep -f -- "-r $DIR/s$1/data/run" >/dev/null; }

write_on() {
	python3 "$BATS_TEST_DIRNAME/raft_writer.py" "$DIR/acked" "${PAIRS[@]}" >"$DIR/writer" 2>&1 3>&- 4>&- &
	WRITER=$!
	acked_more
}
# Further writes are acknowledged.
acked_more() {
	local before end=$((SECONDS + 60))
	before=$(wc -l 2>/dev/null <"$DIR/acked" || echo 0)
	until [ "$(wc -l 2>/dev/null <"$DIR/acked" || echo 0)" -gt $((before + 20)) ]; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}
# Nothing was applied twice, nothing acknowledged is missing on any of these servers.
write_end() {
	local i addresses=()
	kill -TERM "$WRITER"
	wait "$WRITER"
	WRITER=
	cat "$DIR/writer"
	for i in "$@"; do addresses+=("${ADDRESS[$i]}"); done
	python3 "$BATS_TEST_DIRNAME/raft_writer.py" --check "$DIR/acked" "${addresses[@]}"
}

@test "three servers: one leads, all have what is written; a foreign server is refused; leadership is handed over" {
	start_three
	put "$LEADER" color blue
	for i in 1 2 3; do wait_for 10 has "$i" color blue; done
	# a second beginning is refused, and so is a change asked of who does not lead
	run ask_raft 2 Raft.Bootstrap "{\"Servers\":[$(member 2)]}"
	[[ $status = 1 && $output = *"only works on new clusters"* ]]
	local follower=$((LEADER % 3 + 1))
	run ask_raft "$follower" Raft.RemovePeer "{\"ID\":\"$(id "$LEADER")\"}"
	[[ $status = 1 && $output = "not leader, that is ${ADDRESS[$LEADER]}:8300" ]]
	ask_raft "$LEADER" Raft.TransferLeadership "{\"ID\":\"$(id "$follower")\"}" | grep -q "${ADDRESS[$follower]}:8300"
	wait_for 10 leads "$follower"
	put "$follower" color red
	for i in 1 2 3; do wait_for 10 has "$i" color red; done
	[ "$(ask_raft "$follower" Raft.ReadIndex | jq .Index)" -gt 3 ]
	# one that began a cluster of its own
	start 4
	ask_raft 4 Raft.Bootstrap "{\"Servers\":[$(member 4)]}"
	wait_for 10 leads 4
	ask_raft 4 Raft.AddNonvoter "$(member "$follower")"
	wait_for 10 grep -q "refused: this server belongs to cluster" "$DIR/s4/log"
	leads "$follower"
}

@test "the leader's whole server, its raftd, and its time are taken away under load: no acknowledged write is lost" {
	start_three
	write_on
	local old=$LEADER others
	kill_server "$old"
	find_leader $(echo 1 2 3 | tr -d "$old")
	acked_more
	start "$old"
	wait_for 20 follows "$old" "$LEADER"
	# raftd alone
	kill -KILL "$(pgrep -P "${PID[$LEADER]}" -x raftd)"
	find_leader
	acked_more
	# stopped: the others elect one; when it goes on it is not the leader any more
	find_leader
	old=$LEADER
	others=$(echo 1 2 3 | tr -d "$old")
	all_of "$old" STOP
	find_leader $others
	acked_more
	all_of "$old" CONT
	wait_for 20 follows "$old" "$LEADER"
	acked_more
	write_end 1 2 3
}

@test "a minority takes no writes; they return with the majority" {
	start_three
	local others
	others=$(echo 1 2 3 | tr -d "$LEADER")
	for i in $others; do all_of "$i" STOP; done
	wait_for 20 steps_back "$LEADER"
	[ "$(curl -sS -m 20 -o /dev/null -w '%{http_code}' -X PUT -d x "http://${ADDRESS[$LEADER]}:8500/v1/kv/alone")" = 500 ]
	for i in $others; do all_of "$i" CONT; done
	find_leader
	wait_for 20 put "$LEADER" together yes
	for i in 1 2 3; do wait_for 10 has "$i" together yes; done
}
steps_back() { [ "$(state_of "$1")" != leader ]; }

@test "servers join and leave under load, one with an empty directory is brought up by a snapshot" {
	printf '{"raft_snapshot_threshold":100,"raft_snapshot_interval":"1s","raft_trailing_logs":1}' >"$DIR/snapshots.json"
	start_three -config-file="$DIR/snapshots.json"
	# more than a segment of the log, so that its beginning goes
	head -c 400000 /dev/zero | tr '\0' v >"$DIR/value"
	for i in $(seq 60); do
		[ "$(curl -sS -m 20 -X PUT --data-binary "@$DIR/value" "http://${ADDRESS[$LEADER]}:8500/v1/kv/big/$i")" = true ]
	done
	start 4 -config-file="$DIR/snapshots.json"
	write_on
	wait_for 30 log_begins_later "$LEADER"
	ask_raft "$LEADER" Raft.AddNonvoter "$(member 4)"
	wait_for 30 grep -q "Installed remote snapshot" "$DIR/s4/log"
	wait_for 30 caught_up 4
	ask_raft "$LEADER" Raft.Promote "{\"ID\":\"$(id 4)\"}"
	ask_raft "$LEADER" Raft.TransferLeadership "{\"ID\":\"$(id 4)\"}"
	wait_for 10 leads 4
	LEADER=4
	acked_more
	# a server whose directory is lost: out, and in again as a new one
	ask_raft 4 Raft.RemovePeer "{\"ID\":\"$(id 3)\"}"
	kill_server 3
	rm -rf "$DIR/s3/data"
	start 3 -config-file="$DIR/snapshots.json"
	ask_raft 4 Raft.AddVoter "$(member 3)"
	wait_for 30 caught_up 3
	acked_more
	# the leader removes itself
	ask_raft 4 Raft.Demote "{\"ID\":\"$(id 1)\"}"
	ask_raft 4 Raft.RemovePeer "{\"ID\":\"$(id 4)\"}"
	find_leader 2 3
	acked_more
	[ "$(ask_raft "$LEADER" Raft.Peers | jq -c '[.Servers[] | [.ID, .Voter]] | sort')" = \
		"[[\"$(id 1)\",false],[\"$(id 2)\",true],[\"$(id 3)\",true]]" ]
	write_end 1 2 3
	has 3 big/60 "$(cat "$DIR/value")"
}
log_begins_later() { [ "$(ask_raft "$1" Raft.Status | jq .FirstIndex)" -gt 1 ]; }
caught_up() {
	[ "$(ask_raft "$LEADER" Raft.Peers | jq ".Servers[] | select(.ID == \"$(id "$1")\") | .MatchIndex")" -ge \
		"$(ask_raft "$1" Raft.Peers | jq '.CommittedIndex')" ] && [ "$(ask_raft "$1" Raft.Status | jq .CommitIndex)" -gt 60 ]
}

@test "a catalogd that is gone may have lent out its lease: nothing that ends it happens before the next one is there" {
	start 1 -bootstrap-expect=1
	find_leader 1
	take_address
	ADDRESS[2]=$ADDR LOCK[2]=$ADDR_LOCK
	# the only voter's lease has no end, and so somebody may still believe in it
	[ "$(python3 "$BATS_TEST_DIRNAME/lease.py" "$(socket 1)")" = 18446744073709551615 ]
	run ask_raft 1 Raft.AddNonvoter "$(member 2)"
	[[ $status = 1 && $output = *"not committed yet"* ]]
	python3 "$BATS_TEST_DIRNAME/lease.py" "$(socket 1)" stay >"$DIR/lease" 3>&- 4>&- &
	WRITER=$!
	wait_for 10 grep -q told "$DIR/lease"
	ask_raft 1 Raft.AddNonvoter "$(member 2)"
	[ "$(ask_raft 1 Raft.Peers | jq '.Servers | length')" = 2 ]
	put 1 color blue
	rmdir "${LOCK[2]}"
}

@test "peers.json: those who are left go on when most are lost" {
	local i
	start_three
	put "$LEADER" before loss
	for i in 1 2 3; do wait_for 10 has "$i" before loss; done
	for i in 1 2 3; do kill_server "$i"; done
	unset 'PID[3]'
	# a file that is none is named, and stays
	echo '[{"id":"nobody"}]' >"$DIR/s1/data/raft/peers.json"
	spawn_refused 1
	grep -q "recovery failed to parse peers.json: an id is not a node ID" "$DIR/s1/log"
	# server 3 is lost, and 2 does not vote any more: 1 goes on alone
	printf '[{"id":"%s","address":"%s:8300"},{"id":"%s","address":"%s:8300","non_voter":true}]' \
		"$(id 1)" "${ADDRESS[1]}" "$(id 2)" "${ADDRESS[2]}" | tee "$DIR/s1/data/raft/peers.json" >"$DIR/s2/data/raft/peers.json"
	start 1
	start 2
	wait_for 20 leads 1
	wait_for 20 follows 2 1
	grep -q "deleted peers.json file after successful recovery" "$DIR/s2/log"
	put 1 after loss
	for i in 1 2; do
		wait_for 10 has "$i" after loss
		has "$i" before loss
		wait_for 10 in_the_log "$i"
		[ ! -e "$DIR/s$i/data/raft/peers.json" ]
		[ "$(ask_raft "$i" Raft.Peers | jq -c '[.Servers[].Voter]')" = '[true,false]' ]
	done
	# and so it stays
	kill_server 1
	start 1
	wait_for 20 leads 1
	[ "$(ask_raft 1 Raft.Peers | jq '.Servers | length')" = 2 ]
}
in_the_log() { [ ! -e "$DIR/s$1/data/raft/recovery" ]; }
# It ends with an error.
spawn_refused() {
	local i=$1
	"$CTL" agent -server -bootstrap-expect=3 -bind="${ADDRESS[$i]}" -client="${ADDRESS[$i]}" -node="server-$i" -node-id="$(id "$i")" \
		-data-dir="$DIR/s$i/data" -pid-file="$DIR/s$i/pid" </dev/null >>"$DIR/s$i/log" 2>&1 3>&- 4>&- &
	PID[$i]=$!
	status=0
	wait "${PID[$i]}" || status=$?
	[ "$status" = 1 ]
	wait_for 10 gone "$i"
}
