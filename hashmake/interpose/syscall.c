/* syscall.c: syscall(2) with the number of a call that has a wrapper goes through that wrapper.
 *
 * The wrapper's own next function is libc's, which makes the same system call; where libc's function takes an argument
 * more or less than the kernel's, the call is taken apart here. */
#include "interpose.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

#include "sys.h"

#define DECLARE(name) extern __typeof__(name) hm_inside_##name __attribute__((visibility("hidden")));
DECLARE(open) DECLARE(openat) DECLARE(creat) DECLARE(stat) DECLARE(lstat) DECLARE(fstat) DECLARE(fstatat) DECLARE(statx)
DECLARE(access) DECLARE(faccessat) DECLARE(readlink) DECLARE(readlinkat) DECLARE(mkdir) DECLARE(mkdirat) DECLARE(mknod)
DECLARE(mknodat) DECLARE(symlink) DECLARE(symlinkat) DECLARE(link) DECLARE(linkat) DECLARE(rename) DECLARE(renameat)
DECLARE(renameat2) DECLARE(unlink) DECLARE(unlinkat) DECLARE(rmdir) DECLARE(chmod) DECLARE(fchmod) DECLARE(fchmodat)
DECLARE(chown) DECLARE(lchown) DECLARE(fchown) DECLARE(fchownat) DECLARE(utime) DECLARE(utimes) DECLARE(utimensat)
DECLARE(futimesat) DECLARE(truncate) DECLARE(chdir) DECLARE(fchdir) DECLARE(chroot) DECLARE(execve) DECLARE(execveat)
DECLARE(connect) DECLARE(sendto) DECLARE(bind) DECLARE(read)
extern int hm_inside_unshare(int);
extern int hm_inside_setns(int, int);
extern ssize_t hm_inside_getdents64(int, void *, size_t);

typedef long hm_call(long, ...);

static long do_openat2(hm_call *next, int dirfd, const char *path, struct open_how *how, size_t size) {
    HM_OWN(struct hm_open, o);
    o.on = o.tty = false;
    o.block = 0;
    o.begun = NULL;
    int err = how && size >= sizeof *how ? hm_open_begin(&o, dirfd, path, (int)how->flags) : 0;
    if (err) {
        errno = err;
        return -1;
    }
    if (how && how->resolve & RESOLVE_IN_ROOT) o.on = false, hm_unseen_here("chroot");
    long fd = next(SYS_openat2, dirfd, path, how, size);
    hm_open_end(&o, (int)fd, errno);
    return fd;
}

/* utimensat with no path is futimens, which only the system call does by itself. */
static long do_utimensat(hm_call *next, long fd, long path, long times, long flags) {
    if (path) return hm_inside_utimensat((int)fd, (const char *)path, (const struct timespec *)times, (int)flags);
    long r = next(SYS_utimensat, fd, path, times, flags);
    HM_OWN(struct hm_path, p);
    if (r == 0 && hm_resolve_fd(&p, (int)fd)) hm_emit(HM_TOUCH, &p);
    return r;
}

#define S(x) ((const char *)(x))
#define I(x) ((int)(x))
#define M(x) ((mode_t)(x))
#define CASE(name, ...) \
    case SYS_##name:    \
        return hm_inside_##name(__VA_ARGS__);

/* The old calls that some machines never had. */
static bool old_call(long n, long a, long b, long c, long *r) {
#ifdef SYS_open
#define OLD(name, ...)                        \
    case SYS_##name:                          \
        *r = hm_inside_##name(__VA_ARGS__);   \
        return true;
    switch (n) {
        OLD(open, S(a), I(b), M(c))
        OLD(creat, S(a), M(b))
        OLD(stat, S(a), (struct stat *)b)
        OLD(lstat, S(a), (struct stat *)b)
        OLD(access, S(a), I(b))
        OLD(readlink, S(a), (char *)b, (size_t)c)
        OLD(mkdir, S(a), M(b))
        OLD(mknod, S(a), M(b), (dev_t)c)
        OLD(symlink, S(a), S(b))
        OLD(link, S(a), S(b))
        OLD(rename, S(a), S(b))
        OLD(unlink, S(a))
        OLD(rmdir, S(a))
        OLD(chmod, S(a), M(b))
        OLD(chown, S(a), (uid_t)b, (gid_t)c)
        OLD(lchown, S(a), (uid_t)b, (gid_t)c)
        OLD(utime, S(a), (const struct utimbuf *)b)
        OLD(utimes, S(a), (const struct timeval *)b)
        OLD(futimesat, I(a), S(b), (const struct timeval *)c)
    }
#endif
    (void)n, (void)a, (void)b, (void)c, (void)r;
    return false;
}

