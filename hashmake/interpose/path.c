/* path.c: from a path as a program gives it to the one name under which traces and the view know the file.
 *
 * The directory part is made physical, the last component stays as given. Asking the kernel about each component of each
 * path would double the system calls of a compiler, so the view carries a table of directories known to be physical. */
#include "interpose.h"

#include <string.h>
#include <sys/mman.h>

#include "sys.h"

#define MOST_LINKS 16

/* The working directory. `cwd_state` goes NONE -> BUSY -> READY; readers that find anything but READY ask the kernel.
 * A vfork child that changes its directory would spoil its parent's copy: then nothing is kept from there on. */
enum { CWD_NONE, CWD_BUSY, CWD_READY, CWD_NEVER };
static int cwd_state;
static unsigned cwd_turn;
static size_t cwd_len;
static char cwd[HM_PATH];

void hm_cwd_changed(void) {
    if (!hm_on()) return;
    __atomic_add_fetch(&cwd_turn, 1, __ATOMIC_ACQ_REL);
    if (cwd_state != CWD_NEVER) __atomic_store_n(&cwd_state, hm_pid() == hm.pid ? CWD_NONE : CWD_NEVER, __ATOMIC_RELEASE);
}

static size_t deleted(const char *s, size_t n) {
    static const char mark[] = " (deleted)";
    return n > sizeof mark - 1 && memcmp(s + n - (sizeof mark - 1), mark, sizeof mark - 1) == 0;
}

