/* The C twin of two network devices on a cable: packets from one's transmit queue to the other's
 * receive queue, one at a time, as devices in C would move them.
 *
 *     pop_batch     both queues: chains, checked and translated        split_twin.c, packed_twin.c
 *     move          header looked at, address compared, frame copied behind a new header
 *     push          the packets as sent, the buffers as filled
 *
 * Compiled with -DPACKED both queues are packed, else split. What the driver may change is looked
 * at in a copy. Sources: virtio 1.3 5.1.6.2, 5.1.6.4.
 */

#ifdef PACKED
#include "packed_twin.c"
#else
#include "split_twin.c"
#endif

enum { HEADER = 12, ADDRESS = 6, LEAST = 14, MOST = 16384 };

/* Give back the `n` buffers of the last batch, of which none was filled to its end. 0, or -1. */
static int push_filled(Queue *q, uint64_t n, const int64_t *written)
{
#ifdef PACKED
    uint8_t *ring = q->memory + q->desc;
    for (uint64_t i = 0; i < n; i++) {
        int64_t id = q->heads[i];
        if (q->in_flight[id] != 1 || written[i] >= q->length[i])
            return -1;
        if (q->features & HAS_ORDER && q->order[(q->returned + i) % q->size] != id)
            return -1;
        q->in_flight[id] = 0;
        uint64_t at = q->used + i, flags = (at / q->size % 2 ? 0 : AVAIL | USED) | WRITE;
        uint64_t word = (uint64_t)written[i] | (uint64_t)id << 32 | flags << 48;
        __atomic_store_n((uint64_t *)(ring + at % q->size * sizeof(Desc) + 8), word,
                         __ATOMIC_RELEASE);
    }
    q->used += n;
    q->returned += n;
    return 0;
#else
    q->written = written;
    return (int)push_batch(q, n);
#endif
}

/* Move packet `i` to buffer `i`: the bytes written, or -1 if that may not be. */
static inline int64_t move(const Queue *tx, const Queue *rx, uint64_t i, const uint8_t *mac)
{
    uint8_t packet[2048];
    const int64_t length = tx->length[i];
    if (tx->write[i] || !rx->write[i] || length > rx->length[i] || length > (int64_t)sizeof packet)
        return -1;
    if (length < HEADER + LEAST || length > HEADER + MOST)
        return -1;
    memcpy(packet, tx->memory + tx->offset[i], (size_t)length);
    if (packet[0] || packet[1] || memcmp(packet + HEADER, mac, ADDRESS))
        return -1;
    memset(packet, 0, HEADER);
    packet[HEADER - 2] = 1;
    memcpy(rx->memory + rx->offset[i], packet, (size_t)length);
    return length;
}

/* `n` packets of one piece into as many buffers of one piece. Gives the nanoseconds, or -1. */
int64_t net_batch(Queue *tx, Queue *rx, const uint8_t *mac, int64_t *written, uint64_t n)
{
    int64_t start = now();
    if (pop_batch(tx, n) != (int64_t)n || pop_batch(rx, n) != (int64_t)n)
        return -1;
    if (tx->starts[n] != (int64_t)n || rx->starts[n] != (int64_t)n)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if ((written[i] = move(tx, rx, i, mac)) < 0)
            return -1;
    if (push_batch(tx, n) || push_filled(rx, n, written))
        return -1;
    return now() - start;
}
