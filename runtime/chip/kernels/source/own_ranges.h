/* The read of a layer in which each input of a row-block has a range of its own: its largest size, doubled while an ADC
 * saturates, as own_ranges.py has it. Included after read.h, which has the law of a reading. */

static float largest_size(const float *input, const float *channel_scale, int rows) {
    float most = 0.0f;
    for (int row = 0; row < rows; row++) {
        const float size = fabsf(channel_scale ? input[row] / channel_scale[row] : input[row]);
        most = size > most ? size : most;
    }
    return most;
}

/* What is made of some rows of the input on the way: levels and sums of those that are read, and what came out. */
typedef struct {
    int16_t *levels;
    uint8_t *squares, *sizes;
    Sums *sums;
    float *raw;                  /* outputs of the ADCs [lines, columns of the packed matrix] */
    float ranges[AT_ONCE];
} Reading;

/* One reading of these lines of the input, which begin at ``start``. */
static void read_once(const Layer *layer, const RowBlock *block, const OwnRanges *own, const float *input, size_t stride,
                      const int64_t *places, int start, const int *waiting, int count, size_t channel, int wide,
                      Reading *made) {
    const int packed = block->packed_rows;
    float row_variance[AT_ONCE];
    for (int n = 0; n < count; n++) {
        const int at = n * packed;
        convert(input + (start + waiting[n]) * stride + channel, layer->channel_scale ? layer->channel_scale + channel : NULL,
                block->rows, packed, 1.0f / (made->ranges[waiting[n]] * own->dac_step), layer->dac_levels,
                layer->square_bits, made->levels + at, made->squares + at, made->sizes + at);
        row_variance[n] =
            layer->noise == SAME_FOR_ALL ? (float)energy_of(made->levels + at, block->rows) * block->variance_unit : 0.0f;
    }
    for (int column = 0; column < wide; column += COLUMN_STEP) {
        make_sums(layer, block, count, column, made->levels, made->squares, made->sizes, made->sums);
        for (int n = 0; n < count; n++) {
            float normal[COLUMN_STEP];
            if (layer->noise != SILENT) {
                const int64_t *at = places + 3 * (size_t)(start + waiting[n]);
                const uint32_t place[3] = {(uint32_t)at[0], (uint32_t)at[1], (uint32_t)at[2]};
                coarse_32((uint32_t)column / 8, place, block->key, normal);
            }
            finish(layer, block, made->sums, n, normal, row_variance[n], column,
                   made->raw + (size_t)waiting[n] * wide + column);
        }
    }
}

/* Lines of those that were read whose ADCs saturate, in ``waiting``: how many. */
static int saturated(const float *raw, int wide, int columns, float limit, int *waiting, int count) {
    int left = 0;
    for (int n = 0; n < count; n++) {
        const float *line = raw + (size_t)waiting[n] * wide;
        float most = 0.0f;
        for (int column = 0; column < columns; column++) {
            const float size = fabsf(line[column]);
            most = size > most ? size : most;
        }
        if (most >= limit) waiting[left++] = waiting[n];
    }
    return left;
}

/* Outputs of one row-block in the model's units into those of the layer, as row_block.py scales them; then the bias. */
static void scale_and_add(const Layer *layer, const RowBlock *block, const OwnRanges *own, float *raw, float range,
                          int first, const float *bias, float *out) {
    const int columns = layer->columns;
    for (int i = 0; i < columns; i++) raw[i] *= range;
    if (own->input_range != 1.0f)
        for (int i = 0; i < columns; i++) raw[i] /= own->input_range;
    for (int i = 0; i < columns; i++) raw[i] *= block->factor[i];
    if (block->shift)
        for (int i = 0; i < columns; i++) raw[i] += block->shift[i];
    for (int i = 0; i < columns; i++) out[i] = first ? raw[i] : out[i] + raw[i];
    for (int i = 0; i < columns && bias; i++) out[i] += bias[i];
}

static int read_own_ranges(const Layer *layer, const OwnRanges *own, const float *input, size_t input_stride,
                           const int64_t *places, int first_row, int last_row, float *output) {
    const int together = last_row - first_row < AT_ONCE ? last_row - first_row : AT_ONCE;
    const int wide = (layer->columns + COLUMN_STEP - 1) / COLUMN_STEP * COLUMN_STEP;
    size_t most = 0;
    for (int b = 0; b < layer->block_count; b++)
        if ((size_t)layer->blocks[b].packed_rows > most) most = layer->blocks[b].packed_rows;
    most *= together;
    Reading made = {malloc(most * 4 + 1), NULL, NULL, malloc(sizeof(Sums)),
                    malloc(sizeof(float) * together * wide + 1), {0}};
    const int failed = !made.levels || !made.sums || !made.raw;
    made.squares = failed ? NULL : (uint8_t *)(made.levels + most);
    made.sizes = failed ? NULL : made.squares + most;
    for (int start = first_row; start < last_row && !failed; start += AT_ONCE) {
        const int lines = last_row - start < AT_ONCE ? last_row - start : AT_ONCE;
        size_t channel = 0;
        for (int b = 0; b < layer->block_count; b++) {
            RowBlock reading = layer->blocks[b]; /* as it is read, before digital scales it */
            reading.factor = reading.shift = NULL;
            int waiting[AT_ONCE], count = lines;
            for (int line = 0; line < lines; line++) {
                const float *from = input + (start + line) * input_stride + channel;
                const float size = largest_size(from, layer->channel_scale ? layer->channel_scale + channel : NULL,
                                                reading.rows);
                made.ranges[line] = size > 0.0f ? size : 1.0f;
                waiting[line] = line;
            }
            for (int again = 0; count && again <= own->doublings; again++) {
                reading.key = own->keys[b * (own->doublings + 1) + again];
                for (int n = 0; n < count && again; n++) made.ranges[waiting[n]] *= 2.0f;
                read_once(layer, &reading, own, input, input_stride, places, start, waiting, count, channel, wide, &made);
                count = saturated(made.raw, wide, layer->columns, own->saturation, waiting, count);
            }
            for (int line = 0; line < lines; line++)
                scale_and_add(layer, layer->blocks + b, own, made.raw + (size_t)line * wide, made.ranges[line], b == 0,
                              b == layer->block_count - 1 ? layer->bias : NULL,
                              output + (size_t)(start + line) * layer->columns);
            channel += reading.rows;
        }
    }
    free(made.levels);
    free(made.sums);
    free(made.raw);
    return failed;
}
