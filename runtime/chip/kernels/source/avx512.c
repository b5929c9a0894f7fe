#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,avx512f,avx512bw,avx512vl,avx512vnni"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx2,avx512f,avx512bw,avx512vl,avx512vnni,prefer-vector-width=512")
#endif

#include "avx512.h"
#include "read.h"
#include "own_ranges.h"

#include "devices.h"
#include "values.h"

const Kernels avx512_kernels = {read_rows, read_own_ranges, multiply, multiply_sizes, normal_numbers,
                                pack_matrix, write_cells, drift_cells, largest_sizes, program, advance,
                                all_finite, whole_steps};

#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
