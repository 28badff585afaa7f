/* manifest.c: the manifest of a null check, from its file (state/complete.py, null/manifest.py, model/packing.py). */
#include "looker.h"
#include "xxh3.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEAL 16

static uint32_t number(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

unsigned char *whole_file(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    unsigned char *data = NULL;
    if (fd < 0)
        return NULL;
    if (!fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > 0 && (data = malloc((size_t)st.st_size))) {
        size_t got = 0;
        ssize_t n = 1;
        while (got < (size_t)st.st_size && (n = read(fd, data + got, (size_t)st.st_size - got)) > 0)
            got += (size_t)n;
        *size = got;
    }
    close(fd);
    return data;
}

/* A list that begins at *at; 0, and *at behind it. */
static int unpack(const unsigned char *data, size_t size, size_t *at, struct list *list)
{
    if (size - *at < 4)
        return -1;
    uint32_t count = number(data + *at);
    const unsigned char *lengths = data + *at + 4;
    size_t next = *at + 4 + (size_t)4 * count;
    if (next > size || !(list->items = malloc(sizeof *list->items * (count + (size_t)1))))
        return -1;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t length = number(lengths + (size_t)4 * i);
        if (length > size - next)
            return -1;
        list->items[i] = (struct text){data + next, length};
        next += length;
    }
    list->count = count;
    *at = next;
    return 0;
}

int read_manifest(const char *path, struct list columns[COLUMNS])
{
    unsigned char seal[SEAL];
    size_t size = 0, at = SEAL + 1; /* a byte that is not ours lies between them */
    const unsigned char *data = whole_file(path, &size);
    if (!data || size < at)
        return -1;
    hm_xxh3(data + SEAL, size - SEAL, seal);
    if (memcmp(seal, data, SEAL))
        return -1;
    for (int i = 0; i < COLUMNS; i++)
        if (unpack(data, size, &at, &columns[i]))
            return -1;
    static const int like[COLUMNS] = {READS, READS, LOOKS, LOOKS, ABSENT, LISTED, LISTED, LISTED, GOALS, LAZY, LAZY, LAZY};
    for (int i = 0; i < COLUMNS; i++)
        if (columns[i].count != columns[like[i]].count)
            return -1;
    return 0;
}
