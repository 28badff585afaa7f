/* trace.c: claims space in the step's trace file, grows it, drops records already sent.
 *
 * The file is mapped once in a window much larger than the file, so growing it needs no remapping: pages below `limit`
 * are there, pages above are never touched. */
#include "interpose.h"

#include <string.h>
#include <sys/mman.h>

#include "sys.h"

#define WINDOW (256ul << 20)

/* Records sent, as hashes: one page for the many small processes, a larger table for compilers. Lossy on purpose (an
 * entry may push out another): forgetting only means sending a record twice, and so no lock is needed. */
#define FEW_BITS 9
#define MANY_BITS 15
static uint64_t few[1 << FEW_BITS];
static uint64_t *many;
static unsigned few_used;

static int open_trace(void) {
    char path[sizeof hm.run + sizeof hm.stepname + 4];
    size_t n = hm_len(hm.run);
    memcpy(path, hm.run, n);
    memcpy(path + n, "/t/", 3);
    memcpy(path + n + 3, hm.stepname, hm_len(hm.stepname) + 1);
    return hm_sys_open(path, O_RDWR | O_NOFOLLOW);
}

bool hm_map_trace(void) {
    int fd = open_trace();
    if (fd < 0) return false;
    void *map = NULL;
    for (hm.window = WINDOW; !map && hm.window >= HM_TRACE_FIRST; hm.window >>= 4)
        map = hm_sys_mmap(hm.window, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd);
    hm.window <<= 4; /* undo the step after the successful try */
    struct stat st;
    bool sized = map && hm_sys_fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof(struct hm_trace);
    hm_sys_close(fd);
    struct hm_trace *t = map;
    if (sized && t->magic == HM_TRACE_MAGIC && t->version == HM_VERSION) {
        hm.trace = t;
        return true;
    }
    if (map) hm_sys_munmap(map, hm.window);
    return false;
}

void hm_lost(void) {
    if (hm.trace) __atomic_fetch_or(&hm.trace->flags, HM_LOST, __ATOMIC_RELAXED);
}

