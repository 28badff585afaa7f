/* keep.c: what a command prints, where that is kept; it is passed on as it comes. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <termios.h>
#include <unistd.h>

#define PIECE 65536

struct stream {
    int from, write_end; /* a pipe, or a terminal of our own; -1 where there is none, or no more */
    int broken;          /* nothing more can be passed on */
    char *text;
    size_t length, room;
};
static struct stream streams[2] = {{-1, -1, 0, NULL, 0, 0}, {-1, -1, 0, NULL, 0, 0}}; /* of descriptors 1 and 2 */
static int kept;
static int watched; /* nobody reads it: it is kept for a later build, whole or not at all */
static int answers; /* what it prints goes to make, which waits for the end of it ($(shell)) */
static int partly;  /* a process that the command left behind may have printed more */

static int one_file(void)
{
    struct stat out, err;
    return !fstat(1, &out) && !fstat(2, &err) && out.st_dev == err.st_dev && out.st_ino == err.st_ino;
}

/* Only of the terminal that /dev/tty leads to can a program that wants to draw on it be given the real one. */
static int is_our_terminal(int fd)
{
    unsigned there, ours;
    if (ioctl(fd, TIOCGDEV, &there))
        return 0;
    int tty = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    int same = tty >= 0 && !ioctl(tty, TIOCGDEV, &ours) && ours == there;
    if (tty >= 0)
        close(tty);
    return same;
}

/* Where printing may fail (a full device, a closed stream) it has to fail in the command. */
static int can_watch(int fd)
{
    struct stat st;
    if (fstat(fd, &st) || fcntl(fd, F_GETFD) & FD_CLOEXEC) /* the latter: ours, in the place of a closed one */
        return 0;
    if (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
        return 1;
    return S_ISCHR(st.st_mode) && (st.st_rdev == makedev(1, 3) || is_our_terminal(fd));
}

/* A terminal like the real one, but for what that does with the text anyway: it comes out as the command wrote it. */
static int open_terminal(struct stream *s, int real)
{
    struct termios modes;
    struct winsize size;
    int unlocked = 0;
    s->from = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (s->from >= 0 && !ioctl(s->from, TIOCSPTLCK, &unlocked))
        s->write_end = ioctl(s->from, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (s->write_end < 0 || tcgetattr(real, &modes))
        return -1;
    modes.c_oflag &= ~(tcflag_t)OPOST;
    modes.c_lflag &= ~(tcflag_t)ECHO;
    if (!ioctl(real, TIOCGWINSZ, &size))
        ioctl(s->write_end, TIOCSWINSZ, &size);
    return tcsetattr(s->write_end, TCSANOW, &modes);
}

static int open_stream(struct stream *s, int fd)
{
    if (watched && isatty(fd))
        return open_terminal(s, fd);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC))
        return -1;
    s->from = ends[0];
    s->write_end = ends[1];
    return 0;
}

static void end(struct stream *s)
{
    close(s->from);
    s->from = -1;
}

static void give_up(void)
{
    for (int i = 0; i < 2; i++) {
        if (streams[i].write_end >= 0)
            close(streams[i].write_end);
        if (streams[i].from >= 0)
            end(streams + i);
        streams[i].write_end = -1;
    }
    kept = watched = 0;
}

void keep_begin(int kind, unsigned flags)
{
    kept = kind == HM_SHELL || flags & HM_KEEP ? HM_KEPT_OUT : 0;
    kept |= flags & HM_KEEP_ERR ? HM_KEPT_ERR : 0;
    answers = kind == HM_SHELL;
    watched = (!kept || answers) && flags & HM_WATCH && (answers || can_watch(1)) && can_watch(2);
    partly = 0;
    if (watched)
        kept = HM_KEPT_OUT | HM_KEPT_ERR;
    if (kept && !answers && one_file())
        kept = HM_KEPT_ONE;
    for (int i = 0; i < 2; i++) {
        streams[i].length = 0;
        streams[i].broken = 0;
        if (!(kept & (i ? HM_KEPT_ERR : HM_KEPT_OUT | HM_KEPT_ONE)) || !open_stream(streams + i, i + 1))
            continue;
        if (!watched)
            supervisor_gone();
        give_up();
    }
    if (watched)
        record_streams(streams[0].write_end, kept & HM_KEPT_ONE ? streams[0].write_end : streams[1].write_end);
}

