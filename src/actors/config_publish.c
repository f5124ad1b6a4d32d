#include "actors/config_publish.h"

#include "actors/config_live.h"
#include "actors/config_trial.h"
#include "base/alloc.h"
#include "base/log.h"
#include "domain/config_diff.h"
#include "lines/sample.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PROPOSAL "proposal"

enum { PROPOSAL_S = 30 };

struct wl_config_publishing {
    wl_config_asker_t asker;
    char *text; /* owned: the record */
    size_t bytes;
    char digest[WL_DIGEST_HEX + 1];
    wl_config_state_t state; /* after it */
    wl_config_live_t *live;  /* owned: what it makes live */
    json_t *result;          /* owned */
    int64_t until;           /* monotonic ms: everybody has judged it by then */
};

void wl_config_publishing_destroy(wl_config_publishing_t **self) {
    if (self != NULL && *self != NULL) {
        wl_free((*self)->text);
        wl_config_live_destroy(&(*self)->live);
        json_decref((*self)->result);
        wl_free(*self);
        *self = NULL;
    }
}

/* ---- what it would do ------------------------------------------------------------------------ */

/* The documents that everybody sees, before and after; of a rollout, the candidate's after. */
static void changes_add(json_t *list, wl_document_t document, const wl_document_text_t *before,
                        const wl_document_text_t *after) {
    json_t *old = json_loadb(before->text, before->bytes, 0, NULL);
    json_t *new = json_loadb(after->text, after->bytes, 0, NULL);
    wl_config_diff_t *diff = wl_config_diff(old, new, old);
    for (size_t i = 0; i < wl_config_diff_count(diff); i++) {
        const wl_config_difference_t *at = wl_config_diff_at(diff, i);
        json_t *change =
            json_pack("{s:s, s:s}", "document", wl_document_name(document), "path", at->path);
        if (at->base != NULL) {
            (void)json_object_set(change, "before", (json_t *)at->base);
        }
        if (at->mine != NULL) {
            (void)json_object_set(change, "after", (json_t *)at->mine);
        }
        (void)json_array_append_new(list, change);
    }
    wl_config_diff_destroy(&diff);
    json_decref(old);
    json_decref(new);
}

static json_t *result_make(const wl_config_live_t *before, const wl_config_live_t *after) {
    bool rollout = after->rollout.id != 0;
    json_t *changes = json_array();
    for (wl_document_t d = 0; d < WL_DOCUMENT_COUNT; d++) {
        const wl_document_text_t *old =
            before->rollout.id != 0 && rollout ? &before->candidate[d] : &before->base[d];
        changes_add(changes, d, old, rollout ? &after->candidate[d] : &after->base[d]);
    }
    const wl_config_t *shown = rollout ? after->candidate_config : after->config;
    return json_pack("{s:I, s:s, s:o, s:o}", "seq", (json_int_t)after->seq, "version",
                     shown->version, "changes", changes, "rollout",
                     rollout ? wl_rollout_write(&after->rollout) : json_null());
}

/* Everything that could be wrong with a record that follows ours. */
static wl_err_t change_judge(wl_config_actor_t *self, const wl_config_live_t *before,
                             const char *text, size_t bytes, wl_config_live_t **ret,
                             wl_fault_t *fault) {
    wl_config_change_t change;
    wl_config_live_t *live = NULL;
    wl_err_t err = wl_config_change_read(text, bytes, &change, fault);
    if (err == WL_OK) {
        err = wl_config_live_of_state(self->sources, &change.state, &change, before, &live, fault);
    }
    wl_config_change_release(&change);
    if (err == WL_OK) {
        err = wl_samples_check(live->config, wl_wall_now(), fault);
    }
    if (err == WL_OK && live->candidate_config != NULL) {
        err = wl_samples_check(live->candidate_config, wl_wall_now(), fault);
    }
    if (err != WL_OK) {
        wl_config_live_destroy(&live);
        return err == WL_ERR_SETTINGS ? WL_ERR_BAD_REQUEST : err;
    }
    *ret = live;
    return WL_OK;
}

/* ---- publishing ------------------------------------------------------------------------------ */

static const wl_config_live_t *under_emergency(const wl_config_actor_t *self) {
    return self->below != NULL ? self->below : self->live;
}

/* The record that makes the documents of the directory the first change of all. */
static wl_err_t import_make(wl_config_actor_t *self, char **ret_text, size_t *ret_bytes,
                            wl_config_state_t *ret_state, wl_fault_t *fault) {
    const wl_config_live_t *live = under_emergency(self);
    wl_config_wish_t wish = {.action = WL_CONFIG_ACTION_IMPORT,
                             .author = "walletd",
                             .reason = "documents of the directory",
                             .from = ""};
    for (int d = 0; d < WL_DOCUMENT_COUNT; d++) {
        wish.documents[d] = json_loadb(live->base[d].text, live->base[d].bytes, 0, NULL);
    }
    wl_config_state_t none = {.seq = 0};
    wl_err_t err = wl_config_change_make(&none, "", &wish, wl_wall_now(), ret_text, ret_bytes,
                                         ret_state, fault);
    for (int d = 0; d < WL_DOCUMENT_COUNT; d++) {
        json_decref(wish.documents[d]);
    }
    return err;
}

