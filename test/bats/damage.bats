# What a crash or a failing disk leaves in the data directory: repaired where nothing acknowledged can be missing, else refused with the place
# and what to do about it.
bats_require_minimum_version 1.5.0
load suite

setup() {
	suite_init
	# a damaged map may kill catalogd: as it would without a sanitizer
	export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}handle_segv=0:handle_sigbus=0:handle_abort=0
}

teardown() {
	stop_suite
	[ -z "${MOUNT-}" ] || umount -l "$MOUNT"
	[ -z "${OPEN-}" ] || rm -rf "$OPEN"
}

SEGMENT() { echo "$DATA/raft/log/0000000001.log"; }
STORE() { echo "$DATA/catalog/data.mdb"; }
damage() { python3 "$BATS_TEST_DIRNAME/damage.py" "$@"; }

# Enough records for a tree of several levels, each with a value that can be recognised.
fill() {
	python3 - "$ADDR" 300 <<-'P'
		import http.client, sys
		c = http.client.HTTPConnection(sys.argv[1], 8500, timeout=60)
		for i in range(int(sys.argv[2])):
		    c.request("PUT", "/v1/kv/many/%04d" % i, ("value-%04d." % i) * 40)
		    assert c.getresponse().read() == b"true"
	P
	api /v1/agent/service/register -X PUT -d '{"Name":"web","Port":80,"Check":{"CheckID":"web-ttl","TTL":"1h"}}'
	wait_for 5 web_registered
}
web_registered() { api /v1/health/service/web | jq -e '.[0].Checks | any(.CheckID == "web-ttl")'; }

# All that fill has put there is there, each value as it was.
intact() {
	python3 - "$ADDR" 300 <<-'P' && web_registered
		import base64, http.client, json, sys
		c = http.client.HTTPConnection(sys.argv[1], 8500, timeout=60)
		c.request("GET", "/v1/kv/many/?recurse")
		r = c.getresponse()
		found = {e["Key"]: base64.b64decode(e["Value"]) for e in json.loads(r.read())} if r.status == 200 else {}
		assert found == {"many/%04d" % i: (b"value-%04d." % i) * 40 for i in range(int(sys.argv[2]))}
	P
}

# start_and_refuse: the start must fail by itself.
start_and_refuse() {
	: >"$LOG"
	spawn_suite -server -bootstrap-expect=1 -data-dir="$DATA"
	status=0
	wait "$SUITE_PID" || status=$?
	wait_for 10 no_daemons
	[ "$status" = 1 ]
}

sums() { (cd "$1" && find . -type f -exec sha256sum {} + | sort); }

made_again() { grep -qE 'the store (is made again from the log|does not belong to the log, making it again)' "$LOG"; }

# ---- the log ----

@test "a torn tail of the log is cut: what was acknowledged is there, the store is made again" {
	start_server
	fill
	head -c 300000 /dev/zero | tr '\0' 'x' | sed 's/^/TORN-BATCH/' >"$DIR/torn"
	api /v1/kv/torn -X PUT --data-binary @"$DIR/torn"
	kill_suite KILL
	# the machine stopped between write and sync: the writer of this key was never answered
	damage tear "$(SEGMENT)" TORN-BATCH
	: >"$LOG"
	start_server
	wait_for 10 intact
	[ "$(api_status /v1/kv/torn)" = 404 ]
	grep -qE 'raft: .*was being written when the machine stopped' "$LOG"
	made_again
	[ "$(api /v1/kv/after -X PUT -d yes)" = true ]
	# and it was cut for good
	kill_suite KILL
	: >"$LOG"
	start_server
	[ "$(api '/v1/kv/after?raw')" = yes ]
	run -1 grep -q 'was being written when the machine stopped' "$LOG"
}

