/* make.c: what is special in a GNU make process: it tells the supervisor that it starts, and its children become steps. */
#include "interpose.h"

#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/wait.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys.h"

static char launcher[1024];
static bool to_shell; /* the next child's standard output is a pipe that make reads: $(shell) */
static int out_fd = -1; /* what becomes the next child's standard output, if not make's own */

static bool find_launcher(void) {
    if (!hm.library) return false;
    size_t n = (size_t)(hm_base(hm.library) - hm.library);
    if (n + sizeof HM_LAUNCHER > sizeof launcher) return false;
    memcpy(launcher, hm.library, n);
    memcpy(launcher + n, HM_LAUNCHER, sizeof HM_LAUNCHER);
    return hm_sys(SYS_faccessat, AT_FDCWD, launcher, X_OK, 0) == 0;
}

void hm_make_start(void) {
    HM_OWN(struct hm_path, p);
    if (hm_resolve(&p, AT_FDCWD, hm.program)) hm_emit(HM_MAKE, &p);
    uint64_t told[5] = {hm.step}; /* zeros: closed */
    hm_behind(1, told + 1);
    hm_behind(2, told + 3);
    hm_terminal();
    hm_tell(HM_M_MAKE, (const char *)told, sizeof told);
    hm_rules_start();
    if (find_launcher())
        hm_echo_start();
    else
        launcher[0] = 0;
}

/* GNU make 3.82 and later export this variable (for `load`); its first two members never changed. */
struct make_variable {
    const char *name, *value;
};
extern struct make_variable *default_goal_var __attribute__((weak));

void hm_make_end(void) {
    if (hm_pid() != hm.born) return;
    hm_echo_end();
    hm_rules_end();
    if (!&default_goal_var || !default_goal_var) return;
    const char *goal = default_goal_var->value;
    if (goal && *goal) hm_emit_text(HM_GOAL, goal, hm_len(goal));
}

bool hm_make_child(void) {
    return hm.make && launcher[0] && hm_pid() != hm.born;
}

/* A program that can't be started at all is left to make, which has its own words and status for it. Shells and
 * the like come by again and again: the last one that was good is remembered. */
static bool starts(const char *path) {
    static uint64_t good;
    uint64_t hash = hm_hash(path, hm_len(path));
    struct stat st;
    char head[256];
    if (path[0] == '/' && hash == good) return true;
    if (hm_sys_stat(path, &st, 0) != 0 || !S_ISREG(st.st_mode)) return false;
    if (hm_sys(SYS_faccessat, AT_FDCWD, path, X_OK, 0) != 0) return false;
    int fd = hm_sys_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
    long n = fd < 0 ? 0 : hm_sys(SYS_read, fd, head, sizeof head - 1, 0);
    if (fd >= 0) hm_sys_close(fd);
    head[n > 0 ? n : 0] = 0;
    if (head[0] == '#' && head[1] == '!') {
        char *name = head + 2 + strspn(head + 2, " \t");
        name[strcspn(name, " \t\n")] = 0;
        if (hm_sys_stat(name, &st, 0) != 0 || !S_ISREG(st.st_mode)) return false;
        if (hm_sys(SYS_faccessat, AT_FDCWD, name, X_OK, 0) != 0) return false;
    }
    if (path[0] == '/') good = hash;
    return true;
}

bool hm_launches(const char *path) {
    HM_OWN(struct hm_path, p);
    if (!launcher[0] || !path) return false;
    if (hm_resolve(&p, AT_FDCWD, path)) {
        if (p.state == HM_V_HIDDEN) return false; /* make has to hear that there is no such program */
        if (p.state == HM_V_AHEAD) return true;
    }
    return starts(path);
}

size_t hm_launch_words(char *const argv[]) {
    size_t n = 0;
    while (argv[n]) n++;
    return n + 5;
}

/* ---- which lines belong to one recipe ----
 * make keeps one environment for all lines of a recipe, and has the recipe in its list `children` from its first line on.
 * Both names are among those that it exports for `load`. How it lays out a member changed with version 4.3. */
extern void *children __attribute__((weak));

extern const char *version_string __attribute__((weak));

const char *hm_make_version(void) {
    return &version_string ? version_string : NULL;
}

bool hm_peek(const void *from, void *to, size_t n) { /* a layout that is not what we think is no crash */
    struct iovec here = {to, n}, there = {(void *)(uintptr_t)from, n};
    return hm_sys6(SYS_process_vm_readv, hm_pid(), (long)&here, 1, (long)&there, 1, 0) == (long)n;
}

