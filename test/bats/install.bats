# An installed tree: complete, usable as it stands from any place, with units and manuals that point to what is there.
bats_require_minimum_version 1.5.0
load suite

setup_file() {
	export ROOT=$BATS_FILE_TMPDIR/root
	cd "$BATS_TEST_DIRNAME/../.."
	BUILD=${BUILD:-$PWD/build}
	sanitizer=
	case $(basename "$BUILD") in build-*) sanitizer=$(basename "$BUILD" | sed 's/^build-//; s/-/,/g') ;; esac
	# the tree that is tested is installed as it is: nothing is compiled here
	make -s install DESTDIR="$ROOT" PREFIX=/usr SANITIZER="$sanitizer" >"$BATS_FILE_TMPDIR/install.log" 2>&1 || {
		cat "$BATS_FILE_TMPDIR/install.log"
		return 1
	}
}
teardown() { stop_suite; }

@test "programs are there, executable, and the link is called consul" {
	for p in bin/consulctl sbin/consuld; do [ -x "$ROOT/usr/$p" ]; done
	[ "$(readlink "$ROOT/usr/bin/consul")" = consulctl ]
	for d in raftd catalogd httpd dnsd checkd gossipd; do [ -x "$ROOT/usr/libexec/consuld/$d" ]; done
	# all that is in the build tree, helpers too
	for f in "$BUILD"/libexec/consuld/*; do [ -x "$ROOT/usr/libexec/consuld/$(basename "$f")" ]; done
	[ -f "$ROOT/usr/etc/consuld.conf" ]
	run -0 find "$ROOT/usr" -type f -perm /022
	[ -z "$output" ]
}

@test "-dev runs from there by the link, from another directory, with a path that is not absolute" {
	suite_init
	mkdir "$DIR/elsewhere"
	cd "$DIR/elsewhere"
	(cd "$ROOT" && PATH=$ROOT/usr/bin:$PATH exec consul agent -dev -bind="$ADDR" -client="$ADDR" -node=agent-one) >"$LOG" 2>&1 3>&- 4>&- &
	SUITE_PID=$!
	wait_for 20 has_leader
	for d in raftd catalogd httpd dnsd checkd gossipd; do
		[ "$(readlink "/proc/$(pid_of $d)/exe")" = "$ROOT/usr/libexec/consuld/$d" ]
	done
	[ "$("$ROOT/usr/bin/consul" kv put a b)" = 'Success! Data written to: a' ]
	[ "$("$ROOT/usr/bin/consul" kv get a)" = b ]
	[ "$(ask agent-one.node.consul +short)" = "$ADDR" ]
	[ -z "$(ls "$DIR/elsewhere")" ]
	kill_suite TERM
	cd "$ROOT/usr"
	bin/consul agent -dev -bind="$ADDR" -client="$ADDR" -node=agent-one >"$LOG" 2>&1 3>&- 4>&- &
	SUITE_PID=$!
	wait_for 20 has_leader
}

@test "a server keeps its data where it was told to, by a relative path too" {
	suite_init
	cd "$DIR"
	"$ROOT/usr/bin/consulctl" agent -server -bootstrap-expect=1 -data-dir=relative -bind="$ADDR" -client="$ADDR" -node=agent-one >"$LOG" 2>&1 3>&- 4>&- &
	SUITE_PID=$!
	wait_for 20 has_leader
	api /v1/kv/a -X PUT -d b
	kill_suite TERM
	[ -s relative/raft/log/0000000001.log ]
	"$ROOT/usr/bin/consulctl" agent -server -bootstrap-expect=1 -data-dir="$DIR/relative" -bind="$ADDR" -client="$ADDR" -node=agent-one >"$LOG" 2>&1 3>&- 4>&- &
	SUITE_PID=$!
	wait_for 20 has_leader
	[ "$(api '/v1/kv/a?raw')" = b ]
}

@test "units start programs that are installed, with paths that exist" {
	units=$(find "$ROOT/usr" -name '*.service')
	[ -n "$units" ]
	# shellcheck disable=SC2086
	for program in $(sed -nE 's/^Exec(Start|StartPre|Reload|Stop)=[-@+!:]*([^ ]+).*/\2/p' $units | sort -u); do
		case $program in
		/bin/* | /usr/bin/kill | /usr/bin/env) continue ;;
		esac
		echo "$program"
		[ -x "$ROOT$program" ]
	done
	# what a unit documents is installed
	for page in $(sed -nE 's/^Documentation=//p' $units | tr ' ' '\n' | sed -n 's/^man://p' | sort -u); do
		name=${page%(*} section=${page##*(}
		echo "$page"
		[ -f "$ROOT/usr/share/man/man${section%)}/$name.${section%)}" ]
	done
	if command -v systemd-analyze >/dev/null; then
		# only what it says of the files' syntax: their programs are not on this machine
		run systemd-analyze verify --man=no $units
		[[ "$output" != *"Unknown key"* && "$output" != *"Unknown section"* && "$output" != *"Unknown lvalue"* ]]
	fi
}

@test "the manuals of all programs and formats are installed and can be read" {
	for page in "$BATS_TEST_DIRNAME"/../../man/*.[1578]; do
		installed=$ROOT/usr/share/man/man${page##*.}/$(basename "$page")
		cmp "$page" "$installed"
		mandoc -T man "$installed" | grep -q '^\.SH "\?NAME'
	done
	for program in consuld:8 raftd:8 catalogd:8 httpd:8 dnsd:8 checkd:8 gossipd:8 consulctl:8; do
		[ -f "$ROOT/usr/share/man/man${program#*:}/${program%:*}.${program#*:}" ] || { echo "no manual: $program"; return 1; }
	done
}

@test "installing twice, over itself, changes nothing" {
	list() { (cd "$ROOT" && find . \( -type f -exec sha256sum {} + \) -o -printf '%p %y %l %m\n' | sort); }
	list >"$BATS_TEST_TMPDIR/first"
	(cd "$BATS_TEST_DIRNAME/../.." && make -s install DESTDIR="$ROOT" PREFIX=/usr \
		SANITIZER="$(case $(basename "$BUILD") in build-*) basename "$BUILD" | sed 's/^build-//; s/-/,/g' ;; esac)")
	list | diff "$BATS_TEST_TMPDIR/first" -
}
