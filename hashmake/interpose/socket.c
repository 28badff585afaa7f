/* socket.c: one question to the supervisor, answered by an ACK; used rarely, so each has its own connection. */
#include "interpose.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "sys.h"

static bool send_all(int fd, const char *p, size_t n) {
    while (n) {
        long r = hm_sys6(SYS_sendto, fd, (long)p, (long)n, MSG_NOSIGNAL, 0, 0);
        if (r == -EINTR) continue;
        if (r <= 0) return false;
        p += r;
        n -= (size_t)r;
    }
    return true;
}

static bool recv_all(int fd, char *p, size_t n) {
    while (n) {
        long r = hm_sys(SYS_read, fd, p, n, 0);
        if (r == -EINTR) continue;
        if (r <= 0) return false;
        p += r;
        n -= (size_t)r;
    }
    return true;
}

void hm_tell(uint8_t type, const char *payload, size_t len) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = hm_len(hm.run);
    if (n + 6 > sizeof to.sun_path) {
        hm_lost(); /* the supervisor chose a run directory too long for a socket: nothing can be asked */
        return;
    }
    memcpy(to.sun_path, hm.run, n);
    memcpy(to.sun_path + n, "/sock", 6);
    int fd = (int)hm_sys(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, 0);
    if (fd < 0) {
        hm_lost();
        return;
    }
    char head[5];
    uint32_t size = (uint32_t)len + 1;
    memcpy(head, &size, 4);
    head[4] = (char)type;
    char answer[5] = {0};
    long r;
    do r = hm_sys(SYS_connect, fd, &to, sizeof to, 0);
    while (r == -EINTR);
    if (r < 0 || !send_all(fd, head, sizeof head) || !send_all(fd, payload, len) || !recv_all(fd, answer, sizeof answer) ||
        answer[4] != HM_M_ACK)
        hm_lost();
    hm_sys_close(fd);
}
