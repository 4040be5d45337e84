/*
 * host.c - the machine we run on (contract: host.h; caller: control.c)
 *
 * Everything comes from /proc, uname(2), statvfs(3) and os-release(5). A source that is missing leaves zeros and an entry in Errors.
 */
#include "host.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cdefs.h"
#include "duration.h"
#include "mp.h"

#define TEXT_MAX 65536
#define CPUS_MAX 4096
#define FLAGS_MAX 512

struct errors {
	struct buf list;
	uint32_t count;
};

/* A small file of /proc as text; "" (and an error noted) if it can not be read. */
static char *
slurp(const char *path, struct errors *errors)
{
	static char text[TEXT_MAX];
	size_t used = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	while (fd != -1 && used < sizeof text - 1 && (got = read(fd, text + used, sizeof text - 1 - used)) > 0)
		used += (size_t)got;
	text[used] = '\0';
	if (fd != -1)
		close(fd);
	else if (errors != NULL) {
		mp_put_cstr(&errors->list, path);
		errors->count++;
	}
	return text;
}

/* ---- Memory ---- */

/* kB of one row of /proc/meminfo, as bytes. */
static uint64_t
meminfo(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line != NULL && *line != '\0';) {
		if (strncmp(line, key, length) == 0 && line[length] == ':')
			return strtoull(line + length + 1, NULL, 10) * 1024;
		line = strchr(line, '\n');
		if (line != NULL)
			line++;
	}
	return 0;
}

static void
put_memory(struct buf *out, struct errors *errors)
{
	static const struct {
		const char *name, *key; /* key NULL: not known on Linux, 0 */
	} rows[] = {
	    {"free", "MemFree"},
	    {"active", "Active"},
	    {"inactive", "Inactive"},
	    {"wired", NULL},
	    {"laundry", NULL},
	    {"buffers", "Buffers"},
	    {"cached", "Cached"},
	    {"writeBack", "Writeback"},
	    {"dirty", "Dirty"},
	    {"writeBackTmp", "WritebackTmp"},
	    {"shared", "Shmem"},
	    {"slab", "Slab"},
	    {"sreclaimable", "SReclaimable"},
	    {"sunreclaim", "SUnreclaim"},
	    {"pageTables", "PageTables"},
	    {"swapCached", "SwapCached"},
	    {"commitLimit", "CommitLimit"},
	    {"committedAS", "Committed_AS"},
	    {"highTotal", "HighTotal"},
	    {"highFree", "HighFree"},
	    {"lowTotal", "LowTotal"},
	    {"lowFree", "LowFree"},
	    {"swapTotal", "SwapTotal"},
	    {"swapFree", "SwapFree"},
	    {"mapped", "Mapped"},
	    {"vmallocTotal", "VmallocTotal"},
	    {"vmallocUsed", "VmallocUsed"},
	    {"vmallocChunk", "VmallocChunk"},
	};
	static const struct {
		const char *name, *key;
	} pages[] = {{"hugePagesTotal", "HugePages_Total"}, {"hugePagesFree", "HugePages_Free"},
	    {"hugePagesRsvd", "HugePages_Rsvd"}, {"hugePagesSurp", "HugePages_Surp"}};
	const char *text = slurp("/proc/meminfo", errors);
	uint64_t total = meminfo(text, "MemTotal"), available = meminfo(text, "MemAvailable");
	uint64_t used = total - meminfo(text, "MemFree") - meminfo(text, "Buffers") - meminfo(text, "Cached") -
			meminfo(text, "SReclaimable");

	mp_put_map(out, 4 + COUNTOF(rows) + COUNTOF(pages) + 1);
	mp_put_kv_uint(out, "total", total);
	mp_put_kv_uint(out, "available", available);
	mp_put_kv_uint(out, "used", used > total ? 0 : used);
	mp_put_cstr(out, "usedPercent");
	mp_put_float(out, total == 0 || used > total ? 0. : (double)used / (double)total * 100);
	for (size_t i = 0; i < COUNTOF(rows); i++)
		mp_put_kv_uint(out, rows[i].name, rows[i].key == NULL ? 0 : meminfo(text, rows[i].key));
	for (size_t i = 0; i < COUNTOF(pages); i++) /* counts, not kB */
		mp_put_kv_uint(out, pages[i].name, meminfo(text, pages[i].key) / 1024);
	mp_put_kv_uint(out, "hugePageSize", meminfo(text, "Hugepagesize"));
}

