/* The read of a layer's row-blocks: DAC, sums, noise, ADC, scale, all for a few rows and columns while they are in the
 * cache. Included by each instruction set's file, after its inner loops. */

enum { AT_ONCE = 64 /* rows of the input that are converted at once */ };

/* Whole steps of the DAC [packed rows], and their squares without some bits, rounded so that running sums keep their value. */
static void convert(const float *input, const float *channel_scale, int rows, int packed, float steps_per_unit,
                    int32_t most, int bits, int16_t *levels, uint8_t *squares, uint8_t *sizes) {
    const float limit = (float)most;
    int32_t steps[MOST_ROWS];
    for (int row = 0; row < rows; row++) {
        float value = channel_scale ? input[row] / channel_scale[row] : input[row];
        value = rintf(value * steps_per_unit);
        value = value < -limit ? -limit : value;
        steps[row] = (int32_t)(value > limit ? limit : value);
    }
    for (int row = 0; row < rows; row++) {
        levels[row] = (int16_t)steps[row];
        sizes[row] = (uint8_t)(steps[row] < 0 ? -steps[row] : steps[row]);
    }
    int32_t sum = (1 << bits) >> 1, before = 0;
    for (int row = 0; row < rows; row++) {
        sum += steps[row] * steps[row];
        squares[row] = (uint8_t)((sum >> bits) - before);
        before = sum >> bits;
    }
    for (int row = rows; row < packed; row++) {
        levels[row] = 0;
        squares[row] = sizes[row] = 0;
    }
}

static int32_t energy_of(const int16_t *levels, int rows) {
    int32_t sum = 0;
    for (int row = 0; row < rows; row++) sum += (int32_t)levels[row] * levels[row];
    return sum;
}

/* Sums of some rows of the input with COLUMN_STEP columns. */
typedef struct {
    int32_t weights[AT_ONCE * COLUMN_STEP], power[AT_ONCE * COLUMN_STEP], drawn[AT_ONCE * COLUMN_STEP],
        by_place[AT_ONCE * COLUMN_STEP];
} Sums;

/* COLUMN_STEP outputs of one row, from its sums: as tile.py's law and row_block.py's scale have it. */
static inline void finish(const Layer *layer, const RowBlock *block, const Sums *sums, int line, const float *normal,
                          float row_variance, int column, float *out) {
    const int32_t *weights = sums->weights + line * COLUMN_STEP, *power = sums->power + line * COLUMN_STEP;
    for (int i = 0; i < COLUMN_STEP; i++) out[i] = (float)weights[i] * block->weight_unit;
    if (block->dac_currents)
        for (int i = 0; i < COLUMN_STEP; i++) out[i] += block->dac_currents[column + i];
    if (block->by_place)
        for (int i = 0; i < COLUMN_STEP; i++) {
            float a = (float)sums->drawn[line * COLUMN_STEP + i] * block->drawing_unit * block->wire_ratio;
            float by_place = (float)sums->by_place[line * COLUMN_STEP + i] * block->by_place_unit;
            out[i] -= ((0.05f * a - 0.2f) * a + 0.5f) * a * by_place;
        }
    if (layer->noise == FOLLOWS_WEIGHTS)
        for (int i = 0; i < COLUMN_STEP; i++)
            out[i] += normal[i] * sqrtf((float)power[i] * block->variance_unit + layer->output_variance);
    else if (layer->noise == SAME_FOR_ALL)
        for (int i = 0; i < COLUMN_STEP; i++) out[i] += normal[i] * sqrtf(row_variance + layer->output_variance);
    if (layer->adc_levels) {
        const float limit = (float)layer->adc_levels;
        for (int i = 0; i < COLUMN_STEP; i++) out[i] *= layer->adc_steps_per_unit;
        if (layer->adc_bend != 0.0f)
            for (int i = 0; i < COLUMN_STEP; i++) {
                float part = out[i] < -limit ? -limit : out[i];
                part = (part > limit ? limit : part) / limit;
                out[i] = (part + layer->adc_bend * part * (1.0f - part * part)) * limit;
            }
        if (block->adc_offsets)
            for (int i = 0; i < COLUMN_STEP; i++) out[i] += block->adc_offsets[column + i];
        for (int i = 0; i < COLUMN_STEP; i++) {
            float steps = rintf(out[i]);
            steps = steps < -limit ? -limit : steps;
            out[i] = (steps > limit ? limit : steps) * layer->adc_step;
        }
    }
    if (block->factor)
        for (int i = 0; i < COLUMN_STEP; i++) out[i] *= block->factor[column + i];
    if (block->shift)
        for (int i = 0; i < COLUMN_STEP; i++) out[i] += block->shift[column + i];
}

