# Thousands of parked blocking queries over the real suite: the right ones wake, once, and through restarts of the daemons between.
bats_require_minimum_version 1.5.0
load suite

setup() {
	suite_init
	ulimit -n "$(ulimit -H -n)"
	[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge 4096 ] || skip "needs 4,096 descriptors"
	echo '{ "limits": { "http_max_conns_per_client": 5000 } }' >"$CONFIG/limits.json"
	start_server
}

teardown() {
	[ -z "${WATCHERS-}" ] || kill -KILL $WATCHERS 2>/dev/null || true
	stop_suite
}

# watch NAME COUNT PATH: parks them; what they say goes to $DIR/NAME
watch() {
	python3 "$BATS_TEST_DIRNAME/watchers.py" "$ADDR" "$DIR/$1" "$2" "$3" >"$DIR/$1.out" 2>&1 3>&- 4>&- &
	WATCHERS="${WATCHERS-} $!"
	wait_for 60 grep -q parked "$DIR/$1"
}
ended() { grep -vc parked "$DIR/$1"; }
all_ended() { [ "$(ended "$1")" = "$2" ]; }
put() { [ "$(api "/v1/kv/$1" -X PUT -d "$2")" = true ]; }
# a write to another key that has come back shows that what came before has been handled
others_served() { put other "$RANDOM" && api /v1/kv/other >/dev/null; }
value() { printf %s "$1" | base64; }

@test "2,000 queries on one key are all woken by one write, and by no other" {
	put hot 1
	watch hot 2000 /v1/kv/hot
	for i in 1 2 3 4 5; do others_served; done
	put hotter 1
	[ "$(ended hot)" = 0 ]
	put hot 2
	wait_for 30 all_ended hot 2000
	index=$(api /v1/kv/hot | jq '.[0].ModifyIndex')
	# each has the new value and its index: one answer for all
	[ "$(grep -v parked "$DIR/hot" | cut -d' ' -f2- | sort -u | wc -l)" = 1 ]
	[ "$(grep -c " 200 $index .*\"Value\":\"$(value 2)\"" "$DIR/hot")" = 2000 ]
}

@test "500 queries on distinct keys: only the right one wakes" {
	for i in $(seq 0 499); do echo "/v1/kv/key/$i"; done | python3 -c "
import http.client, sys
c = http.client.HTTPConnection('$ADDR', 8500, timeout=60)
for line in sys.stdin:
    c.request('PUT', line.strip(), 'old'); assert c.getresponse().read() == b'true'"
	watch keys 500 /v1/kv/key/%d
	for n in 7 0 499 250; do
		put "key/$n" new
		woke() { grep -q "^$n 200 .*\"Value\":\"$(value new)\"" "$DIR/keys"; }
		wait_for 10 woke
		others_served
	done
	[ "$(ended keys)" = 4 ]
	# a prefix of them all
	[ "$(api '/v1/kv/key/?recurse' -X DELETE)" = true ]
	wait_for 20 all_ended keys 500
	[ "$(grep -c ' 404 ' "$DIR/keys")" = 496 ]
}

@test "health queries of 300 services: a check wakes its own service's" {
	for i in $(seq 0 299); do echo "$i"; done | python3 -c "
import http.client, json, sys
c = http.client.HTTPConnection('$ADDR', 8500, timeout=60)
for line in sys.stdin:
    i = int(line)
    c.request('PUT', '/v1/catalog/register', json.dumps({'Node': 'n%d' % i, 'Address': '10.0.0.1', 'SkipNodeUpdate': False,
        'Service': {'Service': 's%d' % i, 'Port': 1}, 'Check': {'Name': 'c', 'ServiceID': 's%d' % i, 'Status': 'passing'}}))
    r = c.getresponse(); assert r.read() == b'true', r.status"
	watch health 300 /v1/health/service/s%d
	api /v1/catalog/register -X PUT -d '{"Node":"n42","Address":"10.0.0.1","Check":{"Name":"c","ServiceID":"s42","Status":"critical"}}'
	woke() { grep -q '^42 200 ' "$DIR/health"; }
	wait_for 10 woke
	others_served
	[ "$(ended health)" = 1 ]
}

@test "catalogd restarts while 500 are parked: they stay, and wake" {
	put hot 1
	watch hot 500 /v1/kv/hot
	for i in 1 2; do
		old=$(pid_of catalogd)
		kill -KILL "$old"
		wait_for 10 new_pid_of catalogd "$old"
		wait_for 10 has_leader
		others_served
	done
	[ "$(ended hot)" = 0 ]
	put hot 2
	wait_for 30 all_ended hot 500
	[ "$(grep -c " 200 .*\"Value\":\"$(value 2)\"" "$DIR/hot")" = 500 ]
}

@test "what was written while catalogd was down wakes them, too" {
	put hot 1
	watch hot 50 /v1/kv/hot
	old=$(pid_of catalogd)
	kill -KILL "$old"
	# sent at once: waits for the new one, or is refused and sent again
	written() { put hot 2; }
	wait_for 10 written
	wait_for 30 all_ended hot 50
	[ "$(grep -c " 200 .*\"Value\":\"$(value 2)\"" "$DIR/hot")" = 50 ]
}

@test "raftd restarts while queries are parked: they stay, and wake" {
	put hot 1
	watch hot 100 /v1/kv/hot
	old=$(pid_of raftd)
	kill -KILL "$old"
	wait_for 10 new_pid_of raftd "$old"
	wait_for 10 has_leader
	others_served
	[ "$(ended hot)" = 0 ]
	put hot 2
	wait_for 30 all_ended hot 100
	[ "$(grep -c " 200 .*\"Value\":\"$(value 2)\"" "$DIR/hot")" = 100 ]
}

@test "httpd ends: its clients see it at once, and may ask again" {
	put hot 1
	watch hot 500 /v1/kv/hot
	old=$(pid_of httpd)
	kill -TERM "$old"
	wait_for 20 all_ended hot 500
	[ "$(grep -c 'closed broken' "$DIR/hot")" = 0 ]
	wait_for 10 new_pid_of httpd "$old"
	watch again 100 /v1/kv/hot
	old=$(pid_of httpd)
	kill -KILL "$old"
	wait_for 20 all_ended again 100
	wait_for 10 new_pid_of httpd "$old"
	wait_for 10 has_leader
	watch last 100 /v1/kv/hot
	put hot 3
	wait_for 20 all_ended last 100
	[ "$(grep -c " 200 .*\"Value\":\"$(value 3)\"" "$DIR/last")" = 100 ]
}

@test "clients that go away while parked leave nothing behind" {
	put hot 1
	before=$(ls "/proc/$(pid_of httpd)/fd" | wc -l)
	for round in 1 2 3; do
		watch "gone$round" 300 /v1/kv/hot
		kill -KILL ${WATCHERS##* }
		wait ${WATCHERS##* } || true
	done
	as_before() { [ "$(ls "/proc/$(pid_of httpd)/fd" | wc -l)" -le $((before + 5)) ]; }
	wait_for 20 as_before
	put hot 2
	[ "$(api '/v1/kv/hot?raw')" = 2 ]
}
