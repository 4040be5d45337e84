# A service with an HTTP check from a JSON file: it appears in DNS and HTTP when its endpoint comes up and vanishes when it dies.

load suite

setup() {
	suite_init
	cat >"$CONFIG/mysrv.json" <<J
{ "service": { "name": "mysrv", "tags": ["master"], "address": "$ADDR", "port": 3000,
    "checks": [ { "http": "http://$ADDR:3000/health", "interval": "1s" } ] } }
J
	start_server
}

teardown() {
	[ -z "${WEB-}" ] || kill -KILL "$WEB" 2>/dev/null || true
	stop_suite
}

start_web() {
	python3 "$BATS_TEST_DIRNAME/web.py" "$ADDR" 3000 "$DIR/status" >/dev/null 2>&1 3>&- &
	WEB=$!
}
in_dns() { [ "$(ask mysrv.service.consul +short)" = "$ADDR" ]; }
not_in_dns() { ask mysrv.service.consul | grep -q 'status: NXDOMAIN'; }
passing() { api '/v1/health/service/mysrv?passing' | grep -q '"service:mysrv"'; }
not_passing() { [ "$(api '/v1/health/service/mysrv?passing')" = '[]' ]; }

@test "a service comes and goes with its endpoint, in DNS and HTTP" {
	not_in_dns
	not_passing
	start_web
	wait_for 5 passing
	in_dns
	ask mysrv.service.consul SRV | grep -qE '^mysrv\.service\.consul\.\s+0\s+IN\s+SRV\s+1 1 3000 '
	ask mysrv.service.consul SRV | grep -qE "addr\.dc1\.consul\.\s+0\s+IN\s+A\s+$ADDR"
	[ "$(ask master.mysrv.service.consul +short)" = "$ADDR" ]
	[ -z "$(ask slave.mysrv.service.consul +short)" ]
	echo 429 >"$DIR/status"
	wait_for 5 warned
	in_dns
	not_passing
	kill -KILL "$WEB"
	wait_for 5 not_in_dns
	not_passing
	ask mysrv.service.consul | grep -qE '^consul\.\s+0\s+IN\s+SOA\s+ns\.consul\. hostmaster\.consul\.'
}
warned() { api /v1/health/checks/mysrv | grep -q '"Status":"warning"'; }

@test "node names" {
	[ "$(ask agent-one.node.consul +short)" = "$ADDR" ]
	[ "$(ask agent-one.node.dc1.consul +short)" = "$ADDR" ]
	ask nobody.node.consul | grep -q 'status: NXDOMAIN'
	ask agent-one.node.dc7.consul | grep -q 'status: NXDOMAIN'
	[ "$(ask +tcp agent-one.node.consul +short)" = "$ADDR" ]
	ask consul.service.consul SRV | grep -qE "SRV\s+1 1 8300 agent-one\.node\.dc1\.consul\."
}

@test "registered by HTTP as the documents do, listed, and removed by their script" {
	api /v1/agent/service/register -X PUT -d '{"name": "nginx","port": 8080,"tags": ["web"],"checks": [{"http": "http://127.0.0.1:8080/","interval": "5s"}]}'
	api /v1/catalog/service/nginx | grep -q '"ServicePort":8080'
	[ "$(api /v1/agent/services | jq -r 'keys[]' | sort | tr '\n' ' ')" = "mysrv nginx " ]
	for id in $(api /v1/agent/services | jq -r '.[].ID'); do api "/v1/agent/service/deregister/$id" -X PUT; done
	[ "$(api /v1/agent/services)" = '{}' ]
	[ "$(api /v1/catalog/service/nginx)" = '[]' ]
}

@test "a TTL check turns critical when its time is over" {
	api /v1/agent/check/register -X PUT -d '{"Name":"beat","TTL":"1s"}'
	api '/v1/agent/check/pass/beat?note=here' -X PUT
	api /v1/agent/checks | jq -e '.beat.Status == "passing" and .beat.Output == "here"'
	wait_for 5 beat_expired
}
beat_expired() { api /v1/agent/checks | jq -e '.beat.Status == "critical" and (.beat.Output | startswith("TTL expired"))'; }

@test "maintenance takes the service out of DNS" {
	start_web
	wait_for 5 passing
	api '/v1/agent/service/maintenance/mysrv?enable=true&reason=upgrade' -X PUT
	not_in_dns
	api '/v1/agent/service/maintenance/mysrv?enable=false' -X PUT
	in_dns
}
