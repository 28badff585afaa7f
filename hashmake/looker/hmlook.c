/* hmlook: whether everything is as the last complete build left it.
 *
 *   hmlook [-t] MANIFEST
 *
 * MANIFEST is a file of state/complete.py. On standard output: a byte, as soon as it is known: '=' or '!' (something
 * differs). Then, when all has been looked at, as 32-bit numbers of this machine: how many paths were compared, how many
 * of them differ, and of each of these the column of the manifest and its place in it. The exit status is 0 if it could be told, 1 if the manifest can't be believed, 2 for want of memory or an output. With -t a file
 * whose ctime says that it has not changed since it was read is not read again (known.c); else nothing is written. As many threads as there are processors take the work in turn: small files first, as these are what people
 * edit, then the largest: compilers and their libraries are most of the bytes. */
#include "looker.h"
#include "xxh3.h"

#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_THREADS 16
#define LARGE (1u << 20) /* bytes: such a file is a piece of work of its own */

/* A run of places in one column. */
enum turn { SMALL_FILES, LARGE_FILES, LOOKED_AT };
struct work {
    enum turn turn;
    int column;
    uint32_t from, to;
    uint64_t size;
};

static struct list columns[COLUMNS];
static struct mark *marks; /* of READS; NULL: all are read */
static unsigned char *differs[COLUMNS];
static struct work *works;
static size_t work_count;
static atomic_size_t taken;
static atomic_int failed, told;

/* The first word of what is found, if nobody has said it. */
static void tell_first(char word)
{
    if (!atomic_exchange(&told, 1) && write(1, &word, 1) != 1)
        atomic_store(&failed, 1);
}

static uint64_t size_of(struct text version)
{
    uint64_t size = 0;
    for (int i = 0; i < 8 && version.length >= 10; i++)
        size |= (uint64_t)version.at[2 + i] << 8 * i;
    return size;
}

static int agrees(int column, uint32_t i, unsigned char *buffer)
{
    struct text path = columns[column].items[i];
    switch (column) {
    case READS:
        return reads_as(path, columns[READ_VERSIONS].items[i], marks ? &marks[i] : NULL, buffer);
    case LOOKS:
        return looks_like(path, columns[LOOK_VERSIONS].items[i]);
    case ABSENT:
        return is_absent(path);
    case LISTED:
        return lists_as(path, columns[LISTINGS].items[i], columns[PRODUCTS].items[i]);
    }
    return lazily_as(path, columns[LAZY_VERSIONS].items[i], columns[LAZY_SIGNATURES].items[i], buffer);
}

static void *work(void *unused)
{
    size_t n;
    unsigned char *buffer = malloc(XXH3_TAIL + ROOM);
    (void)unused;
    if (!buffer)
        atomic_store(&failed, 1);
    while (buffer && (n = atomic_fetch_add(&taken, 1)) < work_count)
        for (uint32_t i = works[n].from; i < works[n].to; i++)
            if (!agrees(works[n].column, i, buffer)) {
                differs[works[n].column][i] = 1;
                tell_first('!');
            }
    free(buffer);
    return NULL;
}

static int in_turn(const void *a, const void *b)
{
    const struct work *one = a, *other = b;
    if (one->turn != other->turn)
        return one->turn < other->turn ? -1 : 1;
    return one->size < other->size ? 1 : one->size > other->size ? -1 : 0;
}

static int divide(void)
{
    static const struct {
        int column;
        uint32_t step;
    } parts[] = {{READS, 32}, {LAZY, 32}, {LISTED, 16}, {ABSENT, 256}, {LOOKS, 128}};
    size_t room = columns[READS].count + (size_t)8;
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
        room += columns[parts[p].column].count / parts[p].step + 1;
    if (!(works = malloc(2 * room * sizeof *works)))
        return -1;
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) {
        int column = parts[p].column;
        uint32_t count = columns[column].count, from = 0;
        enum turn turn = column == READS || column == LAZY ? SMALL_FILES : LOOKED_AT;
        if (!(differs[column] = calloc(count + (size_t)1, 1)))
            return -1;
        for (uint32_t i = 0; i < count; i++) {
            uint64_t size = column == READS ? size_of(columns[READ_VERSIONS].items[i]) : 0;
            if (size >= LARGE) {
                if (from < i)
                    works[work_count++] = (struct work){turn, column, from, i, 0};
                works[work_count++] = (struct work){LARGE_FILES, column, i, i + 1, size};
                from = i + 1;
            } else if (i + 1 - from == parts[p].step || i + 1 == count) {
                works[work_count++] = (struct work){turn, column, from, i + 1, 0};
                from = i + 1;
            }
        }
    }
    qsort(works, work_count, sizeof *works, in_turn);
    return 0;
}

static int processors(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) ? (int)sysconf(_SC_NPROCESSORS_ONLN) : CPU_COUNT(&set);
    return n < 1 ? 1 : n > MOST_THREADS ? MOST_THREADS : n;
}

static int tell(void)
{
    static const int held[] = {READS, LOOKS, ABSENT, LISTED, LAZY};
    uint32_t compared = 0, count = 0, *out, *p;
    for (size_t t = 0; t < sizeof held / sizeof *held; t++)
        compared += columns[held[t]].count;
    if (!(out = malloc((2 + (size_t)2 * compared) * sizeof *out)))
        return -1;
    p = out + 2;
    for (size_t t = 0; t < sizeof held / sizeof *held; t++)
        for (uint32_t i = 0; i < columns[held[t]].count; i++)
            if (differs[held[t]][i]) {
                *p++ = (uint32_t)held[t];
                *p++ = i;
                count++;
            }
    tell_first('=');
    out[0] = compared;
    out[1] = count;
    const char *at = (const char *)out;
    size_t left = (size_t)((char *)p - (char *)out);
    while (left) {
        ssize_t n = write(1, at, left);
        if (n <= 0)
            return -1;
        at += n;
        left -= (size_t)n;
    }
    return 0;
}

/* Whether times count; the file in which what they say is kept. */
static const char *trusting(int argc, char **argv, char room[PATH_MAX])
{
    if (argc != 3 || strcmp(argv[1], "-t") || snprintf(room, PATH_MAX, "%s.times", argv[2]) >= PATH_MAX)
        return NULL;
    marks = calloc(columns[READS].count + (size_t)1, sizeof *marks);
    return marks ? room : NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[MOST_THREADS];
    char room[PATH_MAX];
    const char *times;
    int begun = 0;
    if (argc < 2 || read_manifest(argv[argc - 1], columns))
        return 1;
    if (divide())
        return 2;
    times = trusting(argc, argv, room);
    if (times)
        load_known(times);
    for (int i = 1; i < processors() && !pthread_create(&threads[begun], NULL, work, NULL); i++)
        begun++;
    work(NULL);
    while (begun)
        pthread_join(threads[--begun], NULL);
    if (times && news_among(marks, columns[READS].count))
        save_known(times, marks, columns[READS].count);
    return atomic_load(&failed) || tell() ? 2 : 0;
}