/* Outputs of one row-block [COLUMN_STEP] into those of the layer, of which ``width`` are left; then the bias. */
static inline void add(float *out, const float *made, int width, int first, const float *bias, int column) {
    if (width >= COLUMN_STEP) { /* a length that is known makes vector instructions of each loop */
        for (int i = 0; i < COLUMN_STEP; i++) out[i] = first ? made[i] : out[i] + made[i];
        for (int i = 0; i < COLUMN_STEP && bias; i++) out[i] += bias[column + i];
        return;
    }
    for (int i = 0; i < width; i++) out[i] = first ? made[i] : out[i] + made[i];
    for (int i = 0; i < width && bias; i++) out[i] += bias[column + i];
}

static void make_sums(const Layer *layer, const RowBlock *block, int lines, int column, const int16_t *levels,
                      const uint8_t *squares, const uint8_t *sizes, Sums *sums) {
    const int packed = block->packed_rows, with_power = layer->noise == FOLLOWS_WEIGHTS;
    for (int panel = 0; panel < COLUMN_STEP; panel += PANEL) { /* one stays in the first cache for all lines */
        const size_t from = (size_t)(column + panel) * packed;
        for (int line = 0; line < lines; line += LINES) {
            const int together = lines - line < LINES ? lines - line : LINES;
            weight_sums(together, levels + line * packed, packed, packed, block->weights + from,
                        sums->weights + line * COLUMN_STEP + panel, COLUMN_STEP);
        }
        for (int line = 0; line < lines && (with_power || block->by_place); line += LINES) {
            const int together = lines - line < LINES ? lines - line : LINES, to = line * COLUMN_STEP + panel;
            if (with_power)
                power_sums(together, squares + line * packed, packed, packed, block->magnitudes + from, sums->power + to,
                           COLUMN_STEP);
            if (block->by_place) {
                power_sums(together, sizes + line * packed, packed, packed, block->drawing + from, sums->drawn + to,
                           COLUMN_STEP);
                weight_sums(together, levels + line * packed, packed, packed, block->by_place + from,
                            sums->by_place + to, COLUMN_STEP);
            }
        }
    }
}

static int read_rows(const Layer *layer, const float *input, size_t input_stride, float steps_per_unit,
                     const int64_t *places, int first_row, int last_row, int first_column,
                     int last_column, float *output) {
    const int together = last_row - first_row < AT_ONCE ? last_row - first_row : AT_ONCE;
    size_t most = 0;
    for (int b = 0; b < layer->block_count; b++)
        if ((size_t)layer->blocks[b].packed_rows > most) most = layer->blocks[b].packed_rows;
    most *= together;
    int16_t *levels = malloc(most * 4 + 1);
    Sums *sums = malloc(sizeof *sums);
    if (!levels || !sums) {
        free(levels);
        free(sums);
        return 1;
    }
    uint8_t *squares = (uint8_t *)(levels + most), *sizes = squares + most;
    const int columns = layer->columns;
    for (int start = first_row; start < last_row; start += AT_ONCE) {
        const int lines = last_row - start < AT_ONCE ? last_row - start : AT_ONCE;
        size_t channel = 0;
        for (int b = 0; b < layer->block_count; b++) {
            const RowBlock *block = layer->blocks + b;
            const int packed = block->packed_rows;
            float row_variance[AT_ONCE];
            for (int line = 0; line < lines; line++) {
                const int row = start + line, at = line * packed;
                convert(input + row * input_stride + channel, layer->channel_scale ? layer->channel_scale + channel : NULL,
                        block->rows, packed, steps_per_unit, layer->dac_levels,
                        layer->square_bits, levels + at, squares + at, sizes + at);
                row_variance[line] =
                    layer->noise == SAME_FOR_ALL ? (float)energy_of(levels + at, block->rows) * block->variance_unit : 0.0f;
            }
            for (int column = first_column; column < last_column; column += COLUMN_STEP) {
                make_sums(layer, block, lines, column, levels, squares, sizes, sums);
                for (int line = 0; line < lines; line++) {
                    const int row = start + line;
                    float normal[COLUMN_STEP], made[COLUMN_STEP];
                    if (layer->noise != SILENT) {
                        const int64_t *at = places + 3 * (size_t)row;
                        const uint32_t place[3] = {(uint32_t)at[0], (uint32_t)at[1], (uint32_t)at[2]};
                        coarse_32((uint32_t)column / 8, place, block->key, normal);
                    }
                    finish(layer, block, sums, line, normal, row_variance[line], column, made);
                    add(output + (size_t)row * columns + column, made, columns - column, b == 0,
                        b == layer->block_count - 1 ? layer->bias : NULL, column);
                }
            }
            channel += block->rows;
        }
    }
    free(levels);
    free(sums);
    return 0;
}

