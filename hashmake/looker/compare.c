/* compare.c: one path beside what the manifest says of it. Versions: model/digest.py. */
#include "looker.h"
#include "xxh3.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#define HEAD 10 /* bytes of a file's version that stat tells: F, x or -, the size */
#define STATE_NAME ".hashmake"

/* A path with the NUL that the manifest has no room for. NULL: no path is that long. */
static const char *named(struct text path, char room[PATH_MAX])
{
    if (path.length >= PATH_MAX || memchr(path.at, 0, path.length))
        return NULL;
    memcpy(room, path.at, path.length);
    room[path.length] = 0;
    return room;
}

static int same(struct text version, const void *text, size_t length)
{
    return version.length == length && !memcmp(version.at, text, length);
}

/* The part of a version that stat tells; its length. */
static size_t head_of(const struct stat *st, unsigned char head[HEAD])
{
    if (!S_ISREG(st->st_mode)) {
        head[0] = S_ISDIR(st->st_mode) ? 'D' : 'O';
        return 1;
    }
    head[0] = 'F';
    head[1] = st->st_mode & 0111 ? 'x' : '-';
    for (int i = 0; i < 8; i++)
        head[2 + i] = (unsigned char)((uint64_t)st->st_size >> 8 * i);
    return HEAD;
}

/* The digest of a file that has as many bytes as stat says; -1 where it has not. */
static int digest_of(int fd, uint64_t size, unsigned char *buffer, unsigned char out[16])
{
    unsigned char *text = buffer + XXH3_TAIL;
    struct hm_xxh3 state;
    uint64_t left = size;
    hm_xxh3_begin(&state);
    for (;;) {
        size_t want = left < ROOM ? (size_t)left : ROOM, got = 0;
        while (got < want) {
            ssize_t n = read(fd, text + got, want - got);
            if (n <= 0)
                return -1;
            got += (size_t)n;
        }
        left -= got;
        if (!left) {
            size_t blocks = got ? (got - 1) / XXH3_BLOCK : 0;
            if (size == got)
                hm_xxh3(text, got, out);
            else {
                hm_xxh3_blocks(&state, text, blocks);
                hm_xxh3_end(&state, text + blocks * XXH3_BLOCK, got - blocks * XXH3_BLOCK, size, out);
            }
            return read(fd, text, 1) ? -1 : 0;
        }
        hm_xxh3_blocks(&state, text, ROOM / XXH3_BLOCK);
        memcpy(buffer, text + ROOM - XXH3_TAIL, XXH3_TAIL);
    }
}

/* Whether a file need not be read, as it has not changed since that was done; and what it held. */
static int known_to_be(struct text path, const char *name, struct text version, struct mark *mark)
{
    struct stat st;
    unsigned char head[HEAD];
    const struct mark *known = stat(name, &st) || !S_ISREG(st.st_mode) ? NULL : known_as(path, &st);
    if (!known || version.length != HEAD + 16)
        return 0;
    head_of(&st, head);
    if (memcmp(head, version.at, HEAD) || memcmp(known->digest, version.at + HEAD, 16))
        return 0;
    *mark = *known;
    return 1;
}

int reads_as(struct text path, struct text version, struct mark *mark, unsigned char *buffer)
{
    char room[PATH_MAX];
    const char *name = named(path, room);
    if (mark && name && known_to_be(path, name, version, mark))
        return 1;
    int64_t moment = mark ? real_time() : 0;
    /* No look before the open: it was a regular file, and what has taken its place can't block us. */
    int fd = name ? open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    struct stat st;
    unsigned char found[HEAD + 16];
    int good = 0;
    if (fd < 0)
        return 0;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode) && version.length == sizeof found) {
        head_of(&st, found);
        good = !memcmp(found, version.at, HEAD) && !digest_of(fd, (uint64_t)st.st_size, buffer, found + HEAD)
               && !memcmp(found, version.at, sizeof found);
        if (good && mark)
            mark_read(mark, path, &st, moment, found + HEAD);
    }
    close(fd);
    return good;
}

/* Facts about the host: disk/host.py. */
static int host_is(const char *name, struct text fact)
{
    char text[2048];
    struct utsname u;
    if (!strcmp(name, "uname")) {
        if (uname(&u))
            return 0;
        snprintf(text, sizeof text, "H%s %s %s %s %s", u.sysname, u.nodename, u.release, u.version, u.machine);
    } else if (!strcmp(name, "user")) {
        struct passwd entry, *found = NULL;
        char strings[8192];
        if (getpwuid_r(getuid(), &entry, strings, sizeof strings, &found) || !found)
            snprintf(text, sizeof text, "H%u", (unsigned)getuid());
        else
            snprintf(text, sizeof text, "H%u %s %s", (unsigned)entry.pw_uid, entry.pw_name, entry.pw_dir);
    } else
        strcpy(text, "H");
    return same(fact, text, strlen(text));
}

static int own_is(const char *name, struct text expected)
{
    struct stat st;
    unsigned char head[HEAD];
    char target[PATH_MAX];
    if (lstat(name, &st))
        return !expected.length;
    if (!expected.length || expected.at[0] != 'L')
        return same(expected, head, head_of(&st, head));
    ssize_t n = S_ISLNK(st.st_mode) ? readlink(name, target, sizeof target) : -1;
    return n >= 0 && expected.length == (size_t)n + 1 && !memcmp(expected.at + 1, target, (size_t)n);
}

