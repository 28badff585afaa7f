/* xxh3.c: see xxh3.h. */
#include "xxh3.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define P32_1 0x9E3779B1u
#define P32_2 0x85EBCA77u
#define P32_3 0xC2B2AE3Du
#define P64_1 0x9E3779B185EBCA87ull
#define P64_2 0xC2B2AE3D27D4EB4Full
#define P64_3 0x165667B19E3779F9ull
#define P64_4 0x85EBCA77C2B2AE63ull
#define P64_5 0x27D4EB2F165667C5ull
#define MIX_1 0x165667919E3779F9ull
#define MIX_2 0x9FB21C651E98DF25ull

#define STRIPE 64
#define STRIPES (XXH3_BLOCK / STRIPE)

typedef unsigned __int128 u128;
struct pair {
    uint64_t low, high;
};

static const unsigned char secret[192] __attribute__((aligned(64))) = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};

static uint64_t load64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v;
}

static uint32_t load32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap32(v);
#endif
    return v;
}

static struct pair product(uint64_t a, uint64_t b)
{
    u128 p = (u128)a * b;
    return (struct pair){(uint64_t)p, (uint64_t)(p >> 64)};
}

static uint64_t folded(uint64_t a, uint64_t b)
{
    struct pair p = product(a, b);
    return p.low ^ p.high;
}

static uint64_t avalanche(uint64_t h)
{
    h ^= h >> 37;
    h *= MIX_1;
    return h ^ h >> 32;
}

static uint64_t avalanche64(uint64_t h) /* XXH64's */
{
    h ^= h >> 33;
    h *= P64_2;
    h ^= h >> 29;
    h *= P64_3;
    return h ^ h >> 32;
}

static void put(struct pair h, unsigned char out[16]) /* the canonical form: big-endian, the high half first */
{
    for (int i = 0; i < 8; i++) {
        out[i] = (unsigned char)(h.high >> (56 - 8 * i));
        out[8 + i] = (unsigned char)(h.low >> (56 - 8 * i));
    }
}

/* ---- up to 16 bytes ---- */

static struct pair of_1_to_3(const unsigned char *p, size_t n)
{
    uint32_t low = (uint32_t)p[0] << 16 | (uint32_t)p[n >> 1] << 24 | p[n - 1] | (uint32_t)n << 8;
    uint32_t high = __builtin_bswap32(low);
    high = high << 13 | high >> 19;
    uint64_t flip_low = load32(secret) ^ load32(secret + 4), flip_high = load32(secret + 8) ^ load32(secret + 12);
    return (struct pair){avalanche64(low ^ flip_low), avalanche64(high ^ flip_high)};
}

static struct pair of_4_to_8(const unsigned char *p, size_t n)
{
    uint64_t text = load32(p) + ((uint64_t)load32(p + n - 4) << 32);
    struct pair h = product(text ^ load64(secret + 16) ^ load64(secret + 24), P64_1 + (n << 2));
    h.high += h.low << 1;
    h.low ^= h.high >> 3;
    h.low ^= h.low >> 35;
    h.low *= MIX_2;
    h.low ^= h.low >> 28;
    h.high = avalanche(h.high);
    return h;
}

static struct pair of_9_to_16(const unsigned char *p, size_t n)
{
    uint64_t flip_low = load64(secret + 32) ^ load64(secret + 40), flip_high = load64(secret + 48) ^ load64(secret + 56);
    uint64_t low = load64(p), high = load64(p + n - 8);
    struct pair m = product(low ^ high ^ flip_low, P64_1);
    m.low += (uint64_t)(n - 1) << 54;
    high ^= flip_high;
    m.high += high + (uint64_t)(uint32_t)high * (P32_2 - 1);
    m.low ^= __builtin_bswap64(m.high);
    struct pair h = product(m.low, P64_2);
    h.high += m.high * P64_2;
    return (struct pair){avalanche(h.low), avalanche(h.high)};
}

/* ---- up to 240 bytes ---- */

static uint64_t mixed(const unsigned char *p, const unsigned char *s)
{
    return folded(load64(p) ^ load64(s), load64(p + 8) ^ load64(s + 8));
}

static void mix(struct pair *h, const unsigned char *one, const unsigned char *other, const unsigned char *s)
{
    h->low += mixed(one, s);
    h->low ^= load64(other) + load64(other + 8);
    h->high += mixed(other, s + 16);
    h->high ^= load64(one) + load64(one + 8);
}

static struct pair closed(struct pair h, size_t n)
{
    uint64_t high = h.low * P64_1 + h.high * P64_4 + n * P64_2;
    return (struct pair){avalanche(h.low + h.high), 0 - avalanche(high)};
}

static struct pair of_17_to_128(const unsigned char *p, size_t n)
{
    struct pair h = {n * P64_1, 0};
    for (size_t i = (n - 1) / 32 + 1; i-- > 0;)
        mix(&h, p + 16 * i, p + n - 16 * (i + 1), secret + 32 * i);
    return closed(h, n);
}

static struct pair of_129_to_240(const unsigned char *p, size_t n)
{
    struct pair h = {n * P64_1, 0};
    for (size_t i = 0; i < 128; i += 32)
        mix(&h, p + i, p + i + 16, secret + i);
    h = (struct pair){avalanche(h.low), avalanche(h.high)};
    for (size_t i = 160; i <= n; i += 32)
        mix(&h, p + i - 32, p + i - 16, secret + 3 + i - 160);
    mix(&h, p + n - 16, p + n - 32, secret + 136 - 17 - 16);
    return closed(h, n);
}

