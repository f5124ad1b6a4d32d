/* What the presence actor tells the reconciler, and what it keeps of it. */
#include "actors/presence_check.h"

#include "actors/presence.h"
#include "base/slot.h"
#include "read_path.h"

static struct {
    stage_t stage;
    neighbour_t shard;
    neighbour_t fetcher;
    neighbour_t cache;
    neighbour_t frontend;
    neighbour_t reconciler;
} self;

static void start(void) {
    self.stage.settings.shard_instances = 1;
    self.fetcher = neighbour_open(WL_ACTOR_FETCHER, 0);
    stage_start(&self.stage, WL_ACTOR_PRESENCE, wl_presence_run);
    stage_configure(&self.stage);
}

/* The only shard tells its owners: the set is complete. */
static void tell_owners(uint64_t *uids, uint32_t count) {
    wl_msg_t asked = neighbour_expect(&self.fetcher, WL_MSG_TELL_OWNERS, 0);
    wl_owners_head_t head = {
        .log_seq = 9, .last = true, .asked_at = asked.head.tell_owners.asked_at};
    wl_owners_begin(self.stage.encoder, &head);
    wl_owners_add(self.stage.encoder, &(wl_owners_item_t){.uids = {uids, count}});
    stage_send(&self.stage);
}

static void world_open(void) {
    stage_open(&self.stage);
    self.shard = neighbour_open(WL_ACTOR_SHARD, 0);
    self.cache = neighbour_open(WL_ACTOR_CACHE, 0);
    self.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self.reconciler = neighbour_open(WL_ACTOR_RECONCILER, 0);
    start();
}

static void world_close(void) {
    (void)stage_stop(&self.stage);
    neighbour_close(&self.fetcher);
    neighbour_close(&self.shard);
    neighbour_close(&self.cache);
    neighbour_close(&self.frontend);
    neighbour_close(&self.reconciler);
    stage_close(&self.stage);
}

static void check(uint64_t ticket, uint64_t *uids, uint32_t count, bool mark) {
    wl_check_begin(self.stage.encoder, &(wl_check_head_t){.ticket = ticket, .mark = mark});
    wl_check_add(self.stage.encoder, &(wl_check_item_t){.uids = {uids, count}});
    stage_send(&self.stage);
}

static void world_open_two(void) {
    stage_open(&self.stage);
    self.stage.settings.presence_instances = 2;
    self.shard = neighbour_open(WL_ACTOR_SHARD, 0);
    self.cache = neighbour_open(WL_ACTOR_CACHE, 0);
    self.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self.reconciler = neighbour_open(WL_ACTOR_RECONCILER, 0);
    start();
}

TestSuite(presence_check, .init = world_open, .fini = world_close, .timeout = 60);
TestSuite(presence_check_two, .init = world_open_two, .fini = world_close, .timeout = 60);

Test(presence_check, bits_that_are_missing_are_named) {
    uint64_t owners[] = {5, 6};
    uint64_t asked[] = {4, 5, 6, 7};
    check(1, asked, 4, false);
    wl_msg_t told = neighbour_expect(&self.reconciler, WL_MSG_CHECKED, 0);
    cr_expect_eq(told.head.checked.error, (uint32_t)WL_ERR_UNAVAILABLE, "the set is not there yet");
    tell_owners(owners, 2);
    check(2, asked, 4, false);
    told = neighbour_expect(&self.reconciler, WL_MSG_CHECKED, 1);
    cr_expect_eq(told.head.checked.ticket, 2u);
    cr_expect_eq(told.head.checked.error, (uint32_t)WL_OK);
    cr_assert_eq(told.items.checked[0].missing.count, 2u);
    cr_expect_eq(told.items.checked[0].missing.at[0], 4u);
    cr_expect_eq(told.items.checked[0].missing.at[1], 7u);
    check(3, owners, 2, false);
    (void)neighbour_expect(&self.reconciler, WL_MSG_CHECKED, 0);
}

Test(presence_check, marked_bits_are_on_disk_when_that_is_said) {
    uint64_t owners[] = {5};
    uint64_t lost[] = {40, 41, 42};
    char path[128];
    char kept[160];
    tell_owners(owners, 1);
    check(1, lost, 3, true);
    check(2, lost, 2, true); /* while the snapshot of the first is being written */
    for (uint64_t ticket = 1; ticket <= 2; ticket++) {
        wl_msg_t told = neighbour_expect(&self.reconciler, WL_MSG_CHECKED, 0);
        cr_expect_eq(told.head.checked.ticket, ticket);
        cr_expect_eq(told.head.checked.error, (uint32_t)WL_OK);
    }
    check(3, lost, 3, false);
    (void)neighbour_expect(&self.reconciler, WL_MSG_CHECKED, 0);
    /* the process is killed: the snapshot of now is what there will be */
    (void)snprintf(path, sizeof path, "%s/presence-0of1.snap", self.stage.dir);
    (void)snprintf(kept, sizeof kept, "%s.kept", path);
    cr_assert_eq(rename(path, kept), 0);
    (void)stage_stop(&self.stage);
    cr_assert_eq(rename(kept, path), 0);
    zsock_destroy(&self.stage.outbox);
    wl_encoder_destroy(&self.stage.encoder);
    neighbour_close(&self.fetcher);
    start();
    tell_owners(NULL, 0);
    check(4, lost, 3, false);
    (void)neighbour_expect(&self.reconciler, WL_MSG_CHECKED, 0);
    uint64_t nobody[] = {43};
    check(5, nobody, 1, false);
    (void)neighbour_expect(&self.reconciler, WL_MSG_CHECKED, 1);
}

Test(presence_check_two, users_of_another_instance_are_counted_and_dropped) {
    uint64_t ours = 1;
    uint64_t theirs = 1;
    while (wl_uid_owner(ours, 2) != 0) {
        ours++;
    }
    while (wl_uid_owner(theirs, 2) != 1) {
        theirs++;
    }
    uint64_t both[] = {ours, theirs};
    tell_owners(NULL, 0);
    check(1, both, 2, true);
    check(2, &theirs, 1, false);
    check(3, &ours, 1, false);
    wl_msg_t told = neighbour_expect(&self.reconciler, WL_MSG_CHECKED, 1);
    cr_expect_eq(told.head.checked.ticket, 3u, "only this one is answered");
    cr_expect_eq(told.items.checked[0].missing.at[0], ours, "nothing of the first was marked");
    stage_expect_counter(&self.stage, msg_malformed, 2);
}
