/* Threads, a signal handler and a forked child that all open files at once. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static void look(const char *kind, int who, int i) {
    char path[64];
    snprintf(path, sizeof path, "%s-%d-%d-with-a-name-of-some-length-to-fill-the-trace", kind, who, i);
    close(open(path, O_RDONLY));
}

static void *thread(void *arg) {
    for (int i = 0; i < 1000; i++) look("thread", (int)(long)arg, i);
    return NULL;
}

static volatile sig_atomic_t ticks;
static void handler(int signal) {
    (void)signal;
    static const char *const names[] = {"signal-0", "signal-1", "signal-2", "signal-3"};
    int kept = errno; /* the interrupted thread may be about to look at it */
    close(open(names[ticks++ & 3], O_RDONLY));
    errno = kept;
}

int main(void) {
    pthread_t threads[4];
    struct itimerval often = {{0, 500}, {0, 500}};
    signal(SIGALRM, handler);
    setitimer(ITIMER_REAL, &often, NULL);
    pid_t pid = fork();
    if (!pid) {
        for (int i = 0; i < 1000; i++) look("child", 0, i);
        _exit(0);
    }
    for (long i = 0; i < 4; i++) pthread_create(&threads[i], NULL, thread, (void *)i);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    while (waitpid(pid, NULL, 0) < 0) continue;
    while (ticks < 8) continue;
    return 0;
}
