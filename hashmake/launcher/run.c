/* run.c: runs the command of a step, keeps what it prints where that is asked for, and reports its end. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t child_pid;

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

static pid_t start(const char *path, char **argv, char **envp)
{
    pid_t launcher = getpid(), pid = vfork();
    if (pid)
        return pid;
    /* A launcher that is killed now would leave a process that nobody can tell for this step's: until exec it has no
     * environment of its own, and what it makes then is in no account. Our handlers would swallow the signal. */
    for (unsigned i = 0; i < sizeof forwarded / sizeof *forwarded; i++) {
        struct sigaction now;
        sigaction(forwarded[i], NULL, &now);
        if (now.sa_handler != SIG_IGN)
            signal(forwarded[i], SIG_DFL);
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != launcher)
        _exit(126);
    keep_child();
    become(path, argv, envp);
    _exit(126);
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

static void report(int status, const struct rusage *use)
{
    struct __attribute__((packed)) {
        uint32_t length;
        uint8_t type;
        uint32_t status;
        uint64_t usec, rss;
        uint8_t kept;
        uint32_t out, err, facts;
        uint64_t generation, tail;
    } done = {.type = HM_M_DONE, .status = (uint32_t)status};
    done.usec = (uint64_t)(use->ru_utime.tv_sec + use->ru_stime.tv_sec) * 1000000u +
                (uint64_t)(use->ru_utime.tv_usec + use->ru_stime.tv_usec);
    done.rss = (uint64_t)use->ru_maxrss;
    struct iovec v[5] = {{&done, sizeof done}};
    done.kept = (uint8_t)keep_texts(v + 1);
    done.out = (uint32_t)v[1].iov_len;
    done.err = (uint32_t)v[2].iov_len;
    struct summary sum;
    if (summarize(&sum)) {
        done.facts = sum.count;
        done.generation = sum.generation;
        done.tail = sum.tail;
        v[3] = (struct iovec){sum.facts, sum.count * sizeof *sum.facts};
        v[4] = (struct iovec){sum.text, sum.length};
    }
    size_t length = sizeof done - 4;
    for (int i = 1; i < 5; i++)
        length += v[i].iov_len;
    done.length = (uint32_t)length;
    put_all(v, 5);
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
    make_trace(step[0], flags);
    record_program(path);
    keep_begin(kind, flags);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    catch_signals();
    child_pid = start(path, argv, environ);
    if (child_pid < 0) {
        say("hashmake: vfork: out of processes\n");
        _exit(126);
    }
    /* Who reads what we pass on may go: the command hears of that, and we go on. */
    struct sigaction ours = {.sa_handler = SIG_IGN}, before;
    sigaction(SIGPIPE, &ours, &before);
    keep_all(child_pid);
    sigaction(SIGPIPE, &before, NULL);
    int status = 0;
    struct rusage use;
    memset(&use, 0, sizeof use);
    while (wait4(child_pid, &status, 0, &use) < 0 && errno == EINTR)
        ;
    reap_background();
    report(status, &use);
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

/* On another machine there is no supervisor: the trace is what tells of the step, and its size is that of what it holds. */
int run_afar(const char *directory, const char *path, char **argv)
{
    const char *step = getenv(HM_ENV_STEP);
    run_dir = getenv(HM_ENV_RUN);
    if (!run_dir || !step || chdir(directory)) {
        say("hmstep: is started on another machine by hashmake, never by hand\n");
        return 126;
    }
    make_trace((unsigned)strtoul(step, NULL, 10), 0);
    record_program(path);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    catch_signals();
    child_pid = start(path, argv, environ);
    int status = 0;
    while (child_pid > 0 && waitpid(child_pid, &status, 0) < 0 && errno == EINTR)
        ;
    reap_background();
    trim_trace();
    return child_pid < 0 ? 126 : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run_step(uint32_t step[2], int kind, const char *path, char **argv)
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
