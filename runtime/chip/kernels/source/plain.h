/* Inner loops in plain C, for any processor: random numbers, and the products of one panel of columns. */
#include "philox.h"

enum { LINES = 4 /* rows of the input whose sums are made at once */ };

static const int8_t low_nibble[16] = {LOW_NIBBLE}, high_nibble[16] = {HIGH_NIBBLE};

static inline int coarse_of(uint32_t bits) {
    int first = low_nibble[bits & 15] + high_nibble[bits >> 4 & 15];
    int second = low_nibble[bits >> 8 & 15] + high_nibble[bits >> 12 & 15];
    return FIRST_BYTE * first + SECOND_BYTE * second;
}

/* 32 coarse numbers, those of the four blocks from ``block``. place: the counter's last three words. */
static inline void coarse_32(uint32_t block, const uint32_t place[3], uint64_t key, float *out) {
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t words[4] = {block + i, place[0], place[1], place[2]};
        philox(words, (uint32_t)key, (uint32_t)(key >> 32));
        for (int half = 0; half < 8; half++)
            out[8 * i + half] = (float)coarse_of(words[half / 2] >> 16 * (half % 2) & 0xFFFF) * COARSE_UNIT;
    }
}

enum { FINE_STEP = 4 /* fine numbers that are made at once */ };

/* ``count`` fine numbers, those of the blocks from ``block``; up to FINE_STEP - 1 more are written. */
static inline void fine_line(uint64_t key, const uint32_t place[3], uint32_t block, int count, float *out) {
    for (int done = 0; done < count; done += FINE_STEP) {
        uint32_t words[4] = {block++, place[0], place[1], place[2]};
        philox(words, (uint32_t)key, (uint32_t)(key >> 32));
        for (int word = 0; word < 4; word++) {
            int number = FIRST_HALF * coarse_of(words[word] & 0xFFFF) + SECOND_HALF * coarse_of(words[word] >> 16);
            out[done + word] = (float)number * FINE_UNIT;
        }
    }
}

/* Sums of levels and weights of ``lines`` rows [.., stride] with one panel: [lines, PANEL], lines ``apart`` in out. */
static inline void weight_sums(int lines, const int16_t *levels, int stride, int rows, const int16_t *panel, int32_t *out,
                               int apart) {
    for (int line = 0; line < lines; line++) {
        int32_t sums[PANEL] = {0};
        for (int row = 0; row < rows; row += 2) {
            const int32_t first = levels[line * stride + row], second = levels[line * stride + row + 1];
            const int16_t *weights = panel + row * PANEL;
            for (int column = 0; column < PANEL; column++)
                sums[column] += first * weights[2 * column] + second * weights[2 * column + 1];
        }
        memcpy(out + line * apart, sums, sizeof sums);
    }
}

/* Sums of squares and magnitudes, alike. */
static inline void power_sums(int lines, const uint8_t *squares, int stride, int rows, const int8_t *panel, int32_t *out,
                              int apart) {
    for (int line = 0; line < lines; line++) {
        int32_t sums[PANEL] = {0};
        for (int row = 0; row < rows; row += 4) {
            const uint8_t *four = squares + line * stride + row;
            const int8_t *magnitudes = panel + row * PANEL;
            for (int column = 0; column < PANEL; column++)
                for (int part = 0; part < 4; part++) sums[column] += (int32_t)four[part] * magnitudes[4 * column + part];
        }
        memcpy(out + line * apart, sums, sizeof sums);
    }
}
