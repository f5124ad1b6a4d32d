#include "actors/dispatcher_backfill.h"

#include "actors/dispatcher_state.h"
#include "actors/line_flow.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"
#include "domain/token_bucket.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    PAGE_USERS = 4096,
    ASK_AGAIN_MS = 10000, /* a page that does not come */
    LOOK_MS = 1000,       /* how often wishes are looked at */
    WRITE_MS = 200,       /* how often the place is written down: a small commit each */
};

/* One line in this partition. */
typedef struct {
    char line[WL_LINE_ID_MAX + 1]; /* "" = a free place */
    wl_backfill_want_t want;
    wl_backfill_record_t record;  /* its place: all before has ended */
    wl_backfill_window_t *window; /* owned; users taken behind it */
    wl_token_bucket_t tokens;
    uint64_t *users; /* owned; the page at hand */
    uint32_t user_count;
    uint32_t user_at;    /* the next one of it */
    uint32_t shard;      /* that is being read */
    uint64_t read_after; /* the next page begins behind this id */
    bool read_all;       /* the page at hand is the last one of the shard */
    uint64_t asked;      /* number of the question under way, 0 = none */
    int64_t asked_at;    /* monotonic ms */
    bool changed;        /* since it was written down */
    int64_t written_at;  /* monotonic ms */
} backfill_t;

struct wl_backfills {
    backfill_t at[WL_BACKFILLS_MAX];
    uint64_t questions; /* so far; another process begins elsewhere */
    int64_t look_at;    /* monotonic ms of the next look at wishes */
};

static void backfill_free(backfill_t *self) {
    wl_backfill_window_destroy(&self->window);
    wl_free(self->users);
    *self = (backfill_t){.line = ""};
}

wl_backfills_t *wl_backfills_new(void) {
    wl_backfills_t *self = wl_alloc_zero(1, sizeof *self);
    self->questions = wl_random_u64() >> 1;
    return self;
}

void wl_backfills_forget(wl_backfills_t *self) {
    for (uint32_t i = 0; i < WL_BACKFILLS_MAX; i++) {
        backfill_free(&self->at[i]);
    }
    self->look_at = 0;
}

void wl_backfills_destroy(wl_backfills_t **self) {
    if (self != NULL && *self != NULL) {
        wl_backfills_forget(*self);
        wl_free(*self);
        *self = NULL;
    }
}

void wl_backfills_look_soon(wl_backfills_t *self) {
    self->look_at = 0;
}

static backfill_t *backfills_find(wl_backfills_t *self, const char *line) {
    for (uint32_t i = 0; i < WL_BACKFILLS_MAX; i++) {
        if (strcmp(self->at[i].line, line) == 0) {
            return &self->at[i];
        }
    }
    return NULL;
}

/* ---- what is wanted -------------------------------------------------------------------------- */

static void backfill_begin(wl_dispatcher_t *self, backfill_t *job, const char *line,
                           const wl_backfill_want_t *want, const wl_backfill_record_t *record) {
    uint32_t partitions = wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER);
    bool known = record->id == want->id;
    *job = (backfill_t){.want = *want};
    memcpy(job->line, line, strlen(line) + 1);
    job->record = known ? *record : (wl_backfill_record_t){.id = want->id};
    if (job->record.phase != WL_BACKFILL_RUNNING) { /* what was counted is counted again */
        job->record = (wl_backfill_record_t){.id = want->id, .phase = WL_BACKFILL_COUNTING};
    }
    job->shard = job->record.shard;
    job->read_after = job->record.after;
    job->window = wl_backfill_window_new();
    job->users = wl_alloc_zero(PAGE_USERS, sizeof *job->users);
    job->changed = true;
    wl_token_bucket_init(&job->tokens, want->rate, want->rate / 10 + 1, wl_mono_now());
    wl_token_bucket_share(&job->tokens, 1, partitions, wl_mono_now());
    wl_log(WL_LOG_INFO, self->hub.name, "backfill_begun", "line %s: %s, %" PRIu64 " users are done",
           line, known ? "goes on" : "begins", job->record.done + job->record.failed);
}

static void backfills_look(wl_dispatcher_t *self) {
    wl_backfills_t *all = self->backfills;
    wl_backfill_jobs_t jobs = {.line = NULL};
    wl_err_t err = wl_queue_jobs(self->queue, self->hub.instance, wl_backfill_on_job, &jobs);
    if (err != WL_OK) {
        wl_dispatcher_asked(self, err);
        return;
    }
    for (uint32_t i = 0; i < jobs.count; i++) {
        const wl_backfill_want_t *want = &jobs.wants[i];
        backfill_t *job = backfills_find(all, jobs.lines[i]);
        bool ended = jobs.records[i].id == want->id && !wl_backfill_active(jobs.records[i].phase);
        if (job != NULL && job->want.id == want->id) {
            job->want.stop = want->stop;
        } else if (want->id != 0 && !ended) {
            if (job != NULL) {
                backfill_free(job);
            }
            job = job != NULL ? job : backfills_find(all, "");
            if (job != NULL) {
                backfill_begin(self, job, jobs.lines[i], want, &jobs.records[i]);
            }
        }
    }
}

