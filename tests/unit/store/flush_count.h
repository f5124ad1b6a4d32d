/* flush_count.h: counts how often a test program asks the system to flush a file. A kill does not
 * show a missing flush, only a power cut would: so the tests of "durable" count. The definitions
 * here are found before libc's, by SQLite too. Include it in one source of a program. */
#ifndef WL_TEST_FLUSH_COUNT_H
#define WL_TEST_FLUSH_COUNT_H

#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_uint flush_count;

int fsync(int file) {
    (void)atomic_fetch_add(&flush_count, 1);
    return (int)syscall(SYS_fsync, file);
}

int fdatasync(int file) {
    (void)atomic_fetch_add(&flush_count, 1);
    return (int)syscall(SYS_fdatasync, file);
}

#endif