/* ---- CPU ---- */

/* Value of "key : value" within one processor's block, "" when absent. */
static const char *
cpuinfo(const char *block, const char *end, const char *key, char *out, size_t size)
{
	size_t length = strlen(key);

	out[0] = '\0';
	for (const char *line = block; line < end;) {
		const char *eol = memchr(line, '\n', (size_t)(end - line)), *colon;

		if (eol == NULL)
			eol = end;
		colon = memchr(line, ':', (size_t)(eol - line));
		if (colon != NULL && strncmp(line, key, length) == 0 &&
		    (line[length] == '\t' || line[length] == ' ' || line[length] == ':') && colon + 1 < eol) {
			snprintf(out, size, "%.*s", (int)(eol - colon - 2), colon + 2);
			return out;
		}
		line = eol + 1;
	}
	return out;
}

static void
put_flags(const char *text, struct buf *out)
{
	size_t place = mp_open_array(out);
	uint32_t count = 0;

	while (*text != '\0' && count < FLAGS_MAX) {
		size_t length = strcspn(text, " ");

		if (length > 0) {
			mp_put_str(out, text, length);
			count++;
		}
		text += length;
		text += strspn(text, " ");
	}
	mp_close(out, place, count);
}

static void
put_cpu(const char *block, const char *end, struct buf *out)
{
	char value[16384];

	mp_put_map(out, 13);
	mp_put_kv_int(out, "cpu", atoi(cpuinfo(block, end, "processor", value, sizeof value)));
	mp_put_kv_cstr(out, "vendorId", cpuinfo(block, end, "vendor_id", value, sizeof value));
	mp_put_kv_cstr(out, "family", cpuinfo(block, end, "cpu family", value, sizeof value));
	mp_put_kv_cstr(out, "model", cpuinfo(block, end, "model", value, sizeof value));
	mp_put_kv_int(out, "stepping", atoi(cpuinfo(block, end, "stepping", value, sizeof value)));
	mp_put_kv_cstr(out, "physicalId", cpuinfo(block, end, "physical id", value, sizeof value));
	mp_put_kv_cstr(out, "coreId", cpuinfo(block, end, "core id", value, sizeof value));
	mp_put_kv_int(out, "cores", 1);
	mp_put_kv_cstr(out, "modelName", cpuinfo(block, end, "model name", value, sizeof value));
	mp_put_cstr(out, "mhz");
	mp_put_float(out, atof(cpuinfo(block, end, "cpu MHz", value, sizeof value)));
	mp_put_kv_int(out, "cacheSize", atoi(cpuinfo(block, end, "cache size", value, sizeof value)));
	mp_put_cstr(out, "flags");
	put_flags(cpuinfo(block, end, "flags", value, sizeof value), out);
	mp_put_kv_cstr(out, "microcode", cpuinfo(block, end, "microcode", value, sizeof value));
}

static void
put_cpus(struct buf *out, struct errors *errors)
{
	const char *block = slurp("/proc/cpuinfo", errors);
	size_t place = mp_open_array(out);
	uint32_t count = 0;

	while (strncmp(block, "processor", 9) == 0 && count < CPUS_MAX) {
		const char *end = strstr(block, "\n\n");

		if (end == NULL)
			end = block + strlen(block);
		put_cpu(block, end, out);
		count++;
		block = *end == '\0' ? end : end + 2;
	}
	mp_close(out, place, count);
}

/* ---- Host ---- */

static uint64_t
process_count(void)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;
	uint64_t count = 0;

	if (directory == NULL)
		return 0;
	while ((entry = readdir(directory)) != NULL)
		if (isdigit((unsigned char)entry->d_name[0]))
			count++;
	closedir(directory);
	return count;
}

/* A value of os-release, unquoted. */
static void
os_release(const char *key, char *out, size_t size)
{
	const char *text = slurp("/etc/os-release", NULL);
	size_t length = strlen(key);

	out[0] = '\0';
	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (strncmp(line, key, length) != 0 || line[length] != '=')
			continue;
		line += length + 1;
		if (*line == '"')
			line++;
		snprintf(out, size, "%.*s", (int)strcspn(line, "\"\n"), line);
		return;
	}
}

