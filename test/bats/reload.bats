# Reload by SIGHUP and by the API: what is new comes, what is gone goes, what did not change is not touched, what is wrong changes nothing.

load suite

setup() {
	suite_init
	cat >"$CONFIG/web.json" <<'J'
{ "service": { "name": "web", "tags": ["rails"], "port": 80, "check": { "ttl": "1h" } } }
J
	start_server
	api '/v1/agent/check/pass/service:web?note=fine' -X PUT
	wait_for 5 web_passing
}
teardown() { stop_suite; }

web_passing() { api '/v1/health/service/web?passing' | jq -e 'length == 1'; }
has_service() { api /v1/agent/services | jq -e --arg n "$1" 'has($n)'; }
web_index() { api /v1/health/service/web -D - -o /dev/null | tr -d '\r' | sed -n 's/^X-Consul-Index: //Ip'; }
gone() { api "/v1/catalog/service/$1" | jq -e 'length == 0'; }

@test "a plain SIGHUP to the pid in the pid file" {
	index=$(web_index)
	echo '{ "service": { "name": "db", "port": 5432 } }' >"$CONFIG/db.json"
	kill -HUP "$(cat "$DIR/pid")"
	wait_for 5 has_service db
	api /v1/agent/checks | jq -e '."service:web".Status == "passing" and ."service:web".Output == "fine"'
	[ "$(web_index)" = "$index" ]
	rm "$CONFIG/db.json"
	kill -HUP "$(cat "$DIR/pid")"
	wait_for 5 gone db
	[ "$(web_index)" = "$index" ]
}

@test "a broken file leaves the old configuration in force" {
	printf '{\n "service": { "name": "db" "port": 1 }\n}\n' >"$CONFIG/db.json"
	[ "$(api_status /v1/agent/reload -X PUT)" = 500 ]
	has_service web
	curl -s -X PUT "http://$ADDR:8500/v1/agent/reload" | grep -q 'db.json'
	rm "$CONFIG/db.json"
	[ "$(api_status /v1/agent/reload -X PUT)" = 200 ]
	web_passing
}

@test "requests go on during reloads" {
	(for i in $(seq 200); do api "/v1/kv/r$i" -X PUT -d "$i" >/dev/null || exit 1; done) &
	load=$!
	for i in 1 2 3 4 5; do
		echo "{ \"service\": { \"name\": \"s$i\" } }" >"$CONFIG/s.json"
		api /v1/agent/reload -X PUT
	done
	wait "$load"
	has_service s5
	! has_service s4
}
