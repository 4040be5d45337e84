# The short form of `make bench`: every row works, nothing is refused, every watcher is woken. How fast is not asked.
bats_require_minimum_version 1.5.0
load suite

@test "every row of the benchmark gives figures" {
	# addresses outside of those the other tests take
	export BENCH_NET=127.$((220 + RANDOM % 30)).$((RANDOM % 250)) BENCH_SHORT=1 BENCH_DIR=$BATS_TEST_TMPDIR BENCH_MARKDOWN=$BATS_TEST_TMPDIR/table
	"$BATS_TEST_DIRNAME/../bench/run" >"$BATS_TEST_TMPDIR/out" 2>&1 || { cat "$BATS_TEST_TMPDIR/out"; return 1; }
	run -1 grep -E 'FAILED|nan|Traceback' "$BATS_TEST_TMPDIR/out"
	# the table has a heading, a rule, and all rows that were printed
	[ "$(wc -l <"$BENCH_MARKDOWN")" = "$(($(wc -l <"$BATS_TEST_TMPDIR/out") + 1))" ]
	run -1 grep -vE '^\|([^|]*\|){6}$' "$BENCH_MARKDOWN"
}
