/* A cache, or details, whose mailbox was full: they cannot know what they have missed. */
#include "actors/presence.h"

#include "domain/marks.h"
#include "read_path.h"

enum { FLOOD = 3 * WL_MAILBOX_HWM }; /* more than both sides hold */

typedef struct {
    stage_t stage;
    neighbour_t fetcher;
    neighbour_t cache;
    wl_encoder_t *encoder;
    uint64_t commit_seq;
} missed_t;

static void missed_open(missed_t *self) {
    memset(self, 0, sizeof *self);
    stage_open(&self->stage);
    self->fetcher = neighbour_open(WL_ACTOR_FETCHER, 0);
    self->cache = neighbour_open(WL_ACTOR_CACHE, 0);
    self->encoder = wl_encoder_new();
    wl_settings_t *settings = &self->stage.settings;
    settings->shard_instances = 1;
    settings->shard_readers = 1;
    settings->presence_instances = 1;
    settings->cache_instances = 1;
    (void)snprintf(settings->shard_store, sizeof settings->shard_store, "mysql");
    stage_start(&self->stage, WL_ACTOR_PRESENCE, wl_presence_run);
    wl_lease_begin(self->stage.encoder, NULL);
    wl_lease_add(self->stage.encoder, &(wl_lease_item_t){.epoch = 1, .until = INT64_MAX});
    stage_send(&self->stage);
}

static void missed_close(missed_t *self) {
    (void)stage_stop(&self->stage);
    neighbour_close(&self->fetcher);
    neighbour_close(&self->cache);
    wl_encoder_destroy(&self->encoder);
    stage_close(&self->stage);
}

/* Answers tours, as long as nothing of the cache's mailbox is taken. */
static void answer_tours(missed_t *self) {
    wl_msg_t msg;
    while (neighbour_next(&self->fetcher, &msg, 0)) {
        wl_owners_head_t head = {.log_seq = 1,
                                 .last = true,
                                 .asked_at = msg.head.tell_owners.asked_at,
                                 .commit_seq = self->commit_seq};
        wl_owners_begin(self->encoder, &head);
        wl_owners_add(self->encoder, &(wl_owners_item_t){.uids = {NULL, 0}});
        while (wl_channel_send(self->stage.outbox, self->encoder) == WL_ERR_FULL) {
            zclock_sleep(1);
        }
    }
}

/* Until the cache has heard of a cover like this. */
static bool awaits(missed_t *self, bool covered, wl_cover_head_t *ret_head) {
    int64_t until = wl_mono_now().ms + 2 * PATIENCE_MS;
    wl_msg_t msg;
    while (wl_mono_now().ms < until) {
        answer_tours(self);
        if (neighbour_next(&self->cache, &msg, 5) && msg.id == WL_MSG_COVER &&
            msg.head.cover.covered == covered) {
            *ret_head = msg.head.cover;
            self->commit_seq += covered ? 0 : 10; /* somebody commits */
            return true;
        }
    }
    return false;
}

Test(presence_missed, a_cache_that_missed_a_message_is_closed_until_the_next_look, .timeout = 60) {
    missed_t missed;
    wl_cover_head_t head;
    missed_open(&missed);
    cr_assert(awaits(&missed, true, &head));
    stage_expect_counter(&missed.stage, msg_full, 0);
    for (uint64_t i = 0; i < FLOOD; i++) {
        wl_notice_begin(missed.stage.encoder, /* two heads never share a message */
                        &(wl_notice_head_t){.dispatcher = (uint32_t)(i % 2)});
        wl_notice_add(
            missed.stage.encoder,
            &(wl_notice_item_t){.uid = 7, .seq = i + 1, .state = WL_MARK_PENDING, .line = "cash"});
        while (wl_channel_send(missed.stage.outbox, missed.stage.encoder) == WL_ERR_FULL) {
            answer_tours(&missed);
        }
    }
    cr_assert_gt(stage_counter(&missed.stage, WL_COUNTER_msg_full, 1), 0u, "nothing was lost");
    cr_expect(awaits(&missed, false, &head), "it must forget");
    cr_expect(awaits(&missed, true, &head), "and may begin anew");
    cr_assert_eq(head.commits.count, 1u);
    cr_expect_eq(head.commits.at[0], missed.commit_seq, "no read of before is kept");
    missed_close(&missed);
}

/* One process alone says nothing of coverage otherwise. */
Test(presence_missed, details_that_missed_a_message_forget_what_they_keep, .timeout = 60) {
    stage_t stage;
    wl_msg_t msg;
    bool told[2] = {false, false};
    stage_open(&stage);
    neighbour_t cache = neighbour_open(WL_ACTOR_CACHE, 0);
    neighbour_t details = neighbour_open(WL_ACTOR_DETAILS, 0);
    stage.settings.presence_instances = 1;
    stage.settings.cache_instances = 1;
    stage_start(&stage, WL_ACTOR_PRESENCE, wl_presence_run);
    for (uint64_t i = 0; i < FLOOD; i++) {
        wl_notice_begin(stage.encoder, &(wl_notice_head_t){.dispatcher = (uint32_t)(i % 2)});
        wl_notice_add(stage.encoder, &(wl_notice_item_t){.uid = 7,
                                                         .seq = i + 1,
                                                         .state = WL_MARK_PENDING,
                                                         .line = "cash"});
        stage_send(&stage);
        cr_assert(neighbour_next(&cache, &msg, PATIENCE_MS)); /* one turn each, so one message */
    }
    cr_assert_gt(stage_counter(&stage, WL_COUNTER_msg_full, 1), 0u, "nothing was lost");
    int64_t until = wl_mono_now().ms + 2 * PATIENCE_MS;
    while (!told[true] && wl_mono_now().ms < until) {
        if (neighbour_next(&details, &msg, 5) && msg.id == WL_MSG_COVER) {
            cr_expect(!msg.head.cover.covered || told[false]);
            told[msg.head.cover.covered] = true;
        }
    }
    cr_expect(told[false], "they must forget");
    cr_expect(told[true], "and may begin anew");
    (void)stage_stop(&stage);
    neighbour_close(&cache);
    neighbour_close(&details);
    stage_close(&stage);
}