/* The record that follows that state, and what it makes live. */
static wl_err_t prepare_after(wl_config_actor_t *self, const wl_config_state_t *state,
                              const char *prev, const wl_config_wish_t *wish,
                              wl_config_publishing_t *into, wl_fault_t *fault) {
    wl_err_t err = wl_config_change_make(state, prev, wish, wl_wall_now(), &into->text,
                                         &into->bytes, &into->state, fault);
    if (err == WL_OK) {
        wl_config_digest(into->text, into->bytes, into->digest);
        err =
            change_judge(self, under_emergency(self), into->text, into->bytes, &into->live, fault);
    }
    if (err == WL_OK) {
        into->result = result_make(under_emergency(self), into->live);
    }
    return err;
}

/* Nothing is imported for a change that is refused. */
static wl_err_t prepare(wl_config_actor_t *self, const wl_config_wish_t *wish, bool dry_run,
                        wl_config_publishing_t *into, wl_fault_t *fault) {
    const wl_config_state_t *known = wl_config_sources_state(self->sources);
    if (known->seq > 0 || wish->base > 0) {
        return prepare_after(self, known, wl_config_sources_digest(self->sources), wish, into,
                             fault);
    }
    wl_config_state_t state;
    wl_config_wish_t wished = *wish;
    char digest[WL_DIGEST_HEX + 1];
    char *text = NULL;
    size_t bytes = 0;
    wl_err_t err = import_make(self, &text, &bytes, &state, fault);
    if (err == WL_OK) {
        wl_config_digest(text, bytes, digest);
        wished.base = state.seq;
        err = prepare_after(self, &state, digest, &wished, into, fault);
    }
    if (err == WL_OK && !dry_run) {
        err = wl_config_sources_append(self->sources, text, bytes, &state, fault);
    }
    wl_free(text);
    return err;
}

static wl_err_t finish(wl_config_actor_t *self, wl_config_publishing_t *it, wl_fault_t *fault) {
    wl_err_t err = wl_config_sources_append(self->sources, it->text, it->bytes, &it->state, fault);
    if (err == WL_OK) {
        wl_log(WL_LOG_INFO, self->hub.name, "config_published", "change %" PRIu64 ", version %s",
               it->state.seq, it->live->config->version);
    }
    wl_config_look(self);
    return err;
}

static bool alone(wl_config_actor_t *self, wl_config_publishing_t *it, wl_err_t *ret_err,
                  wl_fault_t *fault) {
    wl_config_votes_t votes;
    wl_config_log_t *store = wl_config_sources_store(self->sources);
    *ret_err = wl_config_nodes_votes(self->nodes, store, it->digest, &votes);
    if (*ret_err != WL_OK) {
        *ret_err = wl_fault(fault, WL_ERR_UNAVAILABLE, "config.store", "%s; nothing was published",
                            wl_config_log_problem(store));
    }
    return *ret_err == WL_OK && votes.others == 0;
}

static wl_err_t propose(wl_config_actor_t *self, wl_config_publishing_t *it, wl_fault_t *fault) {
    wl_config_log_t *store = wl_config_sources_store(self->sources);
    if (wl_config_log_note_put(store, PROPOSAL, it->text, it->bytes, PROPOSAL_S) != WL_OK) {
        return wl_fault(fault, WL_ERR_UNAVAILABLE, "config.store", "%s; nothing was published",
                        wl_config_log_problem(store));
    }
    wl_config_log_nudge(store, it->digest);
    it->until = wl_mono_now().ms + (int64_t)self->hub.settings->config_ready_ms;
    return WL_OK;
}

wl_err_t wl_config_publish(wl_config_actor_t *self, const wl_config_wish_t *wish, bool dry_run,
                           wl_config_asker_t asker, json_t **ret, wl_fault_t *fault) {
    if (self->publishing != NULL) {
        return wl_fault(fault, WL_ERR_BUSY, "base", "another change is being published: try again");
    }
    wl_config_look(self);
    wl_config_publishing_t *it = wl_alloc_zero(1, sizeof *it);
    it->asker = asker;
    wl_err_t err = prepare(self, wish, dry_run, it, fault);
    bool now = dry_run || (err == WL_OK && alone(self, it, &err, fault));
    if (err == WL_OK && !dry_run) {
        err = now ? finish(self, it, fault) : propose(self, it, fault);
    }
    if (err == WL_OK && !now) {
        self->publishing = it;
        *ret = NULL;
        return WL_OK;
    }
    if (err == WL_OK) {
        *ret = json_incref(it->result);
    }
    wl_config_publishing_destroy(&it);
    return err;
}

/* ---- waiting for the others ------------------------------------------------------------------ */

static void end(wl_config_actor_t *self, wl_err_t err, const wl_fault_t *fault) {
    wl_config_publishing_t *it = self->publishing;
    self->publishing = NULL;
    if (it->asker.ticket == 0) { /* nobody asked: the trial of a candidate did */
        wl_config_trial_ended(self, err, fault);
    }
    wl_config_answer(self, it->asker, err, err == WL_OK ? json_incref(it->result) : NULL, fault);
    wl_config_publishing_destroy(&it);
}