static size_t get_cwd(char *buf) {
    unsigned turn = __atomic_load_n(&cwd_turn, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&cwd_state, __ATOMIC_ACQUIRE) == CWD_READY) {
        size_t n = cwd_len;
        memcpy(buf, cwd, n);
        if (turn == __atomic_load_n(&cwd_turn, __ATOMIC_ACQUIRE)) return n;
    }
    long r = hm_sys(SYS_getcwd, buf, HM_PATH, 0, 0); /* counts the final NUL */
    if (r < 2 || buf[0] != '/') return 0;            /* removed, or outside of our root */
    size_t n = (size_t)r - 1;
    int none = CWD_NONE;
    if (__atomic_compare_exchange_n(&cwd_state, &none, CWD_BUSY, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        memcpy(cwd, buf, n);
        cwd_len = n;
        int busy = CWD_BUSY;
        if (turn == __atomic_load_n(&cwd_turn, __ATOMIC_ACQUIRE))
            __atomic_compare_exchange_n(&cwd_state, &busy, CWD_READY, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
        else
            __atomic_compare_exchange_n(&cwd_state, &busy, CWD_NONE, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    return n;
}

static size_t get_fd(char *buf, int fd) {
    char link[32] = "/proc/self/fd/";
    if (fd < 0) return 0;
    char digits[12];
    size_t n = 14, d = 0;
    do digits[d++] = (char)('0' + fd % 10);
    while (fd /= 10);
    while (d) link[n++] = digits[--d];
    link[n] = 0;
    long r = hm_sys_readlink(link, buf, HM_PATH - 1);
    if (r <= 0 || buf[0] != '/' || deleted(buf, (size_t)r)) return 0;
    buf[r] = 0;
    return (size_t)r;
}

static bool outside(const char *s) {
    size_t n;
    if (s[1] == 'd' && hm_starts(s, "/dev/shm/")) return false; /* a plain file system, where trees are built too */
    if (s[1] == 'p' && hm_starts(s, "/proc"))
        n = 5;
    else if (s[1] == 'd' && hm_starts(s, "/dev"))
        n = 4;
    else if (s[1] == 's' && hm_starts(s, "/sys"))
        n = 4;
    else
        return false;
    return s[n] == '/' || s[n] == 0;
}

/* ---- the directory cache ---- */
static uint64_t generation(void) {
    return __atomic_load_n(&hm.view->dirgen, __ATOMIC_ACQUIRE) * 0x9e3779b97f4a7c15ull;
}

static bool cached(uint64_t hash) {
    if (!hm.dirs) return false;
    return __atomic_load_n(&hm.dirs[hash & (hm.view->dircap - 1)], __ATOMIC_RELAXED) == (hash ^ generation());
}

static void cache(uint64_t hash, uint64_t gen) {
    if (hm.dirs) __atomic_store_n(&hm.dirs[hash & (hm.view->dircap - 1)], hash ^ gen, __ATOMIC_RELAXED);
}

/* A few links that every process passes (/bin, /lib, /lib64), so that each is read once per process. */
static struct known_link {
    uint64_t hash, generation;
    unsigned char len, ready;
    char target[46];
} known_links[4];

static long read_link(const char *path, size_t len, uint64_t hash, char *buf) {
    uint64_t gen = hm.view ? generation() : 0;
    struct known_link *k = &known_links[hash & 3];
    if (__atomic_load_n(&k->ready, __ATOMIC_ACQUIRE) && k->hash == hash && k->generation == gen) {
        memcpy(buf, k->target, k->len);
        return k->len;
    }
    long r = hm_sys_readlink(path, buf, HM_PATH - 1);
    if (r > 0 && r < (long)sizeof k->target && len < 8 && hm.view && !k->ready) {
        k->hash = hash;
        k->generation = gen;
        k->len = (unsigned char)r;
        memcpy(k->target, buf, (size_t)r);
        __atomic_store_n(&k->ready, 1, __ATOMIC_RELEASE);
    }
    return r;
}

void hm_links_changed(void) {
    if (hm.view) __atomic_add_fetch(&hm.view->dirgen, 1, __ATOMIC_ACQ_REL);
    if (cwd_state != CWD_NEVER) hm_cwd_changed();
}

/* ---- rooms ---- */
static char rooms[64][HM_ROOM] __attribute__((aligned(64))); /* only those that were ever taken are in memory; beyond them each is mapped */
static uint64_t taken;

char *hm_room(void) {
    uint64_t now = __atomic_load_n(&taken, __ATOMIC_RELAXED);
    while (~now) {
        int i = __builtin_ctzll(~now);
        if (__atomic_compare_exchange_n(&taken, &now, now | 1ull << i, true, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return rooms[i];
    }
    char *room = hm_sys_mmap(HM_ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (!room) hm_lost();
    return room;
}

void hm_room_over(char *room) {
    size_t at = (uintptr_t)room - (uintptr_t)rooms;
    if (at < sizeof rooms)
        __atomic_fetch_and(&taken, ~(1ull << at / HM_ROOM), __ATOMIC_RELEASE);
    else
        hm_sys_munmap(room, HM_ROOM);
}

/* ---- walking ---- */
static bool walk(struct hm_path *p, size_t known, const char *rest, int links);

static void emit_link(const struct hm_path *p, size_t len, uint64_t hash) {
    struct hm_path link = {.hash = hash, .len = len, .s = p->s};
    if (hm_fresh(HM_LSTAT, &link)) hm_emit(HM_LSTAT, &link);
}

static bool passed_link(struct hm_path *p, size_t end, const char *target, size_t n, const char *rest, int links) {
    HM_TEXT_ROOM(next);
    size_t tail = p->len - end, more = hm_len(rest);
    if (!next || links >= MOST_LINKS || n + tail + more + 2 > HM_PATH) {
        hm_lost();
        return false;
    }
    memcpy(next, target, n);
    memcpy(next + n, p->s + end, tail);
    next[n + tail] = '/';
    memcpy(next + n + tail + 1, rest, more + 1);
    if (next[0] == '/') {
        p->len = 0;
    } else {
        while (p->s[--end] != '/') continue;
        p->len = end;
    }
    return walk(p, p->len, next, links + 1);
}

static bool hidden_link(uint64_t hash) {
    if (!hm.view || !(hm.view->flags & HM_VF_HIDE)) return false;
    struct hm_entry *e = hm_find(hash);
    return e && (__atomic_load_n(&e->value, __ATOMIC_ACQUIRE) & 7) == HM_V_HIDDEN;
}

/* Makes p->s[0..end) physical; beyond it and then `rest` follow. 1: done; 0, -1: walk() has done the rest itself and said so. */
static int physical(struct hm_path *p, size_t known, size_t end, const char *rest, int links) {
    uint64_t gen = hm.view ? generation() : 0;
    size_t start = end;
    while (start > known && !cached(hm_hash(p->s, start)))
        while (start > known && p->s[--start] != '/') continue;
    if (start < known) start = known;
    if (start >= end) return 1;
    HM_TEXT_ROOM(target);
    if (!target) return -1;
    for (size_t e = start; e < end;) {
        for (e++; e < end && p->s[e] != '/'; e++) continue;
        char kept = p->s[e];
        p->s[e] = 0;
        if (outside(p->s)) {
            p->s[e] = kept;
            return 1;
        }
        uint64_t hash = hm_hash(p->s, e);
        long r = read_link(p->s, e, hash, target);
        p->s[e] = kept;
        if (r == -EINVAL)
            cache(hash, gen);
        else if (r < 0)
            return 1; /* not there, or not ours to see: the rest cannot be links either */
        else if (hidden_link(hash)) {
            p->gone = true;
            return 1;
        } else {
            emit_link(p, e, hash);
            return passed_link(p, e, target, (size_t)r, rest, links) ? 0 : -1;
        }
    }
    return 1;
}

static size_t parent(const struct hm_path *p) {
    size_t n = p->len;
    while (n && p->s[--n] != '/') continue;
    return n;
}

static bool walk(struct hm_path *p, size_t known, const char *rest, int links) {
    for (;;) {
        while (*rest == '/') rest++;
        if (!*rest) break;
        size_t n = 1;
        while (rest[n] && rest[n] != '/') n++;
        if (n == 1 && rest[0] == '.') {
        } else if (n == 2 && rest[0] == '.' && rest[1] == '.') {
            if (p->len > known) {
                int done = physical(p, known, p->len, rest, links);
                if (done < 1) return done == 0;
            }
            p->len = parent(p);
            known = p->len;
        } else {
            if (p->len + n + 2 > HM_PATH) {
                hm_lost();
                return false;
            }
            p->s[p->len++] = '/';
            memcpy(p->s + p->len, rest, n);
            p->len += n;
        }
        rest += n;
    }
    size_t dir = parent(p);
    if (dir > known) {
        p->s[p->len] = 0;
        int done = physical(p, known, dir, rest, links);
        return done >= 0;
    }
    return true;
}

void hm_settle(struct hm_path *p) {
    if (!p->len) p->s[p->len++] = '/';
    p->s[p->len] = 0;
    p->hash = hm_hash(p->s, p->len);
    size_t dir = parent(p);
    p->dirhash = dir ? hm_hash(p->s, dir) : hm_hash("/", 1);
    p->entry = NULL;
    p->state = HM_V_NONE;
    if (!hm.view) return;
    uint64_t flags = __atomic_load_n(&hm.view->flags, __ATOMIC_RELAXED);
    if (!(flags & (HM_VF_HIDE | HM_VF_TIME))) return;
    p->entry = hm_find(p->hash);
    if (p->entry && (flags & HM_VF_HIDE)) p->state = __atomic_load_n(&p->entry->value, __ATOMIC_ACQUIRE) & 7;
}

/* The fifo through which makes since 4.4 hand out jobs: another name in every build, and no input. */
static bool jobserver(const struct hm_path *p) {
    const char *base = p->s + parent(p) + 1;
    if (base[0] != 'G' || !hm_starts(base, "GMfifo") || !base[6]) return false;
    for (base += 6; *base >= '0' && *base <= '9'; base++) continue;
    return !*base;
}

static bool finish(struct hm_path *p) {
    hm_settle(p);
    return !outside(p->s) && !jobserver(p);
}

bool hm_resolve(struct hm_path *p, int dirfd, const char *path) {
    if (!hm_on() || !path || !*path) return false;
    if (HM_UNLIKELY(hm.reload)) hm_load_now();
    p->gone = false;
    if (*path == '/' && outside(path)) return false;
    if (!hm_has_room(p)) return false;
    if (*path == '/') {
        p->len = 0;
    } else {
        p->len = dirfd == AT_FDCWD ? get_cwd(p->s) : get_fd(p->s, dirfd);
        if (!p->len) return false;
        if (p->len == 1) p->len = 0; /* the root: every component brings its own slash */
    }
    return walk(p, p->len, path, 0) && finish(p);
}

bool hm_resolve_fd(struct hm_path *p, int fd) {
    if (!hm_on() || !hm_has_room(p)) return false;
    p->gone = false;
    p->len = get_fd(p->s, fd);
    return p->len && finish(p);
}

int hm_follow(struct hm_path *p) {
    HM_TEXT_ROOM(target);
    if (!target) return -1;
    for (int links = 0;; links++) {
        long r = hm_sys_readlink(p->s, target, HM_PATH - 1);
        if (r == -EINVAL) return 0;
        if (r < 0) return r == -ENOENT ? ENOENT : 0;
        hm_emit(HM_LSTAT, p);
        target[r] = 0;
        if (links == MOST_LINKS) return 0;
        p->len = *target == '/' ? 0 : parent(p);
        if (!walk(p, p->len, target, 0) || !finish(p)) return -1;
    }
}
