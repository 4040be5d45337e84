# suite.bash - drives a real suite in a bats test: own loopback address, own directory, waits for conditions, ends by process id
#
# A test loads this file and calls start_suite with agent flags in setup or in the test, and stop_suite in teardown.
# Variables: ADDR (this test's address), DATA (its data directory), CONFIG (its configuration directory), LOG, SUITE_PID.

BUILD=${BUILD:-$(cd "$BATS_TEST_DIRNAME/../.." && pwd)/build}
CTL=$BUILD/bin/consulctl
export LC_ALL=C TZ=UTC

# An address that no other running test has: a directory is its lock, and goes with the test's temporary files.
take_address() {
	local locks=${BATS_SUITE_LOCKS:-${TMPDIR:-/tmp}/consuld-bats-addresses}
	mkdir -p "$locks"
	while :; do
		ADDR=127.$((16 + RANDOM % 200)).$((RANDOM % 250)).$((2 + RANDOM % 250))
		mkdir "$locks/$ADDR" 2>/dev/null && break
	done
	ADDR_LOCK=$locks/$ADDR
}

suite_init() {
	[ -n "${ADDR-}" ] || take_address
	DIR=$BATS_TEST_TMPDIR DATA=$BATS_TEST_TMPDIR/data CONFIG=$BATS_TEST_TMPDIR/config LOG=$BATS_TEST_TMPDIR/log
	mkdir -p "$CONFIG"
	export CONSUL_HTTP_ADDR=$ADDR:8500
}

# spawn_suite FLAGS...: starts an agent on this test's address and returns at once.
spawn_suite() {
	suite_init
	"$CTL" agent -bind="$ADDR" -client="$ADDR" -node=agent-one -pid-file="$DIR/pid" -config-dir="$CONFIG" "$@" \
		</dev/null >>"$LOG" 2>&1 3>&- 4>&- &
	SUITE_PID=$!
}

# start_suite FLAGS...: the same, and waits until there is a leader and the node is in the catalog.
start_suite() {
	spawn_suite "$@"
	wait_for 20 has_leader
	wait_for 20 node_synced
}

start_server() {
	suite_init
	start_suite -server -bootstrap-expect=1 -data-dir="$DATA" "$@"
}

has_leader() { [ "$(api /v1/status/leader)" = "\"$ADDR:8300\"" ]; }
node_synced() { api /v1/catalog/node/agent-one | grep -q '"lan_ipv4"'; }

# api PATH [CURL ARGS...]: body on stdout; fails on a status of 400 and above.
api() {
	local path=$1
	shift
	curl -sS -f -m 20 "$@" "http://$ADDR:8500$path"
}
# api_status PATH [CURL ARGS...]: the status alone.
api_status() {
	local path=$1
	shift
	curl -sS -m 20 -o /dev/null -w '%{http_code}' "$@" "http://$ADDR:8500$path"
}
# ask NAME [TYPE] [DIG ARGS...]
ask() { dig +time=2 +tries=1 @"$ADDR" -p 8600 "$@"; }

# pid_of DAEMON: its process id (the first instance)
pid_of() { pgrep -P "$SUITE_PID" -x "$1" | head -1; }
new_pid_of() { local p; p=$(pid_of "$1") && [ -n "$p" ] && [ "$p" != "$2" ]; }

# wait_for SECONDS COMMAND...: polls; a slow machine with sanitizers gets three times as long.
wait_for() {
	local end=$((SECONDS + $1 * 3))
	shift
	until "$@" >/dev/null 2>&1; do
		if [ $SECONDS -ge $end ]; then
			echo "gave up waiting for: $*"
			return 1
		fi
		sleep 0.05
	done
}

suite_alive() { kill -0 "$SUITE_PID" 2>/dev/null; }
suite_gone() { ! kill -0 "$SUITE_PID" 2>/dev/null; }

# kill_suite SIGNAL: to the supervisor, waits for its end.
kill_suite() {
	kill "-$1" "$SUITE_PID" 2>/dev/null || true
	SUITE_STATUS=0
	wait "$SUITE_PID" 2>/dev/null || SUITE_STATUS=$?
	wait_for 10 no_daemons
}
no_daemons() { ! pgrep -f -- "-r $DATA/run" >/dev/null; }

stop_suite() {
	if [ -n "${SUITE_PID-}" ] && suite_alive; then
		kill -TERM "$SUITE_PID" 2>/dev/null || true
		local end=$((SECONDS + 15))
		while suite_alive && [ $SECONDS -lt $end ]; do sleep 0.05; done
		if suite_alive; then kill -KILL "$SUITE_PID"; fi
		wait "$SUITE_PID" 2>/dev/null || true
	fi
	[ -z "${ADDR_LOCK-}" ] || rmdir "$ADDR_LOCK" 2>/dev/null || true
	# what a failed test leaves to read
	if [ -z "${BATS_TEST_COMPLETED-}" ] && [ -f "${LOG-}" ]; then
		echo "--- log of the suite, last lines"
		tail -40 "$LOG"
	fi
	if grep -qE 'runtime error|AddressSanitizer|LeakSanitizer|panic:' "${LOG:-/dev/null}" 2>/dev/null; then
		echo "--- the suite reported a fault:"
		grep -nE -A25 'runtime error|AddressSanitizer|LeakSanitizer|panic:' "$LOG" | head -80
		return 1
	fi
	return 0
}