/* Another process has put its own proposal over ours. */
static bool overtaken(wl_config_actor_t *self, const wl_config_publishing_t *it) {
    char *text = NULL;
    size_t bytes = 0;
    wl_config_log_t *store = wl_config_sources_store(self->sources);
    bool other = wl_config_log_note_get(store, PROPOSAL, &text, &bytes) == WL_OK &&
                 (bytes != it->bytes || memcmp(text, it->text, bytes) != 0);
    wl_free(text);
    return other;
}

void wl_config_publish_go_on(wl_config_actor_t *self) {
    wl_config_publishing_t *it = self->publishing;
    wl_fault_t fault = {.where = ""};
    wl_config_votes_t votes;
    if (it == NULL) {
        return;
    }
    wl_config_log_t *store = wl_config_sources_store(self->sources);
    bool late = wl_mono_now().ms >= it->until;
    if (wl_config_sources_state(self->sources)->seq + 1 != it->state.seq) {
        end(self,
            wl_fault(&fault, WL_ERR_CONFLICT, "base",
                     "change %" PRIu64 " was published meanwhile: look at it (config diff)",
                     wl_config_sources_state(self->sources)->seq),
            &fault);
    } else if (wl_config_nodes_votes(self->nodes, store, it->digest, &votes) != WL_OK) {
        if (late) {
            end(self,
                wl_fault(&fault, WL_ERR_UNAVAILABLE, "config.store", "%s; nothing was published",
                         wl_config_log_problem(store)),
                &fault);
        }
    } else if (votes.refused[0] != '\0') {
        (void)!wl_config_log_note_put(store, PROPOSAL, NULL, 0, 0);
        end(self,
            wl_fault(&fault, WL_ERR_BAD_REQUEST, "config",
                     "process %s cannot use this change, so nobody does: %s", votes.refused,
                     votes.why),
            &fault);
    } else if (votes.accepted == votes.others) {
        (void)!wl_config_log_note_put(store, PROPOSAL, NULL, 0, 0);
        end(self, finish(self, it, &fault), &fault);
    } else if (overtaken(self, it)) {
        end(self,
            wl_fault(&fault, WL_ERR_CONFLICT, "base",
                     "another process is publishing at this moment: look at its change, then try "
                     "again"),
            &fault);
    } else if (late) {
        (void)!wl_config_log_note_put(store, PROPOSAL, NULL, 0, 0);
        end(self,
            wl_fault(&fault, WL_ERR_UNAVAILABLE, "config.ready_ms",
                     "process %s has not judged the change within %" PRIu64
                     " ms; nothing was published. One that is gone is not waited for after %d s",
                     votes.waiting, (uint64_t)self->hub.settings->config_ready_ms,
                     WL_NODE_GONE_MS / 1000),
            &fault);
    }
}

/* ---- judging what others propose ------------------------------------------------------------- */

static void verdict_set(wl_config_actor_t *self, const char *digest, wl_err_t err,
                        const wl_fault_t *fault) {
    wl_config_verdict_t *verdict = &self->verdict;
    memcpy(verdict->digest, digest, sizeof verdict->digest);
    verdict->accepted = err == WL_OK;
    verdict->why[0] = '\0';
    if (err != WL_OK) {
        WL_COUNT(&self->hub.counters, config_refused, 1);
        (void)snprintf(verdict->why, sizeof verdict->why, "%s: %.*s", fault->where,
                       WL_VERDICT_MAX - (int)sizeof fault->where - 2, fault->message);
        wl_log(WL_LOG_ERROR, self->hub.name, "config_refused", "a proposed change: %s",
               verdict->why);
    }
}

void wl_config_publish_judge(wl_config_actor_t *self) {
    char *text = NULL;
    size_t bytes = 0;
    char digest[WL_DIGEST_HEX + 1];
    wl_config_change_t change;
    wl_fault_t fault = {.where = ""};
    wl_config_log_t *store = wl_config_sources_store(self->sources);
    wl_err_t err = wl_config_log_note_get(store, PROPOSAL, &text, &bytes);
    if (err != WL_OK) {
        wl_config_sources_store_said(self->sources, err);
        return;
    }
    wl_config_digest(text, bytes, digest);
    err = wl_config_change_read(text, bytes, &change, &fault);
    bool next = err != WL_OK || (change.seq == wl_config_sources_state(self->sources)->seq + 1 &&
                                 strcmp(change.prev, wl_config_sources_digest(self->sources)) == 0);
    wl_config_change_release(&change);
    if (next && strcmp(digest, self->verdict.digest) != 0) {
        wl_config_live_t *live = NULL;
        if (err == WL_OK) {
            err = change_judge(self, under_emergency(self), text, bytes, &live, &fault);
        }
        wl_config_live_destroy(&live);
        verdict_set(self, digest, err, &fault);
    }
    wl_free(text);
}
