/* dirs.c: listing directories: opendir, readdir and what is built on them inside libc. */
#include "interpose.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "sys.h"

/* Streams being read. The table is small: who has more open at once pays for asking the kernel for the name again. */
#define STREAMS 8
struct stream {
    DIR *dir;
    bool begun;
    struct hm_path path;
};
static struct stream streams[STREAMS];
static char stream_rooms[STREAMS][HM_ROOM];

static struct stream *stream_of(DIR *dir) {
    for (int i = 0; i < STREAMS; i++)
        if (__atomic_load_n(&streams[i].dir, __ATOMIC_ACQUIRE) == dir) return &streams[i];
    return NULL;
}

bool hm_copy_path(struct hm_path *to, const struct hm_path *from) {
    if (!hm_has_room(to)) return false;
    memcpy(to, from, offsetof(struct hm_path, s));
    memcpy(to->s, from->s, from->len + 1);
    return true;
}

static void stream_opened(DIR *dir, const struct hm_path *p) {
    static DIR *const busy = (DIR *)1;
    for (int i = 0; i < STREAMS; i++) {
        DIR *none = NULL;
        if (!__atomic_compare_exchange_n(&streams[i].dir, &none, busy, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) continue;
        streams[i].path.s = stream_rooms[i];
        hm_copy_path(&streams[i].path, p);
        streams[i].begun = false;
        __atomic_store_n(&streams[i].dir, dir, __ATOMIC_RELEASE);
        return;
    }
}

static void stream_closed(DIR *dir) {
    struct stream *s = dir ? stream_of(dir) : NULL;
    if (s) __atomic_store_n(&s->dir, NULL, __ATOMIC_RELEASE);
}

/* DIR/NAME settled in p, which holds DIR with this length. */
bool hm_join(struct hm_path *p, size_t len, const char *name) {
    size_t n = strlen(name);
    if (len + n + 2 > HM_PATH) {
        hm_lost();
        return false;
    }
    p->gone = false;
    p->len = len == 1 ? 0 : len;
    p->s[p->len++] = '/';
    memcpy(p->s + p->len, name, n);
    p->len += n;
    hm_settle(p);
    return true;
}

bool hm_dots(const char *name) {
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

bool hm_entry_seen(const struct hm_path *dir, const char *name) {
    if (hm_dots(name)) return false;
    HM_OWN(struct hm_path, p);
    if (!hm_has_room(&p)) return false;
    memcpy(p.s, dir->s, dir->len);
    if (!hm_join(&p, dir->len, name)) return false;
    if (p.state == HM_V_HIDDEN) return true;
    hm_emit(HM_ENTRY, &p);
    return false;
}

HM_API DIR *opendir(const char *path) {
    HM_OWN(struct hm_path, p);
    bool on = hm_resolve(&p, AT_FDCWD, path);
    int err = on ? hm_gate(&p, HM_LOOKING) : 0;
    if (err) {
        errno = err;
        return NULL;
    }
    DIR *dir = NEXT(opendir)(path);
    if (!on) return dir;
    if (!dir) {
        hm_absent(errno, &p);
        return NULL;
    }
    /* Listings are those of the directory itself, not of a link to it. */
    if (hm_follow(&p) == 0) {
        hm_emit(HM_STAT, &p);
        stream_opened(dir, &p);
    }
    return dir;
}
INSIDE(opendir);

HM_API DIR *fdopendir(int fd) {
    DIR *dir = NEXT(fdopendir)(fd);
    HM_OWN(struct hm_path, p);
    if (dir && hm_resolve_fd(&p, fd)) stream_opened(dir, &p);
    return dir;
}

HM_API int closedir(DIR *dir) {
    stream_closed(dir);
    return NEXT(closedir)(dir);
}
INSIDE(closedir);

HM_API void rewinddir(DIR *dir) {
    struct stream *s = stream_of(dir);
    if (s) s->begun = false;
    NEXT(rewinddir)(dir);
}

/* The directory behind a stream, from the table or from the kernel; NULL: not to be recorded. */
static const struct hm_path *reading(DIR *dir, struct hm_path *room) {
    if (!hm_on() || !dir) return NULL;
    struct stream *s = stream_of(dir);
    const struct hm_path *p = NULL;
    if (s) {
        p = &s->path;
        if (s->begun) return p;
        s->begun = true;
    } else {
        int kept = errno;
        if (hm_resolve_fd(room, dirfd(dir))) p = room;
        errno = kept;
    }
    if (p) hm_emit(HM_LIST, p);
    return p;
}

#define READDIR(name, type)                              \
    HM_API struct type *name(DIR *dir) {                 \
        HM_OWN(struct hm_path, room);                    \
        const struct hm_path *p = reading(dir, &room);   \
        for (;;) {                                       \
            int before = errno;                          \
            errno = 0;                                   \
            struct type *entry = NEXT(name)(dir);        \
            int after = errno;                           \
            if (!after) errno = before;                  \
            if (!p) return entry;                        \
            if (!entry && !after) hm_emit(HM_LISTED, p); \
            if (!entry || !hm_entry_seen(p, entry->d_name)) return entry; \
        }                                                \
    }
READDIR(readdir, dirent)
INSIDE(readdir);
READDIR(readdir64, dirent64)

#define READDIR_R(name, type)                            \
    int name(DIR *dir, struct type *entry, struct type **result); \
    HM_API int name(DIR *dir, struct type *entry, struct type **result) { \
        HM_OWN(struct hm_path, room);                    \
        const struct hm_path *p = reading(dir, &room);   \
        for (;;) {                                       \
            int err = NEXT(name)(dir, entry, result);    \
            if (!p || err) return err;                   \
            if (!*result) hm_emit(HM_LISTED, p);         \
            if (!*result || !hm_entry_seen(p, (*result)->d_name)) return err; \
        }                                                \
    }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
READDIR_R(readdir_r, dirent)
READDIR_R(readdir64_r, dirent64)
#pragma GCC diagnostic pop

/* ---- getdents64, the call itself ---- */
static ssize_t filter(const struct hm_path *dir, char *buf, ssize_t n) {
    ssize_t kept = 0;
    for (ssize_t at = 0; at < n;) {
        struct dirent64 *entry = (struct dirent64 *)(buf + at);
        unsigned short size = entry->d_reclen;
        bool hidden = hm_entry_seen(dir, entry->d_name);
        if (!hidden && kept != at) memmove(buf + kept, entry, size);
        if (!hidden) kept += size;
        at += size;
    }
    return kept;
}

HM_API ssize_t getdents64(int fd, void *buf, size_t size) {
    HM_OWN(struct hm_path, p);
    bool on = hm_resolve_fd(&p, fd);
    if (on) hm_emit(HM_LIST, &p);
    for (;;) {
        ssize_t n = NEXT(getdents64)(fd, buf, size);
        if (!on || n < 0) return n;
        if (n == 0) hm_emit(HM_LISTED, &p);
        if (n == 0 || (n = filter(&p, buf, n)) > 0) return n; /* all hidden is not the end */
    }
}
INSIDE(getdents64);

void hm_list(const char *path) {
    HM_TEXT_ROOM(buf);
    HM_OWN(struct hm_path, p);
    if (!buf || !hm_resolve(&p, AT_FDCWD, path) || hm_follow(&p) != 0) return;
    int fd = hm_sys_open(p.s, O_RDONLY | O_DIRECTORY);
    if (fd < 0) return;
    hm_emit(HM_LIST, &p);
    long n;
    while ((n = hm_sys(SYS_getdents64, fd, buf, HM_PATH, 0)) > 0) filter(&p, buf, n);
    if (n == 0) hm_emit(HM_LISTED, &p);
    hm_sys_close(fd);
}
