/* view.c: the clean view and the logical times, looked up in the supervisor's shared table. */
#include "interpose.h"

#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>

#include "hash.h"
#include "sys.h"

uint64_t hm_hash(const char *s, size_t len) {
    return hm_xxh64(s, len);
}

bool hm_map_view(void) {
    char path[sizeof hm.run + 8];
    size_t n = hm_len(hm.run);
    memcpy(path, hm.run, n);
    memcpy(path + n, "/view", 6);
    int fd = hm_sys_open(path, O_RDWR | O_NOFOLLOW);
    if (fd < 0) return false;
    struct stat st;
    struct hm_view *v = NULL;
    if (hm_sys_fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof *v)
        v = hm_sys_mmap((size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
    if (v) hm_sys(SYS_flock, fd, LOCK_SH, 0, 0); /* the mapping keeps it: who can't see our pid sees that we live */
    hm_sys_close(fd);
    if (!v) return false;
    uint64_t most = (uint64_t)st.st_size / sizeof(uint64_t);
    if (v->magic != HM_VIEW_MAGIC || v->version != HM_VERSION || v->capacity & (v->capacity - 1) ||
        v->dircap & (v->dircap - 1) || v->capacity > most || v->dircap > most ||
        sizeof *v + v->capacity * sizeof(struct hm_entry) + v->dircap * sizeof(uint64_t) > (uint64_t)st.st_size) {
        hm_sys_munmap(v, (size_t)st.st_size);
        return false;
    }
    hm.entries = (struct hm_entry *)(v + 1);
    hm.dirs = v->dircap ? (uint64_t *)(hm.entries + v->capacity) : NULL;
    hm.view = v;
    return true;
}

struct hm_entry *hm_find(uint64_t hash) {
    uint64_t mask = hm.view->capacity - 1;
    if (!hm.view->capacity) return NULL;
    for (uint64_t i = hash & mask, n = 0; n <= mask; i = (i + 1) & mask, n++) {
        uint64_t key = __atomic_load_n(&hm.entries[i].hash, __ATOMIC_ACQUIRE);
        if (key == hash) return &hm.entries[i];
        if (!key) return NULL;
    }
    return NULL;
}

bool hm_hides(void) { return hm.view && (__atomic_load_n(&hm.view->flags, __ATOMIC_RELAXED) & HM_VF_HIDE); }

static bool hidden_parent(const struct hm_path *p) {
    if (!hm_hides()) return false;
    struct hm_entry *e = hm_find(p->dirhash);
    return e && (__atomic_load_n(&e->value, __ATOMIC_ACQUIRE) & 7) == HM_V_HIDDEN;
}

/* A directory that a later step has moved or removed, and that is due now: who opens something in it needs it. */
static void want_parent(const struct hm_path *p) {
    struct hm_entry *e = hm_hides() ? hm_find(p->dirhash) : NULL;
    if (!e || (__atomic_load_n(&e->value, __ATOMIC_ACQUIRE) & 7) != HM_V_AHEAD) return;
    HM_OWN(struct hm_path, parent);
    size_t n = p->len;
    while (n > 1 && p->s[n - 1] != '/') n--;
    if (n < 2 || !hm_has_room(&parent)) return;
    memcpy(parent.s, p->s, n - 1);
    parent.s[n - 1] = 0;
    parent.len = n - 1;
    hm_want(&parent);
}

int hm_gate(struct hm_path *p, enum hm_use use) {
    if (use != HM_LOOKING) want_parent(p);
    bool replaces = use == HM_REPLACING || use == HM_MAKING_DIRECTORY;
    if (p->gone || (replaces && hidden_parent(p))) {
        hm_emit(HM_ABSENT, p);
        return ENOENT;
    }
    if (HM_LIKELY(p->state != HM_V_HIDDEN && p->state != HM_V_AHEAD)) return 0;
    if (p->state == HM_V_HIDDEN && !replaces) {
        hm_emit(HM_ABSENT, p);
        return ENOENT;
    }
    if (p->state == HM_V_HIDDEN && hm_sys(SYS_unlinkat, AT_FDCWD, p->s, 0, 0) == -EISDIR && use == HM_REPLACING &&
        hm_hidden_emptied(p))
        hm_sys(SYS_unlinkat, AT_FDCWD, p->s, AT_REMOVEDIR, 0);
    if (p->state == HM_V_AHEAD && (use == HM_READING || use == HM_CHANGING)) hm_want(p);
    return 0;
}

void hm_live(struct hm_path *p) {
    if (p->state != HM_V_HIDDEN && p->state != HM_V_AHEAD) return;
    __atomic_store_n(&p->entry->value, HM_V_LIVE, __ATOMIC_RELEASE);
    p->state = HM_V_LIVE;
}

static void tell_path(uint8_t message, const struct hm_path *p) {
    HM_TEXT_ROOM(payload);
    if (!payload) return;
    memcpy(payload, &hm.step, 4);
    memcpy(payload + 4, p->s, p->len);
    hm_tell(message, payload, 4 + p->len);
}

void hm_want(const struct hm_path *p) {
    tell_path(HM_M_WANT, p);
}

/* A source, or what plain make had left: once it has been written nobody can tell what the step found there. */
void hm_before(const struct hm_path *p) {
    struct stat st;
    if (!hm_hides() || p->entry || hm_sys_stat(p->s, &st, 0) < 0 || !S_ISREG(st.st_mode)) return;
    uint64_t changed = (uint64_t)st.st_ctim.tv_sec * 1000000000u + (uint64_t)st.st_ctim.tv_nsec;
    if (changed < hm.view->began) tell_path(HM_M_BEFORE, p);
}

bool hm_timed(void) {
    return hm.view && (hm.view->flags & HM_VF_TIME) &&
           (hm.make || (hm.trace && (__atomic_load_n(&hm.trace->flags, __ATOMIC_RELAXED) & HM_TIMES)));
}

/* Where in the trace the step last wrote or touched this path; 0: nowhere. */
static uint64_t written_at(const struct hm_path *p) {
    const char *base = (const char *)hm.trace;
    uint64_t at = sizeof *hm.trace, found = 0, end = __atomic_load_n(&hm.trace->tail, __ATOMIC_ACQUIRE);
    uint64_t limit = __atomic_load_n(&hm.trace->limit, __ATOMIC_ACQUIRE);
    if (end > limit) end = limit;
    while (at < end) {
        size_t n = strnlen(base + at, end - at);
        bool wrote = base[at] == HM_WRITE || base[at] == HM_TOUCH;
        if (wrote && n == p->len + 1 && !memcmp(base + at + 1, p->s, p->len)) found = at;
        at += n + 1;
    }
    return found;
}

void hm_time(const struct hm_path *p, struct timespec *t) {
    uint64_t value = p && p->entry ? __atomic_load_n(&p->entry->value, __ATOMIC_ACQUIRE) : HM_V_NONE;
    uint64_t own = hm.make || !p ? 0 : written_at(p);
    if (own) {
        t->tv_sec = (time_t)(HM_TIME_BASE + __atomic_load_n(&hm.view->seq, __ATOMIC_ACQUIRE) + 1);
        t->tv_nsec = (long)(own < 999999999 ? own : 999999999);
        return;
    }
    switch (value & 7) {
    case HM_V_LIVE:
        t->tv_sec = (time_t)(HM_TIME_BASE + __atomic_load_n(&hm.view->seq, __ATOMIC_ACQUIRE) + 1);
        t->tv_nsec = 0;
        return;
    case HM_V_PRESENT:
    case HM_V_AHEAD:
    case HM_V_SOURCE:
        if (value & HM_FIRST_SIGHT) {
            uint64_t eighths = (value & ~HM_FIRST_SIGHT) >> 3; /* of the real time then, in ns */
            t->tv_sec = (time_t)(HM_TIME_UNKNOWN + eighths / 1000000000u);
            t->tv_nsec = (long)(eighths % 1000000000u);
            return;
        }
        t->tv_sec = (time_t)(HM_TIME_BASE + (value >> 3));
        t->tv_nsec = 0;
        return;
    case HM_V_FOREIGN:
        t->tv_sec = (time_t)((value >> 3) < HM_TIME_UNKNOWN ? value >> 3 : HM_TIME_UNKNOWN - 1);
        t->tv_nsec = 0;
        return;
    default: {
        /* Seconds and nanoseconds apart: the product of both would overflow for dates beyond 2262. */
        int64_t sec = t->tv_sec < 0 ? 0 : t->tv_sec;
        uint64_t ns = (uint64_t)(sec % 8) * 1000000000u + (uint64_t)t->tv_nsec;
        t->tv_sec = (time_t)HM_TIME_UNKNOWN + sec / 8;
        t->tv_nsec = (long)(ns / 8);
        if ((uint64_t)t->tv_sec >= HM_TIME_BASE) {
            t->tv_sec = HM_TIME_BASE - 1;
            t->tv_nsec = 999999999;
        }
    }
    }
}
