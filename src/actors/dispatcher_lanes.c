#include "actors/dispatcher_state.h"

#include "actors/line_flow.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

enum {
    PAUSE_MS_MAX = 60000, /* longest pause of a line that is followed */
    RETRIES_A_SECOND = 1, /* of a line in any case, beside a fifth of its pulls */
    GONE_WAIT_MS = 10000, /* a line that was removed by mistake may come back meanwhile */
    GONE_STEP = 1000,     /* pairs of a removed line given up at once */
    TAKE_STEP = 200,      /* pulls taken at once */
};

wl_lane_t *wl_dispatcher_lane(wl_dispatcher_t *self, const char *line) {
    for (uint32_t i = 0; i < self->lane_count; i++) {
        if (strcmp(self->lanes[i]->line, line) == 0) {
            return self->lanes[i];
        }
    }
    return NULL;
}

static bool lane_idle(const wl_dispatcher_t *self, const wl_lane_t *lane) {
    return lane->config == NULL && !lane->behind &&
           wl_pending_waiting(self->pending, lane->line) == 0 &&
           wl_pending_flying(self->pending, lane->line) == 0;
}

static void lane_open(wl_dispatcher_t *self, wl_lane_t *lane, const char *line) {
    wl_mono_ms_t now = wl_mono_now();
    wl_free(lane->unheard);
    *lane = (wl_lane_t){.gone_since = now.ms};
    (void)snprintf(lane->line, sizeof lane->line, "%s", line);
    const wl_line_t *config =
        self->hub.config == NULL ? NULL : wl_config_line(self->hub.config, line);
    lane->config = wl_line_asked(config) ? config : NULL;
    wl_retry_budget_init(&lane->budget, RETRIES_A_SECOND, now);
}

wl_lane_t *wl_dispatcher_have_lane(wl_dispatcher_t *self, const char *line) {
    wl_lane_t *lane = wl_dispatcher_lane(self, line);
    if (lane != NULL) {
        return lane;
    }
    if (self->lane_count < WL_LANES_MAX) {
        lane = wl_alloc_zero(1, sizeof *lane);
        self->lanes[self->lane_count++] = lane;
        lane_open(self, lane, line);
        return lane;
    }
    for (uint32_t i = 0; i < self->lane_count; i++) {
        if (lane_idle(self, self->lanes[i])) {
            lane_open(self, self->lanes[i], line);
            return self->lanes[i];
        }
    }
    return NULL;
}

void wl_dispatcher_configure_lanes(wl_dispatcher_t *self) {
    const wl_config_t *config = self->hub.config;
    int64_t now = wl_mono_now().ms;
    for (uint32_t i = 0; i < self->lane_count; i++) {
        wl_lane_t *lane = self->lanes[i];
        bool was_there = lane->config != NULL;
        const wl_line_t *line = wl_config_line(config, lane->line);
        lane->config = wl_line_asked(line) ? line : NULL;
        lane->gone_since = lane->config == NULL && was_there ? now : lane->gone_since;
    }
    for (uint32_t i = 0; i < config->line_count; i++) {
        if (wl_line_asked(&config->lines[i]) &&
            wl_dispatcher_have_lane(self, config->lines[i].id) == NULL) {
            wl_log(WL_LOG_ERROR, self->hub.name, "lanes_full",
                   "line %s waits until removed lines have been given up", config->lines[i].id);
        }
    }
}

void wl_dispatcher_reset_lanes(wl_dispatcher_t *self) {
    for (uint32_t i = 0; i < self->lane_count; i++) {
        wl_lane_t *lane = self->lanes[i];
        lane->behind = false;
        lane->behind_after = 0;
        lane->stuck_id = 0;
        lane->stuck_at = 0;
        lane->retry_at = 0;
        wl_dispatcher_unfly_all(self, lane);
    }
}

void wl_dispatcher_pause(wl_lane_t *lane, int64_t pause_ms, wl_mono_ms_t now) {
    pause_ms = pause_ms < PAUSE_MS_MAX ? pause_ms : PAUSE_MS_MAX;
    int64_t until = now.ms + (pause_ms > 0 ? pause_ms : 0);
    lane->paused_until = until > lane->paused_until ? until : lane->paused_until;
}

void wl_dispatcher_notice(wl_dispatcher_t *self, const char *line, uint64_t uid, uint64_t seq,
                          wl_mark_state_t state) {
    uint32_t presences = wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE);
    wl_encoder_t *to =
        wl_hub_to(&self->hub, WL_ACTOR_PRESENCE, wl_uid_owner(uid, presences), WL_MSG_NOTICE, 0);
    if (!wl_encoder_begun(to)) {
        wl_notice_head_t head = {.dispatcher = self->hub.instance};
        wl_notice_begin(to, &head);
    }
    wl_notice_item_t item = {.uid = uid, .seq = seq, .state = (uint8_t)state};
    (void)snprintf(item.line, sizeof item.line, "%s", line);
    wl_notice_add(to, &item);
}

void wl_dispatcher_wake(wl_dispatcher_t *self) {
    wl_mono_ms_t now = wl_mono_now();
    wl_mono_ms_t next;
    (void)wl_pending_wake(self->pending, now, &next);
    for (uint32_t i = 0; i < self->lane_count; i++) {
        wl_lane_t *lane = self->lanes[i];
        uint32_t count = wl_recovery_rouse(&lane->recovery, now);
        if (count > 0 && wl_pending_rouse(self->pending, lane->line, count) > 0) {
            lane->retry_at = 0; /* nobody of before has to be waited for */
        }
    }
}

/* ---- pulls ----------------------------------------------------------------------------------- */

