/* The C twin of the packed queue: one list at a time, as a device in C would do it.
 *
 *     pop_batch     ring -> lists, checked and translated, into the arrays of a Batch
 *     push_batch    those lists -> used descriptors; in order one stands for all
 *     packed_batch  both, timed from the first load to the last store
 *
 * It works on the same memory as `virtlab.virtio.packed`, refuses what that refuses (a refusal ends
 * the batch), asks the same table of regions where memory is, notes the same ids as in flight, and
 * leaves the same arrays. What a guest may change is read once, into a local copy. A list of one
 * descriptor in the region of the one before has a short path of its own, as a careful programmer
 * would write it. Sources: virtio 1.3 2.8 to 2.8.22.
 */

#include "twin.h"

enum { AVAIL = 1 << 7, USED = 1 << 15 };

typedef struct { uint64_t addr; uint32_t len; uint16_t id, flags; } Desc;

/* The order of the fields is that of `benchmarks.packed_twin.Queue`. */
typedef struct {
    uint8_t *memory;               /* all regions, one behind the other */
    const Region *regions;
    uint64_t region_count;
    Span parts[3];                 /* where the driver says that the queue lies */
    uint64_t desc, device;         /* the ring and the device's event, in `memory` */
    uint64_t size, features;
    uint64_t last_avail, used, taken, returned;
    int64_t *heads, *slots, *starts, *offset, *length;
    uint8_t *write;
    uint64_t room;                 /* pieces that the arrays hold */
    uint16_t *in_flight;           /* by id: the slots of its list, or 0 */
    uint16_t *order;               /* in order, by number: who is next, */
    int64_t *writable;             /* and the bytes that it may be written */
} Queue;

static inline uint16_t load16(const uint8_t *at)
{
    return __atomic_load_n((const uint16_t *)at, __ATOMIC_ACQUIRE);
}

static inline Desc load_rest(const uint8_t *at, uint16_t flags)
{
    Desc d;
    memcpy(&d.addr, at, 8);
    memcpy(&d.len, at + 8, 4);
    memcpy(&d.id, at + 12, 2);
    d.flags = flags;
    return d;
}

/* Where `length` bytes at `gpa` are in memory; -1 if they are not in one region. */
static int64_t translate(const Queue *q, uint64_t gpa, uint64_t length)
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

/* A list as it is walked. */
typedef struct { uint64_t end, total; int64_t writable; int writing; } List;

/* Put one buffer of a list into the arrays. 0: refused. */
static inline int buffer(const Queue *q, Desc d, List *list)
{
    int write = (d.flags & WRITE) != 0;
    int64_t at = translate(q, d.addr, d.len);
    if (!d.len || at < 0 || (list->writing && !write) || list->end >= q->room)
        return 0;
    if (write && over_the_queue(q, d.addr, d.len))
        return 0;
    list->total += d.len;
    if (list->total > MAX_BYTES)
        return 0;
    list->writing = write;
    list->writable += write ? d.len : 0;
    q->offset[list->end] = at;
    q->length[list->end] = d.len;
    q->write[list->end++] = (uint8_t)write;
    return 1;
}

static int table(const Queue *q, Desc d, List *list)
{
    int64_t at = translate(q, d.addr, d.len);
    uint64_t entries = d.len / sizeof d;
    if (!(q->features & HAS_INDIRECT) || !d.len || d.len % sizeof d || at < 0 || entries > q->size)
        return 0;
    for (uint64_t i = 0; i < entries; i++) {
        Desc inner;
        memcpy(&inner, q->memory + at + i * sizeof inner, sizeof inner);
        if (!buffer(q, inner, list))
            return 0;
    }
    return 1;
}

