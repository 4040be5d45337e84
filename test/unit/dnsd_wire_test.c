/*
 * dnsd_wire_test.c - what is left of a query that can not be read
 */
#include "mem.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"

/* A rejected query is logged by its name: nothing of a name that was read half, or of the query before, may be in it. */
static void
test_a_rejected_query_has_no_name(void **state)
{
	static const uint8_t bad[][24] = {
	    {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 'a', 'b', 0x6e, 'c', 0, 0, 1, 0,
		1}, /* a label longer than labels are */
	    {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2, 'a', 'b', 60, 'c', 0, 0, 1, 0, 1}, /* one longer than the message */
	    {0, 1, 1, 0, 0, 9, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1},               /* nine questions */
	    {0, 1, 8, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 1, 0, 1},               /* an opcode that nobody has */
	};
	static struct dns_query query;
	char text[NAME_TEXT_MAX];
	enum dns_rcode rcode;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		memset(&query.name, 60, sizeof query.name);
		assert_int_equal(dns_query_read(bytes_of(bad[i], sizeof bad[i]), &query, &rcode), DNS_REJECT_HEADER);
		assert_string_equal(name_text(&query.name, text), ".");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_rejected_query_has_no_name)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
