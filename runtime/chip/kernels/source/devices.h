/* Writing the devices of a row-block whose weights are held by one each, and letting them drift: what programming/ and
 * row_block.py do, a column at a time. */
#include "laws.h"
#include "packing.h"

/* Numbers of one column of the matrix. */
static inline void numbers_of(const Devices *d, int column, float *restrict numbers) {
    const int rows = d->rows;
    const float *restrict weights = d->weights + column * d->stride, *restrict channel_scale = d->channel_scale;
    if (channel_scale) EACH_ROW numbers[row] = weights[row] * channel_scale[row];
    else memcpy(numbers, weights, rows * sizeof *numbers);
}

/* Largest size of numbers [rows]: sizes are in the order of their bits, which compilers can put in any order. */
static inline float largest_of(const float *numbers, int rows) {
    int32_t largest = 0;
    EACH_ROW {
        const int32_t size = bits_of(numbers[row]) & 0x7FFFFFFF;
        largest = size > largest ? size : largest;
    }
    return float_of(largest);
}

static void largest_sizes(const Devices *d, float *largest) {
    float numbers[MOST_ROWS];
    for (int column = 0; column < d->columns; column++) {
        numbers_of(d, column, numbers);
        largest[column] = largest_of(numbers, d->rows);
    }
}

/* Weights that are asked for of one column, in -1 .. 1. */
static inline void ask(const Devices *d, int column, float *restrict wanted) {
    const int rows = d->rows;
    const float scale = d->scale[column] > 0 ? d->scale[column] : 1.0f;
    numbers_of(d, column, wanted);
    EACH_ROW {
        float part = wanted[row] / scale;
        part = part < -1.0f ? -1.0f : part;
        wanted[row] = part > 1.0f ? 1.0f : part;
    }
    if (d->states) {
        const float steps = (float)(d->states - 1);
        EACH_ROW wanted[row] = rintf(wanted[row] * steps) / steps;
    }
}

static void program(const Devices *d, int first_column, int last_column, float *conductances) {
    const int rows = d->rows;
    float wanted[MOST_ROWS];
    Drawn drawn;
    for (int column = first_column; column < last_column; column++) {
        float *made = conductances + (size_t)column * rows;
        ask(d, column, wanted);
        EACH_ROW wanted[row] = fabsf(wanted[row]);
        if (d->laws.is_written) write_line(&d->laws, column, 0, rows, 0, wanted, made, &drawn);
        else memcpy(made, wanted, rows * sizeof *made);
    }
}

/* Sum of the sizes of what the ADC reads of each weight of a column alone: sums of so few bits are exact in double. */
static inline double read_column(const Advance *a, int column, int rows, const float *restrict weights,
                                 float *restrict normal) {
    const float limit = (float)a->adc_levels;
    double sum = 0.0;
    normal_line(a->reading_key, column, 0, rows, normal);
    EACH_ROW {
        const float variance = (a->follows_weights ? fabsf(weights[row]) * a->power : a->power) + a->output_variance;
        float steps = rintf((weights[row] + sqrtf(variance) * normal[row]) * a->adc_steps_per_unit);
        steps = steps < -limit ? -limit : steps;
        normal[row] = fabsf((steps > limit ? limit : steps) * a->adc_step);
    }
    double parts[8] = {0};
    int row = 0;
    for (; row + 8 <= rows; row += 8)
        for (int i = 0; i < 8; i++) parts[i] += (double)normal[row + i];
    for (; row < rows; row++) sum += (double)normal[row];
    for (int i = 0; i < 8; i++) sum += parts[i];
    return sum;
}

static void advance(const Devices *d, const Advance *a, int first_column, int last_column) {
    const int rows = d->rows, packed = a->packed_rows;
    float wanted[MOST_ROWS], sizes[MOST_ROWS], held[MOST_ROWS];
    int16_t steps[PANEL * APART] = {0};
    Drawn drawn;
    for (int panel = first_column; panel < last_column; panel += PANEL) {
        const int columns = last_column - panel < PANEL ? last_column - panel : PANEL;
        memset(steps + columns * APART, 0, (PANEL - columns) * APART * sizeof *steps);
        for (int i = 0; i < columns; i++) {
            const int column = panel + i;
            ask(d, column, wanted);
            EACH_ROW sizes[row] = fabsf(wanted[row]);
            drift_line(&d->laws, column, 0, rows, sizes, a->programmed + (size_t)column * rows, held, &drawn);
            a->largest[column] = largest_of(held, rows);
            EACH_ROW held[row] = (wanted[row] > 0.0f ? 1.0f : wanted[row] < 0.0f ? -1.0f : 0.0f) * held[row];
            round_line(held, rows, a->steps_per_unit, steps + i * APART);
            if (a->reading) a->reading[column] = d->scale[column] > 0 ? read_column(a, column, rows, held, drawn.normal) : 0.0;
        }
        int16_t *weights = a->weights + (size_t)panel * packed;
        pack_weights(steps, packed, weights);
        if (a->magnitudes) pack_magnitudes(weights, packed, a->magnitudes + (size_t)panel * packed);
    }
}
