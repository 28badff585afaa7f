/* wire.c: talking to the supervisor, and to who started make. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int sock = -1;
const char *run_dir, *parent;

void say(const char *text)
{
    ssize_t n = write(2, text, strlen(text));
    (void)n;
}

/* Many launchers notice a dead supervisor at once; the first to make the file "dead" tells the user. */
void supervisor_gone(void)
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

void get_all(void *to, size_t n)
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

void put_all(struct iovec *v, int count)
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

int put_out(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return -1;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

void dial(void)
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

char *number(unsigned n, char *end)
{
    *--end = 0;
    do
        *--end = (char)('0' + n % 10);
    while (n /= 10);
    return end;
}
