/* trees.c: what lists directories inside libc, where opendir and readdir can't be seen: scandir, glob, ftw, fts.
 *
 * scandir and glob are given our functions to call. For ftw and fts, which have no such hooks, each directory that they
 * report is listed once more for the trace: they are rare, and twice is cheaper than a second implementation of them. */
#include "interpose.h"

#include <dirent.h>
#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>

#include "sys.h"

#define HERE static __thread __attribute__((tls_model("initial-exec")))

DIR *hm_inside_opendir(const char *path);
struct dirent *hm_inside_readdir(DIR *dir);
int hm_inside_closedir(DIR *dir);
int hm_inside_stat(const char *path, struct stat *st);
int hm_inside_lstat(const char *path, struct stat *st);

/* ---- scandir: the filter sees every name ---- */
typedef int (*hm_filter)(const struct dirent *);
struct scan {
    const struct hm_path *dir;
    hm_filter user;
};
HERE struct scan scan;

static int pass(const struct dirent *entry) {
    if (hm_entry_seen(scan.dir, entry->d_name)) return 0;
    struct scan kept = scan; /* the user's filter may scan, too */
    int r = kept.user ? kept.user(entry) : 1;
    scan = kept;
    return r;
}

static int scan_begin(struct hm_path *p, int dirfd, const char *path, hm_filter user) {
    if (!hm_resolve(p, dirfd, path)) return -1;
    int err = hm_gate(p, HM_LOOKING);
    if (err) return err;
    if (hm_follow(p) < 0) return -1;
    hm_emit(HM_LIST, p);
    scan.dir = p;
    scan.user = user;
    return 0;
}

static int scan_end(const struct hm_path *p, int r) {
    if (r >= 0)
        hm_emit(HM_LISTED, p);
    else
        hm_absent(errno, p);
    return r;
}

#define SCANDIR(name, type, params, dirfd, head)         \
    HM_API int name params {                             \
        HM_OWN(struct hm_path, p);                       \
        struct scan before = scan;                       \
        int err = scan_begin(&p, dirfd, path, (hm_filter)filter); \
        if (err > 0) {                                   \
            errno = err;                                 \
            return -1;                                   \
        }                                                \
        if (err < 0) return NEXT(name)(head, list, filter, order); \
        int r = scan_end(&p, NEXT(name)(head, list, (int (*)(const struct type *))pass, order)); \
        scan = before;                                   \
        return r;                                        \
    }
#define BOTH dirfd, path
#define ORDER(type) int (*order)(const struct type **, const struct type **)
#define FILTER(type) struct type ***list, int (*filter)(const struct type *)
SCANDIR(scandir, dirent, (const char *path, FILTER(dirent), ORDER(dirent)), AT_FDCWD, path)
SCANDIR(scandir64, dirent64, (const char *path, FILTER(dirent64), ORDER(dirent64)), AT_FDCWD, path)
SCANDIR(scandirat, dirent, (int dirfd, const char *path, FILTER(dirent), ORDER(dirent)), dirfd, BOTH)
SCANDIR(scandirat64, dirent64, (int dirfd, const char *path, FILTER(dirent64), ORDER(dirent64)), dirfd, BOTH)

/* ---- glob: has hooks for everything it does, used here unless the program uses them ---- */
static void close_hook(void *dir) {
    hm_inside_closedir(dir);
}

static int glob_hooked(glob_t *g, int (*next)(const char *, int, int (*)(const char *, int), glob_t *), const char *pattern,
                       int flags, int (*onerr)(const char *, int)) {
    glob_t kept = *g;
    g->gl_opendir = (void *(*)(const char *))hm_inside_opendir;
    g->gl_readdir = (struct dirent * (*)(void *)) hm_inside_readdir;
    g->gl_closedir = close_hook;
    g->gl_stat = hm_inside_stat;
    g->gl_lstat = hm_inside_lstat;
    int r = next(pattern, flags | GLOB_ALTDIRFUNC, onerr, g);
    g->gl_opendir = kept.gl_opendir;
    g->gl_readdir = kept.gl_readdir;
    g->gl_closedir = kept.gl_closedir;
    g->gl_stat = kept.gl_stat;
    g->gl_lstat = kept.gl_lstat;
    g->gl_flags &= ~GLOB_ALTDIRFUNC;
    return r;
}

HM_API int glob(const char *pattern, int flags, int (*onerr)(const char *, int), glob_t *g) {
    if (flags & GLOB_ALTDIRFUNC || !hm_on()) return NEXT(glob)(pattern, flags, onerr, g);
    return glob_hooked(g, NEXT(glob), pattern, flags, onerr);
}

_Static_assert(sizeof(glob_t) == sizeof(glob64_t), "two layouts of glob_t");
HM_API int glob64(const char *pattern, int flags, int (*onerr)(const char *, int), glob64_t *g) {
    if (flags & GLOB_ALTDIRFUNC || !hm_on()) return NEXT(glob64)(pattern, flags, onerr, g);
    return glob_hooked((glob_t *)g, (int (*)(const char *, int, int (*)(const char *, int), glob_t *))NEXT(glob64), pattern,
                       flags, onerr);
}

