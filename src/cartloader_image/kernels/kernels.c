/* The inner loops of an import: bytes in, bytes out, no Python.
 *
 * Rules of this file. C11, nothing but the standard library. No function allocates, keeps anything between calls or
 * prints; whoever calls gives all memory, and has checked all sizes (door.py does). Pixels are uint8, rows of
 * `columns * bands` bytes one after the other, without gaps. The same input gives the same output on every machine:
 * floating-point sums are not contracted and have one order.
 *
 * Loops are written plainly and vectorised by the compiler. On x86-64 each is compiled twice, once for AVX2 and BMI2,
 * and the processor at hand decides; elsewhere (NEON on ARM) the baseline has the vectors.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif
#define INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
/* `static RESULT NAME(PARAMETERS)` that calls the inlined NAME_body(ARGUMENTS), compiled for what there is. */
#define DISPATCHED(RESULT, NAME, PARAMETERS, ARGUMENTS)                                           \
    __attribute__((target("avx2,bmi2"))) static RESULT NAME##_avx2 PARAMETERS { return NAME##_body ARGUMENTS; } \
    static RESULT NAME##_any PARAMETERS { return NAME##_body ARGUMENTS; }                         \
    static RESULT NAME PARAMETERS {                                                               \
        int newer = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");              \
        return newer ? NAME##_avx2 ARGUMENTS : NAME##_any ARGUMENTS;                              \
    }
#else
#define DISPATCHED(RESULT, NAME, PARAMETERS, ARGUMENTS) \
    static RESULT NAME PARAMETERS { return NAME##_body ARGUMENTS; }
#endif

/* The digest of this file's text when it was compiled: door.py uses no library of another text. */
EXPORT const char *source_digest(void) { return SOURCE_DIGEST; }

/* ---- halve -------------------------------------------------------------------------------------------------------
 *
 * Each pixel is the mean of the two by two below it, rounded to nearest, halves up: (a + b + c + d + 2) >> 2. Of
 * premultiplied pixels that is the mean that alpha asks for.
 */

INLINE int halve_body(const uint8_t *in, size_t rows, size_t columns, size_t bands, size_t stride, uint8_t *out)
{
    for (size_t row = 0; row < rows; row++) {
        const uint8_t *upper = in + 2 * row * stride, *lower = upper + stride;
        for (size_t column = 0; column < columns; column++)
            for (size_t band = 0; band < bands; band++, out++) {
                const uint8_t *a = upper + 2 * column * bands + band, *b = lower + 2 * column * bands + band;
                *out = (uint8_t)((a[0] + a[bands] + b[0] + b[bands] + 2) >> 2);
            }
    }
    return 0;
}

INLINE int halve_known_body(const uint8_t *in, size_t rows, size_t columns, size_t bands, size_t stride, uint8_t *out)
{
    switch (bands) { /* known when compiled, so that the loops are unrolled */
    case 1: return halve_body(in, rows, columns, 1, stride, out);
    case 2: return halve_body(in, rows, columns, 2, stride, out);
    case 3: return halve_body(in, rows, columns, 3, stride, out);
    default: return halve_body(in, rows, columns, 4, stride, out);
    }
}
DISPATCHED(int, halve_known,
           (const uint8_t *in, size_t rows, size_t columns, size_t bands, size_t stride, uint8_t *out),
           (in, rows, columns, bands, stride, out))

/* `rows` and `columns` are those of `out`; `stride` is the bytes from one row of `in` to the next; bands 1 ... 4. */
EXPORT void halve(const uint8_t *in, size_t rows, size_t columns, size_t bands, size_t stride, uint8_t *out)
{
    halve_known(in, rows, columns, bands, stride, out);
}

/* ---- straighten --------------------------------------------------------------------------------------------------
 *
 * Premultiplied colours become straight: c is (255 c + a / 2) / a of alpha a, at most 255, and 0 where that is 0.
 */

INLINE int straighten_body(const uint8_t *in, size_t rows, size_t columns, size_t bands, size_t stride, size_t made,
                           uint8_t *out)
{
    for (size_t row = 0; row < rows; row++, in += stride) {
        const uint8_t *pixel = in;
        for (size_t column = 0; column < columns; column++, pixel += bands, out += made) {
            unsigned alpha = pixel[bands - 1];
            for (size_t band = 0; band + 1 < bands; band++) {
                unsigned colour = pixel[band];
                if (alpha && alpha < 255) colour = (255 * colour + alpha / 2) / alpha;
                out[band] = (uint8_t)(!alpha ? 0 : colour < 255 ? colour : 255);
            }
            if (made == bands) out[bands - 1] = (uint8_t)alpha;
        }
    }
    return 0;
}

/* Two or four bands, the last one alpha; `made` are as many, or one less. */
EXPORT void straighten(const uint8_t *in, size_t rows, size_t columns, size_t bands, size_t stride, size_t made,
                       uint8_t *out)
{
    switch (10 * bands + made) { /* known when compiled */
    case 21: straighten_body(in, rows, columns, 2, stride, 1, out); break;
    case 22: straighten_body(in, rows, columns, 2, stride, 2, out); break;
    case 43: straighten_body(in, rows, columns, 4, stride, 3, out); break;
    default: straighten_body(in, rows, columns, 4, stride, 4, out);
    }
}

/* ---- resample ----------------------------------------------------------------------------------------------------
 *
 * Separable filters: out[r][c] = sum over i, j of down[r][i] * across[c][j] * in[down_first[r] + i][across_first[c] + j],
 * in floats from end to end and rounded once. Weights come from whoever calls, as do the taps: `down_taps` and
 * `across_taps` of them for each row and column, the latter a multiple of four. Each run of taps lies in the picture
 * but for weights of 0 at its end; `down_first` does not decrease.
 *
 * With `alpha`, the last band is straight alpha, and `out` is premultiplied: filtered are colours times alpha. Where a
 * kernel drives alpha beyond 255, colours keep their proportion to it; no colour is above its alpha.
 */

typedef float Four __attribute__((vector_size(16)));

INLINE Four four_at(const float *at)
{
    Four four;
    memcpy(&four, at, sizeof four);
    return four;
}

INLINE Four four_of(float value) { return (Four){value, value, value, value}; }

/* One row as floats, premultiplied where there is alpha. */
INLINE void as_floats(const uint8_t *in, size_t columns, size_t bands, int alpha, float *out)
{
    if (!alpha) {
        for (size_t i = 0; i < columns * bands; i++)
            out[i] = in[i];
        return;
    }
    for (size_t column = 0; column < columns; column++, in += bands, out += bands) {
        float share = in[bands - 1] * (1 / 255.0f);
        for (size_t band = 0; band + 1 < bands; band++)
            out[band] = in[band] * share;
        out[bands - 1] = in[bands - 1];
    }
}

/* The sum of rows of a ring that has `taps` of them, the first one at `first % taps`, times their weights. */
INLINE void down_row(const float *ring, size_t size, size_t taps, size_t first, const float *weights, float *out)
{
    if (taps == 4) {
        const float *a = ring + first % 4 * size, *b = ring + (first + 1) % 4 * size;
        const float *c = ring + (first + 2) % 4 * size, *d = ring + (first + 3) % 4 * size;
        for (size_t i = 0; i < size; i++)
            out[i] = (weights[0] * a[i] + weights[1] * b[i]) + (weights[2] * c[i] + weights[3] * d[i]);
        return;
    }
    for (size_t tap = 0; tap < taps; tap++) {
        const float *row = ring + (first + tap) % taps * size, weight = weights[tap];
        for (size_t i = 0; i < size; i++)
            out[i] = tap ? out[i] + weight * row[i] : weight * row[i];
    }
}

INLINE void across_row(const float *in, size_t columns, size_t bands, size_t taps, const int32_t *first,
                       const float *weights, float *out)
{
    for (size_t column = 0; column < columns; column++, weights += taps, out += bands) {
        const float *from = in + (size_t)first[column] * bands;
        /* Of each band the sum of four products, in the same order whatever the bands, is added to the one before. */
        if (bands == 1) {
            float sum = 0;
            for (size_t tap = 0; tap < taps; tap += 4) {
                Four each = four_at(weights + tap) * four_at(from + tap);
                sum += (each[0] + each[1]) + (each[2] + each[3]);
            }
            *out = sum;
        } else if (bands == 2) {
            float sum[2] = {0, 0};
            for (size_t tap = 0; tap < taps; tap += 4, from += 8) {
                const float *w = weights + tap;
                Four a = (Four){w[0], w[0], w[1], w[1]} * four_at(from);
                Four b = (Four){w[2], w[2], w[3], w[3]} * four_at(from + 4);
                sum[0] += (a[0] + a[2]) + (b[0] + b[2]);
                sum[1] += (a[1] + a[3]) + (b[1] + b[3]);
            }
            memcpy(out, sum, sizeof sum);
        } else { /* of three bands the fourth is of the next pixel, and written over by that one */
            Four sum = four_of(0);
            for (size_t tap = 0; tap < taps; tap += 4, from += 4 * bands)
                sum += (four_of(weights[tap]) * four_at(from) + four_of(weights[tap + 1]) * four_at(from + bands)) +
                       (four_of(weights[tap + 2]) * four_at(from + 2 * bands) +
                        four_of(weights[tap + 3]) * four_at(from + 3 * bands));
            memcpy(out, &sum, sizeof sum);
        }
    }
}

/* Rounded to nearest, halves up, and cut off at 0 and `most`. */
INLINE int32_t whole(float value, int32_t most)
{
    int32_t number = (int32_t)(value + 0.5f);
    number = number < 0 ? 0 : number;
    return number > most ? most : number;
}

INLINE void as_bytes(const float *in, size_t columns, size_t bands, int alpha, uint8_t *out)
{
    if (!alpha) {
        for (size_t i = 0; i < columns * bands; i++)
            out[i] = (uint8_t)whole(in[i], 255);
        return;
    }
    for (size_t column = 0; column < columns; column++, in += bands, out += bands) {
        float full = in[bands - 1], scale = full > 255 ? 255 / full : 1;
        int32_t most = whole(full, 255);
        for (size_t band = 0; band + 1 < bands; band++)
            out[band] = (uint8_t)whole(in[band] * scale, most);
        out[bands - 1] = (uint8_t)most;
    }
}

struct resampling {
    const uint8_t *in;
    size_t in_columns, bands, stride;
    int alpha;
    const int32_t *down_first;
    const float *down_weights;
    size_t down_taps, rows;
    const int32_t *across_first;
    const float *across_weights;
    size_t across_taps, columns;
    float *work;
    uint8_t *out;
};

INLINE int resample_bands(const struct resampling *r, size_t bands, int alpha)
{
    size_t size = r->in_columns * bands, have = 0;
    float *ring = r->work, *between = ring + r->down_taps * size, *line = between + size + 4 * r->across_taps;
    for (size_t i = 0; i < 4 * r->across_taps; i++)
        between[size + i] = 0; /* taps that count nothing read them */
    for (size_t row = 0; row < r->rows; row++) {
        size_t first = (size_t)r->down_first[row];
        for (have = have > first ? have : first; have < first + r->down_taps; have++)
            as_floats(r->in + have * r->stride, r->in_columns, bands, alpha, ring + have % r->down_taps * size);
        down_row(ring, size, r->down_taps, first, r->down_weights + row * r->down_taps, between);
        across_row(between, r->columns, bands, r->across_taps, r->across_first, r->across_weights, line);
        as_bytes(line, r->columns, bands, alpha, r->out + row * r->columns * bands);
    }
    return 0;
}

INLINE int resample_known_body(const struct resampling *r)
{
    switch (r->bands) {
    case 1: return resample_bands(r, 1, 0);
    case 2: return r->alpha ? resample_bands(r, 2, 1) : resample_bands(r, 2, 0);
    case 3: return resample_bands(r, 3, 0);
    default: return r->alpha ? resample_bands(r, 4, 1) : resample_bands(r, 4, 0);
    }
}
DISPATCHED(int, resample_known, (const struct resampling *r), (r))

/* Floats of the work area of `resample`. */
EXPORT size_t resample_work(size_t in_columns, size_t bands, size_t down_taps, size_t across_taps, size_t columns)
{
    return (down_taps + 1) * in_columns * bands + 4 * across_taps + columns * bands + 4;
}

EXPORT void resample(const uint8_t *in, size_t in_columns, size_t bands, size_t stride, int alpha,
                     const int32_t *down_first, const float *down_weights, size_t down_taps, size_t rows,
                     const int32_t *across_first, const float *across_weights, size_t across_taps, size_t columns,
                     float *work, uint8_t *out)
{
    struct resampling r = {in,           in_columns,     bands,       stride,  alpha, down_first, down_weights, down_taps, rows,
                           across_first, across_weights, across_taps, columns, work,  out};
    resample_known(&r);
}

/* ---- warp --------------------------------------------------------------------------------------------------------
 *
 * The same filters under any affine. The centre of the new pixel in column c and row r lies in the picture at
 * (u, v) = (a * c + b * r + x0, d * c + e * r + y0), the corner of the first pixel being (0, 0). Where that is inside
 * the picture, the new pixel is the sum of `taps` by `taps` pixels around it, weighted along both axes of the picture
 * by the row of `table` that is next to its place between two pixels' centres: row p of `phases + 1` is for p / phases.
 * Elsewhere it is 0.
 *
 * An opaque picture goes on beyond its edge, and gets an alpha that is 255 inside, unless all that is wanted lies
 * `within` it; one with `alpha` (straight, its last band) is 0 there, and `out` is premultiplied, as that of `resample`.
 *
 * New pixels are made by squares, so that however turned, what they are made of stays in a cache: a box of the picture,
 * in floats. Within a square, places are whole numbers of 2 ** -FRACTION pixels from the corner of its box: where they
 * are rounded, by 64 steps of half of one at most, nothing is seen. Numbers of 32 bits hold them, as no step is longer
 * than 16 pixels.
 */

#define STEP(bands) ((bands) == 1 ? 1 : 4) /* floats of a pixel */
enum {
    SQUARE = 64,
    REACH = 3, /* half of the most taps */
    FRACTION = 20,
};

typedef float Eight __attribute__((vector_size(32)));

INLINE Eight eight_at(const float *at)
{
    Eight eight;
    memcpy(&eight, at, sizeof eight);
    return eight;
}

INLINE Eight eight_of(float value) { return (Eight){value, value, value, value, value, value, value, value}; }

struct warping {
    const uint8_t *in;
    size_t in_rows, in_columns, bands, stride;
    const double *affine; /* a, b, x0, d, e, y0 */
    const float *down_table, *across_table;
    size_t phases, rows, columns, made; /* the last: bands of `out` */
    float *work;
    uint8_t *out;
};

struct box {
    int32_t top, bottom, left, right;
};

/* The pixels of a box, one after the other. */
INLINE int fill_body(const struct warping *w, size_t bands, const struct box *box, float *out)
{
    int32_t last_row = (int32_t)w->in_rows - 1, last_column = (int32_t)w->in_columns - 1;
    size_t step = STEP(bands), alpha = bands % 2 == 0;
    for (int32_t row = box->top; row < box->bottom; row++) {
        int32_t near = row < 0 ? 0 : row < last_row ? row : last_row;
        for (int32_t column = box->left; column < box->right; column++, out += step) {
            int32_t beside = column < 0 ? 0 : column < last_column ? column : last_column;
            const uint8_t *pixel = w->in + (size_t)near * w->stride + (size_t)beside * bands;
            float full = alpha && near == row && beside == column ? pixel[bands - 1] : 0;
            float share = alpha ? full * (1 / 255.0f) : 1;
            for (size_t band = 0; band < step; band++)
                out[band] = band + alpha < bands ? pixel[band] * share : band < bands ? full : 0;
        }
    }
    return 0;
}

INLINE int fill_known_body(const struct warping *w, const struct box *box, float *out)
{
    switch (w->bands) {
    case 1: return fill_body(w, 1, box, out);
    case 2: return fill_body(w, 2, box, out);
    case 3: return fill_body(w, 3, box, out);
    default: return fill_body(w, 4, box, out);
    }
}
DISPATCHED(int, fill_known, (const struct warping *w, const struct box *box, float *out), (w, box, out))

/* Along an axis of the picture, which `m` is for. Rounding keeps the order of places: what is inside of a row of new
 * pixels is one run, and corners are ends. */
INLINE double place(const double *m, size_t row, size_t column)
{
    return m[0] * (double)(int32_t)column + (m[1] * (double)(int32_t)row + m[2]);
}

INLINE int inside(const struct warping *w, size_t row, size_t column)
{
    double u = place(w->affine, row, column), v = place(w->affine + 3, row, column);
    return u >= 0 && v >= 0 && u < (double)w->in_columns && v < (double)w->in_rows;
}

/* What of an axis of so many pixels counts for the new pixels from row0 and column0 to row1 and column1, and a pixel more
 * at both ends, as places are rounded. */
INLINE void range_of(const double *m, size_t size, size_t row0, size_t row1, size_t column0, size_t column1, size_t taps,
                     int32_t *first, int32_t *end)
{
    double ends[4] = {place(m, row0, column0), place(m, row0, column1), place(m, row1, column0), place(m, row1, column1)};
    double low = (double)size, high = 0;
    for (int i = 0; i < 4; i++) {
        low = ends[i] < low ? ends[i] : low;
        high = ends[i] > high ? ends[i] : high;
    }
    low = low < 0 ? 0 : low;
    high = high < (double)size ? high : (double)size;
    *first = (int32_t)(low + 0.5) - (int32_t)(taps / 2) - 1;
    *end = (int32_t)(high + 0.5) + (int32_t)(taps / 2) + 1;
}

INLINE uint32_t fixed(double number) { return (uint32_t)(int64_t)(number * (1 << FRACTION)); }

/* The row of a table of `phases + 1` that is next to a place between two pixels. */
INLINE size_t phase(uint32_t at, size_t phases)
{
    return ((at & ((1 << FRACTION) - 1)) * phases + (1 << (FRACTION - 1))) >> FRACTION;
}

/* The sum of the pixels from `from` on, `wide` floats from row to row; writes four of them, or the one there is. */
INLINE void weighted(const float *from, size_t wide, size_t step, size_t taps, const float *down, const float *across,
                     float *to)
{
    if (step == 1) {
        Four parts[2] = {four_of(0), four_of(0)}, sum = four_of(0);
        for (size_t i = 0; i < taps; i++, from += wide)
            for (size_t j = 0; j < taps; j += 4)
                parts[j / 4] += four_of(down[i]) * four_at(from + j);
        for (size_t j = 0; j < taps; j += 4) /* what is read beyond the taps counts nothing */
            sum += parts[j / 4] * (j + 4 > taps ? (Four){across[j], across[j + 1], 0, 0} : four_at(across + j));
        *to = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        return;
    }
    Eight parts[REACH], sum = eight_of(0); /* two pixels each */
    for (size_t j = 0; j < taps / 2; j++)
        parts[j] = eight_of(0);
    for (size_t i = 0; i < taps; i++, from += wide)
        for (size_t j = 0; j < taps / 2; j++)
            parts[j] += eight_of(down[i]) * eight_at(from + 8 * j);
    for (size_t j = 0; j < taps / 2; j++) {
        float a = across[2 * j], b = across[2 * j + 1];
        sum += (Eight){a, a, a, a, b, b, b, b} * parts[j];
    }
    Four halves[2];
    memcpy(halves, &sum, sizeof sum);
    halves[0] += halves[1];
    memcpy(to, halves, sizeof *halves);
}

/* The new pixels from row0 to row1 and from column0 to column1, without the last ones. */
INLINE void warp_square(const struct warping *w, size_t step, size_t taps, size_t row0, size_t row1, size_t column0,
                        size_t column1)
{
    struct box box;
    range_of(w->affine, w->in_columns, row0, row1 - 1, column0, column1 - 1, taps, &box.left, &box.right);
    range_of(w->affine + 3, w->in_rows, row0, row1 - 1, column0, column1 - 1, taps, &box.top, &box.bottom);
    fill_known(w, &box, w->work);
    size_t wide = (size_t)(box.right - box.left) * step, before = taps / 2 - 1, made = w->made;
    uint32_t right = fixed(w->affine[0]), down = fixed(w->affine[3]);
    for (size_t row = row0; row < row1; row++) {
        float line[(SQUARE + 1) * 4] = {0};
        size_t first = column0, end = column1;
        while (first < end && !inside(w, row, first)) first++;
        while (first < end && !inside(w, row, end - 1)) end--;
        uint32_t x = fixed(place(w->affine, row, first) - 0.5 - box.left);
        uint32_t y = fixed(place(w->affine + 3, row, first) - 0.5 - box.top);
        float *to = line + (first - column0) * made;
        for (size_t column = first; column < end; column++, x += right, y += down, to += made) {
            const float *from = w->work + ((y >> FRACTION) - before) * wide + ((x >> FRACTION) - before) * step;
            weighted(from, wide, step, taps, w->down_table + phase(y, w->phases) * taps,
                     w->across_table + phase(x, w->phases) * taps, to);
            if (made > w->bands)
                to[w->bands] = 255;
        }
        memset(to, 0, 4 * sizeof *to); /* the last one may have written more than its own */
        as_bytes(line, column1 - column0, made, w->bands % 2 == 0, w->out + (row * w->columns + column0) * made);
    }
}

INLINE int warp_taps(const struct warping *w, size_t step, size_t taps)
{
    for (size_t row = 0; row < w->rows; row += SQUARE)
        for (size_t column = 0; column < w->columns; column += SQUARE) {
            size_t below = row + SQUARE < w->rows ? row + SQUARE : w->rows;
            size_t beside = column + SQUARE < w->columns ? column + SQUARE : w->columns;
            warp_square(w, step, taps, row, below, column, beside);
        }
    return 0;
}

INLINE int warp_known_body(const struct warping *w, size_t taps)
{
    switch (taps) {
    case 2: return w->bands == 1 ? warp_taps(w, 1, 2) : warp_taps(w, 4, 2);
    case 4: return w->bands == 1 ? warp_taps(w, 1, 4) : warp_taps(w, 4, 4);
    default: return w->bands == 1 ? warp_taps(w, 1, 6) : warp_taps(w, 4, 6);
    }
}
DISPATCHED(int, warp_known, (const struct warping *w, size_t taps), (w, taps))

/* Floats of the work area of `warp`: of the largest box that a square is made of. */
EXPORT size_t warp_work(const double *affine, size_t in_rows, size_t in_columns, size_t bands)
{
    size_t sides[2] = {in_columns, in_rows};
    for (int axis = 0; axis < 2; axis++) {
        double across = affine[3 * axis], down = affine[3 * axis + 1];
        double most = ((across < 0 ? -across : across) + (down < 0 ? -down : down)) * SQUARE;
        if (most < (double)sides[axis]) sides[axis] = (size_t)most;
        sides[axis] += 2 * REACH + 3;
    }
    return sides[0] * sides[1] * STEP(bands) + 4;
}

/* Two and four bands have alpha, one and three have none; `made` are as many, or one more for alpha where there is none
 * and not all is `within`. `taps` are 2, 4 or 6. */
EXPORT void warp(const uint8_t *in, size_t in_rows, size_t in_columns, size_t bands, size_t stride,
                 const double *affine, const float *down_table, const float *across_table, size_t phases, size_t taps,
                 size_t rows, size_t columns, size_t made, float *work, uint8_t *out)
{
    struct warping w = {in,     in_rows, in_columns, bands, stride, affine, down_table, across_table,
                        phases, rows,    columns,    made,  work,   out};
    warp_known(&w, taps);
}

/* ---- encode ------------------------------------------------------------------------------------------------------
 *
 * Pixels become what a PNG holds of them: each row behind its filter byte, deflated (PNG specification, 9; RFC 1951).
 *
 * Filtered tissue is noise: what LZ77 finds there costs more than it saves, and a Huffman code is all that helps. So
 * the matches of a block are runs of one byte, of distance 1. Where that leaves little, repeated texts are looked for
 * too, and taken where they are shorter than their bytes by the code so far. Each block of 64 kB has its own code, or
 * is stored if that is shorter: the output is never longer than all blocks stored.
 *
 * The filter of some rows is the one whose sampled bytes have the least entropy: of counts c with one sum, the largest
 * sum of c log2 c, in integers. The top row of a picture has no row above and is filtered by its left neighbours.
 */

enum { SUB = 1, UP, AVERAGE, PAETH }; /* as PNG numbers them */
enum {
    BLOCK = 65535,          /* bytes that one stored block holds, and any other one */
    ROOM = 16 * BLOCK,      /* but those of next to nothing, whose heads would be most of them */
    HISTORY = 32768,        /* bytes before a block that its matches may begin in */
    GROUP_BYTES = 1 << 20,  /* rows of so many bytes have one filter */
    SAMPLE_STEP = 16,       /* of so many rows one is tried */
    PIECE = 4096,           /* bytes of a row that are tried at once */
    WORD = 8,               /* equal bytes that are looked for, and the shortest run that is found */
    SHORTEST = 3, LONGEST = 258, /* matches that have a code */
    MATCHES = 1 << 16,      /* of one block, more than fit those that are held back: each has two bits or more */
    SLOTS = 13,             /* bits of a hash of four bytes */
    SOME = 32,              /* bytes of a match that are looked at */
    PATIENCE = 7,           /* blocks in which nothing is looked for after one in which that was in vain */
    END = 256, LENGTHS = 257, SYMBOLS = 286, DISTANCES = 30,
    SIZES = 19,             /* of the alphabet that code lengths are written in */
    LIMIT = 14,             /* bits of a code: four of them and seven bits left over fit the 64 of the buffer */
};

typedef struct {
    uint8_t *out;
    uint64_t bits; /* not yet written, the first one lowest */
    unsigned count;
} Writer;

typedef struct {
    uint32_t start;
    uint16_t length, distance;
} Match;

/* A code is `bits << 8 | length`, its bits in the order in which they are written; 0 where there is no such symbol. */
typedef struct {
    uint8_t window[HISTORY + ROOM]; /* filtered bytes: those before a block, and those that are not yet deflated */
    uint8_t *bytes;                 /* the latter, behind those that are held back, as they are next to nothing */
    size_t filled, known;           /* how many of them; how many before them there are, at most HISTORY */
    Match matches[MATCHES + 1];
    size_t found;
    uint32_t slots[1 << SLOTS], now; /* where in the stream, modulo 2 ** 32, such four bytes were last; its length */
    int rest;                        /* blocks that are left in peace */
    uint32_t counts[4][256];         /* by the place of a byte, so that equal neighbours do not wait for each other */
    uint32_t frequencies[SYMBOLS + DISTANCES], codes[SYMBOLS + DISTANCES], size_codes[SIZES];
    uint8_t sizes[SYMBOLS + DISTANCES], size_sizes[SIZES]; /* lengths of codes: of symbols and distances; of those */
    size_t symbols, distances, size_count, packed_count;   /* how many are written */
    uint8_t packed[2 * (SYMBOLS + DISTANCES)];             /* run-length encoded */
    uint32_t adler;
    Writer writer;
} Encoder;

INLINE uint8_t paeth(uint8_t left, uint8_t up, uint8_t corner)
{
    /* As _paeth in png.py explains: only bytes, no differences that could be negative. */
    uint8_t low = left < up ? left : up, high = left < up ? up : left;
    uint8_t over = (uint8_t)((corner > low ? corner : low) - low);
    uint8_t under = (uint8_t)(high - (corner < high ? corner : high));
    uint8_t nearest = over <= under >> 1 ? high : corner;
    return under <= over >> 1 ? low : nearest;
}

/* `size` bytes of a row from its byte `at` on, by the rows' first bytes; `up` is NULL only for SUB. */
INLINE int filter_body(int kind, const uint8_t *here, const uint8_t *up, size_t bands, size_t at, size_t size,
                       uint8_t *restrict out)
{
    for (; size && at < bands; at++, size--) /* nothing is to the left */
        *out++ = (uint8_t)(here[at] - (kind == SUB ? 0 : kind == AVERAGE ? up[at] >> 1 : up[at]));
    here += at;
    const uint8_t *left = here - bands;
    if (kind == SUB) {
        for (size_t i = 0; i < size; i++) out[i] = (uint8_t)(here[i] - left[i]);
        return 0;
    }
    up += at;
    const uint8_t *corner = up - bands;
    if (kind == UP)
        for (size_t i = 0; i < size; i++) out[i] = (uint8_t)(here[i] - up[i]);
    else if (kind == AVERAGE)
        for (size_t i = 0; i < size; i++) out[i] = (uint8_t)(here[i] - ((left[i] + up[i]) >> 1));
    else
        for (size_t i = 0; i < size; i++) out[i] = (uint8_t)(here[i] - paeth(left[i], up[i], corner[i]));
    return 0;
}
DISPATCHED(int, filter,
           (int kind, const uint8_t *here, const uint8_t *up, size_t bands, size_t at, size_t size, uint8_t *out),
           (kind, here, up, bands, at, size, out))

static void count_bytes(uint32_t counts[4][256], const uint8_t *bytes, size_t size)
{
    for (; size >= 8; bytes += 8, size -= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        counts[0][word & 255]++;
        counts[1][word >> 8 & 255]++;
        counts[2][word >> 16 & 255]++;
        counts[3][word >> 24 & 255]++;
        counts[0][word >> 32 & 255]++;
        counts[1][word >> 40 & 255]++;
        counts[2][word >> 48 & 255]++;
        counts[3][word >> 56]++;
    }
    for (; size; size--) counts[0][*bytes++]++;
}

/* 65536 log2(n), within 0.01: between powers of two a parabola. */
static uint64_t log2_fixed(uint32_t n)
{
    int whole = 31 - __builtin_clz(n);
    uint64_t part = ((uint64_t)n << 16 >> whole) - 65536;
    return ((uint64_t)whole << 16) + part + (part * (65536 - part) * 11 >> 21);
}

/* For `count` rows from `rows` on, below the row `above`. */
static int best_filter(uint32_t counts[4][256], const uint8_t *rows, size_t count, size_t size, size_t bands,
                       size_t stride, const uint8_t *above)
{
    uint8_t piece[PIECE];
    uint64_t best = 0;
    int chosen = UP;
    for (int kind = UP; kind <= PAETH; kind++) {
        memset(counts, 0, 4 * sizeof *counts);
        for (size_t row = count / 2 % SAMPLE_STEP; row < count; row += SAMPLE_STEP) {
            const uint8_t *here = rows + row * stride;
            for (size_t at = 0; at < size; at += PIECE) {
                size_t some = size - at < PIECE ? size - at : PIECE;
                filter(kind, here, row ? here - stride : above, bands, at, some, piece);
                count_bytes(counts, piece, some);
            }
        }
        uint64_t sum = 0;
        for (int byte = 0; byte < 256; byte++) {
            uint32_t n = counts[0][byte] + counts[1][byte] + counts[2][byte] + counts[3][byte];
            if (n) sum += n * log2_fixed(n);
        }
        if (sum > best) best = sum, chosen = kind;
    }
    return chosen;
}

/* Adler-32 (RFC 1950, 8) of what it was of, and these bytes: the second sum counts each byte as often as it is in the
 * first one. */
INLINE uint32_t adler32_body(uint32_t adler, const uint8_t *bytes, size_t size)
{
    enum { BASE = 65521, STEP = 2048 }; /* bytes of which no sum exceeds 32 bits */
    uint32_t low = adler & 0xFFFF, high = adler >> 16;
    while (size) {
        int some = size < STEP ? (int)size : STEP, sum = 0, weighted = 0;
        for (int i = 0; i < some; i++) {
            sum += bytes[i];
            weighted += (int16_t)bytes[i] * (int16_t)(some - i);
        }
        high = (high + (uint32_t)some * low + (uint32_t)weighted) % BASE;
        low = (low + (uint32_t)sum) % BASE;
        bytes += some, size -= (size_t)some;
    }
    return high << 16 | low;
}
DISPATCHED(uint32_t, adler32, (uint32_t adler, const uint8_t *bytes, size_t size), (adler, bytes, size))

/* Writes the whole bytes of the buffer, which must have eight bytes of room; at most seven bits stay. */
INLINE void flush(Writer *w)
{
    for (int i = 0; i < 8; i++) w->out[i] = (uint8_t)(w->bits >> 8 * i);
    w->out += w->count >> 3;
    w->bits >>= w->count & ~7u;
    w->count &= 7;
}

/* At most 57 bits between two flushes, none above `count`. */
INLINE void put(Writer *w, uint64_t bits, unsigned count)
{
    w->bits |= bits << w->count;
    w->count += count;
}

INLINE void put_code(Writer *w, uint32_t code) { put(w, code >> 8, code & 255); }

/* The symbol of a match's length, and how many bits of `length - SHORTEST` follow it (RFC 1951, 3.2.5). */
INLINE unsigned length_symbol(unsigned length, unsigned *extra)
{
    unsigned over = length - SHORTEST;
    *extra = over < 8 || length == LONGEST ? 0 : 29 - (unsigned)__builtin_clz(over);
    return length == LONGEST ? SYMBOLS - 1 : LENGTHS + 4 * *extra + (over >> *extra);
}

/* That of its distance, behind those of lengths, and how many bits of `distance - 1` follow it. */
INLINE unsigned distance_symbol(unsigned distance, unsigned *extra)
{
    unsigned over = distance - 1;
    *extra = over < 4 ? 0 : 30 - (unsigned)__builtin_clz(over);
    return SYMBOLS + 2 * *extra + (over >> *extra);
}

INLINE int same(const uint8_t *bytes, size_t distance) { return !memcmp(bytes, bytes - distance, WORD); }

/* Notes a match, in pieces that have a symbol, and the literals before it, from `done` on; gives its end. */
INLINE size_t note(Encoder *e, size_t done, size_t start, size_t length, size_t distance)
{
    unsigned extra;
    count_bytes(e->counts, e->bytes + done, start - done);
    for (size_t some; length && e->found < MATCHES; length -= some, start += some) {
        some = length <= LONGEST ? length : length < LONGEST + SHORTEST ? length - SHORTEST : LONGEST;
        e->frequencies[length_symbol((unsigned)some, &extra)]++;
        e->frequencies[distance_symbol((unsigned)distance, &extra)]++;
        e->matches[e->found++] = (Match){(uint32_t)start, (uint16_t)some, (uint16_t)distance};
    }
    return start;
}

static void note_nothing(Encoder *e)
{
    memset(e->counts, 0, sizeof e->counts);
    memset(e->frequencies, 0, sizeof e->frequencies);
    e->found = 0;
}

static void note_end(Encoder *e, size_t done)
{
    count_bytes(e->counts, e->bytes + done, e->filled - done);
    for (int byte = 0; byte < 256; byte++)
        e->frequencies[byte] = e->counts[0][byte] + e->counts[1][byte] + e->counts[2][byte] + e->counts[3][byte];
    e->frequencies[END] = 1;
    e->matches[e->found] = (Match){(uint32_t)e->filled, 0, 0}; /* what comes before it is literal */
}

/* From `at` on, the end of what is the same as at a distance. */
INLINE size_t matching(const uint8_t *bytes, size_t distance, size_t at, size_t size)
{
    while (at + WORD <= size && same(bytes + at, distance)) at += WORD;
    while (at < size && bytes[at] == bytes[at - distance]) at++;
    return at;
}

/* Finds where a byte is repeated `WORD` times or more. */
static void find_runs(Encoder *e)
{
    const uint8_t *bytes = e->bytes;
    size_t size = e->filled, done = 0;
    note_nothing(e);
    for (size_t at = 1; at + WORD <= size && e->found < MATCHES;) {
        if (!same(bytes + at, 1)) {
            at += WORD;
            continue;
        }
        size_t start = at;
        while (start > done + 1 && bytes[start - 1] == bytes[start - 2]) start--;
        at = matching(bytes, 1, at + WORD, size);
        done = note(e, done, start, at - start, 1);
    }
    note_end(e, done);
}

/* Where in the stream the four bytes were last that come at `at`, and from now on are there. */
INLINE uint32_t last_place(Encoder *e, size_t at)
{
    const uint8_t *b = e->bytes + at;
    uint32_t four = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    uint32_t *slot = &e->slots[four * 2654435761u >> (32 - SLOTS)], place = *slot;
    *slot = e->now + (uint32_t)at;
    return place;
}

/* Finds repeated texts of four bytes and more, where by the code so far they are shorter than their bytes. Gives up, and
 * gives 0, if in its first eighth they save less than a quarter of what that has of these `bits`. */
INLINE int find_matches_body(Encoder *e, uint64_t bits)
{
    const uint8_t *bytes = e->bytes;
    size_t size = e->filled, done = 0, saved = 0, probe = size / 8;
    note_nothing(e);
    for (size_t at = 0; at + WORD <= size && e->found < MATCHES;) {
        if (at >= probe) {
            if (saved < bits >> 5) return 0;
            probe = size;
        }
        size_t distance = (uint32_t)(e->now + (uint32_t)at - last_place(e, at)), end = at;
        if (distance - 1 < HISTORY && distance <= e->known + at) end = matching(bytes, distance, at, size);
        if (end <= at + SHORTEST) {
            at++;
            continue;
        }
        unsigned extra, literal = 0;
        distance_symbol((unsigned)distance, &extra);
        unsigned price = distance == 1 ? 4 : 8 + extra; /* about */
        for (size_t i = at; i < end && i < at + SOME; i++) literal += e->sizes[bytes[i]] ? e->sizes[bytes[i]] : LIMIT;
        if (literal <= price) {
            at++;
            continue;
        }
        size_t looked = end - at < SOME ? end - at : SOME;
        if (distance > 1 || end - at < WORD) saved += literal * (end - at) / looked - price;
        done = note(e, done, at, end - at, distance);
        for (size_t i = at + 1; i < done && i < at + SOME && i + WORD <= size; i++) last_place(e, i);
        at = done;
    }
    note_end(e, done);
    return 1;
}
DISPATCHED(int, find_matches, (Encoder *e, uint64_t bits), (e, bits))

/* The lengths of a Huffman code, none above `limit`, for `count` symbols.
 *
 * Moffat and Katajainen's (In-place calculation of minimum-redundancy codes, 1995), then codes that are too long are
 * shortened and the longest of the others lengthened until the code is complete again. */
static void code_sizes(const uint32_t *frequencies, int count, int limit, uint8_t *sizes)
{
    uint32_t keys[SYMBOLS], other[SYMBOLS], tree[SYMBOLS]; /* frequency << 9 | symbol, in ascending order */
    int n = 0;
    for (int symbol = 0; symbol < count; symbol++) {
        sizes[symbol] = 0;
        if (frequencies[symbol]) keys[n++] = frequencies[symbol] << 9 | (uint32_t)symbol;
    }
    if (n == 1) sizes[keys[0] & 511] = 1;
    if (n < 2) return;
    for (int shift = 9; shift < 30; shift += 7) { /* by digits; a frequency is at most ROOM, of 20 bits */
        uint16_t places[129] = {0};
        for (int i = 0; i < n; i++) places[(keys[i] >> shift & 127) + 1]++;
        for (int digit = 0; digit < 127; digit++) places[digit + 1] = (uint16_t)(places[digit + 1] + places[digit]);
        for (int i = 0; i < n; i++) other[places[keys[i] >> shift & 127]++] = keys[i];
        memcpy(keys, other, (size_t)n * sizeof *keys);
    }
    for (int i = 0; i < n; i++) tree[i] = keys[i] >> 9;
    int leaf = 0, root = 0; /* the least of those that have no parent yet; a node becomes the number of its parent */
    for (int node = 0; node < n - 1; node++) {
        uint32_t weight = 0;
        for (int child = 0; child < 2; child++)
            if (leaf >= n || (root < node && tree[root] < tree[leaf])) {
                weight += tree[root];
                tree[root++] = (uint32_t)node;
            } else
                weight += tree[leaf++];
        tree[node] = weight;
    }
    uint32_t having[33] = {0}; /* how many codes have a length */
    tree[n - 2] = 0;
    for (int node = n - 3; node >= 0; node--) tree[node] = tree[tree[node]] + 1;
    int inner = n - 2, open = 1, used = 0;
    for (int depth = 0; open > 0; depth++, open = 2 * used, used = 0) {
        for (; inner >= 0 && tree[inner] == (uint32_t)depth; inner--) used++;
        having[depth < limit ? depth : limit] += (uint32_t)(open - used);
    }
    uint32_t taken = 0; /* in units of the longest code */
    for (int size = 1; size <= limit; size++) taken += having[size] << (limit - size);
    for (; taken > 1u << limit; taken--) {
        int size = limit - 1;
        while (!having[size]) size--;
        having[size]--, having[size + 1] += 2, having[limit]--;
    }
    for (int size = limit, i = 0; size > 0; size--)
        for (uint32_t k = 0; k < having[size]; k++) sizes[keys[i++] & 511] = (uint8_t)size;
}

/* Canonical codes of such lengths (RFC 1951, 3.2.2), their bits reversed, as they are written. */
static void assign_codes(const uint8_t *sizes, int count, uint32_t *codes)
{
    uint32_t next[17] = {0};
    for (int symbol = 0; symbol < count; symbol++) next[sizes[symbol] + 1]++;
    next[1] = 0;
    for (int size = 1; size < 17; size++) next[size] = (next[size] + next[size - 1]) << 1;
    for (int symbol = 0; symbol < count; symbol++) {
        uint32_t size = sizes[symbol], reversed = 0;
        codes[symbol] = 0;
        if (!size) continue;
        uint32_t code = next[size]++;
        for (uint32_t bit = 0; bit < size; bit++) reversed |= (code >> bit & 1) << (size - 1 - bit);
        codes[symbol] = reversed << 8 | size;
    }
}

/* Code lengths as a block's head has them (RFC 1951, 3.2.7): pairs of a symbol and the value of the bits after it. */
static size_t pack_sizes(const uint8_t *sizes, size_t count, uint8_t *packed)
{
    uint8_t *out = packed;
    for (size_t at = 0, run; at < count; at += run) {
        for (run = 1; at + run < count && sizes[at + run] == sizes[at] && run < 138;) run++;
        if (!sizes[at] && run >= 3)
            *out++ = run > 10 ? 18 : 17, *out++ = (uint8_t)(run - (run > 10 ? 11 : 3));
        else if (at && sizes[at] == sizes[at - 1] && run >= 3)
            run = run < 6 ? run : 6, *out++ = 16, *out++ = (uint8_t)(run - 3);
        else
            run = 1, *out++ = sizes[at], *out++ = 0;
    }
    return (size_t)(out - packed) / 2;
}

/* Gives the end of these bytes. */
INLINE const uint8_t *put_literals(Writer *writer, const uint32_t *codes, const uint8_t *bytes, size_t size)
{
    Writer w = *writer;
    for (; size >= 4; bytes += 4, size -= 4) { /* only the low six bits of a shift count, so codes may be added */
        uint32_t a = codes[bytes[0]], b = codes[bytes[1]], c = codes[bytes[2]], d = codes[bytes[3]];
        uint64_t bits = a >> 8 | (uint64_t)(b >> 8) << (a & 63);
        bits |= (uint64_t)(c >> 8) << ((a + b) & 63) | (uint64_t)(d >> 8) << ((a + b + c) & 63);
        put(&w, bits, (a + b + c + d) & 63);
        flush(&w);
    }
    for (; size; size--) put_code(&w, codes[*bytes++]);
    flush(&w);
    *writer = w;
    return bytes;
}

INLINE int put_block_body(Encoder *e)
{
    Writer w = e->writer;
    const uint8_t *bytes = e->bytes;
    for (const Match *match = e->matches;; match++) {
        bytes = put_literals(&w, e->codes, bytes, (size_t)(e->bytes + match->start - bytes));
        if (!match->length) break;
        unsigned extra, symbol = length_symbol(match->length, &extra);
        put_code(&w, e->codes[symbol]);
        put(&w, (match->length - SHORTEST) & ((1u << extra) - 1), extra);
        symbol = distance_symbol(match->distance, &extra);
        put_code(&w, e->codes[symbol]);
        put(&w, (match->distance - 1u) & ((1u << extra) - 1), extra);
        flush(&w);
        bytes += match->length;
    }
    put_code(&w, e->codes[END]);
    flush(&w);
    e->writer = w;
    return 0;
}
DISPATCHED(int, put_block, (Encoder *e), (e))

static void put_stored(Writer *w, int last, const uint8_t *bytes, size_t size)
{
    put(w, (uint64_t)last, 3);
    w->count = (w->count + 7) & ~7u;
    flush(w);
    put(w, size | (~size & 0xFFFF) << 16, 32);
    flush(w);
    if (size) memcpy(w->out, bytes, size);
    w->out += size;
}

static const uint8_t ORDER[SIZES] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
static const uint8_t EXTRA[SIZES] = {[16] = 2, [17] = 3, [18] = 7};

/* Code lengths for the frequencies there are, and how a block's head says them; gives the bits of the block. */
static uint64_t plan(Encoder *e)
{
    uint32_t frequencies[SIZES] = {0};
    uint8_t sizes[SYMBOLS + DISTANCES];
    code_sizes(e->frequencies, SYMBOLS, LIMIT, e->sizes);
    code_sizes(e->frequencies + SYMBOLS, DISTANCES, LIMIT, e->sizes + SYMBOLS);
    for (e->symbols = SYMBOLS; !e->sizes[e->symbols - 1];) e->symbols--;
    for (e->distances = DISTANCES; e->distances > 1 && !e->sizes[SYMBOLS + e->distances - 1];) e->distances--;
    memcpy(sizes, e->sizes, e->symbols);
    memcpy(sizes + e->symbols, e->sizes + SYMBOLS, e->distances);
    e->packed_count = pack_sizes(sizes, e->symbols + e->distances, e->packed);
    for (size_t i = 0; i < e->packed_count; i++) frequencies[e->packed[2 * i]]++;
    code_sizes(frequencies, SIZES, 7, e->size_sizes);
    for (e->size_count = SIZES; !e->size_sizes[ORDER[e->size_count - 1]];) e->size_count--;
    uint64_t bits = 3 + 14 + 3 * e->size_count;
    for (int i = 0; i < SIZES; i++) bits += frequencies[i] * (uint64_t)(e->size_sizes[i] + EXTRA[i]);
    for (unsigned i = 0; i < SYMBOLS + DISTANCES; i++) {
        unsigned extra = i < LENGTHS + 8 || i == SYMBOLS - 1 ? 0 : (i - LENGTHS - 4) / 4;
        if (i >= SYMBOLS) extra = i < SYMBOLS + 4 ? 0 : (i - SYMBOLS - 2) / 2;
        bits += (uint64_t)e->frequencies[i] * (e->sizes[i] + extra);
    }
    return bits;
}

/* The bits of the bytes as a block whose matches are runs. */
static uint64_t plan_runs(Encoder *e)
{
    find_runs(e);
    return plan(e);
}

/* Deflates the bytes as a block, the last one or not, after `plan_runs`. */
static void put_bytes(Encoder *e, uint64_t bits, int last)
{
    Writer *w = &e->writer;
    uint64_t stored = 8 * e->filled;
    if (e->rest)
        e->rest--;
    else if (bits < stored / 8) {
        uint64_t others = find_matches(e, bits) ? plan(e) : bits;
        if (others >= bits) {
            plan_runs(e);
            e->rest = PATIENCE;
        } else
            bits = others;
    }
    if (bits >= stored + 40) /* only of a block that nothing was held back for */
        put_stored(w, last, e->bytes, e->filled);
    else {
        assign_codes(e->sizes, SYMBOLS, e->codes);
        assign_codes(e->sizes + SYMBOLS, DISTANCES, e->codes + SYMBOLS);
        assign_codes(e->size_sizes, SIZES, e->size_codes);
        put(w, (unsigned)last | 4, 3);
        put(w, (e->symbols - LENGTHS) | (e->distances - 1) << 5 | (e->size_count - 4) << 10, 14);
        for (size_t i = 0; i < e->size_count; i++) {
            put(w, e->size_sizes[ORDER[i]], 3);
            flush(w);
        }
        for (size_t i = 0; i < e->packed_count; i++) {
            put_code(w, e->size_codes[e->packed[2 * i]]);
            put(w, e->packed[2 * i + 1], EXTRA[e->packed[2 * i]]);
            flush(w);
        }
        put_block(e);
    }
    e->adler = adler32(e->adler, e->bytes, e->filled);
    e->now += (uint32_t)e->filled;
    e->known = HISTORY;
    e->bytes += e->filled, e->filled = 0;
}

/* Deflates what there is, at least a byte: `last` of all if that is 1. If it is -1, more follows, and what is next to
 * nothing may be held back. */
static void end_block(Encoder *e, int last)
{
    size_t held = (size_t)(e->bytes - e->window) - HISTORY, size = e->filled;
    uint64_t bits = plan_runs(e);
    int little = bits < size / 16 + 256; /* of 8 * size, and a head */
    if (little && last < 0 && held + 2 * BLOCK <= ROOM) {
        e->bytes += size, e->filled = 0;
        return;
    }
    if (held) {
        if (little) held += size, size = 0;
        e->bytes = e->window + HISTORY, e->filled = held;
        put_bytes(e, plan_runs(e), !size && last > 0);
        e->filled = size;
        if (size) bits = plan_runs(e);
    }
    if (size) put_bytes(e, bits, last > 0);
    if (last < 0) memcpy(e->window, e->bytes - HISTORY, HISTORY);
    e->bytes = e->window + HISTORY;
}

static void add_row(Encoder *e, int kind, const uint8_t *here, const uint8_t *up, size_t bands, size_t size)
{
    if (e->filled == BLOCK) end_block(e, -1);
    e->bytes[e->filled++] = (uint8_t)kind;
    for (size_t at = 0, some; at < size; at += some) {
        if (e->filled == BLOCK) end_block(e, -1);
        some = size - at < BLOCK - e->filled ? size - at : BLOCK - e->filled;
        filter(kind, here, up, bands, at, some, e->bytes + e->filled);
        e->filled += some;
    }
}

/* Whether of the three colours of `bands` (3 or 4) one says what another one does, or nothing: it is flat and not all
 * are. Five rows are looked at. */
EXPORT int repeats(const uint8_t *in, size_t rows, size_t columns, size_t bands, size_t stride)
{
    const uint8_t *first = in;
    int differ = 0, vary = 0; /* a bit for each pair of colours, and for each colour */
    for (size_t row = 0, step = rows / 4 + 1; row < rows; row += step)
        for (size_t column = 0; column < columns; column++) {
            const uint8_t *pixel = in + row * stride + column * bands;
            for (int band = 0; band < 3; band++) {
                differ |= (pixel[band] != pixel[(band + 1) % 3]) << band;
                vary |= (pixel[band] != first[band]) << band;
            }
        }
    return vary && (vary != 7 || differ != 7);
}

EXPORT size_t encode_work_bytes(void) { return sizeof(Encoder); }

/* Bytes that are enough for the output of `size` filtered ones: all blocks stored, head and end, a last flush. */
EXPORT size_t encode_capacity(size_t size) { return size + 6 * (size / BLOCK + 1) + 32; }

/* Rows of `columns` pixels of 1 ... 4 bands, `stride` bytes from one to the next, below `above` or nothing (NULL), all
 * of one `filter_kind` (UP ... PAETH) or, if that is 0, of the best ones. The output is `whole`, a zlib stream, or a
 * piece of a deflate stream that ends at a byte and is not the last one. Gives its length, and in `*adler` the checksum
 * of the filtered bytes alone. `work` is aligned to eight bytes. */
EXPORT size_t encode(const uint8_t *in, size_t rows, size_t columns, size_t bands, size_t stride, const uint8_t *above,
                     int filter_kind, int whole, void *work, uint8_t *out, uint32_t *adler)
{
    Encoder *e = work;
    size_t size = columns * bands, group = GROUP_BYTES / size + 1;
    e->bytes = e->window + HISTORY, e->filled = e->known = 0, e->now = 0, e->rest = 0, e->adler = 1;
    e->writer = (Writer){out, 0, 0};
    memset(e->slots, 0, sizeof e->slots);
    if (whole) put(&e->writer, 0x0178, 16); /* RFC 1950: deflate with a window of 32 kB */
    flush(&e->writer);
    if (!above) {
        add_row(e, SUB, in, NULL, bands, size);
        above = in, in += stride, rows--;
    }
    for (size_t some; rows; rows -= some) {
        some = rows < group ? rows : group;
        int kind = filter_kind ? filter_kind : best_filter(e->counts, in, some, size, bands, stride, above);
        for (size_t row = 0; row < some; row++, above = in, in += stride) add_row(e, kind, in, above, bands, size);
    }
    end_block(e, whole);
    if (whole) {
        e->writer.count = (e->writer.count + 7) & ~7u;
        flush(&e->writer);
        for (int shift = 24; shift >= 0; shift -= 8) put(&e->writer, e->adler >> shift & 255, 8);
        flush(&e->writer);
    } else
        put_stored(&e->writer, 0, NULL, 0);
    *adler = e->adler;
    return (size_t)(e->writer.out - out);
}
