/* What Python calls: structures and functions of the compiled kernels. read.py, laws.py and devices.py mirror the structures.
 *
 * The law of a tile is runtime/chip/tile.py, that of its devices runtime/chip/drift.py and programming/: kernels make
 * the same bits. So nothing here may be fused or put in another order (the build says -ffp-contract=off), and products
 * and random numbers are whole numbers.
 */
#ifndef TILEWRIGHT_INTERFACE_H
#define TILEWRIGHT_INTERFACE_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

enum { PANEL = 16,      /* columns whose weights lie together */
       ROW_STEP = 8,    /* rows of a packed matrix are a multiple of this */
       COLUMN_STEP = 32 /* columns of one are a multiple of this */ };

enum { SILENT = 0, FOLLOWS_WEIGHTS = 1, SAME_FOR_ALL = 2 }; /* laws of the read noise */

/* One row-block. Arrays over columns have as many entries as the packed matrix has columns. */
typedef struct {
    const int16_t *weights;      /* packed: [columns / PANEL, rows / 2, PANEL, 2] */
    const int8_t *magnitudes;    /* packed: [columns / PANEL, rows / 4, PANEL, 4]; NULL if the noise does not follow them */
    const int16_t *by_place;     /* weights times their share of the wire, packed; NULL without IR drop */
    const int8_t *drawing;       /* sizes of weights, packed, of which the wires' current is made */
    const float *dac_currents;   /* what the offsets of the DACs add, or NULL */
    const float *adc_offsets;    /* in LSB, or NULL */
    const float *factor;         /* of what the ADC reads; NULL where that is what is wanted */
    const float *shift;          /* added after the factor, or NULL */
    uint64_t key;                /* of the noise of this read */
    int32_t rows;
    int32_t packed_rows;         /* a multiple of ROW_STEP */
    float weight_unit;           /* of the sum of levels and weights */
    float variance_unit;         /* of the sum of squares and magnitudes */
    float by_place_unit, drawing_unit;
    float wire_ratio;            /* rows times resistance times largest conductance */
} RowBlock;

typedef struct {
    const RowBlock *blocks;
    const float *channel_scale;  /* inputs are divided by it [rows of all blocks], or NULL */
    const float *bias;           /* [columns], or NULL */
    int32_t block_count;
    int32_t columns;             /* as the model has them */
    int32_t dac_levels;
    int32_t square_bits;         /* that squares of levels are without */
    int32_t adc_levels;          /* 0 without an ADC */
    float adc_step;
    float adc_steps_per_unit;
    float adc_bend;              /* strength of its curve, 0 if it is straight */
    float output_variance;
    int32_t noise;               /* SILENT, FOLLOWS_WEIGHTS or SAME_FOR_ALL */
} Layer;

/* What a read asks for besides, in which each input of a row-block has a range of its own. */
typedef struct {
    const uint64_t *keys;        /* of the noise of each reading [row-blocks, doublings + 1] */
    int32_t doublings;           /* of a range while an ADC saturates; 0 without one */
    float dac_step;
    float saturation;            /* size of an output from which on an ADC saturates */
    float input_range;           /* that outputs are in parts of */
} OwnRanges;

enum { STAYS = 0, VARIES = 1, CUBIC = 2 }; /* laws of drift */

/* The laws of one kind of device at one time, as targets/devices has them, and the keys of what they draw. */
typedef struct {
    float write[3];              /* deviation of a write: ((w[0] g + w[1]) g + w[2]) write_unit, at least 0 */
    float write_unit;
    int32_t is_written;          /* 0 if a device has exactly what is asked for */
    int32_t drift;               /* STAYS, VARIES or CUBIC */
    int32_t absolute_exponent;   /* 1 if an exponent below 0 is taken as its absolute value, else it is 0 */
    float exponent_mean[4];      /* slope and intercept over ln g, minimum, maximum; of a cubic its coefficients */
    float exponent_spread[4];
    float drift_logarithm;
    int32_t accumulates;         /* 1 with 1/f noise */
    float accumulated[4];        /* exponent (below 0), coefficient, maximum, scale times growth */
    uint64_t write_key, exponent_key, accumulated_key;
} Laws;

/* Devices of any coding, in lines that lie one after another: line n draws the numbers of place n. */
typedef struct {
    Laws laws;
    const float *wanted;         /* conductances that are asked for [lines, rows] */
    int32_t lines, rows;
    int32_t zero_is_silent;      /* 1 if a device that is asked for 0 is not written */
} Cells;

/* The devices of one row-block whose weights are held by one device each. */
typedef struct {
    Laws laws;
    const float *weights;        /* [columns, rows] of the model, ``stride`` apart */
    const float *channel_scale;  /* weights are multiplied by it [rows], or NULL */
    const float *scale;          /* weights are divided by it [columns]; 0 where all are 0 */
    uint64_t stride;
    int32_t columns, rows;
    int32_t states;              /* conductances of a device, 0 if any can be asked for */
} Devices;

/* What an advance makes: matrices to read with, and the reading of the drift compensation. */
typedef struct {
    const float *programmed;     /* conductances [columns, rows] */
    int16_t *weights;            /* packed */
    int8_t *magnitudes;          /* packed, or NULL */
    double *reading;             /* sum of what is read of each weight [columns], or NULL */
    float *largest;              /* largest weight of each column */
    int32_t packed_rows;
    float steps_per_unit;        /* of the grid of weights */
    int32_t follows_weights;     /* variance of the reading's noise: power times the weight, or power */
    float power, output_variance;
    int32_t adc_levels;
    float adc_step, adc_steps_per_unit;
    uint64_t reading_key;
} Advance;

/* Numbers of a tensor in the order of memory: lines from ``first`` to ``last``, each ``stride`` after the one before. */
typedef struct {
    size_t first, last, width, stride;
} Lines;

#endif
