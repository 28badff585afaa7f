/* xxh3.h: XXH3-128 without a seed, piece by piece: what versions are named by (model/digest.py).
 *
 * From the published description (xxHash's specification, doc/xxhash_spec.md); tests/looker compares it with the
 * package xxhash, which the rest of hashmake uses. */
#ifndef HM_XXH3_H
#define HM_XXH3_H
#include <stddef.h>
#include <stdint.h>

#define XXH3_BLOCK 1024 /* bytes after which the lanes are scrambled: pieces are as long as some of these */
#define XXH3_TAIL 64    /* bytes before a piece that hm_xxh3_end may look at */

struct hm_xxh3 {
    uint64_t lanes[8];
};

/* The 16 bytes of a text of any length that lies in memory. */
void hm_xxh3(const unsigned char *text, size_t length, unsigned char out[16]);

/* A text of more than XXH3_BLOCK bytes: all but its last 1 to XXH3_BLOCK bytes in whole blocks, then these. */
void hm_xxh3_begin(struct hm_xxh3 *state);
void hm_xxh3_blocks(struct hm_xxh3 *state, const unsigned char *text, size_t blocks);
/* rest: the last 1 to XXH3_BLOCK bytes, after XXH3_TAIL bytes of what came before; length: of all. */
void hm_xxh3_end(struct hm_xxh3 *state, const unsigned char *rest, size_t count, uint64_t length, unsigned char out[16]);

#endif
