/* looks.c: the calls that only look: stat, access, readlink, realpath. */
#include "interpose.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "sys.h"

/* A look: resolved and gated before the call, recorded after it. */
struct look {
    struct hm_path path;
    bool on;
};

static int look_begin(struct look *l, int dirfd, const char *path) {
    l->on = hm_resolve(&l->path, dirfd, path);
    return l->on ? hm_gate(&l->path, HM_LOOKING) : 0;
}

/* A stat tells size and inode, and cp wants the file that it opens then to be the same one. */
static int stat_begin(struct look *l, int dirfd, const char *path) {
    int err = look_begin(l, dirfd, path);
    if (!err && l->on && HM_UNLIKELY(l->path.state == HM_V_AHEAD) && !hm.make) hm_want(&l->path);
    return err;
}

/* True: the call is to be made again, an AHEAD file has been put on disk. */
static bool look_again(struct look *l, int r, int err) {
    if (r == 0 || !l->on || l->path.state != HM_V_AHEAD || err != ENOENT || hm.make) return false;
    hm_want(&l->path);
    return true;
}

static void look_end(struct look *l, char kind, int r, int err) {
    if (!l->on) return;
    if (r >= 0)
        hm_emit(kind, &l->path);
    else
        hm_absent(err, &l->path);
}

/* make asks about files that the clean view says are there while the disk does not have them (yet). */
static bool made_up(const struct look *l, int r, int err) {
    return r != 0 && err == ENOENT && hm.make && l->on && l->path.state == HM_V_AHEAD;
}

static void make_up(struct stat *st) {
    __builtin_memset(st, 0, sizeof *st);
    st->st_mode = S_IFREG | 0644;
    st->st_nlink = 1;
    st->st_size = 1;
    st->st_blksize = 4096;
    st->st_blocks = 8;
}

/* For make, a link stands for what it points to: that is where the view's entry may be. Returns ENOENT when it is hidden. */
static int make_follows(struct look *l) {
    if (!hm.make || !hm.view || l->path.entry || !(hm.view->flags & (HM_VF_HIDE | HM_VF_TIME))) return 0;
    HM_OWN(struct look, end);
    if (!hm_copy_path(&end.path, &l->path) || hm_follow(&end.path) != 0 || end.path.hash == l->path.hash) return 0;
    l->path.entry = end.path.entry;
    return hm_gate(&end.path, HM_LOOKING);
}

static int stat_end(struct look *l, char kind, int r, struct stat *st) {
    if (made_up(l, r, errno)) {
        make_up(st);
        r = 0;
    }
    if (r == 0 && kind == HM_STAT && l->on) {
        int err = make_follows(l);
        if (err) {
            errno = err;
            r = -1;
        }
    }
    look_end(l, kind, r, errno);
    if (r == 0 && hm_timed()) hm_time(l->on ? &l->path : NULL, &st->st_mtim);
    return r;
}

#define LOOK(dirfd, path) BEGIN(look_begin, dirfd, path)
#define STAT_LOOK(dirfd, path) BEGIN(stat_begin, dirfd, path)
#define BEGIN(begin, dirfd, path)                        \
    HM_OWN(struct look, l);                              \
    int err = begin(&l, dirfd, path);                    \
    if (err) {                                           \
        errno = err;                                     \
        return -1;                                       \
    }
#define AGAIN(call)                                      \
    int r = call;                                        \
    if (HM_UNLIKELY(r != 0) && look_again(&l, r, errno)) r = call;

/* struct stat and struct stat64 are the same on the 64-bit machines we know. */
_Static_assert(sizeof(struct stat) == sizeof(struct stat64), "two layouts of struct stat");
#define STAT(name, type, kind)                           \
    HM_API int name(const char *path, struct type *st) { \
        STAT_LOOK(AT_FDCWD, path)                             \
        AGAIN(NEXT(name)(path, st))                      \
        return stat_end(&l, kind, r, (struct stat *)st); \
    }
STAT(stat, stat, HM_STAT)
STAT(stat64, stat64, HM_STAT)
STAT(lstat, stat, HM_LSTAT)
STAT(lstat64, stat64, HM_LSTAT)
INSIDE(stat);
INSIDE(lstat);

#define XSTAT(name, type, kind)                          \
    int name(int version, const char *path, struct type *st); \
    HM_API int name(int version, const char *path, struct type *st) { \
        STAT_LOOK(AT_FDCWD, path)                             \
        AGAIN(NEXT(name)(version, path, st))             \
        return stat_end(&l, kind, r, (struct stat *)st); \
    }
XSTAT(__xstat, stat, HM_STAT)
XSTAT(__xstat64, stat64, HM_STAT)
XSTAT(__lxstat, stat, HM_LSTAT)
XSTAT(__lxstat64, stat64, HM_LSTAT)