void keep_child(void)
{
    for (int i = 0; i < 2; i++)
        if (streams[i].write_end >= 0)
            dup2(streams[i].write_end, i + 1);
    if (kept & HM_KEPT_ONE)
        dup2(1, 2);
}

/* A process that the command left behind may hold the pipe for ever: what it still prints is passed on behind our back. */
static void pass_on(struct stream *s, int fd)
{
    if (s->from < 0)
        return;
    partly = 1;
    if (fork() == 0) {
        if (answers)
            close(1); /* make waits until nobody has it open any more */
        char buffer[4096];
        for (ssize_t k; (k = read(s->from, buffer, sizeof buffer)) > 0 || (k < 0 && errno == EINTR);)
            if (k > 0)
                put_out(fd, buffer, (size_t)k);
        _exit(0);
    }
    end(s);
}

/* More than HM_CAPTURE_MAX is known as that by its length. */
static void keep(struct stream *s, const char *text, size_t k)
{
    if (s->length > HM_CAPTURE_MAX)
        return;
    if (s->length + k > s->room) {
        s->room = s->length + k < PIECE ? 2 * PIECE : 2 * (s->length + k);
        char *more = realloc(s->text, s->room);
        if (!more)
            supervisor_gone();
        s->text = more;
    }
    memcpy(s->text + s->length, text, k);
    s->length += k;
}

static void take(struct stream *s, int fd)
{
    static char piece[PIECE];
    ssize_t k = read(s->from, piece, sizeof piece);
    if (k < 0 && errno == EINTR)
        return;
    if (k <= 0) {
        end(s);
        return;
    }
    if (!s->broken)
        s->broken = put_out(fd, piece, (size_t)k);
    if (s->broken && watched && !(answers && fd == 1))
        end(s); /* the command shall hear of it */
    else
        keep(s, piece, (size_t)k);
}

/* Where only files take what is kept, nobody waits for its last writer: the end of the command is enough. */
static int only_files(void)
{
    struct stat st;
    for (int i = 0; i < 2; i++)
        if (streams[i].from >= 0 && (fstat(i + 1, &st) || !S_ISREG(st.st_mode)))
            return 0;
    return 1;
}

void keep_all(int child)
{
    if (!kept)
        return;
    for (int i = 0; i < 2; i++)
        if (streams[i].write_end >= 0) {
            close(streams[i].write_end);
            streams[i].write_end = -1;
        }
    int until_its_end = watched || (!answers && only_files());
    int child_fd = until_its_end ? (int)syscall(SYS_pidfd_open, child, 0) : -1;
    while (streams[0].from >= 0 || streams[1].from >= 0) {
        int its_end = answers && streams[0].from >= 0 ? -1 : child_fd;
        struct pollfd p[3] = {{streams[0].from, POLLIN, 0}, {streams[1].from, POLLIN, 0}, {its_end, POLLIN, 0}};
        while (poll(p, 3, -1) < 0 && errno == EINTR)
            ;
        for (int i = 0; i < 2; i++)
            if (p[i].revents)
                take(streams + i, i + 1);
            else if (p[2].revents)
                pass_on(streams + i, i + 1);
    }
    if (child_fd >= 0)
        close(child_fd);
}

int keep_texts(struct iovec texts[2])
{
    int whole = !partly && !streams[0].broken && !streams[1].broken && !asked_terminal() &&
                streams[0].length <= HM_WATCH_MAX && streams[1].length <= HM_WATCH_MAX;
    int told = watched && !whole ? kept & (answers ? HM_KEPT_OUT : 0) : kept;
    for (int i = 0; i < 2; i++)
        texts[i] = (struct iovec){streams[i].text, told ? streams[i].length : 0};
    return told;
}