int looks_like(struct text path, struct text version)
{
    char room[PATH_MAX];
    const char *name = named(path, room);
    struct text expected = {version.at + 1, version.length - 1};
    struct stat st;
    unsigned char head[HEAD];
    if (!name || !version.length)
        return 0;
    switch (version.at[0]) {
    case 'H':
        return host_is(name, expected);
    case 'E':
        return !stat(name, &st);
    case 'A': {
        size_t length = stat(name, &st) ? 0 : head_of(&st, head);
        return length && same(expected, head, length < 2 ? length : 2);
    }
    case 'T':
        return !stat(name, &st) && same(expected, head, head_of(&st, head));
    }
    return own_is(name, expected);
}

int is_absent(struct text path)
{
    /* They are sorted: where a directory is missing, nothing below it needs a look. */
    static __thread struct text missing;
    char room[PATH_MAX];
    const char *slash = memrchr(path.at, '/', path.length);
    struct text parent = {path.at, slash ? (uint32_t)((const unsigned char *)slash - path.at) : 0};
    if (parent.length && missing.length == parent.length && !memcmp(missing.at, parent.at, parent.length))
        return 1;
    const char *name = named(path, room);
    if (!name)
        return 1;
    if (!access(name, F_OK))
        return 0;
    if (parent.length && (errno == ENOENT || errno == ENOTDIR)) {
        room[parent.length] = 0;
        if (access(room, F_OK))
            missing = parent;
    }
    return 1;
}

struct names {
    char **items;
    size_t count, room;
};

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add(struct names *names, const char *name)
{
    if (names->count == names->room) {
        size_t room = names->room ? 2 * names->room : 64;
        char **items = realloc(names->items, room * sizeof *items);
        if (!items)
            return -1;
        names->items = items;
        names->room = room;
    }
    if (!(names->items[names->count] = strdup(name)))
        return -1;
    names->count++;
    return 0;
}

/* The next of the names that NULs separate; its length, or -1 after the last. */
static long next(struct text *names)
{
    if (!names->at)
        return -1;
    const unsigned char *end = memchr(names->at, 0, names->length);
    return end ? end - names->at : (long)names->length;
}

static void pass(struct text *names, long length)
{
    if ((uint32_t)length < names->length) {
        names->at += length + 1;
        names->length -= (uint32_t)length + 1;
    } else
        names->at = NULL;
}

static int compare(const char *name, struct text names, long length)
{
    size_t own = strlen(name), shorter = own < (size_t)length ? own : (size_t)length;
    int order = memcmp(name, names.at, shorter);
    return order ? order : own < (size_t)length ? -1 : own > (size_t)length;
}

/* Whether the sorted names, less the sorted products, are the expected ones. */
static int agree(const struct names *found, struct text expected, struct text products)
{
    if (!expected.length)
        expected.at = NULL;
    if (!products.length)
        products.at = NULL;
    for (size_t i = 0; i < found->count; i++) {
        long length;
        int order = -1;
        while ((length = next(&products)) >= 0 && (order = compare(found->items[i], products, length)) > 0)
            pass(&products, length);
        if (length >= 0 && !order)
            continue;
        length = next(&expected);
        if (length < 0 || compare(found->items[i], expected, length))
            return 0;
        pass(&expected, length);
    }
    return next(&expected) < 0;
}

int lists_as(struct text path, struct text names, struct text products)
{
    char room[PATH_MAX];
    const char *name = named(path, room);
    DIR *dir = name ? opendir(name) : NULL;
    struct names found = {NULL, 0, 0};
    struct dirent *entry;
    int good = 1;
    if (!dir)
        return 0;
    errno = 0;
    while (good && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && strcmp(entry->d_name, STATE_NAME))
            good = !add(&found, entry->d_name);
    good = good && !errno;
    closedir(dir);
    if (good) {
        qsort(found.items, found.count, sizeof *found.items, by_bytes);
        good = agree(&found, names, products);
    }
    for (size_t i = 0; i < found.count; i++)
        free(found.items[i]);
    free(found.items);
    return good;
}

/* Signatures: disk/signature.py. Six numbers: device, inode, size, mtime, ctime, when it was read (ns). */
static int unchanged(const char *name, struct text signature)
{
    struct stat st;
    int64_t known[6], here[5];
    if (signature.length != sizeof known || stat(name, &st))
        return 0;
    memcpy(known, signature.at, sizeof known);
    signature_of(&st, here);
    return !memcmp(here, known, sizeof here) && known[5] <= real_time();
}

int lazily_as(struct text path, struct text version, struct text signature, unsigned char *buffer)
{
    char room[PATH_MAX];
    const char *name = named(path, room);
    struct stat st;
    if (!name)
        return 0;
    if (signature.length && unchanged(name, signature))
        return 1;
    if (!lstat(name, &st) && S_ISLNK(st.st_mode))
        return 0; /* it was none */
    return reads_as(path, version, NULL, buffer);
}
