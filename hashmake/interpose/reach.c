/* reach.c: what no digest can stand for: the network, other programs' sockets, the terminal. The step is then always run. */
#include "interpose.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "sys.h"

/* ---- network and sockets ---- */
/* Name service, the journal: their answers are no inputs, or are told otherwise. */
static bool harmless(const struct sockaddr_un *to, socklen_t len) {
    size_t n = len > offsetof(struct sockaddr_un, sun_path) ? len - offsetof(struct sockaddr_un, sun_path) : 0;
    char path[sizeof to->sun_path + 1];
    if (n > sizeof to->sun_path) n = sizeof to->sun_path;
    memcpy(path, to->sun_path, n);
    path[n] = 0;
    return hm_starts(path, "/var/run/nscd/") || hm_starts(path, "/run/nscd/") || hm_starts(path, "/run/systemd/") ||
           hm_starts(path, "/var/run/systemd/") || hm_same(path, "/dev/log") ||
           (hm_starts(path, hm.run) && hm_same(path + hm_len(hm.run), "/sock"));
}

static void reaches(const struct sockaddr *to, socklen_t len) {
    if (!to || len < sizeof to->sa_family || !hm_on()) return;
    if (to->sa_family == AF_INET || to->sa_family == AF_INET6)
        hm_unseen_here("network");
    else if (to->sa_family == AF_UNIX && !harmless((const struct sockaddr_un *)to, len))
        hm_unseen_here("socket");
}

HM_API int connect(int fd, const struct sockaddr *to, socklen_t len) {
    reaches(to, len);
    return NEXT(connect)(fd, to, len);
}

HM_API ssize_t sendto(int fd, const void *buf, size_t n, int flags, const struct sockaddr *to, socklen_t len) {
    reaches(to, len);
    return NEXT(sendto)(fd, buf, n, flags, to, len);
}

HM_API ssize_t sendmsg(int fd, const struct msghdr *m, int flags) {
    if (hm_on()) reaches(m->msg_name, m->msg_namelen);
    return NEXT(sendmsg)(fd, m, flags);
}

HM_API int bind(int fd, const struct sockaddr *to, socklen_t len) {
    const struct sockaddr_un *un = (const struct sockaddr_un *)to;
    if (!hm_on() || len <= offsetof(struct sockaddr_un, sun_path) || un->sun_family != AF_UNIX || !un->sun_path[0])
        return NEXT(bind)(fd, to, len);
    HM_OWN(struct hm_path, p);
    char path[sizeof un->sun_path + 1];
    size_t n = len - offsetof(struct sockaddr_un, sun_path);
    if (n > sizeof un->sun_path) n = sizeof un->sun_path;
    memcpy(path, un->sun_path, n);
    path[n] = 0;
    bool on = hm_resolve(&p, AT_FDCWD, path);
    int err = on ? hm_gate(&p, HM_REPLACING) : 0;
    if (err) {
        errno = err;
        return -1;
    }
    int r = NEXT(bind)(fd, to, len);
    if (on && r == 0) {
        hm_emit(HM_WRITE, &p);
        hm_live(&p);
    }
    return r;
}

/* A listening socket waits for somebody whom no trace knows. */
HM_API int listen(int fd, int backlog) {
    struct sockaddr_storage own;
    uint32_t len = sizeof own;
    if (hm_on() && hm_sys(SYS_getsockname, fd, &own, &len, 0) == 0 && own.ss_family != AF_UNIX) hm_unseen_here("network");
    return NEXT(listen)(fd, backlog);
}

/* Names are looked up inside libc, with sockets that no wrapper sees. */
static void name_asked(const char *node) {
    if (!node || !hm_on() || hm_starts(node, "localhost") || !node[strspn(node, "0123456789.:")]) return;
    hm_unseen_here("network");
}
HM_API int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **out) {
    name_asked(node);
    return NEXT(getaddrinfo)(node, service, hints, out);
}
HM_API struct hostent *gethostbyname(const char *name) {
    name_asked(name);
    return NEXT(gethostbyname)(name);
}
HM_API struct hostent *gethostbyname2(const char *name, int family) {
    name_asked(name);
    return NEXT(gethostbyname2)(name, family);
}

/* ---- terminal ---- */
static bool input_known; /* that standard input is no terminal, or that it has been told */

static __attribute__((noinline, cold)) void input_read(void) {
    struct termios t;
    if (!hm_on()) return;
    input_known = true;
    if (hm_sys(SYS_ioctl, 0, TCGETS, &t, 0) == 0) hm_unseen_here("terminal");
}

/* What was opened as /dev/tty may have been closed since, and its number may be another file's. */
static __attribute__((noinline, cold)) void tty_read(void) {
    struct termios t;
    if (!hm_on()) return;
    if (hm_sys(SYS_ioctl, hm.tty, TCGETS, &t, 0) == 0) hm_unseen_here("terminal");
    hm.tty = -1;
}

/* Macros of stdio.h in front of functions that we define. */
#undef getc
#undef getchar
#undef getc_unlocked
#undef getchar_unlocked
#undef fgetc_unlocked
#undef fread_unlocked

#define INPUT(when)                                      \
    if (HM_UNLIKELY(!input_known) && (when)) input_read();
#define READS(when, result, name, params, ...)           \
    result name params;                                  \
    HM_API result name params {                          \
        INPUT(when)                                      \
        return NEXT(name)(__VA_ARGS__);                  \
    }
