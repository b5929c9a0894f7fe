/* Inner loops for AVX2: 16-bit multiply-adds for sums. plain.h says what each function makes. */
#include "avx2_noise.h"

enum { LINES = 4 /* rows of the input whose sums are made at once */ };

/* One panel of 16 columns: eight columns a register, a pair of rows in each of its lanes. */
#define PANEL_SUMS(LINES) \
    static inline void panel_sums_##LINES(const int16_t *levels, int stride, int rows, const int16_t *panel, int32_t *out, int apart) { \
        __m256i sums[4][2] = {{{0}}}; \
        for (int row = 0; row < rows; row += 2, panel += 2 * PANEL) { \
            __m256i left = _mm256_load_si256((const __m256i *)panel), right = _mm256_load_si256((const __m256i *)(panel + PANEL)); \
            _Pragma("GCC unroll 4") for (int line = 0; line < LINES; line++) { \
                int32_t pair; \
                memcpy(&pair, levels + line * stride + row, sizeof pair); \
                __m256i both = _mm256_set1_epi32(pair); \
                sums[line][0] = _mm256_add_epi32(sums[line][0], _mm256_madd_epi16(both, left)); \
                sums[line][1] = _mm256_add_epi32(sums[line][1], _mm256_madd_epi16(both, right)); \
            } \
        } \
        for (int line = 0; line < LINES; line++) \
            for (int half = 0; half < 2; half++) \
                _mm256_storeu_si256((__m256i *)(out + line * apart + 8 * half), sums[line][half]); \
    }

/* Four rows in each lane. A square is at most 127 and a magnitude 64, so two sums of two products fit 16 bits. */
#define PANEL_POWER(LINES) \
    static inline void panel_power_##LINES(const uint8_t *squares, int stride, int rows, const int8_t *panel, int32_t *out, int apart) { \
        __m256i sums[4][2] = {{{0}}}; \
        const __m256i ones = _mm256_set1_epi16(1); \
        for (int row = 0; row < rows; row += 8, panel += 8 * PANEL) { \
            _Pragma("GCC unroll 4") for (int line = 0; line < LINES; line++) { \
                int32_t four, next; \
                memcpy(&four, squares + line * stride + row, sizeof four); \
                memcpy(&next, squares + line * stride + row + 4, sizeof next); \
                __m256i first = _mm256_set1_epi32(four), second = _mm256_set1_epi32(next); \
                _Pragma("GCC unroll 2") for (int half = 0; half < 2; half++) { \
                    const __m256i *here = (const __m256i *)(panel + 32 * half); \
                    __m256i both = _mm256_add_epi16(_mm256_maddubs_epi16(first, _mm256_load_si256(here)), \
                                                    _mm256_maddubs_epi16(second, _mm256_load_si256(here + 2))); \
                    sums[line][half] = _mm256_add_epi32(sums[line][half], _mm256_madd_epi16(both, ones)); \
                } \
            } \
        } \
        for (int line = 0; line < LINES; line++) \
            for (int half = 0; half < 2; half++) \
                _mm256_storeu_si256((__m256i *)(out + line * apart + 8 * half), sums[line][half]); \
    }

PANEL_SUMS(1) PANEL_SUMS(2) PANEL_SUMS(3) PANEL_SUMS(4)
PANEL_POWER(1) PANEL_POWER(2) PANEL_POWER(3) PANEL_POWER(4)

/* Sums of up to LINES rows with one panel. */
#define BY_LINES(NAME, PANEL_OF, INPUT, MATRIX) \
    static inline void NAME(int lines, const INPUT *input, int stride, int rows, const MATRIX *panel, int32_t *out, \
                            int apart) { \
        if (lines == 4) PANEL_OF##_4(input, stride, rows, panel, out, apart); \
        else if (lines == 3) PANEL_OF##_3(input, stride, rows, panel, out, apart); \
        else if (lines == 2) PANEL_OF##_2(input, stride, rows, panel, out, apart); \
        else PANEL_OF##_1(input, stride, rows, panel, out, apart); \
    }

BY_LINES(weight_sums, panel_sums, int16_t, int16_t)
BY_LINES(power_sums, panel_power, uint8_t, int8_t)
