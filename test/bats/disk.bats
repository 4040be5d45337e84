# The disk is full: writes are refused with an error that says so, reads and DNS go on, and when there is space again writes return by
# themselves. Nothing that was acknowledged is lost, whoever is killed meanwhile.
bats_require_minimum_version 1.5.0
load suite

setup() {
	[ "$(id -u)" = 0 ] || skip "needs root for a small file system"
	suite_init
	mkdir -p "$DATA"
}

teardown() {
	[ -z "${WRITER-}" ] || kill -KILL "$WRITER" 2>/dev/null || true
	stop_suite
	for m in "${MOUNTS[@]}"; do umount -l "$m"; done
}

# small_disk DIRECTORY SIZE
small_disk() {
	mkdir -p "$1"
	mount -t tmpfs -o "size=$2,mode=755" consuld-test "$1" 2>/dev/null || skip "mounting a file system is not permitted here"
	MOUNTS+=("$1")
}

# fill_disk DIRECTORY [BYTES LEFT]: a file takes what there is
fill_disk() {
	local free
	free=$(($(stat -f -c '%a * %S' "$1") - ${2:-0}))
	[ "$free" -le 0 ] || fallocate -l "$free" "$1/ballast" 2>/dev/null || head -c "$free" /dev/zero >"$1/ballast" || true
	[ -n "${2-}" ] || cat /dev/zero >>"$1/ballast" 2>/dev/null || true
}
empty_disk() { rm -f "$1/ballast"; }

put() { api_status "/v1/kv/$1" -X PUT -d "${2:-x}"; }
refused() {
	local body
	body=$(curl -sS -m 20 -X PUT -d x -w '\n%{http_code}' "http://$ADDR:8500/v1/kv/probe")
	[[ "$body" == *"no space left on device"*$'\n'500 ]]
}
accepted() { [ "$(put probe)" = 200 ]; }

# what must go on: keys, health, DNS, lists
reads_go_on() {
	[ "$(api '/v1/kv/before?raw')" = here ]
	[ "$(api '/v1/kv/before?raw&consistent')" = here ]
	api '/v1/health/service/web?passing' | jq -e 'length == 1'
	api /v1/catalog/services | jq -e 'has("web")'
	[ "$(ask web.service.consul +short)" = "$ADDR" ]
	[ "$(ask agent-one.node.consul +short)" = "$ADDR" ]
	[ "$(api_status /v1/status/leader)" = 200 ]
}

web_in_catalog() { api '/v1/health/service/web?passing' | jq -e 'length == 1'; }
begin() {
	start_server "$@"
	[ "$(put before here)" = 200 ]
	api /v1/agent/service/register -X PUT -d '{"Name":"web","Port":80}'
	wait_for 10 web_in_catalog
}
start_writer() {
	python3 "$BATS_TEST_DIRNAME/writer.py" "$ADDR" "$DIR/acked" >"$DIR/writer.out" 2>&1 3>&- &
	WRITER=$!
	wait_for 5 test -s "$DIR/acked"
}
check_nothing_lost() {
	kill -TERM "$WRITER"
	wait "$WRITER" || { cat "$DIR/writer.out"; return 1; }
	WRITER=
	python3 "$BATS_TEST_DIRNAME/writer.py" --check "$ADDR" "$DIR/acked"
}

@test "the data directory's disk is nearly full: refused in time, reads go on, writes return" {
	small_disk "$DATA" 160m
	begin
	start_writer
	fill_disk "$DATA" 4000000
	wait_for 10 refused
	grep -q 'the disk is nearly full, refusing writes' "$LOG"
	grep 'the disk is nearly full' "$LOG" | grep -qF "$DATA"
	reads_go_on
	empty_disk "$DATA"
	wait_for 20 accepted
	check_nothing_lost
}

@test "no byte left under a write load: nothing acknowledged is lost" {
	small_disk "$DATA" 160m
	begin
	start_writer
	fill_disk "$DATA"
	wait_for 10 refused
	reads_go_on
	empty_disk "$DATA"
	wait_for 20 accepted
	check_nothing_lost
	kill_suite KILL
	start_server
	python3 "$BATS_TEST_DIRNAME/writer.py" --check "$ADDR" "$DIR/acked"
	wait_for 10 web_in_catalog
}

@test "daemons killed while the disk is full come back and read on" {
	small_disk "$DATA" 160m
	begin
	start_writer
	fill_disk "$DATA"
	wait_for 10 refused
	for daemon in raftd catalogd raftd checkd httpd gossipd dnsd; do
		old=$(pid_of $daemon)
		kill -KILL "$old"
		wait_for 15 new_pid_of $daemon "$old"
	done
	wait_for 20 reads_go_on
	wait_for 10 refused
	suite_alive
	empty_disk "$DATA"
	wait_for 20 accepted
	check_nothing_lost
	wait_for 10 web_in_catalog
}

@test "the disk of the log alone is full, raftd is killed in it" {
	small_disk "$DATA/raft" 24m
	begin
	start_writer
	fill_disk "$DATA/raft"
	# the log goes on in what it has reserved; values of some size end that
	head -c 500000 /dev/zero >"$DIR/big"
	eaten() { api /v1/kv/big -X PUT --data-binary @"$DIR/big" && return 1 || refused; }
	wait_for 60 eaten
	grep 'no space left for the log, writes are refused until there is' "$LOG" | grep -qF "$DATA/raft/log"
	reads_go_on
	old=$(pid_of raftd)
	kill -KILL "$old"
	wait_for 15 new_pid_of raftd "$old"
	wait_for 20 reads_go_on
	old=$(pid_of raftd)
	kill -KILL "$old"
	wait_for 15 new_pid_of raftd "$old"
	wait_for 20 reads_go_on
	empty_disk "$DATA/raft"
	mount -o remount,size=80m "$DATA/raft"
	wait_for 20 accepted
	check_nothing_lost
	kill_suite KILL
	start_server
	python3 "$BATS_TEST_DIRNAME/writer.py" --check "$ADDR" "$DIR/acked"
}

@test "a registration that can not be kept is refused, not forgotten" {
	small_disk "$DATA" 160m
	begin
	fill_disk "$DATA"
	wait_for 10 refused
	body=$(curl -sS -m 20 -X PUT -d '{"Name":"lost","Port":1}' -w '\n%{http_code}' "http://$ADDR:8500/v1/agent/service/register")
	[[ "$body" == *$'\n'500 ]]
	[[ "$body" == *[Nn]"o space left on device"* ]]
	api /v1/agent/services | jq -e 'has("web")'
	empty_disk "$DATA"
	wait_for 20 accepted
	api /v1/agent/service/register -X PUT -d '{"Name":"kept","Port":1}'
	kill_suite KILL
	start_server
	api /v1/agent/services | jq -e 'has("web") and has("kept")'
	wait_for 10 web_in_catalog
}

@test "a start on a full disk says so, and goes well when there is space" {
	small_disk "$DATA" 160m
	begin
	kill_suite TERM
	fill_disk "$DATA"
	spawn_suite -server -bootstrap-expect=1 -data-dir="$DATA"
	outcome() { suite_gone || refused; }
	wait_for 30 outcome
	if suite_gone; then
		grep -i 'no space left on device' "$LOG" | grep -qF "$DATA"
		SUITE_PID=
		empty_disk "$DATA"
		start_server
	else
		reads_go_on
		empty_disk "$DATA"
	fi
	wait_for 20 accepted
	wait_for 10 web_in_catalog
	[ "$(api '/v1/kv/before?raw')" = here ]
}
