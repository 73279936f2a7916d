/* The C twin of the split queue: one chain at a time, as a device in C would do it.
 *
 *     pop_batch    avail ring -> chains, checked and translated, into the arrays of a Batch
 *     push_batch   those chains -> used ring; in order one element stands for all
 *     split_batch  both, timed from the first load to the last store
 *
 * It works on the same memory as `virtlab.virtio.split`, refuses what that refuses (a refusal ends
 * the batch), asks the same table of regions where memory is, and leaves the same arrays. What a
 * guest may change is read once, into a local copy. Sources: virtio 1.3 2.7 to 2.7.14.
 */

#include "twin.h"

typedef struct { uint64_t addr; uint32_t len; uint16_t flags, next; } Desc;
typedef struct { uint32_t id, len; } Elem;

/* The order of the fields is that of `benchmarks.split_twin.Queue`. */
typedef struct {
    uint8_t *memory;               /* all regions, one behind the other */
    const Region *regions;
    uint64_t region_count;
    Span parts[3];                 /* where the driver says that the queue lies */
    uint64_t desc, avail, used;    /* the same, in `memory` */
    uint64_t size, features;
    uint64_t last_avail, used_count;
    int64_t *heads, *slots, *starts, *offset, *length;
    uint8_t *write;
    uint64_t room;                 /* pieces that the arrays hold */
    uint16_t *order;               /* in order, by position: who is next, */
    int64_t *writable;             /* and the bytes that it may be written */
    const int64_t *written;        /* bytes written to each chain; null: none */
} Queue;

/* The one read of a descriptor: two loads, of which the compiler may not make more. */
static inline Desc load_desc(const uint8_t *at)
{
    uint64_t addr = __atomic_load_n((const uint64_t *)at, __ATOMIC_RELAXED);
    uint64_t rest = __atomic_load_n((const uint64_t *)(at + 8), __ATOMIC_RELAXED);
    return (Desc){ addr, (uint32_t)rest, (uint16_t)(rest >> 32), (uint16_t)(rest >> 48) };
}

static uint16_t load16(const uint8_t *at) { return __atomic_load_n((const uint16_t *)at, __ATOMIC_ACQUIRE); }
static void store16(uint8_t *at, uint16_t v) { __atomic_store_n((uint16_t *)at, v, __ATOMIC_RELEASE); }

/* Where `length` bytes at `gpa` are in memory; -1 if they are not in one region. */
static inline int64_t translate(const Queue *q, uint64_t gpa, uint64_t length)
{
    for (uint64_t i = 0; i < q->region_count; i++) {
        const Region *r = &q->regions[i];
        uint64_t inside = gpa - r->start;
        if (inside < r->size && length <= r->size - inside)
            return (int64_t)(r->offset + inside);
    }
    return -1;
}

static inline int over_the_queue(const Queue *q, uint64_t addr, uint64_t length)
{
    for (int i = 0; i < 3; i++)
        if (addr < q->parts[i].start + q->parts[i].size && q->parts[i].start < addr + length)
            return 1;
    return 0;
}

/* A chain as it is walked: what `walk` keeps in registers. */
typedef struct { uint64_t end; int64_t slots, writable; } Walked;

/* Entry `index` of a table. One that is not memory as a whole (`table` is null) may be so in parts. */
static inline int load_entry(const Queue *q, const uint8_t *table, uint64_t iova, uint64_t index,
                             Desc *d)
{
    if (!table) {
        int64_t at = translate(q, iova + index * sizeof *d, sizeof *d);
        if (at < 0)
            return 0;
        *d = load_desc(q->memory + at);
    } else {
        *d = load_desc(table + index * sizeof *d);
    }
    return 1;
}

/* Follow the chain at `head`, whose descriptor is `d`; its pieces from `m` on. 0: refused.
 * Kept out of the loop of the common case, which is a sixth quicker so. */
static __attribute__((noinline)) int walk(const Queue *q, uint64_t head, Desc d, uint64_t m,
                                          Walked *out)
{
    const uint8_t *table = q->memory + q->desc;
    int64_t *restrict offset = q->offset, *restrict lengths = q->length;
    uint8_t *restrict writes = q->write;
    const uint64_t size = q->size, features = q->features, room = q->room;
    uint64_t entries = size, index = head, left = size - 1, total = 0, first = m;
    int64_t slots = 0, writable = 0;
    uint64_t iova = 0;
    int64_t where;
    int indirect = 0, writing = 0;
    for (;;) {
        slots += !indirect;
        if (d.flags & INDIRECT) {
            if (indirect || !(features & HAS_INDIRECT) || d.flags & NEXT)
                return 0;
            if (!d.len || d.len % sizeof d || d.addr + d.len < d.addr)
                return 0;
            entries = d.len / sizeof d;
            left = (entries < size ? entries : size) - 1;
            indirect = 1;
            iova = d.addr;
            where = translate(q, iova, d.len);
            table = where < 0 ? 0 : q->memory + where;
            index = 0;
            if (!load_entry(q, table, iova, index, &d))
                return 0;
            continue;
        }
        int write = (d.flags & WRITE) != 0;
        int64_t at = translate(q, d.addr, d.len);
        if (!d.len || at < 0 || (writing && !write))
            return 0;
        if (write && over_the_queue(q, d.addr, d.len))
            return 0;
        total += d.len;
        if (total > MAX_BYTES || m - first >= size || m >= room)
            return 0;
        writing = write;
        writable += write ? d.len : 0;
        offset[m] = at;
        lengths[m] = d.len;
        writes[m] = (uint8_t)write;
        m++;
        if (!(d.flags & NEXT)) {
            *out = (Walked){ m, slots, writable };
            return 1;
        }
        if (features & HAS_ORDER) {
            uint64_t following = index + 1;
            if (!indirect && following == entries)
                following = 0;
            if (d.next != following)
                return 0;
        }
        index = d.next;
        if (index >= entries || !left--)
            return 0;
        if (!load_entry(q, table, iova, index, &d))
            return 0;
    }
}

