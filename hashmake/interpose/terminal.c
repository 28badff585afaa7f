/* terminal.c: a launcher that keeps what a step prints has put a stream of its own in the place of what make had (events.h,
 * hm_trace). Where that is a terminal, who wants more of it than to print (its modes, to draw on it) gets the real one. */
#include "interpose.h"

#include <termios.h>

#include "sys.h"

/* The first of the two numbers of that stream in the trace, or -1: it is none. */
static int place_of(int fd, struct stat *st) {
    if (!hm.trace || hm_sys_fstat(fd, st) != 0) return -1;
    for (int i = 0; i < 4; i += 2)
        if (hm.trace->shown[i + 1] && hm.trace->shown[i] == st->st_dev && hm.trace->shown[i + 1] == st->st_ino) return i;
    return -1;
}

void hm_behind(int fd, uint64_t id[2]) {
    struct stat st = {0};
    int at = place_of(fd, &st);
    id[0] = at < 0 ? st.st_dev : hm.trace->behind[at];
    id[1] = at < 0 ? st.st_ino : hm.trace->behind[at + 1];
}

static bool is_replaced(int fd) {
    struct stat st;
    return place_of(fd, &st) >= 0 && S_ISCHR(st.st_mode);
}

static void real_one(const int *fds, int count) {
    int tty = -1;
    for (int i = 0; i < count; i++) {
        if (!is_replaced(fds[i])) continue;
        if (tty < 0) tty = hm_sys_open("/dev/tty", O_RDWR | O_NOCTTY);
        if (tty < 0) return;
        hm_sys(SYS_dup3, tty, fds[i], 0, 0);
        __atomic_fetch_or(&hm.trace->flags, HM_TERMINAL, __ATOMIC_RELAXED);
    }
    if (tty >= 0) hm_sys_close(tty);
}

void hm_terminal(void) {
    static const int standard[] = {1, 2};
    real_one(standard, 2);
}

void hm_terminal_asked(int fd) {
    if (!hm_on() || !is_replaced(fd)) return;
    hm_terminal();
    real_one(&fd, 1);
}

HM_API int tcgetattr(int fd, struct termios *modes) {
    hm_terminal_asked(fd);
    return NEXT(tcgetattr)(fd, modes);
}
