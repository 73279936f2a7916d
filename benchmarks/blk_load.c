/* Random requests to a disk, so many at a time. Runs in the guest.

       blk_load DEVICE r|w BYTES DEPTH REQUESTS SEED     prints the nanoseconds that all of them took

   It is static and needs no library. Direct I/O makes each request one of the device's; Linux AIO
   keeps DEPTH of them under way. Each block of 4 KiB begins with its own number: what is read is
   checked for it, and what is written has it. The same SEED asks for the same places. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, MOST = 256 };

static struct iocb requests[MOST], *ready[MOST];
static struct io_event events[MOST];

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static uint64_t random_number(uint64_t *state) /* xorshift64 */
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    return *state ^= *state << 17;
}

static uint64_t *block(const struct iocb *request, uint64_t at)
{
    return (uint64_t *)(uintptr_t)(request->aio_buf + at);
}

static void number(struct iocb *request)
{
    for (uint64_t at = 0; at < request->aio_nbytes; at += BLOCK)
        *block(request, at) = (request->aio_offset + at) / BLOCK;
}

static struct iocb *checked(const struct io_event *event)
{
    struct iocb *request = (struct iocb *)(uintptr_t)event->obj;
    if (event->res != (int64_t)request->aio_nbytes) {
        fprintf(stderr, "a request ended with %lld\n", (long long)event->res);
        exit(1);
    }
    for (uint64_t at = 0; at < request->aio_nbytes; at += BLOCK) {
        unsigned long long is = (request->aio_offset + at) / BLOCK, says = *block(request, at);
        if (is != says) {
            fprintf(stderr, "block %llu says that it is %llu\n", is, says);
            exit(1);
        }
    }
    return request;
}

int main(int count, char **words)
{
    if (count != 7)
        return 2;
    int writes = words[2][0] == 'w', depth = atoi(words[4]), idle = depth, busy = 0;
    uint64_t bytes = strtoull(words[3], 0, 10), left = strtoull(words[5], 0, 10);
    uint64_t state = strtoull(words[6], 0, 10) + 1;
    if (depth < 1 || depth > MOST || bytes < BLOCK || bytes % BLOCK)
        return 2;
    int disk = open(words[1], (writes ? O_RDWR : O_RDONLY) | O_DIRECT);
    off_t size = disk < 0 ? -1 : lseek(disk, 0, SEEK_END);
    aio_context_t context = 0;
    char *room;
    if (size < (off_t)bytes || syscall(SYS_io_setup, depth, &context))
        fail(words[1]);
    if (posix_memalign((void **)&room, BLOCK, depth * bytes))
        return 1;
    memset(room, 0, depth * bytes);
    for (int i = 0; i < depth; i++) {
        ready[i] = &requests[i];
        requests[i].aio_fildes = disk;
        requests[i].aio_buf = (uintptr_t)(room + i * bytes);
        requests[i].aio_nbytes = bytes;
        requests[i].aio_lio_opcode = writes ? IOCB_CMD_PWRITE : IOCB_CMD_PREAD;
    }
    int64_t start = now();
    while (left || busy) {
        int go = left < (uint64_t)idle ? (int)left : idle;
        for (int i = 0; i < go; i++) {
            ready[i]->aio_offset = random_number(&state) % (size / bytes) * bytes;
            if (writes)
                number(ready[i]);
        }
        if (go && syscall(SYS_io_submit, context, go, ready) != go)
            fail("io_submit");
        left -= go, busy += go, idle -= go;
        memmove(ready, ready + go, idle * sizeof *ready);
        int done = syscall(SYS_io_getevents, context, 1, MOST, events, 0);
        if (done < 1)
            fail("io_getevents");
        for (int i = 0; i < done; i++)
            ready[idle++] = checked(&events[i]);
        busy -= done;
    }
    printf("%lld\n", (long long)(now() - start));
    return 0;
}
