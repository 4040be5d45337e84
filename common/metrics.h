/*
 * metrics.h - counters, gauges and samples of one process, by intervals of 10 s
 *
 * Numbers are added to the interval that runs; a snapshot shows the last finished one, as /v1/agent/metrics does
 * (http-api.md 11.10, behaviour.md 21.2 of the reference facts), and totals for Prometheus. Adding is a
 * few additions: no clock, no allocation. metrics_tick, called at least once a second, closes the intervals.
 *
 * Names are the reference's without prefix and host name ("rpc.request"): who collects the daemons' snapshots puts
 * both in front. Times are milliseconds.
 */
#ifndef COMMON_METRICS_H
#define COMMON_METRICS_H

#include <stdbool.h>

#include "buf.h"
#include "duration.h"
#include "schema.h"

#define METRICS_MAX 1024 /* in one process */
#define METRICS_INTERVAL_S 10
#define METRIC_BUCKETS 64

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_SAMPLE };

struct metric_sum {
	uint64_t count;
	double sum;
	double sum_of_squares;
	double min;
	double max;
};

/* Static storage of the daemon (METRIC_DEFINE); only name, kind and labels are set by hand. */
struct metric {
	const char *name;
	enum metric_kind kind;
	const char *labels; /* "method=GET,path=v1_kv", or NULL */
	bool is_set;        /* gauges: shown from their first value on */
	double value;       /* of a gauge */
	struct metric_sum now;
	struct metric_sum last;
	uint64_t total_count;
	double total_sum;
	double quantiles[3];              /* 0.5, 0.9, 0.99 of the last interval; NaN: nothing in it */
	uint32_t buckets[METRIC_BUCKETS]; /* of samples in this interval: two to an octave, from 1/1024 on */
};

#define METRIC_DEFINE(variable, metric_kind, metric_name)                                                              \
	static struct metric variable = {.name = metric_name, .kind = metric_kind}

/* Makes m part of the snapshots. Twice is once. Beyond METRICS_MAX it is left out. */
void metrics_register(struct metric *m);
/*
 * The metric of that name and those labels, made at its first use; to be kept by the caller, who has the bound on how
 * many label values there are. Beyond METRICS_MAX: one that is not shown.
 */
struct metric *metrics_labelled(enum metric_kind kind, const char *name, const char *labels);

void metric_count(struct metric *m, double increment); /* counters */
void metric_set(struct metric *m, double value);       /* gauges */
void metric_sample(struct metric *m, double value);    /* samples */
void metric_sample_since(struct metric *m, struct monotime start);

/* Closes the interval if it is over. */
void metrics_tick(int64_t wall_ns);
/* Appends a metrics_snapshot (below). */
void metrics_snapshot(struct buf *out);
/* Forgets everything (tests). */
void metrics_reset(void);

/* ---- the snapshot ---- */

#define METRIC_GAUGE_FIELDS(F)                                                                                         \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(FLOAT, "Value", value, 0, NULL, NULL, "")                                                                    \
	F(STRMAP, "Labels", labels, FIELD_NONNULL, NULL, NULL, "")
SCHEMA_DECLARE(metric_gauge, METRIC_GAUGE_FIELDS)

/* One counter or sample. */
#define METRIC_SUM_FIELDS(F)                                                                                           \
	F(STR, "Name", name, 0, NULL, NULL, "")                                                                        \
	F(UINT, "Count", count, 0, NULL, NULL, "events in the interval")                                               \
	F(FLOAT, "Rate", rate, 0, NULL, NULL, "sum by seconds")                                                        \
	F(FLOAT, "Sum", sum, 0, NULL, NULL, "")                                                                        \
	F(FLOAT, "Min", min, 0, NULL, NULL, "")                                                                        \
	F(FLOAT, "Max", max, 0, NULL, NULL, "")                                                                        \
	F(FLOAT, "Mean", mean, 0, NULL, NULL, "")                                                                      \
	F(FLOAT, "Stddev", stddev, 0, NULL, NULL, "")                                                                  \
	F(STRMAP, "Labels", labels, FIELD_NONNULL, NULL, NULL, "")                                                     \
	F(UINT, "TotalCount", total_count, FIELD_HIDDEN, NULL, NULL, "since the start of the process")                 \
	F(FLOAT, "TotalSum", total_sum, FIELD_HIDDEN, NULL, NULL, "")                                                  \
	F(FLOAT, "Quantile50", quantile_50, FIELD_HIDDEN, NULL, NULL, "samples: of the interval, NaN without events")  \
	F(FLOAT, "Quantile90", quantile_90, FIELD_HIDDEN, NULL, NULL, "")                                              \
	F(FLOAT, "Quantile99", quantile_99, FIELD_HIDDEN, NULL, NULL, "")
SCHEMA_DECLARE(metric_summary, METRIC_SUM_FIELDS)

/*
 * Counters and Samples hold every registered metric; those with Count 0 are for Prometheus only and are to be left
 * out of the JSON form.
 */
#define METRICS_SNAPSHOT_FIELDS(F)                                                                                     \
	F(STR, "Timestamp", timestamp, 0, NULL, NULL, "2026-11-20 06:32:10 +0000 UTC: start of the interval")          \
	F(LIST, "Gauges", gauges, FIELD_NONNULL, &metric_gauge_schema, NULL, "")                                       \
	F(LIST, "Points", points, FIELD_NONNULL, &metric_gauge_schema, NULL, "always empty")                           \
	F(LIST, "Counters", counters, FIELD_NONNULL, &metric_summary_schema, NULL, "")                                 \
	F(LIST, "Samples", samples, FIELD_NONNULL, &metric_summary_schema, NULL, "")
SCHEMA_DECLARE(metrics_snapshot, METRICS_SNAPSHOT_FIELDS)

#endif
