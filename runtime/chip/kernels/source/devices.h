/* Writing the devices of a row-block, and letting them drift: the laws of targets/devices, programming/writing.py,
 * drift.py and row_block.py, a column at a time. Loops are over short arrays, which compilers make vector code of. */

#include "elementary.h"

#define SMALLEST 1e-9f
enum { APART = MOST_ROWS + 80 /* places between arrays: a multiple of 4096 bytes would make loads wait for stores */ };
#define EACH_ROW for (int row = 0; row < rows; row++)

/* Weights that are asked for of one column, in -1 .. 1. */
static inline void ask(const Devices *d, int column, float *restrict wanted) {
    const int rows = d->rows;
    const float *weights = d->weights + column * d->stride, scale = d->scale[column] > 0 ? d->scale[column] : 1.0f;
    EACH_ROW {
        float part = weights[row] / scale;
        part = part < -1.0f ? -1.0f : part;
        wanted[row] = part > 1.0f ? 1.0f : part;
    }
    if (d->states) {
        const float steps = (float)(d->states - 1);
        EACH_ROW wanted[row] = rintf(wanted[row] * steps) / steps;
    }
}

/* Fine normal numbers [rows] of one column; the array has room for 31 more. */
static inline void normal_line(uint64_t key, int column, int rows, float *restrict out) {
    const uint32_t place[3] = {(uint32_t)column, 0, 0};
    for (int row = 0; row < rows; row += 32) fine_32((uint32_t)row / 4, place, key, out + row);
}

static void program(const Devices *d, int first_column, int last_column, float *conductances) {
    const int rows = d->rows;
    float normal[MOST_ROWS + 32], wanted[MOST_ROWS];
    for (int column = first_column; column < last_column; column++) {
        float *restrict made = conductances + (size_t)column * rows;
        ask(d, column, wanted);
        EACH_ROW wanted[row] = fabsf(wanted[row]);
        if (!d->is_written) {
            memcpy(made, wanted, rows * sizeof *made);
            continue;
        }
        normal_line(d->write_key, column, rows, normal);
        EACH_ROW {
            const float g = wanted[row];
            float deviation = ((d->write[0] * g + d->write[1]) * g + d->write[2]) * d->write_unit;
            deviation = deviation < 0.0f ? 0.0f : deviation;
            const float written = deviation * normal[row] + g;
            made[row] = written < 0.0f ? 0.0f : written;
        }
    }
}

static inline float clipped(const float curve[4], float log_g) {
    float made = log_g * curve[0] + curve[1];
    made = made < curve[2] ? curve[2] : made;
    return made > curve[3] ? curve[3] : made;
}

/* Loops are short, so that many of their steps are under way at once.
 *
 * Conductances [rows] of one column at the time, from those after programming. */
static inline void drift_column(const Devices *d, int column, const float *restrict wanted,
                                const float *restrict programmed, float *restrict normal, float *restrict held,
                                float *restrict scratch) {
    const int rows = d->rows;
    const float logarithm_of_time = -d->drift_logarithm;
    memcpy(held, programmed, rows * sizeof *held);
    if (d->drift == VARIES) {
        normal_line(d->exponent_key, column, rows, normal);
        EACH_ROW {
            const float g = fabsf(wanted[row]);
            held[row] = logarithm(g < SMALLEST ? SMALLEST : g);
        }
        const float spread[4] = {d->exponent_spread[0], d->exponent_spread[1], d->exponent_spread[2], d->exponent_spread[3]};
        const float mean[4] = {d->exponent_mean[0], d->exponent_mean[1], d->exponent_mean[2], d->exponent_mean[3]};
        const int absolute = d->absolute_exponent;
        EACH_ROW {
            float exponent = clipped(spread, held[row]) * normal[row] + clipped(mean, held[row]);
            const float below = absolute ? -exponent : 0.0f;
            exponent = exponent < 0.0f ? below : exponent;
            held[row] = exponent * logarithm_of_time;
        }
        EACH_ROW held[row] = exponential(held[row]) * programmed[row];
    } else if (d->drift == CUBIC) {
        const float *c = d->exponent_mean;
        EACH_ROW {
            const float g = fabsf(wanted[row]), exponent = ((c[0] * g + c[1]) * g + c[2]) * g + c[3];
            held[row] = exponential(exponent * logarithm_of_time) * programmed[row];
        }
    }
    if (d->accumulates) {
        normal_line(d->accumulated_key, column, rows, normal);
        const float power = d->accumulated[0], coefficient = d->accumulated[1], most = d->accumulated[2];
        const float scale = d->accumulated[3];
        EACH_ROW scratch[row] = logarithm(programmed[row] < SMALLEST ? SMALLEST : programmed[row]) * power;
        EACH_ROW scratch[row] = exponential(scratch[row]) * coefficient;
        EACH_ROW {
            const float deviation = (scratch[row] > most ? most : scratch[row]) * scale;
            held[row] = held[row] + held[row] * (deviation * normal[row]);
        }
    }
    EACH_ROW held[row] = held[row] < 0.0f ? 0.0f : held[row];
}