/* ---- reading users --------------------------------------------------------------------------- */

static uint32_t shards_of(const wl_dispatcher_t *self) {
    return (uint32_t)self->hub.settings->shard_instances;
}

static void backfill_ask(wl_dispatcher_t *self, backfill_t *job) {
    uint32_t fetcher = wl_hub_fetcher(&self->hub, job->shard, 0);
    job->asked = ++self->backfills->questions;
    job->asked_at = wl_mono_now().ms;
    wl_encoder_t *to =
        wl_hub_to(&self->hub, WL_ACTOR_FETCHER, fetcher, WL_MSG_TELL_USERS, job->asked);
    wl_tell_users_head_t head = {
        .dispatcher = self->hub.instance,
        .all = job->want.all,
        .after = job->read_after,
        .max = PAGE_USERS,
        .asked = job->asked,
    };
    memcpy(head.line, job->line, sizeof head.line);
    wl_tell_users_begin(to, &head);
}

/* The shard has been read to its end: the next one, or the next phase. */
static void backfill_next_shard(backfill_t *job) {
    job->shard++;
    job->read_after = 0;
    job->read_all = false;
}

static void backfill_count(wl_dispatcher_t *self, backfill_t *job, const wl_users_head_t *head,
                           uint32_t users) {
    job->record.total += users;
    job->read_after = head->after;
    if (head->last) {
        backfill_next_shard(job);
    }
    if (job->shard >= shards_of(self)) {
        job->shard = 0;
        job->record.phase = WL_BACKFILL_RUNNING;
        job->changed = true;
        job->written_at = 0;
    }
}

void wl_dispatcher_backfill_users(wl_dispatcher_t *self, const wl_msg_t *msg) {
    const wl_users_head_t *head = &msg->head.users;
    backfill_t *job = NULL;
    for (uint32_t i = 0; i < WL_BACKFILLS_MAX; i++) {
        backfill_t *one = &self->backfills->at[i];
        job = one->line[0] != '\0' && one->asked == head->asked ? one : job;
    }
    if (head->asked == 0 || job == NULL || head->shard != job->shard || head->error != WL_OK) {
        return; /* late, or the database cannot be read now: asked again in a while */
    }
    job->asked = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_u64_list_t *uids = &msg->items.users[i].uids;
        for (uint32_t u = 0; u < uids->count && count < PAGE_USERS; u++) {
            job->users[count++] = uids->at[u];
        }
    }
    if (job->record.phase == WL_BACKFILL_COUNTING) {
        backfill_count(self, job, head, count);
        return;
    }
    job->user_count = count;
    job->user_at = 0;
    job->read_after = head->after;
    job->read_all = head->last;
}

/* ---- pulls ----------------------------------------------------------------------------------- */

/* May one more user of the line be pulled now? Never more than half of what the line takes anyway,
 * and nothing while others wait for it. */
static bool backfill_may(wl_dispatcher_t *self, const backfill_t *job, wl_mono_ms_t now) {
    const wl_lane_t *lane = wl_dispatcher_lane(self, job->line);
    if (lane == NULL || lane->config == NULL || now.ms < lane->paused_until) {
        return false;
    }
    uint32_t half = wl_dispatcher_window(self, lane) / 2 + 1;
    return wl_backfill_window_room(job->window) > 0 &&
           wl_pending_waiting(self->pending, job->line) < half &&
           wl_pending_waiting(self->pending, job->line) +
                   wl_pending_flying(self->pending, job->line) <
               2u * half;
}

/* false: no room now. */
static bool backfill_pull(wl_dispatcher_t *self, backfill_t *job, uint64_t uid) {
    bool sleeps = strcmp(wl_pending_state(self->pending, job->line, uid), "sleeping") == 0;
    if (!sleeps) {
        uint64_t seq = 0;
        bool merged = false;
        wl_pending_add_t add = {.uid = uid, .line = job->line, .bucket = ""};
        add.notified_at = wl_wall_now(); /* so that it is tried again when it fails */
        if (wl_pending_add(self->pending, &add, &seq, &merged) != WL_OK) {
            return false;
        }
    }
    wl_backfill_window_add(job->window, uid);
    if (sleeps) { /* its retry stands in the store already */
        (void)wl_backfill_window_end(job->window, uid, false);
    }
    WL_COUNT(&self->hub.counters, backfill_users, 1);
    wl_trail_tell(&self->trail, &(wl_trail_event_t){.uid = uid,
                                                    .at = wl_wall_now().ms,
                                                    .what = WL_TRAIL_BACKFILL,
                                                    .line = job->line});
    return true;
}

