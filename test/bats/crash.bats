# Daemons are killed under a running write load: the suite heals by itself, nothing acknowledged is lost, nothing is applied twice.

load suite

setup() {
	start_server
	api /v1/agent/service/register -X PUT -d '{"Name":"api","Port":1,"Check":{"CheckID":"api-ttl","TTL":"1h"}}'
	api /v1/agent/check/pass/api-ttl -X PUT
	wait_for 5 api_passing
}

teardown() {
	[ -z "${WRITER-}" ] || kill -KILL "$WRITER" 2>/dev/null || true
	stop_suite
}

api_passing() { api '/v1/health/service/api?passing' | grep -q api-ttl; }

start_writer() {
	python3 "$BATS_TEST_DIRNAME/writer.py" "$ADDR" "$DIR/acked" >"$DIR/writer.out" 2>&1 3>&- &
	WRITER=$!
	wait_for 5 test -s "$DIR/acked"
}

stop_writer() {
	kill -TERM "$WRITER"
	wait "$WRITER" || { cat "$DIR/writer.out"; return 1; }
	cat "$DIR/writer.out"
	WRITER=
}

acked() { wc -l <"$DIR/acked"; }
acked_above() { [ "$(acked)" -gt "$1" ]; }

# kill_daemon NAME: and waits until another one has taken its place and writes go on
kill_daemon() {
	local old
	old=$(pid_of "$1")
	[ -n "$old" ]
	kill -KILL "$old"
	wait_for 2 new_pid_of "$1" "$old"
	wait_for 5 has_leader
	wait_for 5 acked_above "$(acked)"
}

check_nothing_lost() {
	stop_writer
	wait_for 5 has_leader
	python3 "$BATS_TEST_DIRNAME/writer.py" --check "$ADDR" "$DIR/acked"
	wait_for 5 api_passing
	api /v1/agent/services | grep -q '"api"'
}

@test "raftd killed under load" {
	start_writer
	for i in 1 2 3; do kill_daemon raftd; done
	check_nothing_lost
}

@test "catalogd killed under load" {
	start_writer
	for i in 1 2 3; do kill_daemon catalogd; done
	check_nothing_lost
}

@test "httpd killed under load" {
	start_writer
	for i in 1 2 3; do kill_daemon httpd; done
	check_nothing_lost
}

@test "checkd killed: registrations and check states stay, nothing flaps" {
	start_writer
	index=$(api /v1/health/service/api -D - -o /dev/null | tr -d '\r' | sed -n 's/^X-Consul-Index: //Ip')
	kill_daemon checkd
	wait_for 5 api_passing
	[ "$(api /v1/health/service/api -D - -o /dev/null | tr -d '\r' | sed -n 's/^X-Consul-Index: //Ip')" = "$index" ]
	check_nothing_lost
}

@test "gossipd and dnsd killed" {
	start_writer
	kill_daemon gossipd
	kill_daemon dnsd
	wait_for 5 dns_works
	check_nothing_lost
}

dns_works() { [ "$(ask agent-one.node.consul +short)" = "$ADDR" ]; }

@test "all daemons but consuld killed at once" {
	start_writer
	for i in 1 2 3; do
		old=$(pid_of catalogd)
		pkill -KILL -P "$SUITE_PID"
		wait_for 3 new_pid_of catalogd "$old"
		wait_for 5 has_leader
		wait_for 5 acked_above "$(acked)"
	done
	wait_for 5 dns_works
	check_nothing_lost
}

@test "consuld killed: the suite ends, the next start finds everything" {
	start_writer
	kill_suite KILL
	kill -TERM "$WRITER"
	wait "$WRITER" || true
	WRITER=
	start_server
	python3 "$BATS_TEST_DIRNAME/writer.py" --check "$ADDR" "$DIR/acked"
	api /v1/agent/services | grep -q '"api"'
	wait_for 5 api_passing
}