static void lane_send_pull(wl_dispatcher_t *self, uint32_t index, const wl_pending_pull_t *pull) {
    const wl_lane_t *lane = self->lanes[index];
    wl_actor_kind_t kind = WL_ACTOR_PULLER;
    uint32_t instance = wl_line_owner(lane->line, wl_hub_instances(&self->hub, kind));
    if (lane->config->consent) { /* it asks the puller for those who have given theirs */
        kind = WL_ACTOR_FETCHER;
        instance = wl_hub_fetcher(&self->hub, wl_hub_shard(&self->hub, pull->uid), pull->uid);
    }
    wl_encoder_t *to =
        wl_hub_to(&self->hub, kind, instance, WL_MSG_PULL, index * 2u + pull->interactive);
    if (!wl_encoder_begun(to)) {
        wl_pull_head_t head = {.dispatcher = self->hub.instance,
                               .interactive = pull->interactive,
                               .epoch = self->epoch};
        memcpy(head.line, lane->line, sizeof head.line);
        wl_pull_begin(to, &head);
    }
    wl_hint_t hints[WL_HINTS_MAX] = {{.version = 0}};
    for (uint32_t i = 0; i < pull->hint_count; i++) {
        memcpy(hints[i].bucket, pull->hints[i].bucket, sizeof hints[i].bucket);
        hints[i].version = pull->hints[i].version;
    }
    wl_pull_item_t item = {.uid = pull->uid,
                           .seq = pull->seq,
                           .attempt = pull->attempt,
                           .notified_at = pull->notified_at.ms,
                           .hints = {hints, pull->hint_count}};
    wl_pull_add(to, &item);
}

/* Of pulls just taken, those whose shard can be written to: moved to the front. */
static size_t lane_admit(wl_dispatcher_t *self, wl_lane_t *lane, wl_pending_pull_t *pulls,
                         size_t taken, wl_mono_ms_t now) {
    size_t count = 0;
    for (size_t i = 0; i < taken; i++) {
        if (wl_dispatcher_admit(self, lane, &pulls[i], now)) {
            pulls[count++] = pulls[i];
        }
    }
    return count;
}

uint32_t wl_dispatcher_window(const wl_dispatcher_t *self, const wl_lane_t *lane) {
    return wl_line_window(lane->config, wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER));
}

static void lane_pump(wl_dispatcher_t *self, uint32_t index, wl_mono_ms_t now) {
    wl_lane_t *lane = self->lanes[index];
    if (lane->config == NULL || now.ms < lane->paused_until ||
        wl_pending_waiting(self->pending, lane->line) == 0) {
        return;
    }
    size_t window = wl_dispatcher_window(self, lane);
    size_t flying = wl_pending_flying(self->pending, lane->line);
    wl_pending_pull_t pulls[TAKE_STEP];
    size_t taken = 1;
    while (flying < window && taken > 0) {
        size_t room = window - flying < TAKE_STEP ? window - flying : TAKE_STEP;
        taken = wl_pending_take(self->pending, lane->line, room, now, pulls);
        size_t count = lane_admit(self, lane, pulls, taken, now);
        uint32_t first_attempts = 0;
        for (int interactive = 1; interactive >= 0; interactive--) {
            for (size_t i = 0; i < count; i++) {
                if (pulls[i].interactive == (interactive == 1)) {
                    lane_send_pull(self, index, &pulls[i]);
                    first_attempts += pulls[i].attempt == 0;
                }
            }
        }
        wl_retry_budget_earn(&lane->budget, first_attempts);
        flying += count;
    }
}

void wl_dispatcher_pump(wl_dispatcher_t *self) {
    wl_mono_ms_t now = wl_mono_now();
    for (uint32_t i = 0; !self->hub.draining && i < self->lane_count; i++) {
        lane_pump(self, i, now);
    }
}

/* ---- what nobody answers for ----------------------------------------------------------------- */

static void lane_give_up(wl_dispatcher_t *self, wl_lane_t *lane, wl_mono_ms_t now) {
    wl_pending_pull_t pulls[TAKE_STEP];
    size_t given_up = 0;
    size_t count = TAKE_STEP;
    while (count == TAKE_STEP && given_up < GONE_STEP) {
        count = wl_pending_take(self->pending, lane->line, TAKE_STEP, now, pulls);
        for (size_t i = 0; i < count; i++) {
            wl_dispatcher_fail(self, lane, pulls[i].uid, pulls[i].seq, WL_PULL_PERMANENT,
                               "line is not configured");
        }
        given_up += count;
    }
    if (given_up > 0) {
        wl_log(WL_LOG_WARN, self->hub.name, "line_gone",
               "%zu users of line %s are dead letters: line is not configured", given_up,
               lane->line);
    }
}

void wl_dispatcher_sweep(wl_dispatcher_t *self) {
    wl_mono_ms_t now = wl_mono_now();
    for (uint32_t i = 0; i < self->lane_count; i++) {
        wl_lane_t *lane = self->lanes[i];
        int64_t lost_ms = lane->config == NULL ? (int64_t)self->hub.settings->dispatcher_lost_ms
                                               : wl_line_lost_ms(lane->config, self->hub.settings);
        wl_mono_ms_t before = {now.ms - lost_ms};
        size_t lost = wl_pending_lost(self->pending, lane->line, before);
        if (lost > 0) {
            WL_COUNT(&self->hub.counters, queue_lost_in_flight, lost);
            wl_dispatcher_unfly_all(self, lane);
            wl_log(WL_LOG_WARN, self->hub.name, "pulls_lost",
                   "%zu pulls of line %s were not answered and are made again", lost, lane->line);
        }
        if (self->hub.config != NULL && lane->config == NULL && !self->hub.draining &&
            now.ms - lane->gone_since > GONE_WAIT_MS) {
            lane_give_up(self, lane, now);
        }
    }
}