static void
put_host(struct buf *out, struct errors *errors)
{
	struct utsname names = {.sysname = ""};
	char text[256];
	double uptime = atof(slurp("/proc/uptime", errors));

	(void)uname(&names);
	mp_put_map(out, 13);
	mp_put_kv_cstr(out, "hostname", names.nodename);
	mp_put_kv_uint(out, "uptime", (uint64_t)uptime);
	mp_put_kv_uint(out, "bootTime", (uint64_t)(walltime_ns() / NS_PER_S) - (uint64_t)uptime);
	mp_put_kv_uint(out, "procs", process_count());
	mp_put_kv_cstr(out, "os", "linux");
	os_release("ID", text, sizeof text);
	mp_put_kv_cstr(out, "platform", text);
	os_release("ID_LIKE", text, sizeof text);
	if (text[0] == '\0')
		os_release("ID", text, sizeof text);
	mp_put_kv_cstr(out, "platformFamily", text);
	os_release("VERSION_ID", text, sizeof text);
	mp_put_kv_cstr(out, "platformVersion", text);
	mp_put_kv_cstr(out, "kernelVersion", names.release);
	mp_put_kv_cstr(out, "kernelArch", names.machine);
	mp_put_kv_cstr(out, "virtualizationSystem", "");
	mp_put_kv_cstr(out, "virtualizationRole", "");
	snprintf(text, sizeof text, "%.*s", 36, slurp("/proc/sys/kernel/random/boot_id", NULL));
	mp_put_kv_cstr(out, "hostId", text);
}

/* ---- Disk ---- */

static void
root_type(char *out, size_t size)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent entry, *e;
	char strings[4096];

	out[0] = '\0';
	while (mounts != NULL && (e = getmntent_r(mounts, &entry, strings, sizeof strings)) != NULL)
		if (strcmp(e->mnt_dir, "/") == 0)
			snprintf(out, size, "%s", e->mnt_type);
	if (mounts != NULL)
		endmntent(mounts);
}

static void
put_percent(const char *key, uint64_t used, uint64_t total, struct buf *out)
{
	mp_put_cstr(out, key);
	mp_put_float(out, total == 0 ? 0. : (double)used / (double)total * 100);
}

static void
put_disk(struct buf *out)
{
	struct statvfs fs = {.f_bsize = 0};
	uint64_t block, total, used;
	char type[64];

	(void)statvfs("/", &fs);
	root_type(type, sizeof type);
	block = fs.f_frsize == 0 ? fs.f_bsize : fs.f_frsize;
	total = fs.f_blocks * block;
	used = (fs.f_blocks - fs.f_bfree) * block;
	mp_put_map(out, 10);
	mp_put_kv_cstr(out, "path", "/");
	mp_put_kv_cstr(out, "fstype", type);
	mp_put_kv_uint(out, "total", total);
	mp_put_kv_uint(out, "free", fs.f_bavail * block);
	mp_put_kv_uint(out, "used", used);
	put_percent("usedPercent", used, used + fs.f_bavail * block, out);
	mp_put_kv_uint(out, "inodesTotal", fs.f_files);
	mp_put_kv_uint(out, "inodesUsed", fs.f_files - fs.f_ffree);
	mp_put_kv_uint(out, "inodesFree", fs.f_ffree);
	put_percent("inodesUsedPercent", fs.f_files - fs.f_ffree, fs.f_files, out);
}

void
host_describe(struct buf *out)
{
	struct errors errors = {.list = BUF_INIT(4096)};

	mp_put_map(out, 6);
	mp_put_cstr(out, "Memory");
	put_memory(out, &errors);
	mp_put_cstr(out, "CPU");
	put_cpus(out, &errors);
	mp_put_cstr(out, "Host");
	put_host(out, &errors);
	mp_put_cstr(out, "Disk");
	put_disk(out);
	mp_put_kv_int(out, "CollectionTime", walltime_ns());
	mp_put_cstr(out, "Errors");
	if (errors.count == 0) {
		mp_put_nil(out);
	} else {
		mp_put_array(out, errors.count);
		buf_put_bytes(out, buf_bytes(&errors.list));
	}
	buf_free(&errors.list);
}
