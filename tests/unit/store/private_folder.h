/* private_folder.h: for the tests of this folder: a folder of their own that is removed again, a
 * small full disk, damage to files, programs that stand still, and reproducible random numbers. */
#ifndef WL_TEST_PRIVATE_FOLDER_H
#define WL_TEST_PRIVATE_FOLDER_H

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char test_folder[64];

static inline void folder_make(void) {
    (void)snprintf(test_folder, sizeof test_folder, "/tmp/wl_store_XXXXXX");
    cr_assert_not_null(mkdtemp(test_folder));
}

static inline int folder_remove_one(const char *path, const struct stat *about, int type,
                                    struct FTW *walk) {
    (void)about;
    (void)type;
    (void)walk;
    return remove(path);
}

static inline void folder_remove(void) {
    (void)umount2(test_folder, MNT_DETACH);
    (void)nftw(test_folder, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* "<folder>/<name>", in one of four buffers that take turns. */
static inline const char *in_folder(const char *name) {
    static char paths[4][128];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", test_folder, name);
    return path;
}

/* Turns the folder into a disk of so many KiB. The mount lives in a namespace of this test process,
 * so it is gone with it whatever happens. Returns whether that was allowed. */
static inline int folder_shrink(unsigned kib) {
    char data[32];
    (void)snprintf(data, sizeof data, "size=%uk", kib);
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("tmpfs", test_folder, "tmpfs", 0, data) == 0;
}

/* Writes `count` bytes of value into the file from offset on, or at its end when offset is -1. */
static inline void file_overwrite(const char *path, off_t offset, size_t count, int value) {
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    cr_assert(file >= 0);
    uint8_t *bytes = malloc(count);
    cr_assert_not_null(bytes);
    memset(bytes, value, count);
    off_t at = offset < 0 ? lseek(file, 0, SEEK_END) : offset;
    (void)!pwrite(file, bytes, count, at); /* a full disk takes less */
    free(bytes);
    (void)close(file);
}

static inline off_t file_bytes(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 ? about.st_size : -1;
}

/* xorshift64*: the same numbers in every run. */
static inline uint64_t random_next(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

static inline uint32_t random_below(uint64_t *state, uint32_t bound) {
    return (uint32_t)((random_next(state) >> 32) % bound);
}

/* SIGSTOP to a program that this test has started, and all of its threads have stopped. */
static inline void program_freeze(pid_t process) {
    cr_assert_eq(kill(process, SIGSTOP), 0);
    cr_assert_eq(waitpid(process, NULL, WUNTRACED), process);
}

#endif
