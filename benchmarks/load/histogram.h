/* Latencies in buckets of a power of two, each in 64 equal parts: every value is kept to 1.6 % in 30 KB, whatever its size. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H
#include <stdint.h>

#define HISTOGRAM_BUCKETS (59 * 64)

struct histogram {
    uint64_t count, sum, max, bucket[HISTOGRAM_BUCKETS];
};

static inline void histogram_add(struct histogram *h, uint64_t value, uint64_t times) {
    unsigned index;
    if (value < 64) {
        index = (unsigned)value;
    } else {
        unsigned exponent = 63 - (unsigned)__builtin_clzll(value);
        index = (exponent - 5) * 64 + ((unsigned)(value >> (exponent - 6)) & 63);
    }
    if (index >= HISTOGRAM_BUCKETS) index = HISTOGRAM_BUCKETS - 1;
    h->bucket[index] += times;
    h->count += times;
    h->sum += value * times;
    if (value > h->max) h->max = value;
}

/* The upper end of the bucket that holds the value below which `share` of all lie. */
static inline uint64_t histogram_at(const struct histogram *h, double share) {
    uint64_t wanted = (uint64_t)((double)h->count * share), seen = 0;
    if (wanted >= h->count) return h->max;
    for (unsigned index = 0; index < HISTOGRAM_BUCKETS; index++) {
        seen += h->bucket[index];
        if (seen <= wanted) continue;
        uint64_t value;
        if (index < 64) {
            value = index;
        } else {
            unsigned exponent = index / 64 + 5, part = index % 64;
            value = (((uint64_t)64 + part + 1) << (exponent - 6)) - 1;
        }
        return value < h->max ? value : h->max;
    }
    return h->max;
}
#endif
