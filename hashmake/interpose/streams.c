/* streams.c: opening files as stdio streams, and files that libc names itself (mkstemp and its kin). */
#include "interpose.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys.h"

static int flags_of(const char *mode) {
    if (!mode) return O_RDONLY;
    int flags = *mode == 'r' ? O_RDONLY : O_WRONLY | O_CREAT | (*mode == 'w' ? O_TRUNC : O_APPEND);
    for (const char *m = mode; *m && *m != ','; m++) {
        if (*m == '+') flags = (flags & ~O_ACCMODE) | O_RDWR;
        if (*m == 'x') flags |= O_EXCL;
    }
    return flags;
}

static void stream_opened(struct hm_open *o, FILE *stream) {
    if (!stream) {
        hm_open_end(o, -1, errno);
        return;
    }
    int kept = errno;
    if (o->tty) hm_unseen_here("terminal"); /* stdio reads where no wrapper sees it */
    hm_open_end(o, fileno(stream), 0);
    errno = kept;
}

#define FOPEN(name)                                      \
    HM_API FILE *name(const char *path, const char *mode) { \
        HM_OWN(struct hm_open, o);                       \
        int err = hm_open_begin(&o, AT_FDCWD, path, flags_of(mode)); \
        if (err) {                                       \
            errno = err;                                 \
            return NULL;                                 \
        }                                                \
        FILE *stream = NEXT(name)(path, mode);           \
        stream_opened(&o, stream);                       \
        return stream;                                   \
    }
FOPEN(fopen)
FOPEN(fopen64)

#define FREOPEN(name)                                    \
    HM_API FILE *name(const char *path, const char *mode, FILE *stream) { \
        HM_OWN(struct hm_open, o);                       \
        int err = hm_open_begin(&o, AT_FDCWD, path, flags_of(mode)); \
        if (hm.hold) hm_make_flush();                    \
        if (err) { /* freopen closes the stream even when it fails */ \
            fclose(stream);                              \
            errno = err;                                 \
            return NULL;                                 \
        }                                                \
        FILE *now = NEXT(name)(path, mode, stream);      \
        stream_opened(&o, now);                          \
        return now;                                      \
    }
FREOPEN(freopen)
FREOPEN(freopen64)

/* mkstemp picks names until one is free; only the one it made matters. */
static void made(const char *path) {
    HM_OWN(struct hm_path, p);
    if (!hm_resolve(&p, AT_FDCWD, path)) return;
    hm_emit(HM_ABSENT, &p);
    hm_emit(HM_WRITE, &p);
    hm_live(&p);
}

#define MKTEMP(name, params, ...)                        \
    HM_API int name params {                             \
        int fd = NEXT(name)(__VA_ARGS__);                \
        if (fd >= 0) made(path);                         \
        return fd;                                       \
    }
MKTEMP(mkstemp, (char *path), path)
MKTEMP(mkstemp64, (char *path), path)
MKTEMP(mkostemp, (char *path, int flags), path, flags)
MKTEMP(mkostemp64, (char *path, int flags), path, flags)
MKTEMP(mkstemps, (char *path, int tail), path, tail)
MKTEMP(mkstemps64, (char *path, int tail), path, tail)
MKTEMP(mkostemps, (char *path, int tail, int flags), path, tail, flags)
MKTEMP(mkostemps64, (char *path, int tail, int flags), path, tail, flags)

HM_API char *mkdtemp(char *path) {
    char *r = NEXT(mkdtemp)(path);
    if (r) made(r);
    return r;
}
