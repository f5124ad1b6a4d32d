#include "store/blob_file.h"

#include "base/alloc.h"
#include "private_folder.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

TestSuite(blob_file, .init = folder_make, .fini = folder_remove);

static void assert_holds(const char *path, const void *bytes, size_t count) {
    void *got = NULL;
    size_t got_count = 0;
    cr_assert_eq(wl_blob_file_read(path, 1 << 20, &got, &got_count), WL_OK);
    cr_assert(got_count == count && memcmp(got, bytes, count) == 0);
    cr_assert_eq(((char *)got)[count], '\0', "a NUL stands behind the last byte");
    wl_free(got);
}

Test(blob_file, reads_what_was_written_and_replaces_it) {
    const char *path = in_folder("blob");
    cr_assert_eq(wl_blob_file_write(path, "first\0one", 9), WL_OK);
    assert_holds(path, "first\0one", 9);
    cr_assert_eq(wl_blob_file_write(path, "2", 1), WL_OK);
    assert_holds(path, "2", 1);
    cr_assert_eq(wl_blob_file_write(path, NULL, 0), WL_OK);
    assert_holds(path, "", 0);
    cr_assert_eq(access(in_folder("blob.tmp"), F_OK), -1, "nothing is left over");
    cr_assert_eq(chdir(test_folder), 0);
    cr_assert_eq(wl_blob_file_write("here", "x", 1), WL_OK, "a path without a folder");
    assert_holds("here", "x", 1);
}

Test(blob_file, refuses_what_it_cannot_read_whole) {
    void *bytes = NULL;
    size_t count = 0;
    const char *path = in_folder("blob");
    cr_assert_eq(wl_blob_file_read(path, 10, &bytes, &count), WL_ERR_NOT_FOUND);
    cr_assert_eq(wl_blob_file_write(path, "0123456789", 10), WL_OK);
    cr_assert_eq(wl_blob_file_read(path, 9, &bytes, &count), WL_ERR_TOO_BIG);
    cr_assert_eq(wl_blob_file_read(test_folder, 9, &bytes, &count), WL_ERR_IO, "a folder");
    cr_assert_eq(mkfifo(in_folder("pipe"), 0600), 0);
    cr_assert_eq(wl_blob_file_read(in_folder("pipe"), 9, &bytes, &count), WL_ERR_IO);
    cr_assert_null(bytes);
    cr_assert_eq(wl_blob_file_read(path, 10, &bytes, &count), WL_OK, "the bound itself fits");
    wl_free(bytes);
    cr_assert_eq(wl_blob_file_write(in_folder("no/blob"), "x", 1), WL_ERR_NOT_FOUND);
}

Test(blob_file, keeps_the_old_file_when_the_disk_is_full) {
    if (!folder_shrink(64)) {
        cr_skip_test("mounting a small disk is refused here: %s", strerror(errno));
    }
    static const char big[100000];
    const char *path = in_folder("blob");
    cr_assert_eq(wl_blob_file_write(path, "old", 3), WL_OK);
    cr_assert_eq(wl_blob_file_write(path, big, sizeof big), WL_ERR_NO_SPACE);
    assert_holds(path, "old", 3);
    cr_assert_eq(access(in_folder("blob.tmp"), F_OK), -1, "the space is given back");
    cr_assert_eq(wl_blob_file_write(path, big, 40000), WL_OK);
    assert_holds(path, big, 40000);
}

Test(blob_file, keeps_the_old_file_at_the_file_size_limit) {
    static const char big[100000];
    const char *path = in_folder("blob");
    cr_assert_eq(wl_blob_file_write(path, "old", 3), WL_OK);
    cr_assert_neq(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    struct rlimit before;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit limit = {.rlim_cur = 65536, .rlim_max = before.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    wl_err_t err = wl_blob_file_write(path, big, sizeof big);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    cr_assert_eq(err, WL_ERR_NO_SPACE);
    assert_holds(path, "old", 3);
}

Test(blob_file, is_old_or_new_whenever_the_writer_is_killed, .timeout = 60) {
    enum { COUNT = 300000 };
    const char *path = in_folder("blob");
    char *bytes = wl_alloc(COUNT);
    memset(bytes, 'a', COUNT);
    cr_assert_eq(wl_blob_file_write(path, bytes, COUNT), WL_OK);
    uint64_t random = 11;
    for (unsigned round = 0; round < 25; round++) {
        pid_t child = fork();
        if (child == 0) {
            for (unsigned char value = 'a';; value = value == 'z' ? 'a' : value + 1) {
                memset(bytes, value, COUNT);
                if (wl_blob_file_write(path, bytes, COUNT) != WL_OK) {
                    _exit(1);
                }
            }
        }
        struct timespec pause = {.tv_nsec = 1000000 + random_below(&random, 20000000)};
        (void)nanosleep(&pause, NULL);
        cr_assert_eq(kill(child, SIGKILL), 0);
        cr_assert_eq(waitpid(child, NULL, 0), child);
        char *got = NULL;
        size_t count = 0;
        cr_assert_eq(wl_blob_file_read(path, COUNT, (void **)&got, &count), WL_OK);
        cr_assert_eq(count, COUNT);
        cr_assert_eq(memcmp(got, got + 1, COUNT - 1), 0, "bytes of two versions in one file");
        wl_free(got);
    }
    cr_assert_eq(wl_blob_file_write(path, "end", 3), WL_OK, "the left-over is reused");
    cr_assert_eq(access(in_folder("blob.tmp"), F_OK), -1);
    wl_free(bytes);
}

static void *write_thread(void *arg) {
    static const char *const texts[] = {"aaaaaaaaaa", "bbbbbbbbbb"};
    const char *path = arg;
    unsigned written = 0;
    for (unsigned tries = 0; written < 60 && tries < 10000000; tries++) {
        wl_err_t err = wl_blob_file_write(path, texts[written % 2], 10);
        cr_assert(err == WL_OK || err == WL_ERR_BUSY, "%s", wl_err_name(err));
        written += err == WL_OK;
    }
    cr_assert_eq(written, 60);
    return NULL;
}

Test(blob_file, lets_one_of_two_writers_of_a_path_through_at_a_time, .timeout = 60) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s", in_folder("blob"));
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, write_thread, path), 0);
    }
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    char *got = NULL;
    size_t count = 0;
    cr_assert_eq(wl_blob_file_read(path, 100, (void **)&got, &count), WL_OK);
    cr_assert(count == 10 && memcmp(got, got + 1, 9) == 0);
    cr_assert_eq(access(in_folder("blob.tmp"), F_OK), -1);
    wl_free(got);
}
