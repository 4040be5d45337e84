/*
 * rejoin.h - a server remembers when it last ran, and does not come back after being away for too long (server_metadata.json; behaviour.md 12.3)
 *
 * What such a server holds may be names and members that the others have long since reused or removed.
 */
#ifndef CONSULD_REJOIN_H
#define CONSULD_REJOIN_H

#include <stdbool.h>
#include <stdint.h>

#include "cdefs.h"

#define REJOIN_NOTE_S 3600.

/* Is the note in data_dir from more than age_max_ns before wall_ns? No note, or one that is not understood: it is not. */
bool rejoin_is_stale(const char *data_dir, int64_t wall_ns, int64_t age_max_ns);
/* Notes that this server runs at wall_ns. 0, or -1 with errno. */
MUST_USE int rejoin_note(const char *data_dir, int64_t wall_ns);

#endif
