/*
 * metrics.c - contract: metrics.h
 *
 * The registry is an array of pointers in the order of registration. Quantiles are estimated from buckets whose
 * bounds lie a factor of the square root of two apart; that is near enough for an alert.
 */
#include "metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mem.h"

SCHEMA_DEFINE(metric_gauge, "GaugeValue", METRIC_GAUGE_FIELDS, 0)
SCHEMA_DEFINE(metric_summary, "SampledValue", METRIC_SUM_FIELDS, 0)
SCHEMA_DEFINE(metrics_snapshot, "MetricsSummary", METRICS_SNAPSHOT_FIELDS, 0)

#define BUCKET_FIRST (-20) /* bucket 0 ends at 2 to the power of -10, in half octaves */

static struct {
	struct metric *metrics[METRICS_MAX];
	size_t count;
	struct metric surplus; /* takes what has no room */
	int64_t interval;      /* number of the running interval since 1970; 0: none yet */
	int64_t last_start_s;
	struct metric **owned; /* those made by metrics_labelled */
	size_t owned_count;
} registry;

void
metrics_register(struct metric *m)
{
	for (size_t i = 0; i < registry.count; i++) {
		if (registry.metrics[i] == m)
			return;
	}
	if (registry.count == METRICS_MAX)
		return;
	for (size_t i = 0; i < COUNTOF(m->quantiles); i++)
		m->quantiles[i] = NAN;
	registry.metrics[registry.count++] = m;
}

struct metric *
metrics_labelled(enum metric_kind kind, const char *name, const char *labels)
{
	struct metric *m;

	for (size_t i = 0; i < registry.count; i++) {
		m = registry.metrics[i];
		if (m->kind == kind && strcmp(m->name, name) == 0 && m->labels != NULL &&
		    strcmp(m->labels, labels) == 0)
			return m;
	}
	if (registry.count == METRICS_MAX)
		return &registry.surplus;
	m = xcalloc(1, sizeof *m);
	m->name = xstrdup(name);
	m->labels = xstrdup(labels);
	m->kind = kind;
	registry.owned = xreallocarray(registry.owned, registry.owned_count + 1, sizeof *registry.owned);
	registry.owned[registry.owned_count++] = m;
	metrics_register(m);
	return m;
}

static void
add(struct metric *m, double value)
{
	struct metric_sum *now = &m->now;

	if (now->count == 0 || value < now->min)
		now->min = value;
	if (now->count == 0 || value > now->max)
		now->max = value;
	now->count++;
	now->sum += value;
	now->sum_of_squares += value * value;
	m->total_count++;
	m->total_sum += value;
}

void
metric_count(struct metric *m, double increment)
{
	add(m, increment);
}

void
metric_set(struct metric *m, double value)
{
	m->value = value;
	m->is_set = true;
}

/* Bucket i ends at 2 to the power of (i + BUCKET_FIRST) / 2. */
static size_t
bucket_of(double value)
{
	int octave, bucket;

	if (!(value > 0))
		return 0;
	/* value lies in [2^(octave - 1), 2^octave); its lower half ends at 2^(octave - 1/2). */
	bucket = frexp(value, &octave) <= M_SQRT1_2 ? -1 : 0;
	bucket += 2 * octave - BUCKET_FIRST;
	return bucket < 0 ? 0 : (size_t)MIN(bucket, METRIC_BUCKETS - 1);
}

void
metric_sample(struct metric *m, double value)
{
	add(m, value);
	m->buckets[bucket_of(value)]++;
}

void
metric_sample_since(struct metric *m, struct monotime start)
{
	metric_sample(m, (double)monotime_since_ns(start) / (double)NS_PER_MS);
}

/* ---- intervals ---- */

/* The upper bound of the bucket in which that part of the interval's samples lies below, but never over the largest. */
static double
quantile(const struct metric *m, double part)
{
	uint64_t rank = (uint64_t)ceil(part * (double)m->now.count), below = 0;

	if (m->now.count == 0)
		return NAN;
	for (size_t i = 0; i < METRIC_BUCKETS; i++) {
		below += m->buckets[i];
		if (below >= rank)
			return fmax(m->now.min, fmin(m->now.max, exp2(((double)i + BUCKET_FIRST) / 2)));
	}
	return m->now.max;
}