/* ---- ftw and nftw: the callback is ours ---- */
typedef int (*hm_visit)(const char *, const struct stat *, int, struct FTW *);
HERE hm_visit visitor;
HERE int (*old_visitor)(const char *, const struct stat *, int);

/* True: the clean view hides it. The walk may have changed the working directory, and the path is relative to its start. */
static bool visited(const char *path, int type) {
    HM_OWN(struct hm_path, p);
    if (!hm_resolve(&p, AT_FDCWD, path)) return false;
    if (hm_gate(&p, HM_LOOKING)) return true;
    if (type == FTW_NS)
        hm_emit(HM_ABSENT, &p);
    else
        hm_emit(HM_LSTAT, &p);
    if (type == FTW_D || type == FTW_DP) hm_list(p.s);
    return false;
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *where) {
    if (visited(path, type)) return 0;
    hm_visit kept = visitor;
    int r = kept(path, st, type, where);
    visitor = kept;
    return r;
}

static int old_visit(const char *path, const struct stat *st, int type) {
    if (visited(path, type)) return 0;
    int (*kept)(const char *, const struct stat *, int) = old_visitor;
    int r = kept(path, st, type);
    old_visitor = kept;
    return r;
}

/* With FTW_CHDIR, libc changes directory where chdir cannot be seen, and a relative name means the start. */
static int walked(const char *path, int r) {
    HM_OWN(struct hm_path, p);
    hm_cwd_changed();
    if (r != 0 && hm_resolve(&p, AT_FDCWD, path)) hm_absent(errno, &p);
    return r;
}

#define NFTW(name, stat_type)                            \
    HM_API int name(const char *path, int (*user)(const char *, const struct stat_type *, int, struct FTW *), int fds, int flags) { \
        if (!hm_on()) return NEXT(name)(path, user, fds, flags); \
        if (flags & FTW_CHDIR && path[0] != '/') hm_lost(); \
        hm_visit before = visitor;                       \
        visitor = (hm_visit)user;                        \
        int r = NEXT(name)(path, (__typeof__(user))visit, fds, flags); \
        visitor = before;                                \
        return walked(path, r);                          \
    }
NFTW(nftw, stat)
NFTW(nftw64, stat64)

#define FTW(name, stat_type)                             \
    HM_API int name(const char *path, int (*user)(const char *, const struct stat_type *, int), int fds) { \
        if (!hm_on()) return NEXT(name)(path, user, fds); \
        int (*before)(const char *, const struct stat *, int) = old_visitor; \
        old_visitor = (int (*)(const char *, const struct stat *, int))user; \
        int r = NEXT(name)(path, (__typeof__(user))old_visit, fds); \
        old_visitor = before;                            \
        return walked(path, r);                          \
    }
FTW(ftw, stat)
FTW(ftw64, stat64)

/* ---- fts: changes directory inside libc; fts_accpath is right for the directory it is in ---- */
static bool entry_hidden(const FTSENT *e) {
    HM_OWN(struct hm_path, p);
    if (!hm_resolve(&p, AT_FDCWD, e->fts_accpath)) return false;
    if (hm_gate(&p, HM_LOOKING)) return true;
    if (e->fts_info == FTS_NS)
        hm_absent(e->fts_errno, &p);
    else
        hm_emit(HM_LSTAT, &p);
    return false;
}

_Static_assert(sizeof(FTSENT) == sizeof(FTSENT64), "two layouts of FTSENT");
#define FTS_READ(name, set, entry_type, fts_type)        \
    HM_API entry_type *name(fts_type *tree) {            \
        for (;;) {                                       \
            entry_type *e = NEXT(name)(tree);            \
            if (!e || !hm_on()) return e;                \
            hm_cwd_changed();                            \
            if (entry_hidden((FTSENT *)e)) {             \
                if (e->fts_info == FTS_D) set(tree, e, FTS_SKIP); \
                continue;                                \
            }                                            \
            if (e->fts_info == FTS_D) hm_list(e->fts_accpath); \
            return e;                                    \
        }                                                \
    }
FTS_READ(fts_read, fts_set, FTSENT, FTS)
FTS_READ(fts64_read, fts64_set, FTSENT64, FTS64)

#define FTS_CHILDREN(name, entry_type, fts_type)         \
    HM_API entry_type *name(fts_type *tree, int options) { \
        entry_type *first = NEXT(name)(tree, options);   \
        hm_cwd_changed();                                \
        if (hm_on() && tree->fts_cur) hm_list(tree->fts_cur->fts_accpath); \
        return first;                                    \
    }
FTS_CHILDREN(fts_children, FTSENT, FTS)
FTS_CHILDREN(fts64_children, FTSENT64, FTS64)