/* Normal numbers [lines, width] of these places [lines, 3]. */
static void normal_numbers(uint64_t key, const int64_t *places, size_t lines, size_t width, int fine, float *out) {
    enum { STEP = FINE_STEP > 32 ? FINE_STEP : 32 };
    const size_t whole = width / STEP * STEP;
    for (size_t line = 0; line < lines; line++, out += width) {
        const int64_t *at = places + 3 * line;
        const uint32_t place[3] = {(uint32_t)at[0], (uint32_t)at[1], (uint32_t)at[2]};
        float rest[STEP];
        if (fine) {
            fine_line(key, place, 0, (int)whole, out);
            fine_line(key, place, (uint32_t)whole / 4, (int)(width - whole), rest);
        } else {
            for (size_t column = 0; column < whole; column += 32) coarse_32((uint32_t)column / 8, place, key, out + column);
            for (size_t column = whole; column < width; column += 32)
                coarse_32((uint32_t)column / 8, place, key, rest + column - whole);
        }
        memcpy(out + whole, rest, (width - whole) * sizeof *rest);
    }
}

/* Products of levels [lines, rows] with a packed matrix, as float32 times a unit: [lines, columns]. */
static int multiply(const int16_t *levels, int lines, int rows, int packed, const int16_t *weights, int columns,
                    float unit, float *output) {
    int16_t *padded = calloc((size_t)LINES * packed, sizeof *padded);
    if (!padded) return 1;
    for (int line = 0; line < lines; line += LINES) {
        const int together = lines - line < LINES ? lines - line : LINES;
        for (int i = 0; i < together; i++)
            memcpy(padded + i * packed, levels + (size_t)(line + i) * rows, rows * sizeof *padded);
        for (int column = 0; column < columns; column += PANEL) {
            int32_t sums[LINES * PANEL];
            weight_sums(together, padded, packed, packed, weights + (size_t)column * packed, sums, PANEL);
            const int width = columns - column < PANEL ? columns - column : PANEL;
            for (int i = 0; i < together; i++)
                for (int j = 0; j < width; j++)
                    output[(size_t)(line + i) * columns + column + j] = (float)sums[i * PANEL + j] * unit;
        }
    }
    free(padded);
    return 0;
}

/* Products of sizes or squares [lines, rows], at most 127, with packed magnitudes: whole numbers [lines, columns]. */
static int multiply_sizes(const uint8_t *sizes, int lines, int rows, int packed, const int8_t *magnitudes, int columns,
                          int32_t *output) {
    uint8_t *padded = calloc((size_t)LINES * packed, sizeof *padded);
    if (!padded) return 1;
    for (int line = 0; line < lines; line += LINES) {
        const int together = lines - line < LINES ? lines - line : LINES;
        for (int i = 0; i < together; i++) memcpy(padded + i * packed, sizes + (size_t)(line + i) * rows, rows);
        for (int column = 0; column < columns; column += PANEL) {
            int32_t sums[LINES * PANEL];
            power_sums(together, padded, packed, packed, magnitudes + (size_t)column * packed, sums, PANEL);
            const int width = columns - column < PANEL ? columns - column : PANEL;
            for (int i = 0; i < together; i++)
                memcpy(output + (size_t)(line + i) * columns + column, sums + i * PANEL, width * sizeof *sums);
        }
    }
    free(padded);
    return 0;
}