HM_API long syscall(long n, ...) {
    va_list ap;
    va_start(ap, n);
    long a = va_arg(ap, long), b = va_arg(ap, long), c = va_arg(ap, long), d = va_arg(ap, long), e = va_arg(ap, long),
         f = va_arg(ap, long), r = 0;
    va_end(ap);
    hm_call *next = (hm_call *)NEXT(syscall);
    if (!hm_on()) return next(n, a, b, c, d, e, f);
    if (old_call(n, a, b, c, &r)) return r;
    switch (n) {
        CASE(openat, I(a), S(b), I(c), M(d))
    case SYS_newfstatat:
        return hm_inside_fstatat(I(a), S(b), (struct stat *)c, I(d));
        CASE(fstat, I(a), (struct stat *)b)
        CASE(statx, I(a), S(b), I(c), (unsigned)d, (struct statx *)e)
        CASE(readlinkat, I(a), S(b), (char *)c, (size_t)d)
        CASE(mkdirat, I(a), S(b), M(c))
        CASE(mknodat, I(a), S(b), M(c), (dev_t)d)
        CASE(symlinkat, S(a), I(b), S(c))
        CASE(linkat, I(a), S(b), I(c), S(d), I(e))
        CASE(renameat, I(a), S(b), I(c), S(d))
        CASE(renameat2, I(a), S(b), I(c), S(d), (unsigned)e)
        CASE(unlinkat, I(a), S(b), I(c))
        CASE(fchmod, I(a), M(b))
        CASE(fchown, I(a), (uid_t)b, (gid_t)c)
        CASE(fchownat, I(a), S(b), (uid_t)c, (gid_t)d, I(e))
        CASE(truncate, S(a), (off_t)b)
        CASE(chdir, S(a))
        CASE(fchdir, I(a))
        CASE(chroot, S(a))
        CASE(unshare, I(a))
        CASE(setns, I(a), I(b))
        CASE(execve, S(a), (char *const *)b, (char *const *)c)
        CASE(execveat, I(a), S(b), (char *const *)c, (char *const *)d, I(e))
        CASE(connect, I(a), (const struct sockaddr *)b, (socklen_t)c)
        CASE(sendto, I(a), (const void *)b, (size_t)c, I(d), (const struct sockaddr *)e, (socklen_t)f)
        CASE(bind, I(a), (const struct sockaddr *)b, (socklen_t)c)
        CASE(read, I(a), (void *)b, (size_t)c)
        CASE(getdents64, I(a), (void *)b, (size_t)c)
    case SYS_openat2:
        return do_openat2(next, I(a), S(b), (struct open_how *)c, (size_t)d);
    case SYS_utimensat:
        return do_utimensat(next, a, b, c, d);
    case SYS_faccessat: /* without flags, which the fourth register may then hold by chance */
        return hm_inside_faccessat(I(a), S(b), I(c), 0);
    case SYS_faccessat2:
        return hm_inside_faccessat(I(a), S(b), I(c), I(d));
    case SYS_fchmodat:
        return hm_inside_fchmodat(I(a), S(b), M(c), 0);
    case SYS_io_uring_setup: /* what goes through the ring is seen by nobody */
        hm_unseen_here("io_uring");
        break;
    case SYS_pivot_root:
        hm_unseen_here("chroot");
        break;
    case SYS_open_by_handle_at:
        hm_lost();
        break;
    }
    return next(n, a, b, c, d, e, f);
}
