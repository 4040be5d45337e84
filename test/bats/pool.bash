# pool.bash - several agents in one bats test, ours and Debian's serf agents, each on a loopback address of its own (load suite first)

# Failure detection and gossip quick enough for a test; what is measured is order, never time.
FAST='gossip_lan { gossip_interval = "50ms" probe_interval = "200ms" probe_timeout = "200ms" suspicion_mult = 2 }
gossip_wan { gossip_interval = "50ms" probe_interval = "200ms" probe_timeout = "200ms" suspicion_mult = 2 }
limits { rpc_handshake_timeout = "5s" }'

pool_setup() {
	export BATS_TEST_TMPDIR
	declare -gA AT PIDS
	PEERS=() NODES=()
}

pool_teardown() {
	local n status=0
	for n in "${NODES[@]}"; do kill -KILL "${PIDS[$n]}" 2>/dev/null || true; done
	for n in "${PEERS[@]}"; do kill -KILL "${PIDS[$n]}" 2>/dev/null || true; done
	for n in "${NODES[@]}"; do
		wait "${PIDS[$n]}" 2>/dev/null || true
		if [ -z "${BATS_TEST_COMPLETED-}" ]; then echo "--- $n"; tail -25 "$BATS_TEST_TMPDIR/$n/log"; fi
		if cat "$BATS_TEST_TMPDIR/$n"/log* | grep -nE -A25 'runtime error|AddressSanitizer|LeakSanitizer|panic:' | head -60 | grep .; then
			status=1
		fi
	done
	if [ -z "${BATS_TEST_COMPLETED-}" ]; then
		for n in "${PEERS[@]}"; do echo "--- $n"; tail -25 "$BATS_TEST_TMPDIR/$n/log"; done
	fi
	return $status
}

# An address for NAME, the same each time.
address() {
	if [ -z "${AT[$1]-}" ]; then
		take_address
		AT[$1]=$ADDR
	fi
}

# spawn NAME FLAGS...: one of our agents, with state in a directory of its own; each start has a log of its own.
spawn() {
	local name=$1 dir=$BATS_TEST_TMPDIR/$1
	shift
	address "$name"
	mkdir -p "$dir"
	[ ! -f "$dir/log" ] || mv "$dir/log" "$dir/log.${#NODES[@]}"
	echo "$FAST" >"$dir/fast.hcl"
	"$CTL" agent -bind="${AT[$name]}" -client="${AT[$name]}" -node="$name" -pid-file="$dir/pid" -data-dir="$dir/data" \
		-config-file="$dir/fast.hcl" "$@" </dev/null >>"$dir/log" 2>&1 3>&- 4>&- &
	PIDS[$name]=$!
	NODES+=("$name")
}
# node NAME FLAGS...: the same, and waits until it runs.
node() {
	spawn "$@"
	wait_for 20 logged "$1" 'Consul agent running!'
}
# ends_with NAME STATUS: it ends by itself
ends_with() {
	local status=0
	wait_for 20 has_ended "$1"
	wait "${PIDS[$1]}" || status=$?
	PIDS[$1]= # its number may be another's by now
	[ "$status" = "$2" ] || { echo "$1 ended with status $status"; return 1; }
}
has_ended() { ! kill -0 "${PIDS[$1]}" 2>/dev/null || grep -q '^State:.Z' "/proc/${PIDS[$1]}/status"; }

# peer NAME FLAGS...: a serf agent.
peer() {
	local name=$1 dir=$BATS_TEST_TMPDIR/$1
	shift
	address "$name"
	mkdir -p "$dir"
	serf agent -node="$name" -bind="${AT[$name]}:8301" -rpc-addr="${AT[$name]}:7373" -log-level=debug -profile=local "$@" \
		</dev/null >>"$dir/log" 2>&1 3>&- 4>&- &
	PIDS[$name]=$!
	PEERS+=("$name")
	wait_for 20 logged "$name" 'Serf agent running!\|agent: Serf agent starting'
	wait_for 20 serf members -rpc-addr="${AT[$name]}:7373"
}

# of NAME PATH [CURL ARGS...]: body of an answer of that agent
of() { local name=$1 path=$2; shift 2; curl -sS -f -m 30 "$@" "http://${AT[$name]}:8500$path"; }
status_of() { local name=$1 path=$2; shift 2; curl -sS -m 30 -o /dev/null -w '%{http_code}' "$@" "http://${AT[$name]}:8500$path"; }
leads() { [ "$(of "$1" /v1/status/leader)" = "\"${AT[$1]}:8300\"" ]; }
answers() { of "$1" "$2" | grep -q -- "$3"; }
lacks() { ! answers "$@"; }

ctl() { local name=$1; shift; CONSUL_HTTP_ADDR=${AT[$name]}:8500 "$CTL" "$@"; }
srf() { local name=$1 command=$2; shift 2; serf "$command" -rpc-addr="${AT[$name]}:7373" "$@"; }
logged() { grep -q -- "$2" "$BATS_TEST_TMPDIR/$1/log"; }
# sees NODE MEMBER STATUS, as our node has it; sees_peer: as a serf agent has it
sees() { ctl "$1" members | awk '{print $1, $3}' | grep -qx "$2 $3"; }
sees_wan() { ctl "$1" members -wan | awk '{print $1, $3}' | grep -qx "$2 $3"; }
sees_not() { ! ctl "$1" members | awk '{print $1}' | grep -qx "$2"; }
sees_peer() { srf "$1" members | awk '{print $1, $3}' | grep -qx "$2 $3"; }
# end NAME SIGNAL
end() { kill "-$2" "${PIDS[$1]}"; wait "${PIDS[$1]}" 2>/dev/null || true; PIDS[$1]=; wait_for 20 port_free "$1"; }
port_free() { ! ss -lnt "src ${AT[$1]}:8301" | grep -q LISTEN; }
# crash NAME: kill -9 of the supervisor ends the suite
crash() { end "$1" KILL; }
