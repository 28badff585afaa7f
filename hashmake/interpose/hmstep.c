/* hmstep: the step launcher. make starts it in place of each command; it asks the supervisor, then runs the command or
 * reports the remembered result. Knows the protocol of events.h, nothing of verdicts.
 *
 * It is linked statically where that is possible: it is started once for every step, and a dynamic start costs more
 * than everything else it does. For the same reason it uses no stdio and no malloc before a step is known to run. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "events.h"

extern char **environ;

static int sock = -1;
static const char *run_dir;
static volatile sig_atomic_t child_pid;

static void say(const char *text)
{
    ssize_t n = write(2, text, strlen(text));
    (void)n;
}

/* Many launchers notice a dead supervisor at once; the first to make the file "dead" tells the user. */
static void supervisor_gone(void)
{
    char path[PATH_MAX];
    size_t n = strlen(run_dir);
    if (n + 6 < sizeof path) {
        memcpy(path, run_dir, n);
        memcpy(path + n, "/dead", 6);
        if (open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) >= 0 || errno != EEXIST)
            say("hashmake: the supervisor died; this build can't go on; run the same command again\n");
    }
    _exit(3);
}

static void get_all(void *to, size_t n)
{
    char *p = to;
    while (n) {
        ssize_t k = read(sock, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            supervisor_gone();
        p += k;
        n -= (size_t)k;
    }
}

static void put_all(struct iovec *v, int count)
{
    while (count) {
        struct msghdr m = {.msg_iov = v, .msg_iovlen = (size_t)count};
        ssize_t k = sendmsg(sock, &m, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            supervisor_gone();
        while (count && (size_t)k >= v->iov_len) {
            k -= (ssize_t)v->iov_len;
            v++;
            count--;
        }
        if (count) {
            v->iov_base = (char *)v->iov_base + k;
            v->iov_len -= (size_t)k;
        }
    }
}

static int put_out(const char *p, size_t n)
{
    while (n) {
        ssize_t k = write(1, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return -1;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

static void dial(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t n = strlen(run_dir);
    if (n + 6 > sizeof a.sun_path)
        supervisor_gone();
    memcpy(a.sun_path, run_dir, n);
    memcpy(a.sun_path + n, "/sock", 6);
    sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || connect(sock, (struct sockaddr *)&a, sizeof a))
        supervisor_gone();
}

static char *number(unsigned n, char *end)
{
    *--end = 0;
    do
        *--end = (char)('0' + n % 10);
    while (n /= 10);
    return end;
}

static void ask(int kind, char **argv, unsigned parent, const char *recipe, const char *echo)
{
    char cwd[PATH_MAX];
    if (!getcwd(cwd, sizeof cwd))
        strcpy(cwd, "/");
    /* The kernel lays out argument and environment strings one after the other: one piece, no copy. */
    char *first = argv[0], *last = first;
    unsigned argc = 0;
    for (char **p = argv + 1; *p; p++, argc++)
        last = *p;
    for (char **p = environ; *p; p++)
        last = *p;
    size_t strings = (size_t)(last - first) + strlen(last) + 1, cwd_len = strlen(cwd) + 1;
    mode_t mask = umask(0);
    umask(mask);
    char *end;
    uint64_t number = strtoull(recipe, &end, 16);
    struct __attribute__((packed)) {
        uint32_t length;
        uint8_t type, kind;
        uint32_t parent, pid, umask, argc;
        uint64_t recipe;
        uint8_t later;
    } head = {0, HM_M_ASK, (uint8_t)kind, parent, (uint32_t)getpid(), (uint32_t)mask, argc, number, *end == '+'};
    const char *said = echo ? echo : "";
    size_t said_len = strlen(said) + 1;
    head.length = (uint32_t)(sizeof head - 4 + said_len + cwd_len + strings);
    struct iovec v[4] = {{&head, sizeof head}, {(char *)(uintptr_t)said, said_len}, {cwd, cwd_len}, {first, strings}};
    put_all(v, 4);
}

/* ---- trace file of the step ------------------------------------------------------------------------------------ */

static struct hm_trace *trace;

static void make_trace(unsigned step, unsigned flags)
{
    char path[PATH_MAX], digits[16];
    char *d = number(step, digits + sizeof digits);
    size_t n = strlen(run_dir), k = strlen(d) + 1;
    if (n + 3 + k > sizeof path)
        return;
    memcpy(path, run_dir, n);
    memcpy(path + n, "/t/", 3);
    memcpy(path + n + 3, d, k);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    /* Without a trace file the supervisor finds none and takes the step as not seen. */
    if (fd < 0 || posix_fallocate(fd, 0, HM_TRACE_FIRST)) {
        if (fd >= 0) {
            close(fd);
            unlink(path);
        }
        return;
    }
    void *m = mmap(NULL, HM_TRACE_FIRST, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (m == MAP_FAILED)
        return;
    trace = m;
    trace->version = HM_VERSION;
    trace->tail = sizeof *trace;
    trace->limit = HM_TRACE_FIRST;
    trace->flags = flags & HM_TIMES;
    trace->magic = HM_TRACE_MAGIC;
}

static void record(char kind, const char *a, const char *b, const char *c)
{
    if (!trace)
        return;
    size_t la = strlen(a), lb = strlen(b), lc = strlen(c), n = la + lb + lc + 2;
    uint64_t at = __atomic_fetch_add(&trace->tail, n, __ATOMIC_RELAXED);
    if (at + n > HM_TRACE_FIRST)
        return;
    char *p = (char *)trace + at;
    *p++ = kind;
    memcpy(p, a, la);
    memcpy(p + la, b, lb);
    memcpy(p + la + lb, c, lc);
}

/* The launcher's own exec is not interposed: it records the program, and says when it can't be followed. */
static void record_program(const char *path)
{
    char real[PATH_MAX];
    if (!trace || !realpath(path, real))
        return;
    record(HM_READ, real, "", "");
    int fd = open(real, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        record(HM_UNSEEN, "noread", ":", real);
        return;
    }
    static unsigned char b[4096];
    ssize_t n = pread(fd, b, sizeof b, 0);
    struct stat st;
    int special = !fstat(fd, &st) && (st.st_mode & (S_ISUID | S_ISGID)) && geteuid() != 0;
    close(fd);
    trace->expected++;
    if (special)
        record(HM_UNSEEN, "setuid", ":", real);
    if (n < (ssize_t)sizeof(Elf64_Ehdr) || memcmp(b, ELFMAG, SELFMAG))
        return;
    if (b[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)) {
        record(HM_UNSEEN, "32bit", ":", real);
        return;
    }
    Elf64_Ehdr *e = (void *)b;
    for (unsigned i = 0; i < e->e_phnum; i++) {
        Elf64_Phdr *ph = (void *)(b + e->e_phoff + i * sizeof *ph);
        if ((unsigned char *)(ph + 1) > b + n)
            return;
        if (ph->p_type == PT_INTERP)
            return;
    }
    record(HM_UNSEEN, "static", ":", real);
}

/* ---- running --------------------------------------------------------------------------------------------------- */

static void forward(int sig, siginfo_t *info, void *context)
{
    (void)context;
    /* A terminal signals the whole foreground group, the command included; kill(1) and make only us. */
    if (info->si_code <= 0 && child_pid > 0)
        kill(child_pid, sig);
}

static const int forwarded[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP};

static void catch_signals(void)
{
    for (unsigned i = 0; i < sizeof forwarded / sizeof *forwarded; i++) {
        struct sigaction old, new = {.sa_flags = SA_SIGINFO};
        new.sa_sigaction = forward;
        sigaction(forwarded[i], NULL, &old);
        if (old.sa_handler != SIG_IGN) /* nohup: stays ignored */
            sigaction(forwarded[i], &new, NULL);
    }
}

static void become(const char *path, char **argv, char **envp)
{
    execve(path, argv, envp);
    if (errno == ENOEXEC) { /* a script without #!: as execvp and make do */
        size_t n = 0;
        while (argv[n])
            n++;
        char **with_shell = alloca((n + 2) * sizeof *with_shell);
        with_shell[0] = "/bin/sh";
        with_shell[1] = (char *)path;
        memcpy(with_shell + 2, argv + 1, n * sizeof *argv);
        execve("/bin/sh", with_shell, envp);
    }
    int code = errno == ENOENT ? 127 : 126; /* before anything below changes errno */
    const char *why = strerror(errno);
    say("make: ");
    say(argv[0]);
    say(": ");
    say(why);
    say("\n");
    _exit(code);
}

static int merged; /* standard error is the file that standard output is, and goes the same way */

static pid_t start(const char *path, char **argv, char **envp, int out[2])
{
    pid_t launcher = getpid(), pid = vfork();
    if (pid)
        return pid;
    /* A launcher that is killed now would leave a process that nobody can tell for this step's: until exec it has no
     * environment of its own, and what it makes then is in no account. */
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != launcher)
        _exit(126);
    if (out) {
        dup2(out[1], 1);
        if (merged)
            dup2(out[1], 2);
    }
    for (unsigned i = 0; i < sizeof forwarded / sizeof *forwarded; i++) {
        struct sigaction now;
        sigaction(forwarded[i], NULL, &now);
        if (now.sa_handler != SIG_IGN)
            signal(forwarded[i], SIG_DFL);
    }
    become(path, argv, envp);
    _exit(126);
}

static char *captured;
static size_t captured_len;

/* A process that the command left behind may hold the pipe for ever. Where nobody but the file waits for it, this does
 * not either: what it still prints is passed on behind our back. */
static int over(int fd, int child_fd)
{
    struct pollfd p[2] = {{fd, POLLIN, 0}, {child_fd, POLLIN, 0}};
    while (poll(p, 2, -1) < 0 && errno == EINTR)
        ;
    return !p[0].revents && p[1].revents;
}

static void pass_on(int fd)
{
    if (fork() != 0)
        return;
    char buffer[4096];
    for (ssize_t k; (k = read(fd, buffer, sizeof buffer)) > 0 || (k < 0 && errno == EINTR);)
        if (k > 0)
            put_out(buffer, (size_t)k);
    _exit(0);
}

/* child_fd: a pidfd of the command, which is all that is waited for; -1: until the last writer has gone. */
static void forward_output(int fd, int child_fd)
{
    size_t room = 0;
    int broken = 0;
    for (;;) {
        if (child_fd >= 0 && over(fd, child_fd)) {
            pass_on(fd);
            return;
        }
        if (captured_len + 65536 > room && captured_len <= HM_CAPTURE_MAX) {
            room = room ? room * 2 : 131072;
            char *more = realloc(captured, room);
            if (!more)
                supervisor_gone();
            captured = more;
        }
        size_t at = captured_len <= HM_CAPTURE_MAX ? captured_len : 0;
        ssize_t k = read(fd, captured + at, 65536);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return;
        if (!broken)
            broken = put_out(captured + at, (size_t)k);
        captured_len = at ? at + (size_t)k : captured_len <= HM_CAPTURE_MAX ? (size_t)k : captured_len;
    }
}

/* Processes that the command left behind write later than anyone looks: they are waited for a moment, then named. */
static void reap_background(void)
{
    for (int tenths = 0; tenths < 20; tenths++) {
        pid_t pid;
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (pid < 0)
            return;
        struct timespec pause = {0, 100 * 1000 * 1000};
        nanosleep(&pause, NULL);
    }
    record(HM_UNSEEN, "background", ":", "a process of this step is still running");
}

static void report(int status, const struct rusage *use, int with_output)
{
    struct __attribute__((packed)) {
        uint32_t length;
        uint8_t type;
        uint32_t status;
        uint64_t usec, rss;
    } done = {0, HM_M_DONE, (uint32_t)status, 0, 0};
    done.usec = (uint64_t)(use->ru_utime.tv_sec + use->ru_stime.tv_sec) * 1000000u +
                (uint64_t)(use->ru_utime.tv_usec + use->ru_stime.tv_usec);
    done.rss = (uint64_t)use->ru_maxrss;
    size_t n = with_output ? captured_len : 0;
    done.length = (uint32_t)(sizeof done - 4 + n);
    struct iovec v[2] = {{&done, sizeof done}, {captured, n}};
    put_all(v, n ? 2 : 1);
}

/* Runs the command once. Returns its wait status; `step` becomes the numbers of another run that is to follow, or 0. */
static int run_once(uint32_t step[2], int kind, const char *path, char **argv)
{
    unsigned flags = step[1];
    static char step_env[40] = HM_ENV_STEP "=";
    char digits[16];
    strcpy(step_env + sizeof HM_ENV_STEP, number(step[0], digits + sizeof digits));
    for (char **p = environ; *p; p++)
        if (!strncmp(*p, step_env, sizeof HM_ENV_STEP))
            *p = step_env;
    trace = NULL;
    captured_len = 0;
    make_trace(step[0], flags);
    record_program(path);
    int out[2] = {-1, -1}, keep = kind == HM_SHELL || flags & HM_KEEP, child_fd = -1;
    if (keep && pipe2(out, O_CLOEXEC))
        supervisor_gone();
    struct stat one, two;
    merged = kind != HM_SHELL && keep && !fstat(1, &one) && !fstat(2, &two) && one.st_dev == two.st_dev &&
             one.st_ino == two.st_ino;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    catch_signals();
    child_pid = start(path, argv, environ, keep ? out : NULL);
    if (child_pid < 0) {
        say("hashmake: vfork: out of processes\n");
        _exit(126);
    }
    if (keep) {
        close(out[1]);
        if (kind != HM_SHELL && !fstat(1, &one) && S_ISREG(one.st_mode))
            child_fd = (int)syscall(SYS_pidfd_open, child_pid, 0);
        forward_output(out[0], child_fd);
    }
    int status = 0;
    struct rusage use;
    memset(&use, 0, sizeof use);
    while (wait4(child_pid, &status, 0, &use) < 0 && errno == EINTR)
        ;
    reap_background();
    report(status, &use, keep);
    struct __attribute__((packed)) {
        uint32_t length;
        uint8_t type;
    } head;
    get_all(&head, sizeof head);
    step[0] = 0;
    if (head.type == HM_M_RUN && head.length == 1 + 2 * sizeof *step)
        get_all(step, 2 * sizeof *step);
    return status;
}

static int run_step(uint32_t step[2], int kind, const char *path, char **argv)
{
    int status;
    do
        status = run_once(step, kind, path, argv);
    while (step[0]);
    if (WIFSIGNALED(status)) { /* make must see the same death */
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        signal(WTERMSIG(status), SIG_DFL);
        kill(getpid(), WTERMSIG(status));
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int print_echo(const char *echo)
{
    return echo && (put_out(echo, strlen(echo)) || put_out("\n", 1));
}

static int skip(uint32_t length, const char *echo)
{
    int32_t code;
    char buffer[65536];
    get_all(&code, 4);
    if (code & HM_ALOUD)
        print_echo(echo);
    for (length -= 5; length;) {
        uint32_t n = length < sizeof buffer ? length : sizeof buffer;
        get_all(buffer, n);
        put_out(buffer, n);
        length -= n;
    }
    return code & ~HM_ALOUD;
}

/* Where make's standard streams are closed, nothing of ours may get their numbers: text would go there. Closed on exec,
 * so the command finds them as make gave them. */
static void keep_streams(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", O_RDWR | O_CLOEXEC); /* the lowest that is free: this one */
}

/* make writes the echo itself and, when it ends, complains if that failed. It can't know of an echo that we wrote: the
 * interposer in it learns it from the trace of make's own step. */
static void tell_unwritten(const char *parent)
{
    char path[PATH_MAX];
    size_t n = strlen(run_dir), k = strlen(parent) + 1;
    if (n + 3 + k > sizeof path)
        return;
    memcpy(path, run_dir, n);
    memcpy(path + n, "/t/", 3);
    memcpy(path + n + 3, parent, k);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct hm_trace *above = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *above, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (above == MAP_FAILED)
        return;
    __atomic_fetch_or(&above->flags, HM_UNWRITTEN, __ATOMIC_RELEASE);
    munmap(above, sizeof *above);
}

int main(int argc, char **argv)
{
    keep_streams();
    const char *parent = getenv(HM_ENV_STEP);
    run_dir = getenv(HM_ENV_RUN);
    if (argc < 4 || !run_dir || !parent || !argv[1][0] || !argv[1][1]) {
        say("hmstep: is started by make under hashmake, never by hand\n");
        return 2;
    }
    char **program = argv + 2;
    const char *echo = argv[1][1] == 'T' ? *program++ : argv[1][1] == '=' && argc > 5 ? argv[5] : NULL;
    dial();
    ask(argv[1][0], program, (unsigned)strtoul(parent, NULL, 10), argv[1] + 2, echo);
    struct __attribute__((packed)) {
        uint32_t length;
        uint8_t type;
    } head;
    get_all(&head, 5);
    if (head.type == HM_M_SKIP)
        return skip(head.length, echo);
    uint32_t step[2]; /* and its flags */
    if (head.type != HM_M_RUN || head.length != 1 + sizeof step)
        supervisor_gone();
    get_all(step, sizeof step);
    if (print_echo(echo))
        tell_unwritten(parent);
    return run_step(step, argv[1][0], program[0], program + 1);
}
