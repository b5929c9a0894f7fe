/* Matrices as the read takes them: a panel of columns together, on the grid of weights; and their magnitudes. */

enum { APART = MOST_ROWS + 40 /* steps between columns: a power of two would put all into few of a cache's sets */ };

/* Whole steps of the grid of numbers [rows]. */
static inline void round_line(const float *restrict numbers, int rows, float steps_per_unit, int16_t *restrict steps) {
    for (int row = 0; row < rows; row++) steps[row] = (int16_t)(int32_t)rintf(numbers[row] * steps_per_unit);
}

/* A panel of columns that lie APART, zeros beyond their rows, two rows of each together. */
static void pack_weights(const int16_t *steps, int packed, int16_t *weights) {
    for (int row = 0; row < packed; row += 2)
        for (int i = 0; i < PANEL; i++) memcpy(weights + row * PANEL + 2 * i, steps + i * APART + row, 4);
}

static inline int32_t size_of(int32_t step) { return step < 0 ? -step : step; }

/* Magnitudes of a packed panel of weights: sizes over 2^8, rounded so that the running sums of columns keep their value.
 * A lane holds two rows of a column before, and four after. */
static void pack_magnitudes(const int16_t *weights, int packed, int8_t *magnitudes) {
    int32_t sum[PANEL], before[PANEL] = {0};
    for (int i = 0; i < PANEL; i++) sum[i] = 128;
    for (int row = 0; row < packed; row += 4) {
        for (int i = 0; i < PANEL; i++) {
            int32_t two, next;
            memcpy(&two, weights + row * PANEL + 2 * i, sizeof two);
            memcpy(&next, weights + (row + 2) * PANEL + 2 * i, sizeof next);
            const int32_t s0 = sum[i] + size_of((int16_t)two), s1 = s0 + size_of(two >> 16);
            const int32_t s2 = s1 + size_of((int16_t)next), s3 = s2 + size_of(next >> 16);
            const int32_t four = (s0 >> 8) - before[i] + ((s1 >> 8) - (s0 >> 8)) * 0x100 + ((s2 >> 8) - (s1 >> 8)) * 0x10000 +
                      ((s3 >> 8) - (s2 >> 8)) * 0x1000000;
            sum[i] = s3;
            before[i] = s3 >> 8;
            memcpy(magnitudes + row * PANEL + 4 * i, &four, sizeof four);
        }
    }
}

/* A matrix [columns, rows] as weights, or, where these are NULL, as magnitudes. */
static void pack_matrix(const float *numbers, int columns, int rows, int packed, float steps_per_unit, int16_t *weights,
                        int8_t *magnitudes) {
    int16_t steps[PANEL * APART] = {0}, grid[PANEL * MOST_ROWS];
    for (int panel = 0; panel < columns; panel += PANEL) {
        const int together = columns - panel < PANEL ? columns - panel : PANEL;
        memset(steps + together * APART, 0, (PANEL - together) * APART * sizeof *steps);
        for (int i = 0; i < together; i++)
            round_line(numbers + (size_t)(panel + i) * rows, rows, steps_per_unit, steps + i * APART);
        int16_t *to = weights ? weights + (size_t)panel * packed : grid;
        pack_weights(steps, packed, to);
        if (!weights) pack_magnitudes(to, packed, magnitudes + (size_t)panel * packed);
    }
}
