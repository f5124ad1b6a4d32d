#include "actors/cache_cover.h"

#include "base/slot.h"

#include <criterion/criterion.h>

static wl_settings_t settings;

static wl_cache_cover_t *cover_of(uint64_t presences, uint64_t partitions) {
    wl_settings_defaults(&settings);
    settings.presence_instances = presences;
    settings.queue_partitions = partitions;
    return wl_cache_cover_new(&settings);
}

static wl_err_t tell(wl_cache_cover_t *cover, uint32_t presence, uint32_t partition, bool covered,
                     uint64_t commit_seq, bool *ret_lost) {
    uint64_t commits[2] = {commit_seq, commit_seq + 100};
    wl_cover_item_t item = {.partition = partition};
    wl_msg_t msg = {.id = WL_MSG_COVER, .count = 1};
    msg.head.cover = (wl_cover_head_t){
        .presence = presence, .covered = covered, .commits = {commits, covered ? 2 : 0}};
    msg.items.cover = &item;
    return wl_cache_cover_take(cover, &msg, ret_lost);
}

/* Some user of this presence actor and partition. */
static uint64_t user_of(uint32_t presence, uint32_t partition) {
    uint64_t uid = 1;
    while (wl_uid_owner(uid, (uint32_t)settings.presence_instances) != presence ||
           wl_uid_owner(uid, (uint32_t)settings.queue_partitions) != partition) {
        uid++;
    }
    return uid;
}

Test(cache_cover, all_is_covered_while_nobody_says_otherwise) {
    wl_cache_cover_t *cover = cover_of(1, 1);
    cr_expect(wl_cache_cover_serves(cover, 42));
    cr_expect(wl_cache_cover_keeps(cover, 42, 0, 0));
    wl_cache_cover_destroy(&cover);
}

Test(cache_cover, closes_the_users_of_one_partition_of_one_presence_actor) {
    wl_cache_cover_t *cover = cover_of(1, 4);
    bool lost = false;
    cr_expect_eq(tell(cover, 0, 2, false, 0, &lost), WL_OK);
    cr_expect(lost);
    cr_expect(wl_cache_cover_lost(cover, user_of(0, 2)));
    cr_expect(!wl_cache_cover_lost(cover, user_of(0, 1)));
    cr_expect(!wl_cache_cover_serves(cover, user_of(0, 2)));
    cr_expect(!wl_cache_cover_keeps(cover, user_of(0, 2), 0, UINT64_MAX));
    cr_expect(wl_cache_cover_serves(cover, user_of(0, 1)));
    wl_cache_cover_destroy(&cover);
    cover = cover_of(2, 1);
    cr_expect_eq(tell(cover, 1, 0, false, 0, &lost), WL_OK);
    cr_expect(wl_cache_cover_serves(cover, user_of(0, 0)));
    cr_expect(!wl_cache_cover_serves(cover, user_of(1, 0)));
    cr_expect(!wl_cache_cover_lost(cover, user_of(0, 0)));
    wl_cache_cover_destroy(&cover);
}

Test(cache_cover, afterwards_keeps_only_reads_that_have_seen_what_was_missed) {
    wl_cache_cover_t *cover = cover_of(1, 1);
    bool lost = true;
    cr_expect_eq(tell(cover, 0, 0, false, 0, &lost), WL_OK);
    cr_expect_eq(tell(cover, 0, 0, true, 50, &lost), WL_OK);
    cr_expect(!lost);
    cr_expect(wl_cache_cover_serves(cover, 42));
    cr_expect(!wl_cache_cover_keeps(cover, 42, 0, 49));
    cr_expect(wl_cache_cover_keeps(cover, 42, 0, 50));
    cr_expect(!wl_cache_cover_keeps(cover, 42, 1, 149));
    cr_expect(wl_cache_cover_keeps(cover, 42, 1, 150));
    cr_expect_eq(tell(cover, 0, 0, true, 7, &lost), WL_OK, "another database");
    cr_expect(wl_cache_cover_keeps(cover, 42, 0, 7));
    wl_cache_cover_destroy(&cover);
}

Test(cache_cover, refuses_instances_and_partitions_that_do_not_exist) {
    wl_cache_cover_t *cover = cover_of(2, 2);
    bool lost = false;
    cr_expect_eq(tell(cover, 2, 0, false, 0, &lost), WL_ERR_MALFORMED);
    cr_expect_eq(tell(cover, 0, 2, false, 0, &lost), WL_ERR_MALFORMED);
    cr_expect(wl_cache_cover_serves(cover, user_of(0, 0)));
    wl_cache_cover_destroy(&cover);
}
