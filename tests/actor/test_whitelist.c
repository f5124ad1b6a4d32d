#include "actors/whitelist.h"
#include "domain/presence_set.h"

#include "base/alloc.h"
#include "domain/rollout.h"
#include "store/blob_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Names of files: the digest is the config actor's business. */
#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

static char dir[64];
static wl_whitelist_t *self;

/* A command about the folder, between these two texts. */
static void run(const char *before, const char *behind) {
    char command[256];
    (void)snprintf(command, sizeof command, "%s '%s%s'", before, dir, behind);
    cr_assert_eq(system(command), 0);
}

static void open_it(void) {
    (void)snprintf(dir, sizeof dir, "/tmp/wl-test-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    run("mkdir -p", "/config/blobs");
    self = wl_whitelist_new(dir);
}

static void close_it(void) {
    wl_whitelist_destroy(&self);
    wl_whitelist_destroy(&self);
    run("rm -rf", "");
}

static void set_write(const char *digest, wl_presence_mode_t mode, uint64_t first, uint64_t count) {
    char path[192];
    void *blob = NULL;
    size_t bytes = 0;
    wl_presence_set_t *set = wl_presence_set_new(mode, mode == WL_PRESENCE_EXACT ? 0 : 32);
    for (uint64_t i = 0; i < count; i++) {
        wl_presence_set_mark(set, first + i);
    }
    wl_presence_set_save(set, NULL, 0, &blob, &bytes);
    (void)snprintf(path, sizeof path, "%s/config/blobs/%s", dir, digest);
    cr_assert_eq(wl_blob_file_write(path, blob, bytes), WL_OK);
    wl_free(blob);
    wl_presence_set_destroy(&set);
}

static bool has(uint64_t uid) {
    const wl_uid_set_t *set = wl_whitelist_set(self);
    return set != NULL && wl_uid_set_test(set, uid);
}

/* Steps at that moment until it says `err`, or has this user; false: it did not for 5 s. */
static bool comes(wl_err_t err, uint64_t uid, int64_t now) {
    for (int i = 0; i < 5000; i++) {
        wl_fault_t fault = {.where = ""};
        wl_err_t told = wl_whitelist_step(self, false, now, &fault);
        if (told == err && (err != WL_OK || has(uid))) {
            return true;
        }
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return false;
}

Test(whitelist, is_read_at_once_when_nobody_is_served_yet) {
    open_it();
    set_write(A, WL_PRESENCE_EXACT, 10, 5);
    cr_expect_null(wl_whitelist_set(self));
    wl_whitelist_want(self, A, false);
    cr_expect_null(wl_whitelist_set(self), "nothing is read by wanting it");
    cr_expect_eq(wl_whitelist_step(self, true, 0, NULL), WL_OK);
    cr_expect(has(10) && has(14) && !has(15));
    wl_whitelist_want(self, "", false);
    cr_expect_null(wl_whitelist_set(self), "none is wanted");
    close_it();
}

Test(whitelist, is_read_beside_the_requests_otherwise) {
    open_it();
    set_write(A, WL_PRESENCE_EXACT, 10, 5);
    set_write(B, WL_PRESENCE_EXACT, 10, 6);
    wl_whitelist_want(self, A, false);
    cr_expect(comes(WL_OK, 10, 0));
    wl_whitelist_want(self, B, true);
    cr_expect(has(10) && !has(15), "who is shown the candidate goes on being shown it");
    cr_expect(comes(WL_OK, 15, 0));
    cr_expect(has(10));
    wl_whitelist_want(self, A, false);
    cr_expect_null(wl_whitelist_set(self), "another rollout has nothing to do with that set");
    cr_expect(comes(WL_OK, 10, 0));
    cr_expect_not(has(15));
    close_it();
}

Test(whitelist, that_is_not_there_is_tried_again_a_second_later) {
    open_it();
    wl_whitelist_want(self, A, false);
    cr_expect(comes(WL_ERR_NOT_FOUND, 0, 1000));
    set_write(A, WL_PRESENCE_EXACT, 10, 5);
    for (int i = 0; i < 20; i++) {
        cr_expect_eq(wl_whitelist_step(self, false, 1999, NULL), WL_OK);
    }
    cr_expect_null(wl_whitelist_set(self), "not before");
    cr_expect(comes(WL_OK, 10, 2000));
    close_it();
}

Test(whitelist, of_no_use_leaves_nobody_in_it) {
    char path[192];
    open_it();
    set_write(A, WL_PRESENCE_EXACT, 10, 5);
    set_write(B, WL_PRESENCE_HASHED, 10, 5);
    (void)snprintf(path, sizeof path, "%s/config/blobs/" C, dir);
    cr_assert_eq(wl_blob_file_write(path, "WLPS and then nothing", 21), WL_OK);
    wl_whitelist_want(self, A, false);
    cr_expect_eq(wl_whitelist_step(self, true, 0, NULL), WL_OK);
    wl_whitelist_want(self, C, true);
    cr_expect(comes(WL_ERR_DAMAGED, 0, 0));
    cr_expect_null(wl_whitelist_set(self), "an older set may have users that are out now");
    wl_whitelist_want(self, A, true);
    cr_expect(comes(WL_OK, 10, 0), "another one is not held up by the failure");
    wl_whitelist_want(self, B, true);
    cr_expect(comes(WL_ERR_DAMAGED, 0, 0), "a hashed one has users that nobody has put in it");
    cr_expect_null(wl_whitelist_set(self));
    close_it();
}

/* Sets that were read for nothing are freed; the sanitizer finds those that are not. */
Test(whitelist, may_change_at_any_moment) {
    static const char *const digests[] = {A, B, C, ""};
    open_it();
    set_write(A, WL_PRESENCE_EXACT, 10, 500);
    set_write(B, WL_PRESENCE_EXACT, 20, 500);
    for (uint32_t i = 0; i < 400; i++) {
        const char *digest = digests[(uint32_t)rand() % 4];
        wl_whitelist_want(self, digest, rand() % 2 == 0);
        for (int steps = rand() % 3; steps > 0; steps--) {
            (void)!wl_whitelist_step(self, rand() % 8 == 0, i, NULL);
        }
        cr_assert(digest[0] != '\0' || wl_whitelist_set(self) == NULL);
    }
    wl_whitelist_want(self, B, true);
    cr_expect(comes(WL_OK, 519, 100000));
    cr_expect_not(has(10));
    wl_whitelist_want(self, A, true);
    (void)!wl_whitelist_step(self, false, 100000, NULL); /* closed while it is read */
    close_it();
}