@test "a flipped byte in an older block of the log: refused with file, offset and what to do; nothing is changed" {
	start_server
	fill
	kill_suite TERM
	offset=$(damage older "$(SEGMENT)" value-0007.)
	for at in $((offset + 2000)) "$offset" $((offset + 9)) $((offset + 20)) $((offset + 4095)); do
		damage flip "$(SEGMENT)" "$at"
		sums "$DATA/raft" >"$DIR/before"
		start_and_refuse
		sums "$DATA/raft" | diff "$DIR/before" -
		grep -F "$(SEGMENT): offset $offset: the log is damaged" "$LOG" | grep -q 'Restore the data directory from a backup'
		# the last words are the reason
		grep 'Error starting agent' "$LOG" | grep -qF "offset $offset"
		damage flip "$(SEGMENT)" "$at"
	done
	start_server
	intact
}

@test "the head of a segment, a segment that is missing, one that is cut short: refused" {
	start_server
	fill
	kill_suite TERM
	cp "$(SEGMENT)" "$DIR/segment"
	damage flip "$(SEGMENT)" 100
	start_and_refuse
	grep -qF "$(SEGMENT): offset 0: the log is damaged" "$LOG"
	cp "$DIR/segment" "$(SEGMENT)"
	truncate -s 1M "$(SEGMENT)"
	start_and_refuse
	grep -qF "$(SEGMENT): offset 0: the log is damaged" "$LOG"
	cp "$DIR/segment" "$(SEGMENT)"
	mv "$(SEGMENT)" "$DATA/raft/log/0000000003.log"
	start_and_refuse
	grep -qF "$DATA/raft/log/0000000003.log: offset 0: the log is damaged" "$LOG"
	mv "$DATA/raft/log/0000000003.log" "$(SEGMENT)"
	start_server
	intact
}

# ---- the store ----


@test "values with flipped bits in the store are never served, it is made again" {
	start_server
	fill
	kill_suite TERM
	damage flip-all "$(STORE)" value-0123.
	: >"$LOG"
	start_server
	wait_for 20 intact
	made_again
	kill_suite TERM
	: >"$LOG"
	start_server
	intact
	run -1 made_again
}

@test "flipped bits all over the pages of the store: found, and everything is there" {
	start_server
	fill
	kill_suite TERM
	cp -r "$DATA/catalog" "$DIR/good"
	pages=$(($(stat -c %s "$(STORE)") / 4096))
	[ "$pages" -gt 10 ]
	# heads of the tree, the kind of every page, the bounds of its records, places of records, values in the middle of a page
	for where in 0:24 0:10 1:16 2:10 2:12 2:14 2:16 2:18 2:20 2:2000; do
		rm -rf "$DATA/catalog" && cp -r "$DIR/good" "$DATA/catalog"
		damage flip-pages "$(STORE)" "$where"
		: >"$LOG"
		start_server
		wait_for 30 intact
		kill_suite KILL
	done
}

@test "a store that is cut short, empty, or no store at all is made again" {
	start_server
	fill
	kill_suite TERM
	for size in 8192 4096 100 $(($(stat -c %s "$(STORE)") / 2)); do
		truncate -s "$size" "$(STORE)"
		: >"$LOG"
		start_server
		wait_for 20 intact
		made_again
		kill_suite TERM
	done
	head -c 100000 /dev/urandom >"$(STORE)"
	: >"$LOG"
	start_server
	wait_for 20 intact
	made_again
}

@test "a missing store directory is made again from the log" {
	start_server
	fill
	kill_suite TERM
	rm -rf "$DATA/catalog"
	start_server
	wait_for 20 intact
	index=$(api /v1/kv/many/0000 | jq '.[0].ModifyIndex')
	kill_suite KILL
	rm -rf "$DATA/catalog"
	start_server
	wait_for 20 intact
	# the same indexes each time: blocking clients go on
	[ "$(api /v1/kv/many/0000 | jq '.[0].ModifyIndex')" = "$index" ]
}

# A program that sees another boot ID, as after a restart of the machine.
reboot_ctl() {
	[ "$(id -u)" = 0 ] && unshare -m true 2>/dev/null || skip "needs the right to make a mount namespace"
	echo "$1" >"$DIR/boot_id"
	cat >"$DIR/ctl" <<-C
		#!/bin/sh
		mount --bind "$DIR/boot_id" /proc/sys/kernel/random/boot_id || exit 77
		exec "$BUILD/bin/consulctl" "\$@"
	C
	cat >"$DIR/reboot" <<-C
		#!/bin/sh
		exec unshare -m "$DIR/ctl" "\$@"
	C
	chmod +x "$DIR/ctl" "$DIR/reboot"
	CTL=$DIR/reboot
}

