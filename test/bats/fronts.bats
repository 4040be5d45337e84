# Two fronts that keep copies of answers: no reader sees less than what was known before its request began.

load suite

setup() {
	suite_init
	printf 'daemons = ( { name = "httpd"; instances = 2; } );\n' >"$DIR/conf"
	export CONSULD_CONF=$DIR/conf
	start_server
	unset CONSULD_CONF
}
teardown() { stop_suite; }

@test "copies are given while they hold, whoever is killed or stopped" {
	timeout 100 python3 "$BATS_TEST_DIRNAME/fronts.py" "$ADDR" "$SUITE_PID" 12
}
