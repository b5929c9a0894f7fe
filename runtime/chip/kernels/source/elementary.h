/* Logarithm and exponential of TOGETHER numbers: the bits of targets/devices/elementary.py, which says where they are
 * from. A step of a polynomial waits for the one before it, so each is made for many numbers before the next begins. */
#ifndef TILEWRIGHT_ELEMENTARY_H
#define TILEWRIGHT_ELEMENTARY_H

#include <stdint.h>
#include <string.h>

enum { TOGETHER = 32 };
#define EACH_NUMBER for (int i = 0; i < TOGETHER; i++)
#define STEP(MADE, X, COEFFICIENT) EACH_NUMBER MADE[i] = MADE[i] * X[i] + COEFFICIENT;

static inline int32_t bits_of(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of(int32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline void logarithms(float x[TOGETHER]) {
    float part[TOGETHER], exponent[TOGETHER], made[TOGETHER];
    EACH_NUMBER {
        const int32_t bits = bits_of(x[i]);
        const float half = float_of((bits & 0x007FFFFF) | 0x3F000000);
        const int32_t small = half < 0.70710678118654752f;
        exponent[i] = (float)((bits >> 23) - 126 - small);
        part[i] = (small ? half + half : half) - 1.0f;
        made[i] = 7.0376836292e-2f * part[i] + -1.1514610310e-1f;
    }
    STEP(made, part, 1.1676998740e-1f)
    STEP(made, part, -1.2420140846e-1f)
    STEP(made, part, 1.4249322787e-1f)
    STEP(made, part, -1.6668057665e-1f)
    STEP(made, part, 2.0000714765e-1f)
    STEP(made, part, -2.4999993993e-1f)
    STEP(made, part, 3.3333331174e-1f)
    EACH_NUMBER {
        const float square = part[i] * part[i];
        float sum = made[i] * part[i] * square;
        sum = sum + exponent[i] * -2.12194440e-4f;
        sum = sum - square * 0.5f;
        x[i] = part[i] + sum + exponent[i] * 0.693359375f;
    }
}

static inline void exponentials(float x[TOGETHER]) {
    float power[TOGETHER], rest[TOGETHER], made[TOGETHER];
    EACH_NUMBER {
        const float above = x[i] < -87.0f ? -87.0f : x[i];
        power[i] = above > 88.0f ? 88.0f : above;
    }
    EACH_NUMBER {
        const float clipped = power[i];
        power[i] = rintf(clipped * 1.44269504088896341f);
        rest[i] = clipped - power[i] * 0.693359375f;
        rest[i] = rest[i] - power[i] * -2.12194440e-4f;
        made[i] = 1.9875691500e-4f * rest[i] + 1.3981999507e-3f;
    }
    STEP(made, rest, 8.3334519073e-3f)
    STEP(made, rest, 4.1665795894e-2f)
    STEP(made, rest, 1.6666665459e-1f)
    STEP(made, rest, 5.0000001201e-1f)
    EACH_NUMBER {
        const float sum = made[i] * (rest[i] * rest[i]) + rest[i] + 1.0f;
        x[i] = sum * float_of(((int32_t)power[i] + 127) << 23);
    }
}

#endif
