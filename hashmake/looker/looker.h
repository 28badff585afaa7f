/* looker.h: what hmlook's files share. */
#ifndef HM_LOOKER_H
#define HM_LOOKER_H
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

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

/* What a file held when it was read, and what stat said of it. */
struct mark {
    uint64_t name; /* hash of its path; 0: there is no mark */
    int64_t signature[5];
    int64_t read_at;
    unsigned char digest[16];
};

/* known.c */
int64_t real_time(void); /* ns */
void signature_of(const struct stat *st, int64_t signature[5]);
void load_known(const char *path);
const struct mark *known_as(struct text path, const struct stat *st);
void mark_read(struct mark *mark, struct text path, const struct stat *st, int64_t moment, const unsigned char digest[16]);
int news_among(const struct mark *new, size_t length); /* whether they are others than those loaded */
void save_known(const char *path, struct mark *new, size_t length);

/* manifest.c: a file, in memory; NULL where there is none. */
unsigned char *whole_file(const char *path, size_t *size);
/* 0 where the file is there and sound. */
int read_manifest(const char *path, struct list columns[COLUMNS]);

/* compare.c: each answers whether a path is as the manifest has it. */
#define ROOM (1 << 18) /* bytes of a thread's buffer behind XXH3_TAIL others: it stays in the cache */
/* mark: filled with what is known of it then; NULL: no time counts, the file is read */
int reads_as(struct text path, struct text version, struct mark *mark, unsigned char *buffer);
int looks_like(struct text path, struct text version);
int is_absent(struct text path);
int lists_as(struct text path, struct text names, struct text products);
int lazily_as(struct text path, struct text version, struct text signature, unsigned char *buffer);

#endif
