/* Logarithm and exponential: the bits of targets/devices/elementary.py, which says where they are from. */
#ifndef TILEWRIGHT_ELEMENTARY_H
#define TILEWRIGHT_ELEMENTARY_H

#include <stdint.h>
#include <string.h>

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

static inline float logarithm(float x) {
    const int32_t bits = bits_of(x);
    float part = float_of((bits & 0x007FFFFF) | 0x3F000000);
    const int32_t small = part < 0.70710678118654752f;
    const float exponent = (float)((bits >> 23) - 126 - small);
    part = (small ? part + part : part) - 1.0f;
    const float square = part * part;
    float made = 7.0376836292e-2f;
    made = made * part + -1.1514610310e-1f;
    made = made * part + 1.1676998740e-1f;
    made = made * part + -1.2420140846e-1f;
    made = made * part + 1.4249322787e-1f;
    made = made * part + -1.6668057665e-1f;
    made = made * part + 2.0000714765e-1f;
    made = made * part + -2.4999993993e-1f;
    made = made * part + 3.3333331174e-1f;
    made = made * part * square;
    made = made + exponent * -2.12194440e-4f;
    made = made - square * 0.5f;
    return part + made + exponent * 0.693359375f;
}

static inline float exponential(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    const float power = rintf(x * 1.44269504088896341f);
    float rest = x - power * 0.693359375f;
    rest = rest - power * -2.12194440e-4f;
    float made = 1.9875691500e-4f;
    made = made * rest + 1.3981999507e-3f;
    made = made * rest + 8.3334519073e-3f;
    made = made * rest + 4.1665795894e-2f;
    made = made * rest + 1.6666665459e-1f;
    made = made * rest + 5.0000001201e-1f;
    made = made * (rest * rest) + rest + 1.0f;
    return made * float_of(((int32_t)power + 127) << 23);
}

#endif
