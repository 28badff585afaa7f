/* known.c: what earlier looks have read, and what stat said of it then (--trust-ctime: docs/design.md).
 *
 * The file MANIFEST.times: XXH3-128 of the rest, then marks sorted by the hash of their path. A file that changed
 * has another ctime, which nobody can set, but for clocks that are coarser than changes: a mark counts only if the
 * file had not changed for longer than its clock's step when it was read, and no clock was set back since. */
#include "looker.h"
#include "xxh3.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define TICK INT64_C(10000000) /* of the kernel, at most */

static struct mark *marks; /* found in the file */
static size_t count;
static int64_t now;

int64_t real_time(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_REALTIME, &t) ? 0 : t.tv_sec * SECOND + t.tv_nsec;
}

static uint64_t name_of(struct text path)
{
    unsigned char digest[16];
    uint64_t hash;
    hm_xxh3(path.at, path.length, digest);
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

static int by_name(const void *a, const void *b)
{
    uint64_t one = ((const struct mark *)a)->name, other = ((const struct mark *)b)->name;
    return one < other ? -1 : one > other;
}

void signature_of(const struct stat *st, int64_t signature[5])
{
    signature[0] = (int64_t)st->st_dev;
    signature[1] = (int64_t)st->st_ino;
    signature[2] = st->st_size;
    signature[3] = st->st_mtim.tv_sec * SECOND + st->st_mtim.tv_nsec;
    signature[4] = st->st_ctim.tv_sec * SECOND + st->st_ctim.tv_nsec;
}

void load_known(const char *path)
{
    unsigned char seal[16];
    size_t size = 0;
    unsigned char *data = whole_file(path, &size);
    now = real_time();
    if (!data || size < sizeof seal || (size - sizeof seal) % sizeof *marks)
        return;
    hm_xxh3(data + sizeof seal, size - sizeof seal, seal);
    if (memcmp(seal, data, sizeof seal))
        return;
    marks = (struct mark *)(data + sizeof seal);
    count = (size - sizeof seal) / sizeof *marks;
}

/* The mark of a file that stat shows to be as it was read then; NULL: there is none. */
const struct mark *known_as(struct text path, const struct stat *st)
{
    struct mark key = {.name = name_of(path)};
    const struct mark *found = count ? bsearch(&key, marks, count, sizeof *marks, by_name) : NULL;
    int64_t here[5];
    if (!found || found->read_at > now)
        return NULL;
    signature_of(st, here);
    return memcmp(here, found->signature, sizeof here) ? NULL : found;
}

/* A file was read, after that moment: its mark, if one can be relied on. */
void mark_read(struct mark *mark, struct text path, const struct stat *st, int64_t moment, const unsigned char digest[16])
{
    int64_t changed, step;
    signature_of(st, mark->signature);
    changed = mark->signature[4];
    step = changed % SECOND ? TICK : SECOND;
    if (changed + step >= moment)
        return;
    mark->read_at = moment;
    memcpy(mark->digest, digest, 16);
    mark->name = name_of(path);
}

int news_among(const struct mark *new, size_t length)
{
    size_t same = 0;
    for (size_t i = 0; i < length; i++)
        if (new[i].name) {
            const struct mark *old = count ? bsearch(&new[i], marks, count, sizeof *marks, by_name) : NULL;
            if (!old || memcmp(old, &new[i], sizeof *old))
                return 1;
            same++;
        }
    return same != count;
}

void save_known(const char *path, struct mark *new, size_t length)
{
    char aside[4096];
    unsigned char seal[16];
    size_t kept = 0, at = 0;
    for (size_t i = 0; i < length; i++)
        if (new[i].name)
            new[kept++] = new[i];
    qsort(new, kept, sizeof *new, by_name);
    hm_xxh3((const unsigned char *)new, kept * sizeof *new, seal);
    if (snprintf(aside, sizeof aside, "%s.new", path) >= (int)sizeof aside)
        return;
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return; /* a full disk, say: files are read again */
    int good = write(fd, seal, sizeof seal) == (ssize_t)sizeof seal;
    while (good && at < kept * sizeof *new) {
        ssize_t n = write(fd, (const char *)new + at, kept * sizeof *new - at);
        good = n > 0;
        at += good ? (size_t)n : 0;
    }
    if (close(fd) || !good || rename(aside, path))
        unlink(aside);
}
