# Keys, sessions and blocking queries over the real suite.

load suite

setup() { start_server; }
teardown() { stop_suite; }

index_of() { api "$1" -D - -o /dev/null | tr -d '\r' | sed -n 's/^X-Consul-Index: //Ip'; }

@test "keys: put, get, raw, flags, cas, recurse, keys, separator, delete" {
	[ "$(api '/v1/kv/web/a?flags=42' -X PUT -d one)" = true ]
	[ "$(api '/v1/kv/web/a?raw')" = one ]
	api /v1/kv/web/a | jq -e '.[0].Flags == 42 and (.[0].Value | @base64d) == "one" and .[0].LockIndex == 0'
	api /v1/kv/web/sub/b -X PUT -d two
	modify=$(api /v1/kv/web/a | jq '.[0].ModifyIndex')
	[ "$(api "/v1/kv/web/a?cas=$modify" -X PUT -d three)" = true ]
	[ "$(api "/v1/kv/web/a?cas=$modify" -X PUT -d four)" = false ]
	[ "$(api '/v1/kv/?keys' | jq -c .)" = '["web/a","web/sub/b"]' ]
	[ "$(api '/v1/kv/web/?keys&separator=/' | jq -c .)" = '["web/a","web/sub/"]' ]
	[ "$(api '/v1/kv/web?recurse' | jq length)" = 2 ]
	[ "$(api '/v1/kv/web?recurse' -X DELETE)" = true ]
	[ "$(api_status /v1/kv/web/a)" = 404 ]
}

@test "a blocking query sleeps through other keys and wakes for its own" {
	api /v1/kv/watched -X PUT -d 1
	index=$(index_of /v1/kv/watched)
	api "/v1/kv/watched?raw&index=$index&wait=60s" >"$DIR/woken" &
	waiter=$!
	for i in 1 2 3 4 5; do api /v1/kv/other -X PUT -d "$i"; done
	kill -0 "$waiter"
	[ ! -s "$DIR/woken" ]
	api /v1/kv/watched -X PUT -d 2
	wait "$waiter"
	[ "$(cat "$DIR/woken")" = 2 ]
}

@test "a blocking query ends after its wait with the same index" {
	api /v1/kv/watched -X PUT -d 1
	index=$(index_of /v1/kv/watched)
	[ "$(index_of "/v1/kv/watched?index=$index&wait=100ms")" = "$index" ]
}

@test "sessions: acquire, refuse, release, destroy" {
	one=$(api /v1/session/create -X PUT -d '{"Name":"one","LockDelay":"0s"}' | jq -r .ID)
	two=$(api /v1/session/create -X PUT -d '{"Name":"two","LockDelay":"0s"}' | jq -r .ID)
	[ "$(api "/v1/kv/lock?acquire=$one" -X PUT -d a)" = true ]
	[ "$(api "/v1/kv/lock?acquire=$two" -X PUT -d b)" = false ]
	api /v1/kv/lock | jq -e --arg s "$one" '.[0].Session == $s and .[0].LockIndex == 1'
	[ "$(api "/v1/kv/lock?release=$one" -X PUT)" = true ]
	[ "$(api "/v1/kv/lock?acquire=$two" -X PUT -d b)" = true ]
	[ "$(api "/v1/session/destroy/$two" -X PUT)" = true ]
	api /v1/kv/lock | jq -e '.[0].Session == null'
	[ "$(api "/v1/session/info/$two")" = '[]' ]
}

@test "values over the limit are refused however they are sent" {
	head -c 524288 /dev/zero >"$DIR/limit"
	head -c 524289 /dev/zero >"$DIR/over"
	[ "$(api_status /v1/kv/big -X PUT --data-binary @"$DIR/limit")" = 200 ]
	[ "$(api_status /v1/kv/big -X PUT --data-binary @"$DIR/over")" = 413 ]
	[ "$(api_status /v1/kv/big -X PUT -H 'Transfer-Encoding: chunked' --data-binary @"$DIR/over")" = 413 ]
	[ "$(api '/v1/kv/big?raw' | wc -c)" = 524288 ]
}