static void backfill_feed(wl_dispatcher_t *self, backfill_t *job, wl_mono_ms_t now) {
    while (job->user_at < job->user_count && backfill_may(self, job, now) &&
           wl_token_bucket_wait_ms(&job->tokens, now) == 0) {
        if (!backfill_pull(self, job, job->users[job->user_at])) {
            return;
        }
        (void)wl_token_bucket_take(&job->tokens, now);
        job->user_at++;
    }
}

void wl_dispatcher_backfill_ended(wl_dispatcher_t *self, const char *line, uint64_t uid,
                                  bool good) {
    for (uint32_t i = 0; i < WL_BACKFILLS_MAX; i++) {
        backfill_t *job = &self->backfills->at[i];
        if (job->line[0] != '\0' && strcmp(job->line, line) == 0) {
            (void)wl_backfill_window_end(job->window, uid, good);
        }
    }
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void backfill_end(wl_dispatcher_t *self, backfill_t *job, wl_backfill_phase_t phase) {
    job->record.phase = phase;
    job->record.ended_at = wl_wall_now().ms;
    job->changed = true;
    job->written_at = 0;
    wl_log(WL_LOG_INFO, self->hub.name, "backfill_ended",
           "line %s is %s: %" PRIu64 " users pulled, %" PRIu64 " failed", job->line,
           wl_backfill_phase_name(phase), job->record.done, job->record.failed);
}

static void backfill_run(wl_dispatcher_t *self, backfill_t *job, wl_mono_ms_t now) {
    job->changed = wl_backfill_window_pass(job->window, &job->record) > 0 || job->changed;
    backfill_feed(self, job, now);
    if (job->user_at < job->user_count) {
        return;
    }
    if (!job->read_all) {
        if (job->asked == 0) {
            backfill_ask(self, job);
        }
    } else if (wl_backfill_window_count(job->window) == 0) {
        backfill_next_shard(job);
        job->record.shard = job->shard;
        job->record.after = 0;
        job->changed = true;
        if (job->shard >= shards_of(self)) {
            backfill_end(self, job, WL_BACKFILL_DONE);
        }
    }
}

/* Writes the place down, behind the retries of those who have failed. */
static void backfill_write(wl_dispatcher_t *self, backfill_t *job, wl_mono_ms_t now) {
    char name[WL_JOB_NAME_MAX + 1];
    char text[WL_BACKFILL_TEXT_MAX];
    if (!job->changed || now.ms - job->written_at < WRITE_MS || !wl_dispatcher_may_ask(self) ||
        wl_settlement_waiting(self->settlement) > 0) {
        return;
    }
    (void)snprintf(name, sizeof name, WL_BACKFILL_FILL "%s", job->line);
    size_t bytes = wl_backfill_record_format(&job->record, text);
    wl_err_t err = wl_queue_job_put(self->queue, name, text, bytes);
    wl_dispatcher_asked(self, err);
    if (err == WL_OK) {
        job->changed = false;
        job->written_at = now.ms;
        if (!wl_backfill_active(job->record.phase)) {
            backfill_free(job);
        }
    }
}

static void backfill_step(wl_dispatcher_t *self, backfill_t *job, wl_mono_ms_t now) {
    if (job->want.stop && wl_backfill_active(job->record.phase)) {
        (void)wl_backfill_window_pass(job->window, &job->record);
        backfill_end(self, job, WL_BACKFILL_STOPPED);
    }
    if (job->asked != 0 && now.ms - job->asked_at > ASK_AGAIN_MS) {
        job->asked = 0;
    }
    if (job->record.phase == WL_BACKFILL_COUNTING && job->asked == 0) {
        backfill_ask(self, job);
    } else if (job->record.phase == WL_BACKFILL_RUNNING) {
        backfill_run(self, job, now);
    }
    backfill_write(self, job, now);
}

void wl_dispatcher_backfill_step(wl_dispatcher_t *self) {
    wl_mono_ms_t now = wl_mono_now();
    if (now.ms >= self->backfills->look_at && wl_dispatcher_may_ask(self)) {
        self->backfills->look_at = now.ms + LOOK_MS;
        backfills_look(self);
    }
    for (uint32_t i = 0; i < WL_BACKFILLS_MAX && !self->hub.draining; i++) {
        if (self->backfills->at[i].line[0] != '\0') {
            backfill_step(self, &self->backfills->at[i], now);
        }
    }
}
