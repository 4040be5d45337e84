/*
 * plant_catalogd_lease.c - a planted mistake: whoever takes himself for the leader answers, and looks at no lease
 *
 * Linked into a catalogd in the place of read_place() (--wrap), for test/torture/planted.
 */
#include "read_place.h"

enum read_place __real_read_place(const struct read_facts *f);
enum read_place __wrap_read_place(const struct read_facts *f);

enum read_place
__wrap_read_place(const struct read_facts *f)
{
	struct read_facts facts = *f;

	facts.lease = facts.leads;
	return __real_read_place(&facts);
}
