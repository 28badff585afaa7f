/* summary.c: a trace in fewer words. Most of what a compiler looks at has been looked at by others before: the supervisor
 * has numbers for such records (events.h, known records). Done here it costs the supervisor, which is one thread for all
 * steps, nothing. */
#include "launcher.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../interpose/hash.h"

#define SEEN 16384u  /* a power of two */
#define WRITTEN 256u /* more writes than that: not a compiler */

static const struct hm_known *known;
static uint64_t seen[SEEN];
static unsigned seen_count;

static struct written {
    const char *path;
    size_t length;
} written[WRITTEN];
static unsigned written_count;

static void map_known(void)
{
    char path[PATH_MAX];
    size_t n = strlen(run_dir);
    if (known || n + 7 > sizeof path)
        return;
    memcpy(path, run_dir, n);
    memcpy(path + n, "/known", 7);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    void *m = MAP_FAILED;
    if (fd >= 0 && !fstat(fd, &st) && (size_t)st.st_size > sizeof *known)
        m = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (fd >= 0)
        close(fd);
    if (m == MAP_FAILED)
        return;
    const struct hm_known *k = m;
    if (k->magic == HM_KNOWN_MAGIC && k->version == HM_VERSION && k->capacity && !(k->capacity & (k->capacity - 1)) &&
        (uint64_t)st.st_size >= sizeof *k + k->capacity * sizeof(struct hm_known_entry))
        known = k;
}

static uint32_t fact_of(uint64_t key)
{
    const struct hm_known_entry *entries = (const struct hm_known_entry *)(known + 1);
    for (uint64_t at = key & (known->capacity - 1), left = known->capacity; left--; at = (at + 1) & (known->capacity - 1)) {
        uint64_t there = __atomic_load_n(&entries[at].key, __ATOMIC_ACQUIRE);
        if (there == key)
            return (uint32_t)__atomic_load_n(&entries[at].fact, __ATOMIC_RELAXED);
        if (!there)
            return 0;
    }
    return 0;
}

/* 1: it is new; 0: it came before; -1: too many. */
static int first_time(uint64_t key)
{
    unsigned at = (unsigned)key & (SEEN - 1);
    for (; seen[at]; at = (at + 1) & (SEEN - 1))
        if (seen[at] == key)
            return 0;
    seen[at] = key;
    return ++seen_count > SEEN / 2 ? -1 : 1;
}

static int is_write(char kind)
{
    return kind == HM_WRITE || kind == HM_REMOVE || kind == HM_TOUCH || kind == HM_CHMOD;
}

static int is_look(char kind)
{
    return kind == HM_READ || kind == HM_ABSENT || kind == HM_STAT || kind == HM_LSTAT || kind == HM_ACCESS || kind == HM_LOOK;
}

/* What is left to the supervisor: a make evaluates, directories move, a call never ended. */
static int is_beyond_us(char kind)
{
    return kind == HM_MAKE || kind == HM_MOVEDIR || kind == HM_MOVEDIR_TO || kind == HM_BEGUN || !kind;
}

static int is_written(const char *path, size_t length)
{
    for (unsigned i = 0; i < written_count; i++)
        if (written[i].length == length && !memcmp(written[i].path, path, length))
            return 1;
    return 0;
}

/* Finds what was written; whether the trace is one that can be summed up. */
static int survey(const char *records, const char *end)
{
    written_count = 0;
    for (const char *p = records, *z; p < end; p = z + 1) {
        z = memchr(p, 0, (size_t)(end - p));
        if (!z || is_beyond_us(*p))
            return 0;
        if (!is_write(*p) || is_written(p + 1, (size_t)(z - p) - 1))
            continue;
        if (written_count == WRITTEN)
            return 0;
        written[written_count++] = (struct written){p + 1, (size_t)(z - p) - 1};
    }
    return 1;
}

static int sum_up(struct summary *s, const char *records, const char *end)
{
    for (const char *p = records, *z; p < end; p = z + 1) {
        z = p + strlen(p); /* survey() has been here */
        size_t length = (size_t)(z - p);
        if (!is_write(*p)) {
            uint64_t key = hm_xxh64(p, length);
            int news = first_time(key);
            if (news < 0)
                return 0;
            if (!news)
                continue;
            uint32_t fact = is_look(*p) && !is_written(p + 1, length - 1) ? fact_of(key) : 0;
            if (fact) {
                s->facts[s->count++] = fact;
                continue;
            }
        }
        memcpy(s->text + s->length, p, length + 1);
        s->length += length + 1;
    }
    return 1;
}

int summarize(struct summary *s)
{
    *s = (struct summary){0};
    const char *records = trace_records(&s->tail);
    if (!records)
        return 0;
    map_known();
    if (!known)
        return 0;
    s->generation = __atomic_load_n(&known->generation, __ATOMIC_ACQUIRE); /* before any look */
    const char *end = records + s->tail - sizeof(struct hm_trace);
    s->text = malloc(s->tail);
    s->facts = malloc(SEEN * sizeof *s->facts);
    memset(seen, 0, sizeof seen);
    seen_count = 0;
    return s->text && s->facts && survey(records, end) && sum_up(s, records, end);
}