/* The common case: one descriptor, in the region where the one before was. 0: look closer. */
static inline int one_piece(const Queue *q, const Region *region, Desc d)
{
    uint64_t inside = d.addr - region->start;
    if (d.flags & (NEXT | INDIRECT) || !d.len)
        return 0;
    if (inside >= region->size || d.len > region->size - inside)
        return 0;
    return !(d.flags & WRITE) || !over_the_queue(q, d.addr, d.len);
}

/* Take up to `limit` chains; how many there were. */
int64_t pop_batch(Queue *shared, uint64_t limit)
{
    const Queue copy = *shared, *q = &copy;    /* nobody else writes it: it may stay in registers */
    const Region region = q->regions[0];
    const uint8_t *avail = q->memory + q->avail, *table = q->memory + q->desc;
    int64_t *restrict heads = q->heads, *restrict slots = q->slots, *restrict starts = q->starts;
    int64_t *restrict offset = q->offset, *restrict length = q->length;
    int64_t *restrict writable = q->writable;
    uint8_t *restrict write = q->write;
    uint16_t *restrict order = q->order;
    const uint64_t mask = q->size - 1, size = q->size, in_order = q->features & HAS_ORDER;
    const uint64_t first = q->last_avail, room = q->room;
    uint64_t n = 0, m = 0;
    uint64_t waiting = (uint16_t)(load16(avail + 2) - first);
    if (waiting + first - q->used_count > size)
        return -1;
    if (waiting > limit)
        waiting = limit;
    starts[0] = 0;
    for (; n < waiting; n++) {
        uint64_t position = (first + n) & mask;
        uint64_t head = __atomic_load_n((const uint16_t *)(avail + 4) + position, __ATOMIC_RELAXED);
        Walked chain;
        if (head >= size)
            break;
        Desc d = load_desc(table + head * sizeof(Desc));
        if (one_piece(q, &region, d) && m < room) {
            offset[m] = (int64_t)(d.addr - region.start + region.offset);
            length[m] = d.len;
            write[m] = (d.flags & WRITE) != 0;
            chain = (Walked){ m + 1, 1, d.flags & WRITE ? d.len : 0 };
        } else if (!walk(q, head, d, m, &chain)) {
            break;
        }
        m = chain.end;
        heads[n] = (int64_t)head;
        slots[n] = chain.slots;
        starts[n + 1] = (int64_t)m;
        if (in_order) {
            order[position] = (uint16_t)head;
            writable[position] = chain.writable;
        }
    }
    shared->last_avail = first + n;
    if (n && q->features & HAS_EVENTS)
        store16(q->memory + q->used + 4 + 8 * size, (uint16_t)(first + n));
    return (int64_t)n;
}

static inline void put(uint8_t *ring, uint64_t position, int64_t head, int64_t written)
{
    uint64_t element = (uint32_t)head | (uint64_t)written << 32;
    memcpy(ring + 8 * position, &element, 8);
}

/* One element a chain. */
static void push_each(const Queue *q, uint64_t n)
{
    uint8_t *restrict ring = q->memory + q->used + 4;
    const int64_t *restrict heads = q->heads, *restrict written = q->written;
    const uint64_t mask = q->size - 1, first = q->used_count;
    if (written)
        for (uint64_t i = 0; i < n; i++)
            put(ring, (first + i) & mask, heads[i], written[i]);
    else
        for (uint64_t i = 0; i < n; i++)
            put(ring, (first + i) & mask, heads[i], 0);
}

/* In order: one element for a run of chains of which all but the last are written completely. */
static int push_runs(const Queue *q, uint64_t n)
{
    uint8_t *restrict ring = q->memory + q->used + 4;
    const int64_t *restrict heads = q->heads, *restrict written = q->written;
    const int64_t *restrict writable = q->writable;
    const uint16_t *restrict order = q->order;
    const uint64_t mask = q->size - 1, first = q->used_count;
    uint64_t start = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t position = (first + i) & mask;
        int64_t done = written ? written[i] : 0;
        if (order[position] != heads[i] || done > writable[position])
            return 0;
        if (i + 1 == n || done < writable[position]) {
            put(ring, (first + start) & mask, heads[i], done);
            start = i + 1;
        }
    }
    return 1;
}

/* Give back the `n` chains of the last batch, in order. 0, or -1 if that may not be. */
int64_t push_batch(Queue *q, uint64_t n)
{
    if (n > q->last_avail - q->used_count)
        return -1;
    if (!(q->features & HAS_ORDER))
        push_each(q, n);
    else if (!push_runs(q, n))
        return -1;
    q->used_count += n;
    store16(q->memory + q->used + 2, (uint16_t)q->used_count);
    return 0;
}

/* Pop a batch and push it. Gives the nanoseconds, or -1 if it was not exactly `n` chains. */
int64_t split_batch(Queue *q, uint64_t n)
{
    int64_t start = now();
    if (pop_batch(q, n) != (int64_t)n || push_batch(q, n))
        return -1;
    return now() - start;
}

/* A RAM disk: copy `n` blocks of `size` bytes to where the batch says. Gives the nanoseconds. */
int64_t copy_blocks(uint8_t *to, const int64_t *offset, const uint8_t *disk, const int64_t *block,
                    uint64_t n, uint64_t size)
{
    int64_t start = now();
    for (uint64_t i = 0; i < n; i++)
        memcpy(to + offset[i], disk + (uint64_t)block[i] * size, size);
    return now() - start;
}
