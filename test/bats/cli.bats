# The command line over the real suite: every command of the first cluster's story, under both of its names.

load suite

setup() {
	case $BATS_TEST_DESCRIPTION in *"without an agent"*) suite_init ;; *) start_server ;; esac
}
teardown() { stop_suite; }

# ctl ARGS...: consulctl alone with its own status; stdout in $output, stderr in $errors.
ctl() {
	status=0
	output=$("${NAME:-$CTL}" "$@" 2>"$DIR/stderr") || status=$?
	errors=$(cat "$DIR/stderr")
}
# What the last ctl did; else it is shown and the test fails.
# ended STATUS STDOUT STDERR: patterns
ended() {
	[ "$status" = "$1" ] && [[ $output == $2 ]] && [[ $errors == $3 ]] && return 0
	printf 'status %s\nstdout: %s\nstderr: %s\n' "$status" "$output" "$errors"
	return 1
}
# fails STATUS TEXT: it did, and said so on stderr alone. says TEXT: it succeeded and said this alone.
fails() { ended "$1" "" '*' && [ "${errors%%$'\n'*}" = "$2" ]; }
says() { ended 0 '*' "" && [ "$output" = "$1" ]; }

@test "members: the table, a status nobody has, details" {
	ctl members
	says "Node       Address$(printf '%*s' $((${#ADDR} - 2)) '')  Status  Type    Build   Protocol  DC   Partition  Segment
agent-one  $ADDR:8301  alive   server  1.21.4  2         dc1  default    <all>"
	ctl members -status=failed
	ended 2 "" ""
	ctl members '-status=['
	fails 1 'Failed to compile status regexp: error parsing regexp: missing closing ]: `[`'
	ctl members -detailed
	ended 0 "*role=consul,segment=<all>,vsn=2*" ""
	ctl members -filter='Name == nobody'
	ended 2 "" ""
}

@test "the agent's address: flag after environment, two dashes, nobody there, a unix socket" {
	CONSUL_HTTP_ADDR=$ADDR:1 ctl members --http-addr "$ADDR:8500"
	ended 0 "*agent-one*" ""
	CONSUL_HTTP_ADDR=http://$ADDR:8500 ctl catalog datacenters
	says dc1
	ctl members -http-addr="$ADDR:1"
	fails 1 "Error retrieving members: Get \"http://$ADDR:1/v1/agent/members?segment=_all\": dial tcp $ADDR:1: connect: connection refused"
	ctl members -http-addr=unix:///nowhere.sock
	ended 1 "" "*connect: no such file or directory"
	ctl members -http-addr=ftp://x
	fails 1 "Error connecting to Consul agent: Unknown protocol scheme: ftp"
	ctl members -rpc-addr=127.0.0.1:8400
	ended 0 "*agent-one*" "The -rpc-addr flag is no longer supported; use -http-addr."
}

@test "catalog: datacenters, nodes, services" {
	api /v1/agent/service/register -X PUT -d '{"Name":"web","Tags":["b","a"],"Port":80}'
	ctl catalog datacenters
	says dc1
	ctl catalog nodes
	ended 0 "Node       ID        Address$(printf '%*s' $((${#ADDR} - 7)) '')  DC"$'\n'"agent-one  ????????  $ADDR  dc1" ""
	ctl catalog nodes -service=web
	[ "$(echo "$output" | wc -l)" = 2 ]
	ctl catalog nodes -service=nobody
	ended 0 "" "No nodes match the given query - try expanding your search."
	ctl catalog nodes -detailed
	ended 0 "*lan=$ADDR, lan_ipv4=$ADDR*" ""
	ctl catalog services
	says $'consul\nweb'
	ctl catalog services -tags
	says $'consul      \nweb         a,b'
	ctl catalog services -node=agent-one -tags
	says $'consul      \nweb         a,b'
	ctl catalog nodes extra
	fails 1 "Too many arguments (expected 0, got 1)"
	ctl catalog nodes -datacenter=nowhere
	fails 1 "Error listing nodes: Unexpected response code: 500 (No path to datacenter)"
}

