/* attributes.c: calls that change a file's mode, owner, size or times. */
#include "interpose.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#include "sys.h"

struct change {
    struct hm_path path;
    bool on;
};

static int begin(struct change *c, int dirfd, const char *path, bool follow) {
    c->on = hm_resolve(&c->path, dirfd, path);
    if (c->on && follow && hm_follow(&c->path) < 0) c->on = false;
    return c->on ? hm_gate(&c->path, HM_CHANGING) : 0;
}

static int end(struct change *c, char kind, int r) {
    if (!c->on) return r;
    if (r == 0)
        hm_emit(kind, &c->path);
    else
        hm_absent(errno, &c->path);
    return r;
}

#define CHANGE(name, params, dirfd, follow, kind, ...)   \
    int name params;                                     \
    HM_API int name params {                             \
        HM_OWN(struct change, c);                        \
        int err = begin(&c, dirfd, path, follow);        \
        if (err) {                                       \
            errno = err;                                 \
            return -1;                                   \
        }                                                \
        return end(&c, kind, NEXT(name)(__VA_ARGS__));   \
    }
#define FOLLOW !(flags & AT_SYMLINK_NOFOLLOW)
CHANGE(chmod, (const char *path, mode_t mode), AT_FDCWD, true, HM_CHMOD, path, mode)
CHANGE(lchmod, (const char *path, mode_t mode), AT_FDCWD, false, HM_CHMOD, path, mode)
CHANGE(fchmodat, (int fd, const char *path, mode_t mode, int flags), fd, FOLLOW, HM_CHMOD, fd, path, mode, flags)
CHANGE(chown, (const char *path, uid_t u, gid_t g), AT_FDCWD, true, HM_CHMOD, path, u, g)
CHANGE(lchown, (const char *path, uid_t u, gid_t g), AT_FDCWD, false, HM_CHMOD, path, u, g)
CHANGE(fchownat, (int fd, const char *path, uid_t u, gid_t g, int flags), fd, FOLLOW, HM_CHMOD, fd, path, u, g, flags)
CHANGE(utime, (const char *path, const struct utimbuf *t), AT_FDCWD, true, HM_TOUCH, path, t)
CHANGE(utimes, (const char *path, const struct timeval t[2]), AT_FDCWD, true, HM_TOUCH, path, t)
CHANGE(lutimes, (const char *path, const struct timeval t[2]), AT_FDCWD, false, HM_TOUCH, path, t)

/* Calls on an open file: its name is asked from the kernel, and only if the call succeeded. */
static int fd_end(int fd, char kind, int r) {
    HM_OWN(struct hm_path, p);
    if (r == 0 && hm_resolve_fd(&p, fd)) hm_emit(kind, &p);
    return r;
}

HM_API int utimensat(int fd, const char *path, const struct timespec t[2], int flags) {
    HM_OWN(struct change, c);
    int err = begin(&c, fd, path, FOLLOW);
    if (err) {
        errno = err;
        return -1;
    }
    int r = NEXT(utimensat)(fd, path, t, flags);
    return c.on ? end(&c, HM_TOUCH, r) : fd == AT_FDCWD ? r : fd_end(fd, HM_TOUCH, r);
}

HM_API int futimesat(int fd, const char *path, const struct timeval t[2]) {
    HM_OWN(struct change, c);
    int err = begin(&c, fd, path, true);
    if (err) {
        errno = err;
        return -1;
    }
    int r = NEXT(futimesat)(fd, path, t);
    return c.on ? end(&c, HM_TOUCH, r) : fd == AT_FDCWD ? r : fd_end(fd, HM_TOUCH, r);
}

#define FD_CHANGE(name, params, kind, ...)               \
    HM_API int name params {                             \
        return fd_end(fd, kind, NEXT(name)(__VA_ARGS__)); \
    }
FD_CHANGE(fchmod, (int fd, mode_t mode), HM_CHMOD, fd, mode)
FD_CHANGE(fchown, (int fd, uid_t u, gid_t g), HM_CHMOD, fd, u, g)
FD_CHANGE(futimens, (int fd, const struct timespec t[2]), HM_TOUCH, fd, t)
FD_CHANGE(futimes, (int fd, const struct timeval t[2]), HM_TOUCH, fd, t)

/* Extended attributes go with a file when it is copied, as its mode does. */
#define XATTR(name, params, follow, ...) CHANGE(name, params, AT_FDCWD, follow, HM_CHMOD, __VA_ARGS__)
XATTR(setxattr, (const char *path, const char *k, const void *v, size_t n, int f), true, path, k, v, n, f)
XATTR(lsetxattr, (const char *path, const char *k, const void *v, size_t n, int f), false, path, k, v, n, f)
XATTR(removexattr, (const char *path, const char *k), true, path, k)
XATTR(lremovexattr, (const char *path, const char *k), false, path, k)
FD_CHANGE(fsetxattr, (int fd, const char *k, const void *v, size_t n, int f), HM_CHMOD, fd, k, v, n, f)
FD_CHANGE(fremovexattr, (int fd, const char *k), HM_CHMOD, fd, k)

/* Cutting a file to some length keeps what was before it; cutting it to nothing does not. */
#define TRUNCATE(name, type)                             \
    HM_API int name(const char *path, type length) {     \
        HM_OWN(struct change, c);                        \
        int err = begin(&c, AT_FDCWD, path, true);       \
        if (err) {                                       \
            errno = err;                                 \
            return -1;                                   \
        }                                                \
        int r = NEXT(name)(path, length);                \
        if (c.on && r == 0 && length > 0) hm_emit(HM_READ, &c.path); \
        return end(&c, HM_WRITE, r);                     \
    }
TRUNCATE(truncate, off_t)
TRUNCATE(truncate64, off64_t)

HM_API int chdir(const char *path) {
    HM_OWN(struct hm_path, p);
    bool on = hm_resolve(&p, AT_FDCWD, path);
    int err = on ? hm_gate(&p, HM_LOOKING) : 0;
    if (err) {
        errno = err;
        return -1;
    }
    int r = NEXT(chdir)(path);
    if (r == 0) hm_cwd_changed();
    if (on && r != 0) hm_absent(errno, &p);
    if (on && r == 0 && hm_follow(&p) == 0) hm_emit(HM_STAT, &p); /* later names are told from where a link led */
    return r;
}

HM_API int fchdir(int fd) {
    int r = NEXT(fchdir)(fd);
    if (r == 0) hm_cwd_changed();
    return r;
}

#define ELSEWHERE(name, params, ...)                     \
    int name params;                                     \
    HM_API int name params {                             \
        hm_unseen_here("chroot"); /* paths stop meaning what they mean to us */ \
        int r = NEXT(name)(__VA_ARGS__);                 \
        hm_cwd_changed();                                \
        return r;                                        \
    }
ELSEWHERE(chroot, (const char *path), path)
ELSEWHERE(pivot_root, (const char *now, const char *old), now, old)
ELSEWHERE(setns, (int fd, int type), fd, type)
ELSEWHERE(unshare, (int flags), flags)

/* ---- for syscall() ---- */
INSIDE(chmod);
INSIDE(fchmod);
INSIDE(fchmodat);
INSIDE(chown);
INSIDE(lchown);
INSIDE(fchown);
INSIDE(fchownat);
INSIDE(utime);
INSIDE(utimes);
INSIDE(utimensat);
INSIDE(futimesat);
INSIDE(truncate);
INSIDE(chdir);
INSIDE(fchdir);
INSIDE(chroot);
INSIDE(unshare);
INSIDE(setns);
