/* Entry points. Each is told the instruction set: 0 plain C, 1 AVX2, 2 AVX-512 with VNNI. */
#include "kernels.h"

static const Kernels *kernels_of(int set) {
    (void)set; /* where there is but one */
#if defined(__x86_64__) || defined(_M_X64)
    if (set == 2) return &avx512_kernels;
    if (set == 1) return &avx2_kernels;
#endif
    return &plain_kernels;
}

/* Features of this processor that matter here, a bit each: FEATURES in native.py names them. */
EXPORT int tw_features(void) {
    int found = 0;
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    found |= (__builtin_cpu_supports("avx2") != 0) << 0;
    found |= (__builtin_cpu_supports("avx512f") != 0) << 1;
    found |= (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) << 2;
    found |= (__builtin_cpu_supports("avx512vnni") != 0) << 3;
#endif
    return found;
}

EXPORT int tw_read(int set, const Layer *layer, const float *input, size_t input_stride, float steps_per_unit,
                   const int64_t *places, int first_row, int last_row, int first_column, int last_column,
                   float *output) {
    return kernels_of(set)->read_rows(layer, input, input_stride, steps_per_unit, places, first_row, last_row,
                                      first_column, last_column, output);
}

EXPORT int tw_read_own_ranges(int set, const Layer *layer, const OwnRanges *own, const float *input, size_t input_stride,
                              const int64_t *places, int first_row, int last_row, float *output) {
    return kernels_of(set)->read_own_ranges(layer, own, input, input_stride, places, first_row, last_row, output);
}

EXPORT int tw_multiply(int set, const int16_t *levels, int lines, int rows, int packed, const int16_t *weights,
                       int columns, float unit, float *output) {
    return kernels_of(set)->multiply(levels, lines, rows, packed, weights, columns, unit, output);
}

EXPORT int tw_multiply_sizes(int set, const uint8_t *squares, int lines, int rows, int packed, const int8_t *magnitudes,
                             int columns, int32_t *output) {
    return kernels_of(set)->multiply_sizes(squares, lines, rows, packed, magnitudes, columns, output);
}

EXPORT void tw_normal_numbers(int set, uint64_t key, const int64_t *places, size_t lines, size_t width, int fine, float *out) {
    kernels_of(set)->normal_numbers(key, places, lines, width, fine, out);
}

EXPORT void tw_pack(int set, const float *numbers, int columns, int rows, int packed, float steps_per_unit,
                    int16_t *weights, int8_t *magnitudes) {
    kernels_of(set)->pack_matrix(numbers, columns, rows, packed, steps_per_unit, weights, magnitudes);
}

EXPORT void tw_write(int set, const Cells *cells, float *made) { kernels_of(set)->write_cells(cells, made); }

EXPORT void tw_drift(int set, const Cells *cells, const float *programmed, float *held) {
    kernels_of(set)->drift_cells(cells, programmed, held);
}

EXPORT void tw_largest_sizes(int set, const Devices *devices, float *largest) {
    kernels_of(set)->largest_sizes(devices, largest);
}

EXPORT void tw_program(int set, const Devices *devices, int first_column, int last_column, float *conductances) {
    kernels_of(set)->program(devices, first_column, last_column, conductances);
}

EXPORT void tw_advance(int set, const Devices *devices, const Advance *advance, int first_column, int last_column) {
    kernels_of(set)->advance(devices, advance, first_column, last_column);
}

EXPORT int tw_all_finite(int set, const Lines *lines, const float *numbers) {
    const Kernels *kernels = kernels_of(set);
    for (size_t line = lines->first; line < lines->last; line++)
        if (!kernels->all_finite(numbers + line * lines->stride, lines->width)) return 0;
    return 1;
}

/* Whole steps, one after another. Each factor is that of ``together`` numbers; after the last comes the first again. */
EXPORT void tw_whole_steps(int set, const Lines *lines, const float *numbers, const float *factors, size_t factor_count,
                           size_t together, float least, float most, float *steps) {
    const size_t size = together < lines->width ? together : lines->width;
    for (size_t line = lines->first; line < lines->last; line++)
        for (size_t first = 0; first < lines->width; first += size) {
            const size_t place = line * lines->width + first;
            kernels_of(set)->whole_steps(numbers + line * lines->stride + first, size,
                                         factors[place / together % factor_count], least, most, steps + place);
        }
}