@test "kv: put, get, delete, and all that can be wrong" {
	ctl kv put web/a one
	says "Success! Data written to: web/a"
	ctl kv get web/a
	says one
	ctl kv get /web/a
	says one
	ctl kv put -flags=0x2a web/a two
	ctl kv get -detailed web/a
	[ "$(echo "$output" | grep -c .)" = 7 ]
	echo "$output" | grep -qx 'Flags            42'
	echo "$output" | grep -qx 'Value            two'
	index=$(echo "$output" | sed -n 's/^ModifyIndex *//p')
	ctl kv put -cas -modify-index="$index" web/a three
	says "Success! Data written to: web/a"
	ctl kv put -cas -modify-index="$index" web/a four
	fails 1 "Error! Did not write to web/a: CAS failed"
	ctl kv put -base64 web/b aGVsbG8=
	ctl kv get -base64 web/b
	says aGVsbG8=
	ctl kv put -base64 web/b '?'
	fails 1 "Error! Cannot base 64 decode data: illegal base64 data"
	[ "$(api '/v1/kv/web/b?raw')" = hello ]
	printf 'from a pipe' | "$CTL" kv put web/c -
	printf 'from a file' >"$DIR/value"
	ctl kv put web/sub/d @"$DIR/value"
	ctl kv get -recurse web/
	says $'web/a:three\nweb/b:hello\nweb/c:from a pipe\nweb/sub/d:from a file'
	ctl kv get -keys web/
	says $'web/a\nweb/b\nweb/c\nweb/sub/'
	ctl kv get -keys -separator= web/s
	says web/sub/d
	ctl kv get -recurse nothing
	says ""
	ctl kv get nothing
	fails 1 "Error! No key exists at: nothing"
	ctl kv put
	fails 1 "Error! Missing KEY argument"
	ctl kv delete web/a
	says "Success! Deleted key: web/a"
	ctl kv delete -recurse web
	says "Success! Deleted keys with prefix: web"
	[ "$(api_status /v1/kv/web/b)" = 404 ]
	ctl kv put -acquire lock x
	fails 1 "Error! Missing -session (required with -acquire and -release)"
	session=$(api /v1/session/create -X PUT | jq -r .ID)
	ctl kv put -acquire -session="$session" lock x
	says "Success! Lock acquired on: lock"
	ctl kv put -release -session="$session" lock x
	says "Success! Lock released on: lock"
}

@test "kv: what export prints, import reads" {
	"$CTL" kv put -flags=3 app/a '<&>'
	"$CTL" kv put app/b ''
	"$CTL" kv export app/ >"$DIR/tree"
	jq -e '. == [{key:"app/a",flags:3,value:"PCY+"},{key:"app/b",flags:0,value:""}]' "$DIR/tree"
	ctl kv import -prefix=copy/ @"$DIR/tree"
	says $'Imported: copy/app/a\nImported: copy/app/b'
	ctl kv get copy/app/a
	says '<&>'
	"$CTL" kv import - <"$DIR/tree"
	ctl kv export nothing
	says '[]'
	ctl kv import 'not json'
	fails 1 "Cannot unmarshal data: invalid character 'o' in literal null (expecting 'u')"
}

@test "info, version, keygen" {
	ctl info
	ended 0 "agent:*" ""
	echo "$output" | grep -qx $'\tleader = true'
	echo "$output" | grep -qx $'\tstate = Leader'
	ctl version
	ended 0 $'Consul v1.21.4\nconsuld *' ""
	ctl --version
	ended 0 "Consul v1.21.4*" ""
	"$CTL" version -format=json | jq -e '.Version == "1.21.4" and .RPC == {"Default":2,"Min":2,"Max":3}'
	ctl version -format=yaml
	fails 1 "Unknown format: yaml"
	[ "$("$CTL" keygen | base64 -d | wc -c)" = 32 ]
	[ "$("$CTL" keygen)" != "$("$CTL" keygen)" ]
}

has_service() { api /v1/agent/services | jq -e --arg n "$1" 'has($n)'; }

