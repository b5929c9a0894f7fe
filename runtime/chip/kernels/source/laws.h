/* What a write and time make of lines of devices: the laws of targets/devices, programming/writing.py and drift.py. */
#include "elementary.h"

#define SMALLEST 1e-9f
#define EACH_ROW for (int row = 0; row < rows; row++)

/* Numbers of one line of devices, of up to MOST_ROWS; normal numbers are made FINE_STEP at once. */
typedef struct {
    float normal[MOST_ROWS + FINE_STEP], other_normal[MOST_ROWS + FINE_STEP];
} Drawn;

/* Fine normal numbers [rows] of a line from its number ``first``, a multiple of FINE_STEP. */
static inline void normal_line(uint64_t key, int line, int first, int rows, float *restrict out) {
    const uint32_t place[3] = {(uint32_t)line, 0, 0};
    fine_line(key, place, (uint32_t)first / 4, rows, out);
}

/* Conductances [rows] after one write. */
static inline void write_line(const Laws *laws, int line, int first, int rows, int zero_is_silent,
                              const float *restrict wanted, float *restrict made, Drawn *drawn) {
    const float quadratic = laws->write[0], linear = laws->write[1], constant = laws->write[2], unit = laws->write_unit;
    const float *restrict normal = drawn->normal;
    normal_line(laws->write_key, line, first, rows, drawn->normal);
    EACH_ROW {
        const float g = wanted[row];
        float deviation = ((quadratic * g + linear) * g + constant) * unit;
        deviation = deviation < 0.0f ? 0.0f : deviation;
        const float written = deviation * normal[row] + g;
        made[row] = written < 0.0f ? 0.0f : written;
    }
    if (zero_is_silent) EACH_ROW made[row] = wanted[row] > 0.0f ? made[row] : 0.0f;
}

static inline float clipped(const float curve[4], float log_g) {
    float made = log_g * curve[0] + curve[1];
    made = made < curve[2] ? curve[2] : made;
    return made > curve[3] ? curve[3] : made;
}

/* Drift of TOGETHER conductances, by exponents that depend on what was asked for. */
static inline void drift(const Laws *laws, const float *restrict wanted, const float *restrict programmed,
                         const float *restrict normal, float *restrict held) {
    const float time = -laws->drift_logarithm, *c = laws->exponent_mean;
    const int absolute = laws->absolute_exponent;
    float x[TOGETHER];
    if (laws->drift == STAYS) {
        EACH_NUMBER held[i] = programmed[i];
        return;
    }
    if (laws->drift == CUBIC) {
        EACH_NUMBER {
            const float g = wanted[i];
            x[i] = (((c[0] * g + c[1]) * g + c[2]) * g + c[3]) * time;
        }
    } else {
        EACH_NUMBER x[i] = wanted[i] < SMALLEST ? SMALLEST : wanted[i];
        logarithms(x);
        EACH_NUMBER {
            float exponent = clipped(laws->exponent_spread, x[i]) * normal[i] + clipped(laws->exponent_mean, x[i]);
            const float below = absolute ? -exponent : 0.0f;
            exponent = exponent < 0.0f ? below : exponent;
            x[i] = exponent * time;
        }
    }
    exponentials(x);
    EACH_NUMBER held[i] = x[i] * programmed[i];
}

/* 1/f noise of TOGETHER conductances, by a deviation that depends on what was written. */
static inline void accumulate(const Laws *laws, const float *restrict programmed, const float *restrict normal,
                              float *restrict held) {
    const float power = laws->accumulated[0], coefficient = laws->accumulated[1], most = laws->accumulated[2];
    const float scale = laws->accumulated[3];
    float x[TOGETHER];
    EACH_NUMBER x[i] = programmed[i] < SMALLEST ? SMALLEST : programmed[i];
    logarithms(x);
    EACH_NUMBER x[i] = x[i] * power;
    exponentials(x);
    EACH_NUMBER {
        const float part = x[i] * coefficient, deviation = (part > most ? most : part) * scale;
        held[i] = held[i] + held[i] * (deviation * normal[i]);
    }
}

/* Conductances [rows] at the time, from those that were asked for and those after programming. */
static inline void drift_line(const Laws *laws, int line, int first, int rows, const float *wanted,
                              const float *programmed, float *held, Drawn *drawn) {
    if (laws->drift == VARIES) normal_line(laws->exponent_key, line, first, rows, drawn->normal);
    if (laws->accumulates) normal_line(laws->accumulated_key, line, first, rows, drawn->other_normal);
    for (int row = 0; row < rows; row += TOGETHER) {
        const int left = rows - row;
        float last_wanted[TOGETHER], last_programmed[TOGETHER], last_held[TOGETHER];
        const float *asked = wanted + row, *written = programmed + row;
        float *made = held + row;
        if (left < TOGETHER) {
            EACH_NUMBER last_wanted[i] = i < left ? asked[i] : 0.0f;
            EACH_NUMBER last_programmed[i] = i < left ? written[i] : 0.0f;
            asked = last_wanted, written = last_programmed, made = last_held;
        }
        drift(laws, asked, written, drawn->normal + row, made);
        if (laws->accumulates) accumulate(laws, written, drawn->other_normal + row, made);
        EACH_NUMBER made[i] = made[i] < 0.0f ? 0.0f : made[i];
        if (left < TOGETHER) memcpy(held + row, last_held, left * sizeof *held);
    }
}

/* Conductances [lines, rows] after one write. */
static void write_cells(const Cells *cells, float *made) {
    Drawn drawn;
    for (int line = 0; line < cells->lines; line++)
        for (int first = 0; first < cells->rows; first += MOST_ROWS) {
            const size_t at = (size_t)line * cells->rows + first;
            const int rows = cells->rows - first < MOST_ROWS ? cells->rows - first : MOST_ROWS;
            write_line(&cells->laws, line, first, rows, cells->zero_is_silent, cells->wanted + at, made + at, &drawn);
        }
}

/* Conductances [lines, rows] at the time. */
static void drift_cells(const Cells *cells, const float *programmed, float *held) {
    Drawn drawn;
    for (int line = 0; line < cells->lines; line++)
        for (int first = 0; first < cells->rows; first += MOST_ROWS) {
            const size_t at = (size_t)line * cells->rows + first;
            const int rows = cells->rows - first < MOST_ROWS ? cells->rows - first : MOST_ROWS;
            drift_line(&cells->laws, line, first, rows, cells->wanted + at, programmed + at, held + at, &drawn);
        }
}
