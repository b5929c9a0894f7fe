/* What is asked of every number of an activation: whether it is finite, and its whole steps of a unit's format. */

/* 1 if no number is NaN or infinite, which have all bits of the exponent. */
static int all_finite(const float *numbers, size_t count) {
    int32_t found = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t bits;
        memcpy(&bits, numbers + i, sizeof bits);
        found |= (bits & 0x7F800000) == 0x7F800000;
    }
    return !found;
}

/* Numbers times a factor, rounded to even, between two limits. */
static void whole_steps(const float *restrict numbers, size_t count, float factor, float least, float most,
                        float *restrict steps) {
    for (size_t i = 0; i < count; i++) {
        const float step = rintf(numbers[i] * factor), above = step < least ? least : step;
        steps[i] = above > most ? most : above;
    }
}