@test "reload, and a configuration that is wrong" {
	echo '{ "service": { "name": "db", "port": 5432 } }' >"$CONFIG/db.json"
	ctl reload
	says "Configuration reload triggered"
	wait_for 5 has_service db
	echo '{ "services": 1, ' >"$CONFIG/db.json"
	ctl reload
	ended 1 "" "Error reloading: Unexpected response code: 500 (*db.json*"
}

@test "services register and deregister, maint" {
	printf 'service {\n  name = "api"\n  port = 9\n}\n' >"$DIR/api.hcl"
	ctl services register "$DIR/api.hcl"
	says "Registered service: api"
	ctl services register -name=web -id=web-1 -port=80 -tag=a -tag=b -meta=k=v
	says "Registered service: web"
	api /v1/agent/service/web-1 | jq -e '.Port == 80 and .Tags == ["a","b"] and .Meta == {"k":"v"}'
	ctl maint -enable -service=web-1 -reason=disk
	says 'Service maintenance is now enabled for "web-1"'
	ctl maint
	says $'Service:\n  ID:     web-1\n  Reason: disk'
	ctl maint -disable -service=web-1
	says 'Service maintenance is now disabled for "web-1"'
	ctl services deregister "$DIR/api.hcl"
	says "Deregistered service: api"
	ctl services deregister -id=web-1
	says "Deregistered service: web-1"
	[ "$(api /v1/agent/services)" = '{}' ]
	ctl services register "$DIR/missing.json"
	ended 1 "" "Error: config: Open failed on $DIR/missing.json.*"
}

log_has() { grep -q "$1" "$DIR/monitor"; }

@test "monitor shows old and new lines until it is interrupted" {
	"$CTL" monitor -log-level=trace >"$DIR/monitor" 3>&- &
	monitor=$!
	wait_for 5 log_has 'New leader elected'
	api /v1/agent/service/register -X PUT -d '{"Name":"seen"}'
	wait_for 5 log_has 'Synced service: service=seen'
	kill -INT "$monitor"
	wait "$monitor"
	ctl monitor -log-level=nonsense
	fails 1 "Error starting monitor: Unexpected response code: 400 (Unknown log level: nonsense)"
}

seen() { grep -q "$1" "$DIR/seen"; }

@test "watch: once, and a handler at each change" {
	ctl watch -type=key -key=none
	says null
	ctl kv put w 1
	"$CTL" watch -type=key -key=w "cat >>'$DIR/seen'; echo \$CONSUL_INDEX >>'$DIR/seen'" 3>&- &
	watch=$!
	wait_for 5 seen '"Value":"MQ=="'
	"$CTL" kv put w 2
	wait_for 5 seen '"Value":"Mg=="'
	kill -INT "$watch"
	wait "$watch"
	"$CTL" watch -type=services | jq -e '.consul == []'
	"$CTL" watch -type=nodes | jq -e '.[0].Node == "agent-one"'
	"$CTL" watch -type=checks | jq -e '.[0].CheckID == "serfHealth" and .[0].Definition.Interval == "0s"'
	"$CTL" watch -type=service -service=consul | jq -e '.[0].Service.Proxy == {"MeshGateway":{},"Expose":{}}'
	ctl watch -type=key -key=w 'exit 4'
	fails 1 "Error executing handler: exit status 4"
	ctl watch -type=nonsense
	fails 1 "Unsupported watch type: nonsense"
}

held() { api /v1/kv/locks/.lock | jq -e '.[0].Session != null'; }

@test "lock: one at a time, ends the child when the session goes, cleans up" {
	ctl lock locks 'echo $CONSUL_LOCK_HELD'
	says true
	ctl lock -child-exit-code locks 'exit 7'
	fails 2 "Error running handler: exit status 7"
	"$CTL" lock -verbose locks 'sleep 60' >"$DIR/seen" 2>&1 3>&- &
	holder=$!
	wait_for 5 held
	ctl lock -timeout=300ms locks 'echo no'
	fails 1 "Shutdown triggered or timeout during lock acquisition"
	api "/v1/session/destroy/$(api /v1/kv/locks/.lock | jq -r '.[0].Session')" -X PUT
	wait "$holder"
	seen 'Lock lost, killing child'
	ctl lock -n=2 locks/two 'echo one of two'
	says "one of two"
	[ "$(api_status '/v1/kv/locks?keys')" = 404 ]
}

