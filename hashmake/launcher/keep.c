/* keep.c: what a command prints, where that is kept; it is passed on as it comes. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

struct stream {
    int from, write_end; /* a pipe; -1 where there is none, or no more */
    int broken;          /* nothing more can be passed on */
    char *text;
    size_t length, room;
};
static struct stream streams[2] = {{-1, -1, 0, NULL, 0, 0}, {-1, -1, 0, NULL, 0, 0}}; /* of descriptors 1 and 2 */
static int kept;

static int one_file(void)
{
    struct stat out, err;
    return !fstat(1, &out) && !fstat(2, &err) && out.st_dev == err.st_dev && out.st_ino == err.st_ino;
}

void keep_begin(int kind, unsigned flags)
{
    kept = kind == HM_SHELL || flags & HM_KEEP ? HM_KEPT_OUT : 0;
    kept |= flags & HM_KEEP_ERR ? HM_KEPT_ERR : 0;
    if (kept && kind != HM_SHELL && one_file())
        kept = HM_KEPT_ONE;
    for (int i = 0; i < 2; i++) {
        streams[i].length = 0;
        if (!(kept & (i ? HM_KEPT_ERR : HM_KEPT_OUT | HM_KEPT_ONE)))
            continue;
        int ends[2];
        if (pipe2(ends, O_CLOEXEC))
            supervisor_gone();
        streams[i].from = ends[0];
        streams[i].write_end = ends[1];
    }
}

void keep_child(void)
{
    for (int i = 0; i < 2; i++)
        if (streams[i].write_end >= 0)
            dup2(streams[i].write_end, i + 1);
    if (kept & HM_KEPT_ONE)
        dup2(1, 2);
}

static void end(struct stream *s)
{
    close(s->from);
    s->from = -1;
}

/* A process that the command left behind may hold the pipe for ever: what it still prints is passed on behind our back. */
static void pass_on(struct stream *s, int fd)
{
    if (s->from < 0)
        return;
    if (fork() == 0) {
        char buffer[4096];
        for (ssize_t k; (k = read(s->from, buffer, sizeof buffer)) > 0 || (k < 0 && errno == EINTR);)
            if (k > 0)
                put_out(fd, buffer, (size_t)k);
        _exit(0);
    }
    end(s);
}

static void take(struct stream *s, int fd)
{
    if (s->length + 65536 > s->room && s->length <= HM_CAPTURE_MAX) {
        s->room = s->room ? s->room * 2 : 131072;
        char *more = realloc(s->text, s->room);
        if (!more)
            supervisor_gone();
        s->text = more;
    }
    size_t at = s->length <= HM_CAPTURE_MAX ? s->length : 0; /* too much: known as that by its length */
    ssize_t k = read(s->from, s->text + at, 65536);
    if (k < 0 && errno == EINTR)
        return;
    if (k <= 0) {
        end(s);
        return;
    }
    if (!s->broken)
        s->broken = put_out(fd, s->text + at, (size_t)k);
    s->length = at ? at + (size_t)k : s->length <= HM_CAPTURE_MAX ? (size_t)k : s->length;
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

void keep_all(int kind, int child)
{
    if (!kept)
        return;
    for (int i = 0; i < 2; i++)
        if (streams[i].write_end >= 0) {
            close(streams[i].write_end);
            streams[i].write_end = -1;
        }
    int child_fd = kind != HM_SHELL && only_files() ? (int)syscall(SYS_pidfd_open, child, 0) : -1;
    while (streams[0].from >= 0 || streams[1].from >= 0) {
        struct pollfd p[3] = {{streams[0].from, POLLIN, 0}, {streams[1].from, POLLIN, 0}, {child_fd, POLLIN, 0}};
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
    for (int i = 0; i < 2; i++)
        texts[i] = (struct iovec){streams[i].text, streams[i].length};
    return kept;
}
