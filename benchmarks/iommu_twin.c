/* The C twin of the second-level walk and of the flat IOTLB: one address at a time, as a remapping
 * unit in C would do it.
 *
 *     walk_batch   table -> entry, level by level, checked -> page, or the reason why not
 *     hit_batch    a flat table of deltas, by page number: is it known, where does it lead
 *
 * It reads the same memory as `virtlab.iommu.walk_many`, checks the same bits in the same order, asks
 * the same table of regions where memory is, and leaves the same two arrays. Sources: VT-d 3.0, 3.7,
 * 7.1.3, 9.8.
 */

#include "twin.h"

enum { READ_RIGHT = 1, WRITE_RIGHT = 2, LARGE = 1 << 7 };
enum { CONTEXT_INVALID = 3, NO_WRITE = 5, NO_READ = 6, PAGING_ACCESS = 7, RESERVED = 12, INTERRUPTS = 14 };

#define ADDRESS 0x000ffffffffff000ull

/* The order of the fields is that of `benchmarks.iommu_twin.Unit`. */
typedef struct {
    const uint8_t *memory;         /* all regions, one behind the other */
    const Region *regions;
    uint64_t region_count;
    uint64_t table, levels;        /* the top table (gpa), and how many levels there are */
    uint64_t reserved[2][6];       /* by whether it maps a page, and by level */
    const int64_t *iovas;
    int64_t *gpas;
    uint8_t *reasons;              /* 0: found */
    const int64_t *deltas;         /* the flat IOTLB: by page number, from page `first` on */
    uint64_t first, pages;
} Unit;

/* Where the 8 bytes at `gpa` are in memory; -1 if they are not in one region. */
static inline int64_t place(const Unit *u, uint64_t gpa)
{
    for (uint64_t i = 0; i < u->region_count; i++) {
        const Region *r = &u->regions[i];
        uint64_t inside = gpa - r->start;
        if (inside < r->size && 8 <= r->size - inside)
            return (int64_t)(r->offset + inside);
    }
    return -1;
}

/* One walk: 0 and the address, or the reason why not. */
static inline uint8_t walk(const Unit *u, uint64_t iova, uint64_t right, int64_t *gpa)
{
    uint64_t table = u->table;
    for (uint64_t level = u->levels;; level--) {
        uint64_t shift = 12 + 9 * (level - 1), entry;
        int64_t at = place(u, table + 8 * (iova >> shift & 511));
        if (at < 0)
            return level == u->levels ? CONTEXT_INVALID : PAGING_ACCESS;
        memcpy(&entry, u->memory + at, 8);
        if (!(entry & right))
            return right == WRITE_RIGHT ? NO_WRITE : NO_READ;
        int page = level == 1 || entry & LARGE;
        if (entry & u->reserved[page][level])
            return RESERVED;
        table = entry & ADDRESS;
        if (page) {
            uint64_t inside = (1ull << shift) - 1;
            *gpa = (int64_t)((table & ~inside) | (iova & inside));
            return *gpa - 0xfee00000ull < 0x100000 ? INTERRUPTS : 0;
        }
    }
}

/* Walk for `n` addresses: the nanoseconds. */
int64_t walk_batch(const Unit *u, uint64_t n, int write)
{
    int64_t start = now();
    uint64_t right = write ? WRITE_RIGHT : READ_RIGHT;
    for (uint64_t i = 0; i < n; i++) {
        int64_t gpa = 0;
        uint8_t reason = walk(u, (uint64_t)u->iovas[i], right, &gpa);
        u->gpas[i] = reason ? 0 : gpa;
        u->reasons[i] = reason;
    }
    return now() - start;
}

/* Look `n` addresses up: the nanoseconds, or -1 where one is not known. */
int64_t hit_batch(const Unit *u, uint64_t n)
{
    int64_t start = now();
    const int64_t *restrict iovas = u->iovas;
    int64_t *restrict gpas = u->gpas;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t page = ((uint64_t)iovas[i] >> 12) - u->first;
        if (page >= u->pages || (gpas[i] = iovas[i] + u->deltas[page]) < 0)
            return -1;
    }
    return now() - start;
}
