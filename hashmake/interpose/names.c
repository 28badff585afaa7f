/* names.c: calls that make, move and remove names: mkdir, link, symlink, mknod, rename, unlink. */
#include "interpose.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sys.h"

struct change {
    struct hm_path path;
    bool on;
    char *begun;
};

static int begin(struct change *c, int dirfd, const char *path, enum hm_use use) {
    c->on = hm_resolve(&c->path, dirfd, path);
    c->begun = NULL;
    int err = c->on ? hm_gate(&c->path, use) : 0;
    if (c->on && !err && (use == HM_REPLACING || use == HM_MAKING_DIRECTORY)) c->begun = hm_begun(&c->path);
    return err;
}

#define FAIL(err)     \
    do {              \
        errno = err;  \
        return -1;    \
    } while (0)

/* ---- new names ---- */
static int made(struct change *c, int r) {
    if (!c->on) return r;
    if (r == 0) {
        hm_emit(HM_ABSENT, &c->path); /* these calls fail where something is */
        hm_emit(HM_WRITE, &c->path);
        hm_live(&c->path);
    } else if (errno == EEXIST) {
        hm_emit(HM_LSTAT, &c->path);
    } else {
        hm_absent(errno, &c->path);
    }
    hm_over(c->begun);
    return r;
}

/* A hidden directory is there already, with the files of other steps in it: it only has to become visible. */
static bool unhide_directory(struct change *c) {
    struct stat st;
    if (!c->on || c->path.state != HM_V_HIDDEN) return false;
    if (hm_sys_stat(c->path.s, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode)) return false;
    hm_emit(HM_ABSENT, &c->path);
    hm_emit(HM_WRITE, &c->path);
    hm_live(&c->path);
    hm_over(c->begun);
    return true;
}

static int directory_made(struct change *c, int r) {
    if (c->on && r != 0 && errno == EEXIST) {
        hm_emit(HM_STAT, &c->path);
        hm_over(c->begun);
        return r;
    }
    return made(c, r);
}

HM_API int mkdir(const char *path, mode_t mode) {
    HM_OWN(struct change, c);
    int err = begin(&c, AT_FDCWD, path, HM_MAKING_DIRECTORY);
    if (err) FAIL(err);
    return unhide_directory(&c) ? 0 : directory_made(&c, NEXT(mkdir)(path, mode));
}

HM_API int mkdirat(int dirfd, const char *path, mode_t mode) {
    HM_OWN(struct change, c);
    int err = begin(&c, dirfd, path, HM_MAKING_DIRECTORY);
    if (err) FAIL(err);
    return unhide_directory(&c) ? 0 : directory_made(&c, NEXT(mkdirat)(dirfd, path, mode));
}

#define MAKE(name, params, dirfd, ...)                   \
    int name params;                                     \
    HM_API int name params {                             \
        HM_OWN(struct change, c);                        \
        int err = begin(&c, dirfd, path, HM_REPLACING);  \
        if (err) FAIL(err);                              \
        return made(&c, NEXT(name)(__VA_ARGS__));        \
    }
MAKE(mknod, (const char *path, mode_t mode, dev_t dev), AT_FDCWD, path, mode, dev)
MAKE(mknodat, (int dirfd, const char *path, mode_t mode, dev_t dev), dirfd, dirfd, path, mode, dev)
MAKE(__xmknod, (int version, const char *path, mode_t mode, dev_t *dev), AT_FDCWD, version, path, mode, dev)
MAKE(__xmknodat, (int version, int dirfd, const char *path, mode_t mode, dev_t *dev), dirfd, version, dirfd, path, mode, dev)
MAKE(mkfifo, (const char *path, mode_t mode), AT_FDCWD, path, mode)
MAKE(mkfifoat, (int dirfd, const char *path, mode_t mode), dirfd, dirfd, path, mode)

#define SYMLINK(name, params, dirfd, ...)                \
    HM_API int name params {                             \
        HM_OWN(struct change, c);                        \
        int err = begin(&c, dirfd, path, HM_REPLACING);  \
        if (err) FAIL(err);                              \
        int r = made(&c, NEXT(name)(__VA_ARGS__));       \
        if (r == 0 && c.on) hm_links_changed();          \
        return r;                                        \
    }
SYMLINK(symlink, (const char *target, const char *path), AT_FDCWD, target, path)
SYMLINK(symlinkat, (const char *target, int dirfd, const char *path), dirfd, target, dirfd, path)

static int link_begin(struct change *from, struct change *to, int fromfd, const char *a, int tofd, const char *b) {
    int err = begin(from, fromfd, a, HM_READING);
    return err ? err : begin(to, tofd, b, HM_REPLACING);
}

static int link_end(struct change *from, struct change *to, int r) {
    struct stat st;
    if (r != 0 && from->on && errno == ENOENT && hm_sys_stat(from->path.s, &st, AT_SYMLINK_NOFOLLOW) == -ENOENT) {
        hm_emit(HM_ABSENT, &from->path);
        hm_over(to->begun);
        return r;
    }
    if (r == 0 && from->on) hm_emit(HM_READ, &from->path);
    return made(to, r);
}

HM_API int link(const char *a, const char *b) {
    HM_OWN(struct change, from); HM_OWN(struct change, to);
    int err = link_begin(&from, &to, AT_FDCWD, a, AT_FDCWD, b);
    if (err) FAIL(err);
    return link_end(&from, &to, NEXT(link)(a, b));
}

