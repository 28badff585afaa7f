/* trace.c: the trace file of a step, made before the step runs, and what only the launcher can tell there. */
#include "launcher.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../interpose/image.h"

static struct hm_trace *trace;
static int trace_fd = -1;

void make_trace(unsigned step, unsigned flags)
{
    char path[PATH_MAX], digits[16];
    trace = NULL;
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
    if (m == MAP_FAILED) {
        close(fd);
        return;
    }
    if (trace_fd >= 0)
        close(trace_fd);
    trace_fd = fd;
    trace = m;
    trace->version = HM_VERSION;
    trace->tail = sizeof *trace;
    trace->limit = HM_TRACE_FIRST;
    trace->flags = flags & HM_TIMES;
    trace->magic = HM_TRACE_MAGIC;
}

void record(char kind, const char *a, const char *b, const char *c)
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

void trim_trace(void)
{
    /* A file that can't be made smaller is larger to carry, and as good. */
    if (trace && ftruncate(trace_fd, (off_t)__atomic_load_n(&trace->tail, __ATOMIC_ACQUIRE)))
        return;
}

const char *trace_records(uint64_t *tail)
{
    if (!trace)
        return NULL;
    *tail = __atomic_load_n(&trace->tail, __ATOMIC_ACQUIRE);
    struct stat st;
    if (trace->flags & HM_LOST || *tail < HM_SUMMARY_LEAST || fstat(trace_fd, &st) || (uint64_t)st.st_size < *tail)
        return NULL;
    void *all = mmap(NULL, *tail, PROT_READ, MAP_SHARED, trace_fd, 0);
    return all == MAP_FAILED ? NULL : (const char *)all + sizeof *trace;
}

/* The launcher's own exec is not interposed: it records the program, and says when it can't be followed. */
void record_program(const char *path)
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
    static char head[HM_IMAGE_HEAD];
    ssize_t n = pread(fd, head, sizeof head, 0);
    enum hm_elf kind = hm_elf_kind(fd, head, n < 0 ? 0 : (size_t)n);
    struct stat st;
    int special = !fstat(fd, &st) && (st.st_mode & (S_ISUID | S_ISGID)) && geteuid() != 0;
    close(fd);
    trace->expected++;
    if (special)
        record(HM_UNSEEN, "setuid", ":", real);
    if (kind == HM_ELF_FOREIGN)
        record(HM_UNSEEN, "32bit", ":", real);
    else if (kind == HM_ELF_STATIC)
        record(HM_UNSEEN, "static", ":", real);
}

static int path_of_parent(char path[PATH_MAX])
{
    size_t n = strlen(run_dir), k = strlen(parent) + 1;
    if (n + 3 + k > PATH_MAX)
        return 0;
    memcpy(path, run_dir, n);
    memcpy(path + n, "/t/", 3);
    memcpy(path + n + 3, parent, k);
    return 1;
}

static void identity(int fd, uint64_t id[2])
{
    struct stat st;
    if (!fstat(fd, &st)) {
        id[0] = st.st_dev;
        id[1] = st.st_ino;
    }
}

/* Behind ours may be what a launcher has put there for the step above. */
void record_streams(int out, int err)
{
    if (!trace)
        return;
    identity(out, trace->shown);
    identity(err, trace->shown + 2);
    identity(1, trace->behind);
    identity(2, trace->behind + 2);
    char path[PATH_MAX];
    struct stat st;
    struct hm_trace above;
    if ((fstat(1, &st) || !S_ISFIFO(st.st_mode)) && (fstat(2, &st) || !S_ISFIFO(st.st_mode)))
        return;
    int fd = path_of_parent(path) ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
    if (fd < 0)
        return;
    if (pread(fd, &above, sizeof above, 0) == sizeof above && above.shown[1])
        for (int i = 0; i < 4; i += 2)
            for (int k = 0; k < 4; k += 2)
                if (!memcmp(trace->behind + i, above.shown + k, 16)) {
                    memcpy(trace->behind + i, above.behind + k, 16);
                    break;
                }
    close(fd);
}

int asked_terminal(void)
{
    return trace && __atomic_load_n(&trace->flags, __ATOMIC_ACQUIRE) & HM_TERMINAL;
}

/* make writes the echo itself and, when it ends, complains if that failed. It can't know of an echo that we wrote: the
 * interposer in it learns it from the trace of make's own step. */
void tell_unwritten(void)
{
    char path[PATH_MAX];
    if (!path_of_parent(path))
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct hm_trace *above = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *above, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (above == MAP_FAILED)
        return;
    __atomic_fetch_or(&above->flags, HM_UNWRITTEN, __ATOMIC_RELEASE);
    munmap(above, sizeof *above);
}