/* The list whose first descriptor is `d`, at `slot`. Gives its slots; 0: refused. */
static uint64_t walk(const Queue *q, Desc *d, uint64_t slot, uint16_t bits, uint64_t room, List *list)
{
    uint64_t slots = 1;
    if (d->flags & INDIRECT)
        return d->flags & NEXT ? 0 : (uint64_t)table(q, *d, list);
    while (buffer(q, *d, list)) {
        if (!(d->flags & NEXT))
            return slots;
        if (slots++ == room)
            return 0;
        if (++slot == q->size) {
            slot = 0;
            bits ^= AVAIL | USED;
        }
        memcpy(d, q->memory + q->desc + slot * sizeof *d, sizeof *d);
        if ((d->flags & (AVAIL | USED)) != bits || d->flags & INDIRECT)
            return 0;
    }
    return 0;
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

/* Take up to `limit` lists; how many there were. */
int64_t pop_batch(Queue *q, uint64_t limit)
{
    const uint8_t *ring = q->memory + q->desc;
    const Region region = q->regions[q->region_count - 1];
    const uint64_t size = q->size, features = q->features;
    int64_t *restrict heads = q->heads, *restrict slots_of = q->slots, *restrict starts = q->starts;
    int64_t *restrict offset = q->offset, *restrict length = q->length;
    uint8_t *restrict writes = q->write;
    uint16_t *restrict in_flight = q->in_flight;
    uint64_t n = 0, room = size - (q->last_avail - q->used), taken = q->taken % size;
    uint64_t slot = q->last_avail % size;
    uint16_t bits = q->last_avail / size % 2 ? USED : AVAIL;
    List list = { 0 };
    starts[0] = 0;
    for (; n < limit && room; n++) {
        const uint8_t *at = ring + slot * sizeof(Desc);
        uint16_t flags = load16(at + 14);
        if ((flags & (AVAIL | USED)) != bits)
            break;
        Desc d = load_rest(at, flags);
        uint64_t slots = 1;
        if (one_piece(q, &region, d) && list.end < q->room) {
            offset[list.end] = (int64_t)(region.offset + d.addr - region.start);
            length[list.end] = d.len;
            writes[list.end++] = (d.flags & WRITE) != 0;
            list.writable = d.flags & WRITE ? d.len : 0;
        } else {
            list.total = 0, list.writable = 0, list.writing = 0;
            if (!(slots = walk(q, &d, slot, bits, room, &list)))
                break;
        }
        if (in_flight[d.id])
            break;
        in_flight[d.id] = (uint16_t)slots;
        if (features & HAS_ORDER) {
            q->order[taken] = d.id;
            q->writable[taken] = list.writable;
            taken = taken + 1 == size ? 0 : taken + 1;
        }
        heads[n] = d.id;
        slots_of[n] = (int64_t)slots;
        starts[n + 1] = (int64_t)list.end;
        room -= slots;
        q->last_avail += slots;
        slot += slots;
        if (slot >= size) {
            slot -= size;
            bits ^= AVAIL | USED;
        }
    }
    q->taken += n;
    if (n && features & HAS_EVENTS) {
        uint32_t event = (uint32_t)(slot | (bits == AVAIL) << 15 | 2 << 16);
        __atomic_store_n((uint32_t *)(q->memory + q->device), event, __ATOMIC_RELEASE);
    }
    return (int64_t)n;
}

/* A used descriptor at position `at`: all but its address, in one store. */
static inline void put(Queue *q, uint64_t at, int64_t id)
{
    uint16_t flags = at / q->size % 2 ? 0 : AVAIL | USED;
    uint64_t word = (uint64_t)id << 32 | (uint64_t)flags << 48;
    uint64_t slot = at % q->size;
    __atomic_store_n((uint64_t *)(q->memory + q->desc + slot * sizeof(Desc) + 8), word,
                     __ATOMIC_RELEASE);
}

/* The same for neighbours, without divisions. */
static int push_each(Queue *q, uint64_t n)
{
    uint8_t *ring = q->memory + q->desc;
    const int64_t *restrict heads = q->heads, *restrict slots_of = q->slots;
    uint16_t *restrict in_flight = q->in_flight;
    uint64_t slot = q->used % q->size, size = q->size, moved = 0;
    uint64_t flags = q->used / size % 2 ? 0 : AVAIL | USED;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t slots = (uint64_t)slots_of[i];
        if (in_flight[heads[i]] != slots)
            return -1;
        in_flight[heads[i]] = 0;
        __atomic_store_n((uint64_t *)(ring + slot * sizeof(Desc) + 8),
                         (uint64_t)heads[i] << 32 | flags << 48, __ATOMIC_RELEASE);
        moved += slots;
        slot += slots;
        if (slot >= size) {
            slot -= size;
            flags ^= AVAIL | USED;
        }
    }
    q->used += moved;
    return 0;
}

/* In order: one descriptor for all up to one that could have been written, and was not. */
static int push_order(Queue *q, uint64_t n)
{
    const uint64_t size = q->size;
    uint64_t at = q->returned % size, begin = q->used, moved = 0;
    for (uint64_t i = 0; i < n; i++) {
        int64_t id = q->heads[i];
        if (q->order[at] != id || q->in_flight[id] != q->slots[i])
            return -1;
        q->in_flight[id] = 0;
        moved += (uint64_t)q->slots[i];
        if (i + 1 == n || q->writable[at]) {
            put(q, begin, id);
            begin = q->used + moved;
        }
        at = at + 1 == size ? 0 : at + 1;
    }
    q->used += moved;
    return 0;
}

/* Give back the `n` lists of the last batch; nothing was written to them. 0, or -1 if it may not. */
int64_t push_batch(Queue *q, uint64_t n)
{
    if (n > q->taken - q->returned)
        return -1;
    if (q->features & HAS_ORDER ? push_order(q, n) : push_each(q, n))
        return -1;
    q->returned += n;
    return 0;
}

/* Pop a batch and push it. Gives the nanoseconds, or -1 if it was not exactly `n` lists. */
int64_t packed_batch(Queue *q, uint64_t n)
{
    int64_t start = now();
    if (pop_batch(q, n) != (int64_t)n || push_batch(q, n))
        return -1;
    return now() - start;
}
