/* Inner loops for AVX-512 with VNNI: a panel's sums are one register a line. plain.h says what each function makes. */
#include "avx2_noise.h"

enum { LINES = 16 /* rows of the input whose sums are made at once */ };

#define PANEL_SUMS(COUNT) \
    static inline void panel_sums_##COUNT(const int16_t *levels, int stride, int rows, const int16_t *panel, int32_t *out, \
                                          int apart) { \
        __m512i sums[COUNT]; \
        for (int line = 0; line < COUNT; line++) sums[line] = _mm512_setzero_si512(); \
        for (int row = 0; row < rows; row += 2, panel += 2 * PANEL) { \
            const __m512i weights = _mm512_loadu_si512(panel); \
            _Pragma("GCC unroll 16") for (int line = 0; line < COUNT; line++) { \
                int32_t pair; \
                memcpy(&pair, levels + line * stride + row, sizeof pair); \
                sums[line] = _mm512_dpwssd_epi32(sums[line], weights, _mm512_set1_epi32(pair)); \
            } \
        } \
        for (int line = 0; line < COUNT; line++) _mm512_storeu_si512(out + line * apart, sums[line]); \
    }

#define PANEL_POWER(COUNT) \
    static inline void panel_power_##COUNT(const uint8_t *squares, int stride, int rows, const int8_t *panel, int32_t *out, \
                                           int apart) { \
        __m512i sums[COUNT]; \
        for (int line = 0; line < COUNT; line++) sums[line] = _mm512_setzero_si512(); \
        for (int row = 0; row < rows; row += 4, panel += 4 * PANEL) { \
            const __m512i magnitudes = _mm512_loadu_si512(panel); \
            _Pragma("GCC unroll 16") for (int line = 0; line < COUNT; line++) { \
                int32_t four; \
                memcpy(&four, squares + line * stride + row, sizeof four); \
                sums[line] = _mm512_dpbusd_epi32(sums[line], _mm512_set1_epi32(four), magnitudes); \
            } \
        } \
        for (int line = 0; line < COUNT; line++) _mm512_storeu_si512(out + line * apart, sums[line]); \
    }

PANEL_SUMS(1) PANEL_SUMS(2) PANEL_SUMS(4) PANEL_SUMS(8) PANEL_SUMS(16)
PANEL_POWER(1) PANEL_POWER(2) PANEL_POWER(4) PANEL_POWER(8) PANEL_POWER(16)

/* Sums of up to LINES rows with one panel, by those of 16, 8, 4, 2 and 1. */
#define BY_LINES(NAME, PANEL_OF, INPUT, MATRIX) \
    static inline void NAME(int lines, const INPUT *input, int stride, int rows, const MATRIX *panel, int32_t *out, \
                            int apart) { \
        if (lines == 16) PANEL_OF##_16(input, stride, rows, panel, out, apart); \
        else { \
            int done = 0; \
            if (lines & 8) PANEL_OF##_8(input, stride, rows, panel, out, apart), done = 8; \
            if (lines & 4) PANEL_OF##_4(input + done * stride, stride, rows, panel, out + done * apart, apart), done += 4; \
            if (lines & 2) PANEL_OF##_2(input + done * stride, stride, rows, panel, out + done * apart, apart), done += 2; \
            if (lines & 1) PANEL_OF##_1(input + done * stride, stride, rows, panel, out + done * apart, apart); \
        } \
    }

BY_LINES(weight_sums, panel_sums, int16_t, int16_t)
BY_LINES(power_sums, panel_power, uint8_t, int8_t)
