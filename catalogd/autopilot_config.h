/*
 * autopilot_config.h - autopilot's settings, a part of the replicated state
 */
#ifndef CATALOGD_AUTOPILOT_CONFIG_H
#define CATALOGD_AUTOPILOT_CONFIG_H

#include "conf.h"
#include "store.h"
#include "structs_operator.h"

/* The settings; texts live as long as values read from t. false: a leader has not written them yet; *out is then zero. */
bool autopilot_config_find(struct store_txn *t, struct autopilot_config *out);
/* The settings that a configuration file asks for: the first leader of a cluster writes them. */
struct autopilot_config autopilot_config_initial(const struct conf *conf);
/* The body of an entry APPLY_TYPE_AUTOPILOT. cas: only if the settings have still config's ModifyIndex (0: if there are none). */
void autopilot_config_body(const struct autopilot_config *config, bool cas, struct buf *out);

#endif
