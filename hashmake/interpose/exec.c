/* exec.c: starting programs: records what is read for it, counts on the interposer to come up in it, and keeps our
 * variables in its environment. Everything here may run in a vfork child: only the stack and the trace are written. */
#include "interpose.h"

#include <alloca.h>
#include <limits.h>
#include <paths.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wordexp.h>

#include "sys.h"

struct starting {
    struct hm_path path;
    enum hm_image image;
};

static void expect(int n) {
    __atomic_fetch_add(&hm.trace->expected, (uint32_t)n, __ATOMIC_ACQ_REL);
}

/* Programs are also started by /proc names (/proc/self/exe, what fexecve makes): take what they stand for. */
static bool resolve(struct hm_path *p, int dirfd, const char *path, int flags) {
    if (flags & AT_EMPTY_PATH && path && !*path) return hm_resolve_fd(p, dirfd);
    if (!path || !hm_starts(path, "/proc/")) return hm_resolve(p, dirfd, path);
    HM_TEXT_ROOM(target);
    long r = target ? hm_sys_readlink(path, target, HM_PATH - 1) : 0;
    if (r <= 0) return false;
    target[r] = 0;
    return target[0] == '/' && hm_resolve(p, AT_FDCWD, target);
}

/* What ld.so does instead of starting a program. Its lists, which is what ldd prints, must not name us, so it is started
 * without us; what it reads for them is known (search.c). */
static bool only_looks(struct starting *s, char *const argv[], char *const env[]) {
    const char *library_path = hm_env_get(env, "LD_LIBRARY_PATH"), *program = s->path.s;
    bool lists = hm_env_get(env, "LD_TRACE_LOADED_OBJECTS") != NULL, verifies = false, known = true;
    if (hm_is_loader(s->path.s)) {
        char *const *a = argv && argv[0] ? argv + 1 : NULL;
        for (program = NULL; a && *a && hm_starts(*a, "--"); a++) {
            if (hm_same(*a, "--version") || hm_same(*a, "--help") || hm_same(*a, "--verify"))
                verifies = true;
            else if (hm_same(*a, "--list"))
                lists = true;
            else if (hm_same(*a, "--library-path") && a[1])
                library_path = *++a;
            else
                known = false;
        }
        if (a) program = *a;
    }
    if (!lists && !verifies) return false;
    hm_emit(HM_READ, &s->path);
    if (!known || hm_env_preloads(env) || (program && !strchr(program, '/')))
        hm_unseen("listing", s->path.s);
    else if (program)
        hm_search_listed(program, verifies ? NULL : &library_path, s->path.s);
    return true;
}

/* Returns 0, or the errno with which the clean view lets the start fail. */
static int begin(struct starting *s, int dirfd, const char *path, int flags, char *const argv[], char *const env[]) {
    s->image = HM_IMG_OTHER;
    if (!resolve(&s->path, dirfd, path, flags)) return 0;
    int err = hm_gate(&s->path, HM_READING);
    if (err) return err;
    struct stat st;
    int r = hm_sys_stat(s->path.s, &st, 0);
    if (r < 0) {
        hm_absent(-r, &s->path);
        return 0;
    }
    s->image = argv && only_looks(s, argv, env) ? HM_IMG_FOREIGN : hm_examine(&s->path);
    if (s->image == HM_IMG_TRACED) expect(1);
    return 0;
}

static void failed(struct starting *s) {
    if (s->image == HM_IMG_TRACED) expect(-1);
}

/* The environment with our variables in it; on the caller's stack when it has to be made. */
#define ENVIRONMENT(now, env, image)                     \
    char *const *now = env;                              \
    if (hm_on()) {                                       \
        size_t room_ = hm_env_room(env, (image) == HM_IMG_FOREIGN); \
        if (room_) now = hm_env_fix(env, (image) == HM_IMG_FOREIGN, alloca(room_)); \
    }

static int launch(const char *path, char *const argv[], char *const env[]) {
    struct hm_launch l;
    const char **words = alloca(hm_launch_words(argv) * sizeof *words);
    hm_launch_fill(&l, words, path, argv, env);
    ENVIRONMENT(now, env, HM_IMG_OTHER)
    return NEXT(execve)(l.launcher, (char *const *)words, now);
}

static int start(int dirfd, const char *path, char *const argv[], char *const env[], int flags) {
    if (HM_UNLIKELY(!hm_on()))
        return dirfd == AT_FDCWD && !flags ? NEXT(execve)(path, argv, env) : NEXT(execveat)(dirfd, path, argv, env, flags);
    bool plain = dirfd == AT_FDCWD && !flags;
    if (plain && hm_make_child() && hm_launches(path)) return launch(path, argv, env);
    HM_OWN(struct starting, s);
    int err = begin(&s, dirfd, path, flags, argv, env);
    if (err) {
        errno = err;
        return -1;
    }
    if (HM_UNLIKELY(hm.reload)) hm_load_now();
    if (hm.hold) hm_make_flush();
    ENVIRONMENT(now, env, s.image)
    hm_path_over(&s);
    hm_env_ends();
    int r = plain ? NEXT(execve)(path, argv, now) : NEXT(execveat)(dirfd, path, argv, now, flags);
    failed(&s);
    return r;
}

