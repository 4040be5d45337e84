# The supervisor: daemons that hang, crash loops, logs, the daemon table, signals, a daemon of one's own starting.
bats_require_minimum_version 1.5.0
load suite

setup() { suite_init; }
teardown() { stop_suite; }

frozen_is_replaced() { new_pid_of gossipd "$1" && api /v1/agent/members; }

@test "a daemon that hangs is killed and replaced" {
	start_suite -dev
	old=$(pid_of gossipd)
	kill -STOP "$old"
	wait_for 15 frozen_is_replaced "$old"
	grep -q "daemon is silent -- killing it: daemon=gossipd pid=$old" "$LOG"
}

# A tree like an installation, with one daemon of the test's own.
fake_tree() {
	mkdir -p "$DIR/tree/sbin" "$DIR/tree/libexec/consuld"
	cp "$BUILD/sbin/consuld" "$DIR/tree/sbin/"
	for d in "$BUILD"/libexec/consuld/*; do ln -s "$d" "$DIR/tree/libexec/consuld/"; done
	rm "$DIR/tree/libexec/consuld/dnsd"
	cat >"$DIR/tree/libexec/consuld/dnsd"
	chmod +x "$DIR/tree/libexec/consuld/dnsd"
}
spawn_tree() {
	"$DIR/tree/sbin/consuld" agent -dev -bind="$ADDR" -client="$ADDR" -node=agent-one >>"$LOG" 2>&1 3>&- 4>&- &
	SUITE_PID=$!
}

@test "a daemon that never comes up ends the start with its last words" {
	fake_tree <<-'EOF'
		#!/bin/sh
		echo "no luck today" >&2
		exit 3
	EOF
	spawn_tree
	status=0
	wait "$SUITE_PID" || status=$?
	[ "$status" = 1 ]
	[ "$(grep -c 'daemon died -- restarting: daemon=dnsd' "$LOG")" = 5 ]
	grep -q 'Error starting agent: error="dnsd: no luck today"' "$LOG"
	no_tree_daemons
}
no_tree_daemons() { ! pgrep -P "$SUITE_PID"; }

@test "exit status 100 ends the suite at once" {
	fake_tree <<-'EOF'
		#!/bin/sh
		echo "there is no way" >&2
		exit 100
	EOF
	spawn_tree
	status=0
	wait "$SUITE_PID" || status=$?
	[ "$status" = 1 ]
	run -1 grep -q 'restarting: daemon=dnsd' "$LOG"
	grep -q 'error="dnsd: there is no way"' "$LOG"
}

died_often() { grep -q 'restarting: daemon=dnsd .*delay=1600ms' "$LOG"; }
refused() { ! ss -Hlun "src $ADDR" | grep -q :8600; }
dns_answers() { [ "$(ask +short consul.service.consul)" = "$ADDR" ]; }

@test "in a crash loop the daemon's sockets are closed, and open again when it is well" {
	fake_tree <<-EOF
		#!/bin/sh
		if [ -e "$DIR/sick" ]; then exit 3; fi
		exec "$BUILD/libexec/consuld/dnsd" "\$@"
	EOF
	spawn_tree
	wait_for 10 dns_answers
	touch "$DIR/sick"
	kill -9 "$(pid_of dnsd)"
	wait_for 15 died_often
	wait_for 5 refused
	[ "$(api_status /v1/status/leader)" = 200 ]
	rm "$DIR/sick"
	wait_for 15 dns_answers
}

@test "log file, rotation by size, and reopening on SIGHUP" {
	mkdir "$DIR/logs"
	start_suite -dev -log-file="$DIR/logs/" -log-rotate-bytes=2000 -log-rotate-max-files=2
	for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
		ask +short consul.service.consul >/dev/null
	done
	rotated() { [ "$(ls "$DIR"/logs/consul-*.log | wc -l)" = 2 ]; }
	wait_for 5 rotated
	mv "$DIR/logs/consul.log" "$DIR/logs/away"
	kill -HUP "$SUITE_PID"
	reopened() { grep -q 'Caught: signal=hangup' "$DIR/logs/consul.log"; }
	wait_for 5 reopened
}

@test "lines as JSON" {
	start_suite -dev -log-json
	kill_suite TERM
	[ "$SUITE_STATUS" = 1 ]
	python3 -c 'import json, sys; [json.loads(line)["@level"] for line in sys.stdin]' <"$LOG"
	grep -q '"@message":"Consul agent running!","@module":"agent"' "$LOG"
}

@test "monitor has a level of its own, and gets the past" {
	start_suite -dev -log-level=warn
	(sleep 1; ask +short consul.service.consul >/dev/null; sleep 1) &
	api "/v1/agent/monitor?loglevel=debug" -m 3 >"$DIR/monitor" || true
	grep -q '\[DEBUG\] agent.dns: ' "$DIR/monitor"
	run -1 grep -q DEBUG "$LOG"
	# once nobody listens the daemons are quiet again
	kill -HUP "$SUITE_PID"
	api "/v1/agent/monitor?loglevel=info" -m 1 >"$DIR/monitor2" || true
	run -1 grep -q DEBUG "$DIR/monitor2"
}

@test "a stdout that nobody reads stops nobody" {
	mkfifo "$DIR/pipe"
	sleep 100 <"$DIR/pipe" 3>&- 4>&- &
	holder=$!
	"$CTL" agent -dev -bind="$ADDR" -client="$ADDR" -node=agent-one -log-level=trace >"$DIR/pipe" 2>&1 3>&- 4>&- &
	SUITE_PID=$!
	wait_for 20 has_leader
	for i in $(seq 60); do ask +short "$(printf 'x%.0s' {1..60}).service.consul" >/dev/null; done
	[ "$(api_status /v1/status/leader)" = 200 ]
	kill_suite TERM
	[ "$SUITE_STATUS" = 1 ]
	kill "$holder"
}

@test "a client leaves on SIGTERM, a server does not, and both say so" {
	start_suite -dev
	kill_suite TERM
	[ "$SUITE_STATUS" = 1 ]
	grep -q 'Graceful shutdown disabled. Exiting' "$LOG"
	spawn_suite -data-dir="$DATA"
	running() { [ "$(grep -c 'Consul agent running!' "$LOG")" = 2 ]; }
	wait_for 20 running
	kill_suite TERM
	[ "$SUITE_STATUS" = 0 ]
	grep -q 'Graceful exit completed' "$LOG"
	[ ! -e "$DIR/pid" ]
}

@test "a wrong daemon table is refused by file and line" {
	printf 'daemons = (\n{ name = "httpd"; instances = 1000; } );\n' >"$DIR/conf"
	CONSULD_CONF=$DIR/conf run -1 "$BUILD/sbin/consuld" agent -dev -bind="$ADDR" -client="$ADDR"
	[[ "$output" == *"==> $DIR/conf:2: instances: 1000 is not in 0..64"* ]]
}

@test "two HTTP and two DNS fronts share their sockets" {
	printf 'daemons = ( { name = "httpd"; instances = 2; }, { name = "dnsd"; instances = 2; } );\n' >"$DIR/conf"
	export CONSULD_CONF=$DIR/conf
	start_suite -dev
	unset CONSULD_CONF
	[ "$(pgrep -P "$SUITE_PID" -x httpd | wc -l)" = 2 ]
	kill -9 "$(pid_of httpd)" "$(pid_of dnsd)"
	for i in 1 2 3 4 5 6 7 8 9 10; do
		[ "$(api_status /v1/status/leader)" = 200 ]
		dns_answers
	done
}

@test "daemons that others start outlive consuld and take its configuration again" {
	printf 'supervise = "external";\n' >"$DIR/conf"
	export CONSULD_CONF=$DIR/conf
	spawn_suite -server -bootstrap-expect=1 -data-dir="$DATA"
	waits() { [ -S "$DATA/run/consuld.sock" ]; }
	wait_for 10 waits
	for d in raftd catalogd gossipd checkd httpd dnsd; do
		"$BUILD/libexec/consuld/$d" -r "$DATA/run" >>"$DIR/daemons" 2>&1 3>&- 4>&- &
		echo $! >>"$DIR/pids"
	done
	wait_for 20 has_leader
	running() { grep -q 'Consul agent running!' "$LOG"; }
	wait_for 10 running
	kill -9 "$SUITE_PID"
	wait "$SUITE_PID" || true
	[ "$(api_status /v1/status/leader)" = 200 ]
	echo '{"service": {"name": "late", "port": 1}}' >"$CONFIG/late.json"
	: >"$LOG"
	spawn_suite -server -bootstrap-expect=1 -data-dir="$DATA"
	unset CONSULD_CONF
	wait_for 10 running
	has_late() { api /v1/agent/services | grep -q '"late"'; }
	wait_for 10 has_late
	kill "$SUITE_PID"
	wait "$SUITE_PID" || true
	[ "$(api_status /v1/status/leader)" = 200 ]
	kill $(cat "$DIR/pids")
	wait || true
}