/* ---- more ---- */

static void stripe(uint64_t lanes[8], const unsigned char *p, const unsigned char *s)
{
    for (int i = 0; i < 8; i++) {
        uint64_t data = load64(p + 8 * i), key = data ^ load64(s + 8 * i);
        lanes[i ^ 1] += data;
        lanes[i] += (key & 0xFFFFFFFFu) * (key >> 32);
    }
}

static void scramble(uint64_t lanes[8])
{
    const unsigned char *s = secret + sizeof secret - STRIPE;
    for (int i = 0; i < 8; i++)
        lanes[i] = (lanes[i] ^ lanes[i] >> 47 ^ load64(s + 8 * i)) * P32_1;
}

static void blocks_plain(uint64_t lanes[8], const unsigned char *p, size_t blocks)
{
    for (; blocks; blocks--) {
        for (int n = 0; n < STRIPES; n++, p += STRIPE)
            stripe(lanes, p, secret + 8 * n);
        scramble(lanes);
    }
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void blocks_avx2(uint64_t lanes[8], const unsigned char *p, size_t blocks)
{
    __m256i a = _mm256_loadu_si256((const __m256i *)lanes), b = _mm256_loadu_si256((const __m256i *)(lanes + 4));
    const __m256i prime = _mm256_set1_epi32((int)P32_1);
    for (; blocks; blocks--) {
        for (int n = 0; n < STRIPES; n++, p += STRIPE) {
            const unsigned char *s = secret + 8 * n;
            for (int half = 0; half < 2; half++) {
                __m256i data = _mm256_loadu_si256((const __m256i *)(p + 32 * half));
                __m256i key = _mm256_xor_si256(data, _mm256_loadu_si256((const __m256i *)(s + 32 * half)));
                __m256i by = _mm256_mul_epu32(key, _mm256_srli_epi64(key, 32));
                __m256i sum = _mm256_add_epi64(by, _mm256_shuffle_epi32(data, _MM_SHUFFLE(1, 0, 3, 2)));
                if (half)
                    b = _mm256_add_epi64(b, sum);
                else
                    a = _mm256_add_epi64(a, sum);
            }
        }
        for (int half = 0; half < 2; half++) {
            __m256i x = half ? b : a;
            x = _mm256_xor_si256(x, _mm256_srli_epi64(x, 47));
            x = _mm256_xor_si256(x, _mm256_loadu_si256((const __m256i *)(secret + sizeof secret - STRIPE + 32 * half)));
            __m256i high = _mm256_mul_epu32(_mm256_srli_epi64(x, 32), prime);
            x = _mm256_add_epi64(_mm256_mul_epu32(x, prime), _mm256_slli_epi64(high, 32));
            if (half)
                b = x;
            else
                a = x;
        }
    }
    _mm256_storeu_si256((__m256i *)lanes, a);
    _mm256_storeu_si256((__m256i *)(lanes + 4), b);
}
#endif

void hm_xxh3_begin(struct hm_xxh3 *state)
{
    static const uint64_t first[8] = {P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1};
    memcpy(state->lanes, first, sizeof first);
}

void hm_xxh3_blocks(struct hm_xxh3 *state, const unsigned char *text, size_t blocks)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        blocks_avx2(state->lanes, text, blocks);
        return;
    }
#endif
    blocks_plain(state->lanes, text, blocks);
}

static uint64_t merged(const uint64_t lanes[8], const unsigned char *s, uint64_t h)
{
    for (int i = 0; i < 4; i++)
        h += folded(lanes[2 * i] ^ load64(s + 16 * i), lanes[2 * i + 1] ^ load64(s + 16 * i + 8));
    return avalanche(h);
}

void hm_xxh3_end(struct hm_xxh3 *state, const unsigned char *rest, size_t count, uint64_t length, unsigned char out[16])
{
    for (size_t n = 0; n < (count - 1) / STRIPE; n++)
        stripe(state->lanes, rest + STRIPE * n, secret + 8 * n);
    stripe(state->lanes, rest + count - STRIPE, secret + sizeof secret - STRIPE - 7);
    uint64_t low = merged(state->lanes, secret + 11, length * P64_1);
    uint64_t high = merged(state->lanes, secret + sizeof secret - STRIPE - 11, ~(length * P64_2));
    put((struct pair){low, high}, out);
}

void hm_xxh3(const unsigned char *text, size_t length, unsigned char out[16])
{
    if (length > 240) {
        struct hm_xxh3 state;
        size_t blocks = (length - 1) / XXH3_BLOCK;
        hm_xxh3_begin(&state);
        hm_xxh3_blocks(&state, text, blocks);
        hm_xxh3_end(&state, text + blocks * XXH3_BLOCK, length - blocks * XXH3_BLOCK, length, out);
    } else if (length > 128)
        put(of_129_to_240(text, length), out);
    else if (length > 16)
        put(of_17_to_128(text, length), out);
    else if (length > 8)
        put(of_9_to_16(text, length), out);
    else if (length > 3)
        put(of_4_to_8(text, length), out);
    else if (length)
        put(of_1_to_3(text, length), out);
    else
        put((struct pair){avalanche64(load64(secret + 64) ^ load64(secret + 72)),
                          avalanche64(load64(secret + 80) ^ load64(secret + 88))},
            out);
}