/* The source may be an unnamed O_TMPFILE, by /proc/self/fd/N or an empty path: then only the new name is told. */
HM_API int linkat(int fromfd, const char *a, int tofd, const char *b, int flags) {
    HM_OWN(struct change, from); HM_OWN(struct change, to);
    int err = link_begin(&from, &to, fromfd, a, tofd, b);
    if (err) FAIL(err);
    return link_end(&from, &to, NEXT(linkat)(fromfd, a, tofd, b, flags));
}

/* ---- moved names ---- */
struct move {
    struct change from, to;
    mode_t mode; /* of the source, 0 if it isn't there */
    unsigned flags;
};

static void move_over(struct move *m) {
    hm_path_over(&m->from);
    hm_path_over(&m->to);
}
#define MOVE(name) __attribute__((cleanup(move_over))) struct move name = {0}

static int move_begin(struct move *m, int fromfd, const char *a, int tofd, const char *b, unsigned flags) {
    m->mode = 0;
    m->flags = flags;
    int err = begin(&m->from, fromfd, a, HM_CHANGING);
    if (!err) err = begin(&m->to, tofd, b, flags & RENAME_EXCHANGE ? HM_CHANGING : HM_REPLACING);
    if (!err && m->to.on) hm_before(&m->to.path);
    struct stat st;
    if (!err && m->from.on && hm_sys_stat(m->from.path.s, &st, AT_SYMLINK_NOFOLLOW) == 0) m->mode = st.st_mode;
    if (!err && S_ISDIR(m->mode)) hm_hidden_separated(&m->from.path);
    return err;
}

static int moved(struct move *m, int r) {
    struct hm_path *from = &m->from.path, *to = &m->to.path;
    if (r != 0) {
        if (m->from.on && (!m->mode || !m->to.on))
            hm_absent(errno, from);
        else if (m->to.on && errno != EEXIST)
            hm_absent(errno, to);
        else if (m->to.on)
            hm_emit(HM_LSTAT, to);
        return r;
    }
    bool on = m->from.on && m->to.on;
    if (S_ISDIR(m->mode) || S_ISLNK(m->mode)) hm_links_changed();
    if (m->from.on) hm_emit(S_ISLNK(m->mode) ? HM_LSTAT : S_ISDIR(m->mode) ? HM_STAT : HM_READ, from);
    if (m->flags & RENAME_EXCHANGE) {
        if (m->to.on) hm_emit(HM_READ, to);
        if (m->from.on) hm_emit(HM_WRITE, from);
        if (m->to.on) hm_emit(HM_WRITE, to);
        if (S_ISDIR(m->mode)) hm_lost(); /* two trees changed places: more than the records can say */
        return r;
    }
    if (on && S_ISDIR(m->mode)) {
        hm_emit_pair(from, to);
    } else {
        if (m->from.on) hm_emit(HM_REMOVE, from);
        if (m->to.on) hm_emit(HM_WRITE, to);
    }
    if (m->to.on) hm_live(to);
    if (m->to.on && S_ISDIR(m->mode)) hm_hidden_shown(to);
    return r;
}

static int move_end(struct move *m, int r) {
    r = moved(m, r);
    hm_over(m->to.begun);
    return r;
}

HM_API int rename(const char *a, const char *b) {
    MOVE(m);
    int err = move_begin(&m, AT_FDCWD, a, AT_FDCWD, b, 0);
    if (err) FAIL(err);
    return move_end(&m, NEXT(rename)(a, b));
}

HM_API int renameat(int fromfd, const char *a, int tofd, const char *b) {
    MOVE(m);
    int err = move_begin(&m, fromfd, a, tofd, b, 0);
    if (err) FAIL(err);
    return move_end(&m, NEXT(renameat)(fromfd, a, tofd, b));
}

HM_API int renameat2(int fromfd, const char *a, int tofd, const char *b, unsigned flags) {
    MOVE(m);
    int err = move_begin(&m, fromfd, a, tofd, b, flags);
    if (err) FAIL(err);
    return move_end(&m, NEXT(renameat2)(fromfd, a, tofd, b, flags));
}

/* ---- removed names ---- */
static int removed(struct change *c, int r) {
    if (!c->on) return r;
    if (r != 0 && errno == ENOENT && c->path.state == HM_V_AHEAD) r = 0; /* it was there for this build */
    if (r == 0) {
        if (hm.make) hm_emit(HM_MAKE_REMOVED, &c->path);
        hm_emit(HM_REMOVE, &c->path);
        hm_live(&c->path);
    } else {
        hm_absent(errno, &c->path);
    }
    return r;
}

#define REMOVE(name, params, dirfd, ...)                 \
    HM_API int name params {                             \
        HM_OWN(struct change, c);                        \
        int err = begin(&c, dirfd, path, HM_REMOVING);   \
        if (err) FAIL(err);                              \
        int r = NEXT(name)(__VA_ARGS__);                 \
        if (r != 0 && c.on && errno == ENOTEMPTY && hm_hidden_emptied(&c.path)) r = NEXT(name)(__VA_ARGS__); \
        return removed(&c, r);                           \
    }
REMOVE(unlink, (const char *path), AT_FDCWD, path)
REMOVE(rmdir, (const char *path), AT_FDCWD, path)
REMOVE(remove, (const char *path), AT_FDCWD, path)
REMOVE(unlinkat, (int dirfd, const char *path, int flags), dirfd, dirfd, path, flags)

/* ---- for syscall() ---- */
INSIDE(mkdir);
INSIDE(mkdirat);
INSIDE(mknod);
INSIDE(mknodat);
INSIDE(symlink);
INSIDE(symlinkat);
INSIDE(link);
INSIDE(linkat);
INSIDE(rename);
INSIDE(renameat);
INSIDE(renameat2);
INSIDE(unlink);
INSIDE(unlinkat);
INSIDE(rmdir);