static bool grow(uint64_t end) {
    struct hm_trace *t = hm.trace;
    uint64_t limit = __atomic_load_n(&t->limit, __ATOMIC_ACQUIRE);
    uint64_t wanted = limit * 2 > end + HM_TRACE_FIRST ? limit * 2 : end + HM_TRACE_FIRST;
    if (wanted > hm.window) wanted = hm.window;
    if (end > wanted) return false;
    int fd = open_trace();
    if (fd < 0) return false;
    int r = (int)hm_sys(SYS_fallocate, fd, 0, 0, wanted);
    hm_sys_close(fd);
    if (r < 0) return false;
    while (limit < wanted &&
           !__atomic_compare_exchange_n(&t->limit, &limit, wanted, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    }
    return true;
}

static char *claim(size_t n) {
    struct hm_trace *t = hm.trace;
    uint64_t at = __atomic_fetch_add(&t->tail, n, __ATOMIC_ACQ_REL);
    if (HM_UNLIKELY(at + n > __atomic_load_n(&t->limit, __ATOMIC_ACQUIRE) || at + n > hm.window)) {
        if (!grow(at + n)) {
            hm_lost();
            return NULL;
        }
    }
    return (char *)t + at;
}

static void put(char *at, char kind, const char *s, size_t len) {
    memcpy(at + 1, s, len);
    at[len + 1] = 0;
    *at = kind; /* last: a torn record is an empty one */
}

static uint64_t key_of(char kind, uint64_t hash) {
    uint64_t key = (hash + (uint64_t)(unsigned char)kind) * 0x9e3779b97f4a7c15ull;
    return key ? key : 1;
}

static uint64_t *slot_of(uint64_t *table, unsigned bits, uint64_t key) {
    return &table[(key >> (64 - bits)) & ~(uint64_t)7]; /* eight neighbours: one cache line */
}

static bool in_line(const uint64_t *line, uint64_t key) {
    for (int i = 0; i < 8; i++)
        if (line[i] == key) return true;
    return false;
}

static bool sent(uint64_t key) {
    return in_line(slot_of(few, FEW_BITS, key), key) || (many && in_line(slot_of(many, MANY_BITS, key), key));
}

static void remember(uint64_t key) {
    if (few_used >= 300 && !many) {
        void *map = hm_sys_mmap(8ul << MANY_BITS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
        uint64_t *none = NULL;
        if (map && !__atomic_compare_exchange_n(&many, &none, map, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            hm_sys_munmap(map, 8ul << MANY_BITS);
    }
    uint64_t *line = many ? slot_of(many, MANY_BITS, key) : slot_of(few, FEW_BITS, key);
    if (!many) few_used++;
    for (int i = 0; i < 8; i++)
        if (!line[i]) {
            line[i] = key;
            return;
        }
    line[key & 7] = key;
}

static void forget(uint64_t hash) {
    static const char kinds[] = {HM_READ, HM_ABSENT, HM_STAT, HM_LSTAT, HM_ACCESS, HM_LOOK, HM_ENTRY, HM_SCRIPT};
    for (size_t k = 0; k < sizeof kinds; k++) {
        uint64_t key = key_of(kinds[k], hash);
        uint64_t *lines[] = {slot_of(few, FEW_BITS, key), many ? slot_of(many, MANY_BITS, key) : NULL};
        for (int l = 0; l < 2 && lines[l]; l++)
            for (int i = 0; i < 8; i++)
                if (lines[l][i] == key) lines[l][i] = 0;
    }
}

static char in_make(char kind) {
    if (hm.make && (kind == HM_STAT || kind == HM_LSTAT || kind == HM_ACCESS)) return HM_LOOK;
    return kind;
}

static bool changes(char kind) {
    return kind == HM_WRITE || kind == HM_REMOVE || kind == HM_TOUCH || kind == HM_CHMOD;
}

static bool is_table(uint64_t hash) {
    if (!hm.view) return false;
    for (int i = 0; i < HM_TABLES && hm.view->tables[i]; i++)
        if (hm.view->tables[i] == hash) return true;
    return false;
}

/* Who reads it, in which words: that says which of its entries count (projections, docs/design.md). */
static void tell_reader(const struct hm_path *table) {
    const size_t size = HM_ROOM + sizeof hm.program + HM_READER_MAX + 8; /* rare, and more than a room */
    char *text = hm_sys_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (!text) {
        hm_lost();
        return;
    }
    size_t n = table->len;
    memcpy(text, table->s, n);
    text[n++] = 1;
    size_t m = hm_len(hm.program);
    memcpy(text + n, hm.program, m);
    n += m;
    int fd = hm_sys_open("/proc/self/cmdline", O_RDONLY);
    long k = fd < 0 ? 0 : hm_sys(SYS_read, fd, text + n + 1, HM_READER_MAX + 1, 0);
    if (fd >= 0) hm_sys_close(fd);
    bool whole = k > 0 && k <= (long)HM_READER_MAX;
    if (k > (long)HM_READER_MAX) k = HM_READER_MAX;
    if (k > 0) text[n++] = 1;
    for (long i = 0; i < k; i++) {
        char c = text[n];
        text[n++] = c ? c : 1;
    }
    if (k > 0 && whole && text[n - 1] == 1) n--;
    if (!whole && text[n - 1] != 1) text[n++] = 1;
    hm_emit_text(HM_READER, text, n);
    hm_sys_munmap(text, size);
}

bool hm_fresh(char kind, const struct hm_path *p) {
    return !sent(key_of(in_make(kind), p->hash));
}

void hm_emit(char kind, const struct hm_path *p) {
    kind = in_make(kind);
    if (changes(kind)) {
        forget(p->hash);
    } else {
        uint64_t key = key_of(kind, p->hash);
        if (sent(key)) return;
        if (HM_UNLIKELY(kind == HM_READ && is_table(p->hash))) tell_reader(p);
        remember(key);
    }
    char *at = claim(p->len + 2);
    if (at) put(at, kind, p->s, p->len);
}

char *hm_begun(const struct hm_path *p) {
    char *at = claim(p->len + 2);
    if (at) put(at, HM_BEGUN, p->s, p->len);
    return at;
}

void hm_over(char *begun) {
    if (begun) *begun = HM_OVER;
}

void hm_emit_text(char kind, const char *text, size_t len) {
    uint64_t key = key_of(kind, hm_hash(text, len));
    if (sent(key)) return;
    remember(key);
    char *at = claim(len + 2);
    if (at) put(at, kind, text, len);
}

void hm_emit_pair(const struct hm_path *from, const struct hm_path *to) {
    /* Everything below a moved directory changes its name: nothing sent before can be relied on. */
    memset(few, 0, sizeof few);
    if (many) memset(many, 0, 8ul << MANY_BITS);
    char *at = claim(from->len + to->len + 4);
    if (!at) return;
    put(at + from->len + 2, HM_MOVEDIR_TO, to->s, to->len);
    put(at, HM_MOVEDIR, from->s, from->len);
}

/* A link that leads to nothing: it is there, and what is missing is its end. */
static void absent_end(const struct hm_path *link) {
    HM_OWN(struct hm_path, end);
    if (hm_copy_path(&end, link) && hm_follow(&end) >= 0) hm_emit(HM_ABSENT, &end);
}

void hm_absent(int err, const struct hm_path *p) {
    if (err != ENOENT && err != ENOTDIR && err != ELOOP) return;
    if (err == ENOENT) {
        char target[1];
        if (!hm_fresh(HM_ABSENT, p)) return;
        if (hm_sys_readlink(p->s, target, sizeof target) > 0)
            absent_end(p);
        else
            hm_emit(HM_ABSENT, p);
        return;
    }
    /* ENOTDIR of a plain file opened as a directory (mv tries that), ELOOP of a link opened with O_NOFOLLOW: it is there. */
    struct stat st;
    bool there = hm_sys_stat(p->s, &st, AT_SYMLINK_NOFOLLOW) == 0;
    hm_emit(there ? HM_LSTAT : HM_ABSENT, p);
}

void hm_unseen(const char *why, const char *program) {
    HM_TEXT_ROOM(text);
    if (!text) return;
    size_t n = hm_len(why), m = hm_len(program);
    if (n > 60) n = 60;
    if (m > HM_PATH) m = HM_PATH;
    memcpy(text, why, n);
    text[n] = ':';
    memcpy(text + n + 1, program, m);
    hm_emit_text(HM_UNSEEN, text, n + 1 + m);
}

void hm_unseen_here(const char *why) {
    if (hm_on()) hm_unseen(why, hm.program);
}