HM_API ssize_t read(int fd, void *buf, size_t n) {
    INPUT(fd == 0)
    if (HM_UNLIKELY(fd == hm.tty) && fd > 2) tty_read();
    if (HM_UNLIKELY(hm.hold)) hm_make_flush();
    return NEXT(read)(fd, buf, n);
}
READS(fd == 0, ssize_t, __read_chk, (int fd, void *b, size_t n, size_t room), fd, b, n, room)
READS(fd == 0, ssize_t, readv, (int fd, const struct iovec *v, int n), fd, v, n)
READS(f == stdin, char *, fgets, (char *s, int n, FILE *f), s, n, f)
READS(f == stdin, char *, fgets_unlocked, (char *s, int n, FILE *f), s, n, f)
READS(f == stdin, char *, __fgets_chk, (char *s, size_t room, int n, FILE *f), s, room, n, f)
READS(f == stdin, char *, __fgets_unlocked_chk, (char *s, size_t room, int n, FILE *f), s, room, n, f)
READS(f == stdin, int, fgetc, (FILE * f), f)
READS(f == stdin, int, getc, (FILE * f), f)
READS(f == stdin, int, fgetc_unlocked, (FILE * f), f)
READS(f == stdin, int, getc_unlocked, (FILE * f), f)
READS(f == stdin, int, __uflow, (FILE * f), f)
READS(f == stdin, int, __underflow, (FILE * f), f)
READS(true, int, getchar, (void))
READS(true, int, getchar_unlocked, (void))
READS(f == stdin, wint_t, fgetwc, (FILE * f), f)
READS(f == stdin, wint_t, getwc, (FILE * f), f)
READS(true, wint_t, getwchar, (void))
READS(f == stdin, wchar_t *, fgetws, (wchar_t *s, int n, FILE *f), s, n, f)
READS(f == stdin, ssize_t, getline, (char **s, size_t *n, FILE *f), s, n, f)
READS(f == stdin, ssize_t, getdelim, (char **s, size_t *n, int end, FILE *f), s, n, end, f)
READS(f == stdin, ssize_t, __getdelim, (char **s, size_t *n, int end, FILE *f), s, n, end, f)
READS(f == stdin, size_t, fread, (void *s, size_t z, size_t n, FILE *f), s, z, n, f)
READS(f == stdin, size_t, fread_unlocked, (void *s, size_t z, size_t n, FILE *f), s, z, n, f)
READS(f == stdin, size_t, __fread_chk, (void *s, size_t room, size_t z, size_t n, FILE *f), s, room, z, n, f)
READS(f == stdin, size_t, __fread_unlocked_chk, (void *s, size_t room, size_t z, size_t n, FILE *f), s, room, z, n, f)

/* stdio.h gives scanf the name __isoc99_scanf; both names are in use, so they are spelled out. */
#define SCANS(symbol, id)                                \
    int id(const char *form, ...) __asm__(symbol);       \
    int v##id(const char *form, va_list ap) __asm__("v" symbol); \
    int f##id(FILE *f, const char *form, ...) __asm__("f" symbol); \
    int vf##id(FILE *f, const char *form, va_list ap) __asm__("vf" symbol); \
    SCAN_BODIES(id, "v" symbol, "vf" symbol)
#define SCANS_C99(id)                                    \
    int id(const char *form, ...) __asm__("__isoc99_scanf"); \
    int v##id(const char *form, va_list ap) __asm__("__isoc99_vscanf"); \
    int f##id(FILE *f, const char *form, ...) __asm__("__isoc99_fscanf"); \
    int vf##id(FILE *f, const char *form, va_list ap) __asm__("__isoc99_vfscanf"); \
    SCAN_BODIES(id, "__isoc99_vscanf", "__isoc99_vfscanf")
#define SCAN_BODIES(id, vname, vfname)                   \
    HM_API int v##id(const char *form, va_list ap) {     \
        static int (*next)(const char *, va_list);       \
        if (!next) *(void **)&next = hm_next(vname);     \
        INPUT(true)                                      \
        return next(form, ap);                           \
    }                                                    \
    HM_API int vf##id(FILE *f, const char *form, va_list ap) { \
        static int (*next)(FILE *, const char *, va_list); \
        if (!next) *(void **)&next = hm_next(vfname);    \
        INPUT(f == stdin)                                \
        return next(f, form, ap);                        \
    }                                                    \
    HM_API int id(const char *form, ...) {               \
        va_list ap;                                      \
        va_start(ap, form);                              \
        int r = v##id(form, ap);                         \
        va_end(ap);                                      \
        return r;                                        \
    }                                                    \
    HM_API int f##id(FILE *f, const char *form, ...) {   \
        va_list ap;                                      \
        va_start(ap, form);                              \
        int r = vf##id(f, form, ap);                     \
        va_end(ap);                                      \
        return r;                                        \
    }
SCANS("scanf", scan_)
SCANS_C99(scan99_)

HM_API int tcsetattr(int fd, int when, const struct termios *t) {
    hm_terminal_asked(fd);
    int r = NEXT(tcsetattr)(fd, when, t);
    if (r == 0) hm_unseen_here("terminal");
    return r;
}

HM_API int daemon(int nochdir, int noclose) {
    hm_unseen_here("background");
    int r = NEXT(daemon)(nochdir, noclose); /* forks inside libc */
    if (r == 0 && hm.state == HM_ON) hm.pid = hm_pid();
    hm_cwd_changed();
    return r;
}

/* ---- for syscall() ---- */
INSIDE(connect);
INSIDE(sendto);
INSIDE(bind);
INSIDE(read);
