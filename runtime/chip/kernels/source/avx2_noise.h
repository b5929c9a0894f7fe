/* Random numbers for AVX2 and above: table look-ups by shuffles. plain.h says what each function makes. */
#include <immintrin.h>

#include "philox.h"

/* Words of the four blocks from ``block``: [first and second words | third and fourth], in the blocks' order. */
static inline void words_of_4(uint32_t block, const uint32_t place[3], uint64_t key, __m256i *low, __m256i *high) {
    __m256i x0 = _mm256_setr_epi64x(block, block + 1, block + 2, block + 3), x1 = _mm256_set1_epi64x(place[0]);
    __m256i x2 = _mm256_set1_epi64x(place[1]), x3 = _mm256_set1_epi64x(place[2]);
    const __m256i m0 = _mm256_set1_epi64x(MULTIPLIER_0), m1 = _mm256_set1_epi64x(MULTIPLIER_1);
    uint32_t key_0 = (uint32_t)key, key_1 = (uint32_t)(key >> 32);
    for (int round = 0; round < ROUNDS; round++) { /* upper halves of lanes hold what no product reads */
        __m256i p0 = _mm256_mul_epu32(x0, m0), p1 = _mm256_mul_epu32(x2, m1);
        x0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), x1), _mm256_set1_epi64x(key_0));
        x2 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), x3), _mm256_set1_epi64x(key_1));
        x1 = p1;
        x3 = p0;
        key_0 += WEYL_0;
        key_1 += WEYL_1;
    }
    *low = _mm256_blend_epi32(x0, _mm256_slli_epi64(x1, 32), 0xAA);
    *high = _mm256_blend_epi32(x2, _mm256_slli_epi64(x3, 32), 0xAA);
}

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
    __m256i even = _mm256_unpacklo_epi64(low, high), odd = _mm256_unpackhi_epi64(low, high); /* blocks 0, 2 and 1, 3 */
    __m128i blocks[4] = {_mm256_castsi256_si128(even), _mm256_castsi256_si128(odd),
                         _mm256_extracti128_si256(even, 1), _mm256_extracti128_si256(odd, 1)};
    for (int i = 0; i < 4; i++) {
        __m256 number = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(blocks[i]));
        _mm256_storeu_ps(out + 8 * i, _mm256_mul_ps(number, _mm256_set1_ps(COARSE_UNIT)));
    }
}

static inline void fine_32(uint32_t block, const uint32_t place[3], uint64_t key, float *out) {
    const __m256i factors = _mm256_set1_epi32(FIRST_HALF | SECOND_HALF << 16);
    for (int i = 0; i < 2; i++) {
        __m256i low, high;
        words_of_4(block + 4 * i, place, key, &low, &high);
        low = _mm256_madd_epi16(coarse_of(low), factors);
        high = _mm256_madd_epi16(coarse_of(high), factors);
        __m256i even = _mm256_unpacklo_epi64(low, high), odd = _mm256_unpackhi_epi64(low, high);
        __m256 first = _mm256_cvtepi32_ps(_mm256_permute2x128_si256(even, odd, 0x20));
        __m256 second = _mm256_cvtepi32_ps(_mm256_permute2x128_si256(even, odd, 0x31));
        _mm256_storeu_ps(out + 16 * i, _mm256_mul_ps(first, _mm256_set1_ps(FINE_UNIT)));
        _mm256_storeu_ps(out + 16 * i + 8, _mm256_mul_ps(second, _mm256_set1_ps(FINE_UNIT)));
    }
}
