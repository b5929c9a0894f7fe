
#include <math.h>
#include <stdlib.h>
#include <string.h>


#include "kernels.h"


#include "plain.h"
#include "read.h"
#include "own_ranges.h"

#include "devices.h"
#include "values.h"

const Kernels plain_kernels = {read_rows, read_own_ranges, multiply, multiply_sizes, normal_numbers,
                               pack_matrix, write_cells, drift_cells, largest_sizes, program, advance,
                               all_finite, whole_steps};