HM_API int execve(const char *path, char *const argv[], char *const env[]) {
    return start(AT_FDCWD, path, argv, env, 0);
}
INSIDE(execve);

HM_API int execv(const char *path, char *const argv[]) {
    return start(AT_FDCWD, path, argv, environ, 0);
}

HM_API int execveat(int dirfd, const char *path, char *const argv[], char *const env[], int flags) {
    return start(dirfd, path, argv, env, flags);
}
INSIDE(execveat);

HM_API int fexecve(int fd, char *const argv[], char *const env[]) {
    return start(fd, "", argv, env, AT_EMPTY_PATH);
}

/* ---- search along PATH ---- */
static bool there(const char *path) {
    HM_OWN(struct hm_path, p);
    if (!hm_resolve(&p, AT_FDCWD, path)) return true;
    if (hm_gate(&p, HM_READING)) return false;
    struct stat st;
    int r = hm_sys_stat(p.s, &st, 0);
    if (r < 0) hm_absent(-r, &p);
    return r == 0;
}

struct search {
    const char *next, *file;
    size_t len, room;
    char *path; /* on the caller's stack: no longer than the longest candidate, and still there in an exec */
};

/* The room that is needed for s->path. */
static size_t search_begin(struct search *s, const char *file) {
    s->file = file;
    s->len = strlen(file);
    s->next = hm_env_get(environ, "PATH");
    if (!s->next) s->next = "/bin:/usr/bin"; /* confstr(_CS_PATH) */
    size_t longest = 0;
    for (const char *dir = s->next, *end; dir; dir = *end ? end + 1 : NULL) {
        end = strchrnul(dir, ':');
        if ((size_t)(end - dir) > longest) longest = (size_t)(end - dir);
    }
    s->room = longest + s->len + 2 < HM_PATH ? longest + s->len + 2 : HM_PATH;
    return s->room;
}

/* The next candidate that is there, in s->path. */
static bool search_next(struct search *s) {
    while (s->next) {
        const char *dir = s->next, *end = strchrnul(dir, ':');
        size_t n = (size_t)(end - dir);
        s->next = *end ? end + 1 : NULL;
        if (n + s->len + 2 > s->room) continue;
        memcpy(s->path, dir, n);
        if (n) s->path[n++] = '/';
        memcpy(s->path + n, s->file, s->len + 1);
        if (there(s->path)) return true;
    }
    return false;
}

/* What libc does for a file that the kernel does not know how to start: give it to the shell. */
static int start_as_script(const char *path, char *const argv[], char *const env[]) {
    size_t n = 0;
    while (argv[n]) n++;
    const char **words = alloca((n + 3) * sizeof *words);
    words[0] = _PATH_BSHELL;
    words[1] = path;
    if (n > 1)
        memcpy(words + 2, argv + 1, n * sizeof *words);
    else
        words[2] = NULL;
    return start(AT_FDCWD, _PATH_BSHELL, (char *const *)words, env, 0);
}

static int start_or_script(const char *path, char *const argv[], char *const env[]) {
    int r = start(AT_FDCWD, path, argv, env, 0);
    return errno == ENOEXEC ? start_as_script(path, argv, env) : r;
}

static int search_and_start(const char *file, char *const argv[], char *const env[]) {
    if (!hm_on() || !*file || strchr(file, '/')) {
        if (!hm_on()) return NEXT(execvpe)(file, argv, env);
        if (*file) return start_or_script(file, argv, env);
        errno = ENOENT;
        return -1;
    }
    struct search s;
    bool denied = false;
    s.path = alloca(search_begin(&s, file));
    errno = ENOENT;
    while (search_next(&s)) {
        start_or_script(s.path, argv, env);
        if (errno == EACCES)
            denied = true;
        else if (errno != ENOENT && errno != ENOTDIR && errno != ESTALE && errno != ENODEV && errno != ETIMEDOUT)
            return -1;
    }
    errno = denied ? EACCES : ENOENT;
    return -1;
}

HM_API int execvp(const char *file, char *const argv[]) {
    return search_and_start(file, argv, environ);
}

HM_API int execvpe(const char *file, char *const argv[], char *const env[]) {
    return search_and_start(file, argv, env);
}

