/* looker.h: what hmlook's files share. */
#ifndef HM_LOOKER_H
#define HM_LOOKER_H
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

/* A byte string in the manifest; no NUL follows it there. */
struct text {
    const unsigned char *at;
    uint32_t length;
};
struct list {
    struct text *items;
    uint32_t count;
};

/* What a manifest holds, in its order (null/manifest.py). */
enum {
    READS,
    READ_VERSIONS,
    LOOKS,
    LOOK_VERSIONS,
    ABSENT,
    LISTED,
    LISTINGS,
    PRODUCTS,
    GOALS,
    LAZY,
    LAZY_VERSIONS,
    LAZY_SIGNATURES,
    COLUMNS
};

/* manifest.c: 0 where the file is there and sound. */
int read_manifest(const char *path, struct list columns[COLUMNS]);

/* compare.c: each answers whether a path is as the manifest has it. */
#define ROOM (1 << 18) /* bytes of a thread's buffer behind XXH3_TAIL others: it stays in the cache */
int reads_as(struct text path, struct text version, unsigned char *buffer);
int looks_like(struct text path, struct text version);
int is_absent(struct text path);
int lists_as(struct text path, struct text names, struct text products);
int lazily_as(struct text path, struct text version, struct text signature, unsigned char *buffer);

#endif