@test "after another boot an unclean store is made again, a clean one is kept" {
	reboot_ctl 11111111-1111-1111-1111-111111111111
	start_server
	fill
	kill_suite KILL
	: >"$LOG"
	start_server
	wait_for 10 intact
	run -1 made_again
	kill_suite KILL
	reboot_ctl 22222222-2222-2222-2222-222222222222
	: >"$LOG"
	start_server
	wait_for 20 intact
	grep -q 'the store is made again from the log.*the machine stopped while it was in use' "$LOG"
	kill_suite TERM
	reboot_ctl 33333333-3333-3333-3333-333333333333
	: >"$LOG"
	start_server
	wait_for 10 intact
	run -1 made_again
}

# ---- what else may be wrong ----

@test "stale sockets, links and a pid file of another process do not matter" {
	start_server
	fill
	kill_suite KILL
	[ -S "$DATA/run/catalogd.sock" ]
	[ -L "$DATA/run/current" ]
	sleep 600 3>&- 4>&- &
	other=$!
	echo "$other" >"$DIR/pid"
	echo "$other" >"$DATA/consuld.lock"
	mkdir -p "$DATA/run/gen.77"
	start_server
	[ "$(cat "$DIR/pid")" = "$SUITE_PID" ]
	wait_for 10 intact
	kill -0 "$other"
	kill "$other"
}

@test "a read-only data directory is named" {
	[ "$(id -u)" = 0 ] || skip "needs the right to mount"
	start_server
	kill_suite TERM
	mount --bind "$DATA" "$DATA" 2>/dev/null || skip "mounting is not permitted here"
	MOUNT=$DATA
	mount -o remount,bind,ro "$DATA" 2>/dev/null || skip "a read-only mount is not permitted here"
	start_and_refuse
	grep -E 'Read-only file system|read-only file system' "$LOG" | grep -qF "$DATA"
	umount "$DATA"
	MOUNT=
	start_server
}

@test "a data directory of somebody else: named; root may" {
	if [ "$(id -u)" != 0 ]; then
		skip "needs root to make files of another user"
	fi
	start_server
	fill
	kill_suite TERM
	chown -R 65534:65534 "$DATA"
	start_server
	wait_for 10 intact
	kill_suite TERM
	# and the other way round: an agent that is not root in front of root's directory
	OPEN=$(mktemp -d /tmp/consuld-owner.XXXXXX)
	chmod 755 "$OPEN"
	mv "$DATA" "$OPEN/data"
	DATA=$OPEN/data CONFIG=$OPEN/config DIR=$OPEN
	mkdir "$CONFIG"
	chown -R 0:0 "$DATA"
	chmod 755 "$DATA"
	cat >"$OPEN/as-nobody" <<-C
		#!/bin/sh
		exec setpriv --reuid=65534 --regid=65534 --clear-groups "$BUILD/bin/consulctl" "\$@"
	C
	chmod +x "$OPEN/as-nobody"
	setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$BUILD/sbin/consuld" || skip "another user can not reach the programs"
	CTL=$OPEN/as-nobody
	: >"$LOG"
	spawn_here() {
		"$CTL" agent -bind="$ADDR" -client="$ADDR" -node=agent-one -server -bootstrap-expect=1 -data-dir="$DATA" \
			</dev/null >>"$LOG" 2>&1 3>&- 4>&- &
		SUITE_PID=$!
	}
	spawn_here
	status=0
	wait "$SUITE_PID" || status=$?
	[ "$status" = 1 ]
	grep -i 'permission denied' "$LOG" | grep -qF "$DATA"
	# nothing but the directory itself has to be given away
	chown -R 65534:65534 "$DATA"
	spawn_here
	wait_for 20 has_leader
	wait_for 10 intact
	[ "$(stat -c %u "/proc/$(pid_of catalogd)")" = 65534 ]
}