/* Sum of the sizes of what the ADC reads of each weight of a column alone: sums of so few bits are exact in double. */
static inline double read_column(const Advance *a, int column, int rows, const float *restrict weights,
                                 float *restrict normal) {
    const float limit = (float)a->adc_levels;
    double sum = 0.0;
    normal_line(a->reading_key, column, rows, normal);
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

static int advance(const Devices *d, const Advance *a, int first_column, int last_column) {
    const int rows = d->rows, packed = a->packed_rows;
    float *buffer = malloc(4 * APART * sizeof *buffer);
    int16_t *steps = calloc((size_t)PANEL * packed, sizeof *steps);
    int8_t *sizes = calloc((size_t)PANEL * packed, sizeof *sizes);
    const int failed = !buffer || !steps || !sizes;
    for (int panel = first_column; panel < last_column && !failed; panel += PANEL) {
        float *wanted = buffer, *held = wanted + APART, *normal = held + APART, *scratch = normal + APART;
        const int columns = last_column - panel < PANEL ? last_column - panel : PANEL;
        memset(steps, 0, (size_t)PANEL * packed * sizeof *steps);
        memset(sizes, 0, (size_t)PANEL * packed);
        for (int i = 0; i < columns; i++) {
            const int column = panel + i;
            ask(d, column, wanted);
            drift_column(d, column, wanted, a->programmed + (size_t)column * rows, normal, held, scratch);
            float largest = 0.0f;
            EACH_ROW largest = held[row] > largest ? held[row] : largest;
            a->largest[column] = largest;
            EACH_ROW held[row] = (wanted[row] > 0.0f ? 1.0f : wanted[row] < 0.0f ? -1.0f : 0.0f) * held[row];
            EACH_ROW steps[i * packed + row] = (int16_t)(int32_t)rintf(held[row] * a->steps_per_unit);
            int32_t sum = 128, before = 0;
            if (a->magnitudes)
                EACH_ROW {
                    const int32_t step = steps[i * packed + row];
                    sum += step < 0 ? -step : step;
                    sizes[i * packed + row] = (int8_t)((sum >> 8) - before);
                    before = sum >> 8;
                }
            if (a->reading) a->reading[column] = d->scale[column] > 0 ? read_column(a, column, rows, held, normal) : 0.0;
        }
        int16_t *weights = a->weights + (size_t)panel * packed;
        for (int row = 0; row < packed; row += 2)
            for (int i = 0; i < PANEL; i++) memcpy(weights + row * PANEL + 2 * i, steps + i * packed + row, 4);
        if (!a->magnitudes) continue;
        int8_t *magnitudes = a->magnitudes + (size_t)panel * packed;
        for (int row = 0; row < packed; row += 4)
            for (int i = 0; i < PANEL; i++) memcpy(magnitudes + row * PANEL + 4 * i, sizes + i * packed + row, 4);
    }
    free(buffer);
    free(steps);
    free(sizes);
    return failed;
}