static bool later_line(char *const env[]) {
    const char *version = hm_make_version();
    if (!&children || !version || version[0] != '4' || version[1] != '.') return false;
    bool old = version[2] < '3' && !(version[3] >= '0' && version[3] <= '9');
    size_t next_at = old ? 0 : 4, environment_at = old ? 2 : 1;
    const char *child = children;
    for (int most = 4096; child && most--;) {
        const char *member[5];
        if (!hm_peek(child, member, sizeof member)) return false;
        if (member[environment_at] == (const char *)env) return true;
        child = member[next_at];
    }
    return false;
}

static void recipe_number(char *to, char *const env[]) {
    static const char digits[] = "0123456789abcdef";
    for (int shift = 60; shift >= 0; shift -= 4) *to++ = digits[(uintptr_t)env >> shift & 15];
    if (later_line(env)) *to++ = '+';
    *to = 0;
}

void hm_launch_fill(struct hm_launch *l, const char **words, const char *path, char *const argv[], char *const env[]) {
    static const char how[] = {[HM_ECHO_NONE] = '-', [HM_ECHO_LINE] = '=', [HM_ECHO_TEXT] = 'T'};
    enum hm_echo echo = hm_echo_take(argv, out_fd, &l->echo);
    l->launcher = launcher;
    l->option[0] = to_shell ? HM_SHELL : HM_RECIPE;
    l->option[1] = how[echo];
    l->option[2] = 0;
    if (!to_shell) recipe_number(l->option + 2, env);
    to_shell = false;
    out_fd = -1;
    *words++ = launcher;
    *words++ = l->option;
    if (echo == HM_ECHO_TEXT) *words++ = l->echo;
    *words++ = path;
    do *words++ = *argv;
    while (*argv++);
}

static void output_goes_to(int fd) {
    struct stat st;
    out_fd = fd;
    to_shell = hm_sys_fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

HM_API int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *acts, int fd, int newfd) {
    if (hm.make && newfd == 1 && fd != 1) output_goes_to(fd);
    return NEXT(posix_spawn_file_actions_adddup2)(acts, fd, newfd);
}

/* A make that forks (or vforks) by itself puts the pipe in place in the child. */
HM_API int dup2(int fd, int newfd) {
    if (HM_UNLIKELY(hm.make) && newfd == 1 && fd != 1 && hm_make_child()) output_goes_to(fd);
    return NEXT(dup2)(fd, newfd);
}

/* ---- moments at which held-back text must be out: make is about to wait, to end, or to die ---- */
#define FLUSH_FIRST(result, name, params, ...)           \
    HM_API result name params {                          \
        if (HM_UNLIKELY(hm.hold)) hm_make_flush();       \
        return NEXT(name)(__VA_ARGS__);                  \
    }
/* A step that has ended may have had an echo to write, and failed: make looks at the stream's error when it ends. */
#define REAP(name, params, ...)                          \
    HM_API pid_t name params {                           \
        if (HM_UNLIKELY(hm.hold)) hm_make_flush();       \
        pid_t r = NEXT(name)(__VA_ARGS__);               \
        if (HM_UNLIKELY(hm.hold)) hm_echo_failed();      \
        return r;                                        \
    }
REAP(wait, (int *status), status)
REAP(waitpid, (pid_t pid, int *status, int flags), pid, status, flags)
REAP(wait3, (int *status, int flags, struct rusage *use), status, flags, use)
REAP(wait4, (pid_t pid, int *status, int flags, struct rusage *use), pid, status, flags, use)
FLUSH_FIRST(int, pselect,
            (int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *t, const sigset_t *m), n, r, w, e, t, m)
FLUSH_FIRST(int, kill, (pid_t pid, int signal), pid, signal)

HM_API __attribute__((noreturn)) void _exit(int status) {
    if (HM_UNLIKELY(hm.hold) && hm_pid() == hm.born) hm_make_flush();
    if (HM_UNLIKELY(hm.reload)) hm_load_now();
    NEXT(_exit)(status);
    __builtin_unreachable();
}

HM_API __attribute__((noreturn)) void _Exit(int status) {
    if (HM_UNLIKELY(hm.hold) && hm_pid() == hm.born) hm_make_flush();
    if (HM_UNLIKELY(hm.reload)) hm_load_now();
    NEXT(_exit)(status);
    __builtin_unreachable();
}