static char kind_of(int flags) {
    return flags & AT_SYMLINK_NOFOLLOW ? HM_LSTAT : HM_STAT;
}

#define FSTATAT(name, type)                              \
    HM_API int name(int dirfd, const char *path, struct type *st, int flags) { \
        STAT_LOOK(dirfd, path)                                \
        AGAIN(NEXT(name)(dirfd, path, st, flags))        \
        return stat_end(&l, kind_of(flags), r, (struct stat *)st); \
    }
FSTATAT(fstatat, stat)
FSTATAT(fstatat64, stat64)
INSIDE(fstatat);

#define FXSTATAT(name, type)                             \
    int name(int version, int dirfd, const char *path, struct type *st, int flags); \
    HM_API int name(int version, int dirfd, const char *path, struct type *st, int flags) { \
        STAT_LOOK(dirfd, path)                                \
        AGAIN(NEXT(name)(version, dirfd, path, st, flags)) \
        return stat_end(&l, kind_of(flags), r, (struct stat *)st); \
    }
FXSTATAT(__fxstatat, stat)
FXSTATAT(__fxstatat64, stat64)

/* Looking at an open file tells nothing that the open did not; only the times that make sees have to agree. */
static int fstat_end(int fd, int r, struct stat *st) {
    if (r != 0 || !hm.make || !hm_timed() || !(S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))) return r;
    HM_OWN(struct hm_path, p);
    hm_time(hm_resolve_fd(&p, fd) ? &p : NULL, &st->st_mtim);
    return r;
}
#define FSTAT(name, type)                                \
    HM_API int name(int fd, struct type *st) {           \
        return fstat_end(fd, NEXT(name)(fd, st), (struct stat *)st); \
    }
FSTAT(fstat, stat)
INSIDE(fstat);
FSTAT(fstat64, stat64)
#define FXSTAT(name, type)                               \
    int name(int version, int fd, struct type *st);      \
    HM_API int name(int version, int fd, struct type *st) { \
        return fstat_end(fd, NEXT(name)(version, fd, st), (struct stat *)st); \
    }
FXSTAT(__fxstat, stat)
FXSTAT(__fxstat64, stat64)

HM_API int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *stx) {
    STAT_LOOK(dirfd, path)
    AGAIN(NEXT(statx)(dirfd, path, flags, mask, stx))
    if (made_up(&l, r, errno)) {
        __builtin_memset(stx, 0, sizeof *stx);
        stx->stx_mask = STATX_BASIC_STATS;
        stx->stx_mode = S_IFREG | 0644;
        stx->stx_nlink = 1;
        stx->stx_size = 1;
        r = 0;
    }
    look_end(&l, kind_of(flags), r, errno);
    if (r == 0 && hm_timed()) {
        struct timespec t = {stx->stx_mtime.tv_sec, stx->stx_mtime.tv_nsec};
        HM_OWN(struct hm_path, p);
        bool named = l.on || (!*path && hm_resolve_fd(&p, dirfd));
        hm_time(named ? (l.on ? &l.path : &p) : NULL, &t);
        stx->stx_mtime.tv_sec = t.tv_sec;
        stx->stx_mtime.tv_nsec = (uint32_t)t.tv_nsec;
    }
    return r;
}

INSIDE(statx);

static int access_end(struct look *l, int flags, int r) {
    if (made_up(l, r, errno)) r = 0;
    look_end(l, flags & AT_SYMLINK_NOFOLLOW ? HM_LSTAT : HM_ACCESS, r == 0 || errno == EACCES ? 0 : -1, errno);
    return r;
}
#define ACCESS(name)                                     \
    int name(const char *path, int mode);                \
    HM_API int name(const char *path, int mode) {        \
        LOOK(AT_FDCWD, path)                             \
        AGAIN(NEXT(name)(path, mode))                    \
        return access_end(&l, 0, r);                     \
    }
ACCESS(access)
ACCESS(eaccess)
ACCESS(euidaccess)

HM_API int faccessat(int dirfd, const char *path, int mode, int flags) {
    LOOK(dirfd, path)
    AGAIN(NEXT(faccessat)(dirfd, path, mode, flags))
    return access_end(&l, flags, r);
}

INSIDE(access);
INSIDE(faccessat);

/* readlink of something that is no link (EINVAL) saw its type all the same. */
static ssize_t readlink_end(struct look *l, ssize_t r) {
    look_end(l, HM_LSTAT, r >= 0 || errno == EINVAL ? 0 : -1, errno);
    return r;
}
#define READLINK(name, params, dirfd, ...)               \
    ssize_t name params;                                 \
    HM_API ssize_t name params {                         \
        LOOK(dirfd, path)                                \
        return readlink_end(&l, NEXT(name)(__VA_ARGS__)); \
    }