static void
close_interval(struct metric *m)
{
	static const double parts[] = {0.5, 0.9, 0.99};

	if (m->kind == METRIC_SAMPLE) {
		for (size_t i = 0; i < COUNTOF(parts); i++)
			m->quantiles[i] = quantile(m, parts[i]);
		memset(m->buckets, 0, sizeof m->buckets);
	}
	m->last = m->now;
	m->now = (struct metric_sum){0};
}

void
metrics_tick(int64_t wall_ns)
{
	int64_t interval = wall_ns / NS_PER_S / METRICS_INTERVAL_S;

	if (interval == registry.interval)
		return;
	if (registry.interval != 0) {
		for (size_t i = 0; i < registry.count; i++)
			close_interval(registry.metrics[i]);
	}
	registry.last_start_s = (registry.interval != 0 ? registry.interval : interval) * METRICS_INTERVAL_S;
	registry.interval = interval;
}

/* ---- the snapshot ---- */

/* "method=GET,path=v1_kv" as a map. */
static void
put_labels(struct buf *out, const char *labels)
{
	size_t place = mp_open_map(out);
	uint32_t count = 0;

	while (labels != NULL && *labels != '\0') {
		size_t size = strcspn(labels, ","), name = strcspn(labels, "=,");

		mp_put_str(out, labels, name);
		mp_put_str(out, labels + MIN(name + 1, size), size - MIN(name + 1, size));
		count++;
		labels += size + (labels[size] == ',');
	}
	mp_close(out, place, count);
}

static void
put_gauge(const struct metric *m, struct bytes labels, struct buf *out)
{
	const struct metric_gauge gauge = {.name = bytes_str(m->name), .value = m->value, .labels = labels};

	schema_encode(&metric_gauge_schema, &gauge, out);
}

static void
put_summary(const struct metric *m, struct bytes labels, struct buf *out)
{
	const struct metric_sum *last = &m->last;
	double n = (double)last->count, spread = n * last->sum_of_squares - last->sum * last->sum;
	const struct metric_summary summary = {
	    .name = bytes_str(m->name),
	    .count = last->count,
	    .rate = last->sum / METRICS_INTERVAL_S,
	    .sum = last->sum,
	    .min = last->min,
	    .max = last->max,
	    .mean = n > 0 ? last->sum / n : 0,
	    .stddev = n > 1 && spread > 0 ? sqrt(spread / (n * (n - 1))) : 0,
	    .labels = labels,
	    .total_count = m->total_count,
	    .total_sum = m->total_sum,
	    .quantile_50 = m->quantiles[0],
	    .quantile_90 = m->quantiles[1],
	    .quantile_99 = m->quantiles[2],
	};

	schema_encode(&metric_summary_schema, &summary, out);
}

static void
put_kind(enum metric_kind kind, const char *key, struct buf *out)
{
	struct buf labels = BUF_INIT(4096);
	uint32_t count = 0;
	size_t place;

	mp_put_cstr(out, key);
	place = mp_open_array(out);
	for (size_t i = 0; i < registry.count; i++) {
		const struct metric *m = registry.metrics[i];

		if (m->kind != kind || (kind == METRIC_GAUGE && !m->is_set))
			continue;
		buf_clear(&labels);
		put_labels(&labels, m->labels);
		if (kind == METRIC_GAUGE)
			put_gauge(m, buf_bytes(&labels), out);
		else
			put_summary(m, buf_bytes(&labels), out);
		count++;
	}
	mp_close(out, place, count);
	buf_free(&labels);
}

void
metrics_snapshot(struct buf *out)
{
	time_t start = (time_t)registry.last_start_s;
	char text[64];
	struct tm tm;

	strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S +0000 UTC", gmtime_r(&start, &tm));
	mp_put_map(out, 5);
	mp_put_kv_cstr(out, "Timestamp", text);
	put_kind(METRIC_GAUGE, "Gauges", out);
	mp_put_cstr(out, "Points");
	mp_put_array(out, 0);
	put_kind(METRIC_COUNTER, "Counters", out);
	put_kind(METRIC_SAMPLE, "Samples", out);
}

void
metrics_reset(void)
{
	for (size_t i = 0; i < registry.owned_count; i++) {
		free((char *)registry.owned[i]->name);
		free((char *)registry.owned[i]->labels);
		free(registry.owned[i]);
	}
	free(registry.owned);
	memset(&registry, 0, sizeof registry);
}
