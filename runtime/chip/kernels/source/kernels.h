/* The kernels of one instruction set, as dispatch.c sees them. */
#ifndef TILEWRIGHT_KERNELS_H
#define TILEWRIGHT_KERNELS_H

#include <stddef.h>

#include "interface.h"

enum { MOST_ROWS = 1024 /* of a row-block: sums of so many products fit 32 bits */ };

typedef struct {
    int (*read_rows)(const Layer *, const float *input, size_t input_stride, float steps_per_unit,
                     const int64_t *places, int first_row, int last_row, int first_column, int last_column, float *output);
    int (*read_own_ranges)(const Layer *, const OwnRanges *, const float *input, size_t input_stride,
                           const int64_t *places, int first_row, int last_row, float *output);
    int (*multiply)(const int16_t *levels, int lines, int rows, int packed, const int16_t *weights, int columns, float unit,
                    float *output);
    int (*multiply_sizes)(const uint8_t *squares, int lines, int rows, int packed, const int8_t *magnitudes, int columns,
                          int32_t *output);
    void (*normal_numbers)(uint64_t key, const int64_t *places, size_t lines, size_t width, int fine, float *out);
    void (*pack_matrix)(const float *numbers, int columns, int rows, int packed, float steps_per_unit, int16_t *weights,
                        int8_t *magnitudes);
    void (*write_cells)(const Cells *, float *made);
    void (*drift_cells)(const Cells *, const float *programmed, float *held);
    void (*largest_sizes)(const Devices *, float *largest);
    void (*program)(const Devices *, int first_column, int last_column, float *conductances);
    void (*advance)(const Devices *, const Advance *, int first_column, int last_column);
    int (*all_finite)(const float *numbers, size_t count);
    void (*whole_steps)(const float *numbers, size_t count, float factor, float least, float most, float *steps);
} Kernels;

extern const Kernels plain_kernels;
#if defined(__x86_64__) || defined(_M_X64)
extern const Kernels avx2_kernels, avx512_kernels;
#endif

#endif