@test "operator raft list-peers; what the server has not yet is one clear error" {
	ctl operator raft list-peers
	ended 0 "Node       ID*RaftProtocol  Commit Index  Trails Leader By"$'\n'"agent-one  *  $ADDR:8300  leader  true   3  *-*" ""
	for words in 'acl token list' 'intention list' 'config list -kind=x' 'debug -duration=10s'; do
		# shellcheck disable=SC2086
		ctl $words
		ended 1 "" "*not supported by this version of consuld*"
	done
}

@test "join ourselves, fail to join others, force-leave nobody" {
	ctl join "$ADDR:8301"
	says "Successfully joined cluster by contacting 1 nodes."
	ctl join
	ended 1 "" $'At least one address to join must be specified.\n\nUsage: consul join *'
	ctl force-leave nobody
	fails 1 "Error force leaving: Unexpected response code: 500 (agent: No node found with name 'nobody')"
}

@test "leave: the agent ends with status 0" {
	ctl leave extra
	ended 1 "Usage: consul leave *" "Error found unexpected args: \\[extra\\]"
	ctl leave
	says "Graceful leave complete"
	SUITE_STATUS=0
	wait "$SUITE_PID" || SUITE_STATUS=$?
	[ "$SUITE_STATUS" = 0 ]
	ctl members
	ended 1 "" "*connect: connection refused"
}

@test "under the name of consul, from any directory" {
	mkdir "$DIR/bin"
	ln -s "$BUILD/bin/consul" "$DIR/bin/consul"
	cd "$DIR"
	NAME=$DIR/bin/consul ctl members
	ended 0 "*agent-one*" ""
	PATH=$DIR/bin:$PATH NAME=consul ctl catalog nodes
	ended 0 "*agent-one*" ""
	NAME=bin/consul ctl validate -config-dir="$CONFIG"
	fails 1 "Config validation failed: data_dir cannot be empty"
	NAME=bin/consul ctl leave
	says "Graceful leave complete"
}

@test "validate and configtest work without an agent" {
	echo '{ "service": { "name": "db", "port": 5432 } }' >"$CONFIG/db.json"
	ctl configtest -config-dir="$CONFIG"
	says ""
	ctl validate "$CONFIG"
	fails 1 "Config validation failed: data_dir cannot be empty"
	echo '{ "server": true, "data_dir": "/nowhere" }' >"$CONFIG/agent.json"
	ctl validate "$CONFIG"
	says "Configuration is valid!"
	ctl validate -quiet "$CONFIG"
	says ""
	ctl validate
	fails 1 "Must specify at least one config file or directory"
	ctl configtest
	fails 1 "Must specify config using -config-file or -config-dir"
}

@test "help and wrong usage work without an agent" {
	ctl
	ended 127 "" $'Usage: consul *\n\nAvailable commands are:\n    acl  *'
	ctl nosuch
	ended 127 "" "Usage: consul *"
	ctl --help
	ended 0 "Usage: consul *" ""
	ctl kv
	ended 1 "" "Usage: consul kv <subcommand> \\[options\\] \\[args\\]*"
	ctl kv nosuch
	ended 1 "" "Usage: consul kv <subcommand> \\[options\\] \\[args\\]*"
	ctl kv get -h
	ended 0 "Usage: consul kv get \\[options\\] \\[KEY_OR_PREFIX\\]*" ""
	ctl kv get -nosuch
	ended 1 "" $'flag provided but not defined: -nosuch\nUsage:\n  -base64\n*'
	ctl -x kv get a
	ended 1 "" "Invalid flags before the subcommand. If these flags are for*"
	ctl validate -h
	ended 0 "Usage: consul validate *" ""
}
