/* Philox4x32-7 (Salmon et al. 2011): 128 random bits from a counter and a key, without state. runtime/chip/philox.py
 * is the specification. */
#ifndef TILEWRIGHT_PHILOX_H
#define TILEWRIGHT_PHILOX_H

#include <stdint.h>

enum { ROUNDS = 7 };
#define MULTIPLIER_0 0xD2511F53u
#define MULTIPLIER_1 0xCD9E8D57u
#define WEYL_0 0x9E3779B9u
#define WEYL_1 0xBB67AE85u

static inline void philox(uint32_t words[4], uint32_t key_0, uint32_t key_1) {
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t p0 = (uint64_t)words[0] * MULTIPLIER_0, p1 = (uint64_t)words[2] * MULTIPLIER_1;
        words[0] = (uint32_t)(p1 >> 32) ^ words[1] ^ key_0;
        words[2] = (uint32_t)(p0 >> 32) ^ words[3] ^ key_1;
        words[1] = (uint32_t)p1;
        words[3] = (uint32_t)p0;
        key_0 += WEYL_0;
        key_1 += WEYL_1;
    }
}

/* Normal numbers are sums of table entries that nibbles name: runtime/chip/normal_law.py says why, and how good. */
#define LOW_NIBBLE 1, 5, 6, 13, 24, 24, 31, 53, -1, -5, -6, -13, -24, -24, -31, -53
#define HIGH_NIBBLE 6, 7, 10, 16, 18, 21, 26, 53, -6, -7, -10, -16, -18, -21, -26, -53
enum { FIRST_BYTE = 57, SECOND_BYTE = 56, FIRST_HALF = 89, SECOND_HALF = 83 };
#define COARSE_UNIT 3.5676212e-4f
#define FINE_UNIT 2.9315764e-6f

#endif