READLINK(readlink, (const char *path, char *buf, size_t size), AT_FDCWD, path, buf, size)
READLINK(__readlink_chk, (const char *path, char *buf, size_t size, size_t room), AT_FDCWD, path, buf, size, room)
READLINK(readlinkat, (int dirfd, const char *path, char *buf, size_t size), dirfd, dirfd, path, buf, size)
READLINK(__readlinkat_chk, (int dirfd, const char *path, char *buf, size_t size, size_t room), dirfd, dirfd, path, buf, size,
         room)

INSIDE(readlink);
INSIDE(readlinkat);

/* What these tell is no input (free space, extended attributes), but that the file is there, or not, is. */
static bool answered(ssize_t r) {
    return r >= 0 || (errno != ENOENT && errno != ENOTDIR && errno != ELOOP && errno != EACCES);
}
#define PRESENCE(type, name, kind, params, ...)          \
    HM_API type name params {                            \
        LOOK(AT_FDCWD, path)                             \
        type r = NEXT(name)(__VA_ARGS__);                \
        if (HM_UNLIKELY(r < 0) && look_again(&l, -1, errno)) r = NEXT(name)(__VA_ARGS__); \
        look_end(&l, kind, answered(r) ? 0 : -1, errno); \
        return r;                                        \
    }
PRESENCE(int, statfs, HM_STAT, (const char *path, struct statfs *out), path, out)
PRESENCE(int, statfs64, HM_STAT, (const char *path, struct statfs64 *out), path, out)
PRESENCE(int, statvfs, HM_STAT, (const char *path, struct statvfs *out), path, out)
PRESENCE(int, statvfs64, HM_STAT, (const char *path, struct statvfs64 *out), path, out)
PRESENCE(ssize_t, getxattr, HM_STAT, (const char *path, const char *name, void *out, size_t n), path, name, out, n)
PRESENCE(ssize_t, lgetxattr, HM_LSTAT, (const char *path, const char *name, void *out, size_t n), path, name, out, n)
PRESENCE(ssize_t, listxattr, HM_STAT, (const char *path, char *out, size_t n), path, out, n)
PRESENCE(ssize_t, llistxattr, HM_LSTAT, (const char *path, char *out, size_t n), path, out, n)

/* realpath looks at every component; the directories' links are told by the walk, the last one by following it. That the
 * others are no links is told here, for the answer would be another if one were; and which one is missing. */
static void tell_components(const struct look *l) {
    HM_OWN(struct hm_path, part);
    if (!hm_has_room(&part)) return;
    for (size_t end = 1; end <= l->path.len; end++) {
        if (end < l->path.len && l->path.s[end] != '/') continue;
        char target[1];
        part.gone = false;
        part.len = end;
        __builtin_memcpy(part.s, l->path.s, end);
        hm_settle(&part);
        if (!hm_fresh(HM_LSTAT, &part)) continue;
        long r = hm_sys_readlink(part.s, target, sizeof target);
        if (r == -ENOENT) {
            hm_emit(HM_ABSENT, &part);
            return;
        }
        if (r >= 0 || r == -EINVAL) hm_emit(HM_LSTAT, &part);
    }
}

static void tell_place(void) {
    if (hm_on()) hm_emit_text(HM_PLACE, hm.program, hm_len(hm.program));
}

static int real_begin(struct look *l, const char *path) {
    if (path && path[0] != '/') tell_place();
    int err = look_begin(l, AT_FDCWD, path);
    return err;
}
static char *real_end(struct look *l, char *r) {
    int kept = errno;
    if (l->on) tell_components(l);
    if (l->on && !r) hm_absent(kept, &l->path);
    if (l->on && r && hm_follow(&l->path) == 0) tell_components(l);
    errno = kept;
    return r;
}
#define REALPATH(name, params, ...)                      \
    char *name params;                                   \
    HM_API char *name params {                           \
        HM_OWN(struct look, l);                          \
        int err = real_begin(&l, path);                  \
        if (err) {                                       \
            errno = err;                                 \
            return NULL;                                 \
        }                                                \
        return real_end(&l, NEXT(name)(__VA_ARGS__));    \
    }
REALPATH(realpath, (const char *path, char *out), path, out)
REALPATH(__realpath_chk, (const char *path, char *out, size_t room), path, out, room)
REALPATH(canonicalize_file_name, (const char *path), path)

/* The names of the directories above are no file's content: who asks for them may make something of them. */
#define WHERE(name, params, ...)          \
    char *name params;                    \
    HM_API char *name params {            \
        tell_place();                     \
        return NEXT(name)(__VA_ARGS__);   \
    }
WHERE(getcwd, (char *out, size_t room), out, room)
WHERE(__getcwd_chk, (char *out, size_t size, size_t room), out, size, room)
WHERE(get_current_dir_name, (void))
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
WHERE(getwd, (char *out), out)
WHERE(__getwd_chk, (char *out, size_t room), out, room)
