/* files.c: opening and creating files by descriptor. */
#include "interpose.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sys.h"

static bool writes(int flags) {
    return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

static bool unnamed(int flags) {
    return (flags & O_TMPFILE) == O_TMPFILE;
}

/* What uname() would have told; the rest of /proc is no input. */
static bool names_host(const char *path) {
    if (hm_same(path, "/proc/version")) return true;
    if (!hm_starts(path, "/proc/sys/kernel/")) return false;
    const char *name = path + 17;
    return hm_same(name, "hostname") || hm_same(name, "domainname") || hm_same(name, "osrelease") || hm_same(name, "version") ||
           hm_same(name, "ostype");
}

static int open_begin(struct hm_open *o, int dirfd, const char *path, int flags) {
    o->flags = flags;
    o->absent = o->tty = false;
    o->block = 0;
    o->on = hm_resolve(&o->path, dirfd, path);
    if (!o->on) {
        o->tty = false;
        if (path && *path == '/' && (flags & O_ACCMODE) != O_WRONLY) {
            o->tty = hm_same(path, "/dev/tty");
            if (hm.shell && (hm_same(path, "/dev/stdin") || hm_starts(path, "/dev/fd/") || hm_starts(path, "/proc/self/fd/")) && hm_on())
                hm_kind_unread();
            if (hm_on() && !(flags & O_PATH)) o->block = hm_env_block(path);
            if (names_host(path) && hm_on()) hm_emit_text(HM_HOST, "uname", 5);
        }
        return 0;
    }
    if (unnamed(flags)) {
        o->on = false;
        return 0;
    }
    if (flags & O_PATH) return hm_gate(&o->path, HM_LOOKING);
    if (!writes(flags) && !(flags & O_CREAT)) return hm_gate(&o->path, HM_READING);
    if (!(flags & O_NOFOLLOW) && !((flags & O_CREAT) && (flags & O_EXCL))) {
        /* What is written is the file behind a link, and that is what others know it by. */
        int end = hm_follow(&o->path);
        if (end < 0) {
            o->on = false;
            return 0;
        }
        o->absent = end == ENOENT;
    }
    unsigned state = o->path.state;
    if (!o->absent && state == HM_V_NONE) hm_before(&o->path);
    if (state == HM_V_HIDDEN) o->absent = true;
    if (state == HM_V_AHEAD && o->absent && !(flags & O_TRUNC)) o->absent = false; /* the supervisor will put it there */
    if (!(flags & O_CREAT)) return hm_gate(&o->path, flags & O_TRUNC && state == HM_V_AHEAD && !o->absent ? HM_REPLACING : HM_CHANGING);
    if (state == HM_V_AHEAD && !(flags & O_TRUNC)) return hm_gate(&o->path, HM_CHANGING);
    return hm_gate(&o->path, o->absent || (flags & (O_TRUNC | O_EXCL)) ? HM_REPLACING : HM_CHANGING);
}

int hm_open_begin(struct hm_open *o, int dirfd, const char *path, int flags) {
    o->begun = NULL;
    int err = open_begin(o, dirfd, path, flags);
    if (!err && o->on && (flags & O_CREAT)) o->begun = hm_begun(&o->path);
    return err;
}

/* Opened to start from: later names are told from where a link led, so the link itself has to be told here. */
static void place(struct hm_path *p, int flags) {
    if ((flags & O_NOFOLLOW) || hm_follow(p) == 0) hm_emit(HM_STAT, p);
}

static void opened(struct hm_open *o, int fd) {
    struct hm_path *p = &o->path;
    int flags = o->flags;
    if (flags & (O_PATH | O_DIRECTORY)) {
        place(p, flags);
        return;
    }
    if (!writes(flags) && !o->absent) {
        if (hm.shell) hm_emit(HM_SCRIPT, p);
        if (!hm_fresh(HM_READ, p)) return;
        struct stat st;
        bool dir = hm_sys_fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
        if (dir)
            place(p, flags);
        else
            hm_emit(HM_READ, p);
        return;
    }
    bool new = (flags & O_CREAT) && (flags & O_EXCL); /* fails where something is */
    bool fresh = new || (flags & O_TRUNC);
    if (new || !fresh) hm_emit(new || o->absent ? HM_ABSENT : HM_READ, p);
    hm_emit(HM_WRITE, p);
    if (fresh || o->absent) hm_live(p);
}

static void open_end(struct hm_open *o, int fd, int err) {
    if (!o->on) {
        if (o->block && fd >= 0) hm_env_opened(fd, o->block);
        if (o->tty && fd >= 0) hm.tty = fd; /* bash opens it each time it starts: only reading counts (reach.c) */
        return;
    }
    if (fd >= 0)
        opened(o, fd);
    else if (err == ENOENT || err == ENOTDIR || err == ELOOP)
        hm_absent(err, &o->path);
    else if (err == EEXIST)
        hm_emit(HM_LSTAT, &o->path);
}

void hm_open_end(struct hm_open *o, int fd, int err) {
    open_end(o, fd, err);
    hm_over(o->begun);
}

int hm_do_openat(int dirfd, const char *path, int flags, mode_t mode, int (*next)(int, const char *, int, ...)) {
    HM_OWN(struct hm_open, o);
    int err = hm_open_begin(&o, dirfd, path, flags);
    if (err) {
        errno = err;
        return -1;
    }
    int fd = next(dirfd, path, flags, mode);
    hm_open_end(&o, fd, errno);
    return fd;
}

static int do_open(const char *path, int flags, mode_t mode, int (*next)(const char *, int, ...)) {
    HM_OWN(struct hm_open, o);
    int err = hm_open_begin(&o, AT_FDCWD, path, flags);
    if (err) {
        errno = err;
        return -1;
    }
    int fd = next(path, flags, mode);
    hm_open_end(&o, fd, errno);
    return fd;
}

#define MODE_OF(flags)                                   \
    mode_t mode = 0;                                     \
    if ((flags) & O_CREAT || unnamed(flags)) {           \
        va_list ap;                                      \
        va_start(ap, flags);                             \
        mode = va_arg(ap, mode_t);                       \
        va_end(ap);                                      \
    }
#define OPEN(name)                                       \
    int name(const char *path, int flags, ...);          \
    HM_API int name(const char *path, int flags, ...) {  \
        MODE_OF(flags)                                   \
        return do_open(path, flags, mode, NEXT(name));   \
    }
#define OPENAT(name)                                     \
    int name(int dirfd, const char *path, int flags, ...); \
    HM_API int name(int dirfd, const char *path, int flags, ...) { \
        MODE_OF(flags)                                   \
        return hm_do_openat(dirfd, path, flags, mode, NEXT(name)); \
    }
OPEN(open)
OPEN(open64)
OPEN(__open)
OPEN(__open64)
OPEN(__open_nocancel)
OPEN(__open64_nocancel)
OPENAT(openat)
OPENAT(openat64)
INSIDE(open);
INSIDE(openat);

/* What -D_FORTIFY_SOURCE makes of open without a mode. */
#define OPEN_2(name)                                     \
    int name(const char *path, int flags);               \
    HM_API int name(const char *path, int flags) {       \
        return do_open(path, flags, 0, (int (*)(const char *, int, ...))NEXT(name)); \
    }
#define OPENAT_2(name)                                   \
    int name(int dirfd, const char *path, int flags);    \
    HM_API int name(int dirfd, const char *path, int flags) { \
        return hm_do_openat(dirfd, path, flags, 0, (int (*)(int, const char *, int, ...))NEXT(name)); \
    }
OPEN_2(__open_2)
OPEN_2(__open64_2)
OPENAT_2(__openat_2)
OPENAT_2(__openat64_2)

/* A handle has no name that a trace could hold. */
HM_API int open_by_handle_at(int mount, struct file_handle *handle, int flags) {
    if (hm_on()) hm_lost();
    return NEXT(open_by_handle_at)(mount, handle, flags);
}

#define CREAT(name)                                      \
    HM_API int name(const char *path, mode_t mode) {     \
        HM_OWN(struct hm_open, o);                       \
        int err = hm_open_begin(&o, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC); \
        if (err) {                                       \
            errno = err;                                 \
            return -1;                                   \
        }                                                \
        int fd = NEXT(name)(path, mode);                 \
        hm_open_end(&o, fd, errno);                      \
        return fd;                                       \
    }
CREAT(creat)
INSIDE(creat);
CREAT(creat64)

/* POSIX shared memory is a file, which another step may open by its name. */
#define SHARED "/dev/shm/"
static bool shared_name(char *path, size_t size, const char *name) {
    while (*name == '/') name++;
    size_t n = hm_len(name);
    if (!n || n + sizeof SHARED > size) return false;
    __builtin_memcpy(path, SHARED, sizeof SHARED - 1);
    __builtin_memcpy(path + sizeof SHARED - 1, name, n + 1);
    return true;
}

HM_API int shm_open(const char *name, int flags, mode_t mode) {
    HM_OWN(struct hm_open, o);
    char path[512];
    o.on = o.tty = false;
    o.block = 0;
    o.begun = NULL;
    int err = shared_name(path, sizeof path, name) ? hm_open_begin(&o, AT_FDCWD, path, flags) : 0;
    if (err) {
        errno = err;
        return -1;
    }
    int fd = NEXT(shm_open)(name, flags, mode);
    hm_open_end(&o, fd, errno);
    return fd;
}

HM_API int shm_unlink(const char *name) {
    HM_OWN(struct hm_path, p);
    char path[512];
    bool on = shared_name(path, sizeof path, name) && hm_resolve(&p, AT_FDCWD, path);
    int r = NEXT(shm_unlink)(name);
    if (on && r == 0)
        hm_emit(HM_REMOVE, &p);
    else if (on)
        hm_absent(errno, &p);
    return r;
}
