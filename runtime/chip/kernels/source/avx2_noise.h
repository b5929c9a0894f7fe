/* Random numbers for AVX2 and above: table look-ups by shuffles. plain.h says what each function makes. */
#include <immintrin.h>

#include "philox.h"

enum { FINE_STEP = 64 /* fine numbers that are made at once */ };

/* Words of ``count`` times four blocks from ``block``: of each four [first and second words | third and fourth], of the
 * blocks 0, 2, 1 and 3. A round waits for the one before it, so each is made for all blocks before the next begins. */
#define WORDS_OF(COUNT) \
    static inline void words_of_##COUNT(uint32_t block, const uint32_t place[3], uint64_t key, __m256i *low, __m256i *high) { \
        const __m256i m0 = _mm256_set1_epi64x(MULTIPLIER_0), m1 = _mm256_set1_epi64x(MULTIPLIER_1); \
        const __m256i order = _mm256_setr_epi64x(0, 2, 1, 3); \
        __m256i x0[COUNT / 4], x1[COUNT / 4], x2[COUNT / 4], x3[COUNT / 4]; \
        uint32_t key_0 = (uint32_t)key, key_1 = (uint32_t)(key >> 32); \
        for (int i = 0; i < COUNT / 4; i++) { \
            x0[i] = _mm256_add_epi32(_mm256_set1_epi64x(block + 4 * i), order); \
            x1[i] = _mm256_set1_epi64x(place[0]); \
            x2[i] = _mm256_set1_epi64x(place[1]); \
            x3[i] = _mm256_set1_epi64x(place[2]); \
        } \
        _Pragma("GCC unroll 7") for (int round = 0; round < ROUNDS; round++) { /* upper halves hold what no product reads */ \
            const __m256i k0 = _mm256_set1_epi64x(key_0), k1 = _mm256_set1_epi64x(key_1); \
            _Pragma("GCC unroll 4") for (int i = 0; i < COUNT / 4; i++) { \
                const __m256i p0 = _mm256_mul_epu32(x0[i], m0), p1 = _mm256_mul_epu32(x2[i], m1); \
                x0[i] = _mm256_xor_si256(_mm256_srli_epi64(p1, 32), _mm256_xor_si256(x1[i], k0)); \
                x2[i] = _mm256_xor_si256(_mm256_srli_epi64(p0, 32), _mm256_xor_si256(x3[i], k1)); \
                x1[i] = p1; \
                x3[i] = p0; \
            } \
            key_0 += WEYL_0; \
            key_1 += WEYL_1; \
        } \
        for (int i = 0; i < COUNT / 4; i++) { \
            low[i] = _mm256_blend_epi32(x0[i], _mm256_slli_epi64(x1[i], 32), 0xAA); \
            high[i] = _mm256_blend_epi32(x2[i], _mm256_slli_epi64(x3[i], 32), 0xAA); \
        } \
    }

WORDS_OF(4) WORDS_OF(16)

/* Coarse numbers of 16 halves of words, before their unit. */
static inline __m256i coarse_of(__m256i bits) {
    const __m256i low = _mm256_broadcastsi128_si256(_mm_setr_epi8(LOW_NIBBLE));
    const __m256i high = _mm256_broadcastsi128_si256(_mm_setr_epi8(HIGH_NIBBLE));
    const __m256i nibble = _mm256_set1_epi8(15), factors = _mm256_set1_epi16(FIRST_BYTE | SECOND_BYTE << 8);
    __m256i first = _mm256_shuffle_epi8(low, _mm256_and_si256(bits, nibble));
    __m256i second = _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(bits, 4), nibble));
    return _mm256_maddubs_epi16(factors, _mm256_add_epi8(first, second));
}

static inline void coarse_32(uint32_t block, const uint32_t place[3], uint64_t key, float *out) {
    __m256i low, high;
    words_of_4(block, place, key, &low, &high);
    low = coarse_of(low);
    high = coarse_of(high);
    __m256i first = _mm256_unpacklo_epi64(low, high), last = _mm256_unpackhi_epi64(low, high); /* two blocks each */
    __m128i blocks[4] = {_mm256_castsi256_si128(first), _mm256_extracti128_si256(first, 1),
                         _mm256_castsi256_si128(last), _mm256_extracti128_si256(last, 1)};
    for (int i = 0; i < 4; i++) {
        __m256 number = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(blocks[i]));
        _mm256_storeu_ps(out + 8 * i, _mm256_mul_ps(number, _mm256_set1_ps(COARSE_UNIT)));
    }
}

static inline void fine_line(uint64_t key, const uint32_t place[3], uint32_t block, int count, float *out) {
    const __m256i factors = _mm256_set1_epi32(FIRST_HALF | SECOND_HALF << 16);
    const __m256 unit = _mm256_set1_ps(FINE_UNIT);
    for (int done = 0; done < count; done += FINE_STEP, block += FINE_STEP / 4, out += FINE_STEP) {
        __m256i lows[4], highs[4];
        words_of_16(block, place, key, lows, highs);
        _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) {
            const __m256i low = _mm256_madd_epi16(coarse_of(lows[i]), factors);
            const __m256i high = _mm256_madd_epi16(coarse_of(highs[i]), factors);
            const __m256 first = _mm256_cvtepi32_ps(_mm256_unpacklo_epi64(low, high));
            const __m256 last = _mm256_cvtepi32_ps(_mm256_unpackhi_epi64(low, high));
            _mm256_storeu_ps(out + 16 * i, _mm256_mul_ps(first, unit));
            _mm256_storeu_ps(out + 16 * i + 8, _mm256_mul_ps(last, unit));
        }
    }
}
