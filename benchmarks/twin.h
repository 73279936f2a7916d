/* What both twins have: flags, the memory map, and a clock. Included by each, and compiled into it. */

#define _GNU_SOURCE
#include <stdint.h>
#include <string.h>
#include <time.h>

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };
enum { HAS_INDIRECT = 1, HAS_EVENTS = 2, HAS_ORDER = 4 };

#define MAX_BYTES (1ull << 32)

typedef struct { uint64_t start, size, offset; } Region;
typedef struct { uint64_t start, size; } Span;

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
