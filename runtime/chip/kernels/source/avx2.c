#if defined(__x86_64__) || defined(_M_X64)
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <immintrin.h>

#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx2")
#endif
#include "avx2.h"
#include "read.h"
#include "own_ranges.h"

#include "devices.h"
#include "values.h"

const Kernels avx2_kernels = {read_rows, read_own_ranges, multiply, multiply_sizes, normal_numbers,
                              pack_matrix, write_cells, drift_cells, largest_sizes, program, advance,
                              all_finite, whole_steps};

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