/* The variadic forms; the arguments are collected on the stack, as a vfork child must. */
#define COLLECT(first)                                   \
    va_list ap;                                          \
    size_t n = 1;                                        \
    va_start(ap, first);                                 \
    while (va_arg(ap, const char *)) n++;                \
    va_end(ap);                                          \
    const char **words = alloca((n + 1) * sizeof *words); \
    va_start(ap, first);                                 \
    words[0] = first;                                    \
    for (size_t i = 1; i <= n; i++) words[i] = va_arg(ap, const char *);

HM_API int execl(const char *path, const char *arg, ...) {
    COLLECT(arg)
    va_end(ap);
    return start(AT_FDCWD, path, (char *const *)words, environ, 0);
}

HM_API int execlp(const char *file, const char *arg, ...) {
    COLLECT(arg)
    va_end(ap);
    return search_and_start(file, (char *const *)words, environ);
}

HM_API int execle(const char *path, const char *arg, ...) {
    COLLECT(arg)
    char *const *env = va_arg(ap, char *const *);
    va_end(ap);
    return start(AT_FDCWD, path, (char *const *)words, env, 0);
}

/* ---- spawn ---- */
static int launch_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *acts, const posix_spawnattr_t *attr,
                        char *const argv[], char *const env[]) {
    struct hm_launch l;
    const char **words = alloca(hm_launch_words(argv) * sizeof *words);
    hm_launch_fill(&l, words, path, argv, env);
    ENVIRONMENT(now, env, HM_IMG_OTHER)
    return NEXT(posix_spawn)(pid, l.launcher, acts, attr, (char *const *)words, now);
}

static int spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *acts, const posix_spawnattr_t *attr,
                 char *const argv[], char *const env[]) {
    if (!hm_on()) return NEXT(posix_spawn)(pid, path, acts, attr, argv, env);
    if (hm.make && hm_launches(path)) return launch_spawn(pid, path, acts, attr, argv, env);
    HM_OWN(struct starting, s);
    int err = begin(&s, AT_FDCWD, path, 0, argv, env);
    if (err) return err;
    if (hm.hold) hm_make_flush();
    ENVIRONMENT(now, env, s.image)
    int r = NEXT(posix_spawn)(pid, path, acts, attr, argv, now);
    if (r) failed(&s);
    return r;
}

HM_API int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *acts, const posix_spawnattr_t *attr,
                       char *const argv[], char *const env[]) {
    return spawn(pid, path, acts, attr, argv, env);
}

HM_API int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *acts, const posix_spawnattr_t *attr,
                        char *const argv[], char *const env[]) {
    if (!hm_on()) return NEXT(posix_spawnp)(pid, file, acts, attr, argv, env);
    if (strchr(file, '/')) return spawn(pid, file, acts, attr, argv, env);
    struct search s;
    s.path = alloca(search_begin(&s, file));
    while (search_next(&s))
        if (hm_sys(SYS_faccessat, AT_FDCWD, s.path, X_OK, 0) == 0) return spawn(pid, s.path, acts, attr, argv, env);
    ENVIRONMENT(now, env, HM_IMG_OTHER)
    return NEXT(posix_spawnp)(pid, file, acts, attr, argv, now); /* for its error */
}

/* What a file action will open in the child is told here: inside libc nothing can be seen. */
HM_API int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *acts, int fd, const char *path, int flags, mode_t mode) {
    HM_OWN(struct hm_open, o);
    if (hm_open_begin(&o, AT_FDCWD, path, flags) == 0 && o.on) {
        struct stat st;
        bool works = (flags & O_CREAT) || hm_sys_stat(o.path.s, &st, 0) == 0;
        hm_open_end(&o, works ? INT_MAX : -1, ENOENT); /* no such descriptor: taken for a plain file */
    }
    return NEXT(posix_spawn_file_actions_addopen)(acts, fd, path, flags, mode);
}

/* ---- shells started inside libc: environ goes to them as it is, so ours are put into it for that time ---- */
static void shell_begins(void) {
    HM_OWN(struct starting, s);
    if (!hm_on()) return;
    begin(&s, AT_FDCWD, _PATH_BSHELL, 0, NULL, NULL);
    if (hm.hold) hm_make_flush();
}

#define SHELL_RUNS(type, call)                           \
    char **before = environ, **during = NULL;            \
    size_t room = hm_on() ? hm_env_room(environ, false) : 0; \
    if (room) environ = during = hm_env_fix(environ, false, alloca(room)); \
    type r = call;                                       \
    if (during && environ == during) environ = before;   \
    return r;

HM_API int system(const char *command) {
    if (command) shell_begins();
    SHELL_RUNS(int, NEXT(system)(command))
}

HM_API FILE *popen(const char *command, const char *mode) {
    shell_begins();
    SHELL_RUNS(FILE *, NEXT(popen)(command, mode))
}

/* For the commands in it. */
HM_API int wordexp(const char *words, wordexp_t *out, int flags) {
    if (!(flags & WRDE_NOCMD)) shell_begins();
    SHELL_RUNS(int, NEXT(wordexp)(words, out, flags))
}
