#include "actors/config_sources.h"

#include "actors/config_args.h"
#include "actors/config_source.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum {
    CARRIED_MAX = 64, /* records that one look brings to one log */
    MENDED_MAX = 256, /* records that one look reads of a damaged log */
    WALKED_MAX = 32,  /* of one that seems well, each two seconds */
    SETTLE_MS = 2000, /* after a store was found behind: others may know more than we do */
    FOLDER_BYTES = 520,
};

static wl_config_place_t *the_store(wl_config_sources_t *self) {
    return &self->at[0];
}

/* ---- opening --------------------------------------------------------------------------------- */

static wl_config_log_t **slot_for(wl_config_sources_t *self, wl_config_source_t role) {
    WL_ASSERT(self->count < WL_CONFIG_LOGS_MAX);
    self->at[self->count].role = role;
    return &self->at[self->count++].log;
}

static wl_err_t mirrors_open(wl_config_sources_t *self, const wl_settings_t *settings,
                             wl_fault_t *fault) {
    wl_err_t err = WL_OK;
    if (settings->config_mirror_dir[0] != '\0') {
        err = wl_config_log_dir(settings->config_mirror_dir, slot_for(self, WL_CONFIG_FROM_MIRROR),
                                fault);
    }
    if (err == WL_OK && settings->config_mirror_etcd[0] != '\0') {
        err = wl_config_log_etcd(settings, slot_for(self, WL_CONFIG_FROM_MIRROR), fault);
    }
    return err;
}

wl_err_t wl_config_sources_new(const wl_settings_t *settings, wl_config_sources_t **ret,
                               wl_fault_t *fault) {
    wl_config_sources_t *self = wl_alloc_zero(1, sizeof *self);
    self->source = WL_CONFIG_FROM_DIRECTORY;
    wl_config_log_t **store = slot_for(self, WL_CONFIG_FROM_STORE);
    wl_err_t err = strcmp(settings->config_store, "redis") == 0
                       ? wl_config_log_redis(settings, store, fault)
                       : wl_config_log_dir(settings->server_config_dir, store, fault);
    if (err == WL_OK) {
        err = mirrors_open(self, settings, fault);
    }
    if (err == WL_OK) {
        char folder[FOLDER_BYTES];
        (void)snprintf(folder, sizeof folder, "%s/config", settings->server_data_dir);
        err = wl_config_log_dir(folder, slot_for(self, WL_CONFIG_FROM_SNAPSHOT), fault);
    }
    if (err != WL_OK) {
        wl_config_sources_destroy(&self);
        return err;
    }
    *ret = self;
    return WL_OK;
}

void wl_config_sources_destroy(wl_config_sources_t **self) {
    if (self != NULL && *self != NULL) {
        for (uint32_t i = 0; i < (*self)->count; i++) {
            wl_config_log_destroy(&(*self)->at[i].log);
        }
        wl_free(*self);
        *self = NULL;
    }
}

/* ---- reading from whoever has it ------------------------------------------------------------- */

/* The record of that number, from the nearest place but `except`. */
static wl_err_t record_find(wl_config_sources_t *self, uint64_t seq,
                            const wl_config_place_t *except, char **ret_text, size_t *ret_bytes) {
    wl_err_t err = WL_ERR_NOT_FOUND;
    for (uint32_t i = self->count; i-- > 0;) {
        wl_config_place_t *place = &self->at[i];
        if (place == except || place->strange || !wl_config_place_near(place)) {
            continue;
        }
        wl_err_t why = wl_config_log_read(place->log, seq, ret_text, ret_bytes);
        if (why == WL_OK) {
            return WL_OK;
        }
        err = why == WL_ERR_NOT_FOUND ? err : why;
    }
    return err;
}

wl_err_t wl_config_sources_change(wl_config_sources_t *self, uint64_t seq, wl_config_change_t *ret,
                                  char *digest, wl_fault_t *fault) {
    char *text = NULL;
    size_t bytes = 0;
    memset(ret, 0, sizeof *ret);
    wl_err_t err = seq == 0 || seq > self->state.seq ? WL_ERR_NOT_FOUND
                                                     : record_find(self, seq, NULL, &text, &bytes);
    if (err == WL_ERR_NOT_FOUND) {
        return wl_fault(fault, err, "seq", "there is no change %" PRIu64 ", the newest is %" PRIu64,
                        seq, self->state.seq);
    }
    if (err != WL_OK) {
        return wl_fault(fault, err, "seq", "change %" PRIu64 " cannot be read: %s", seq,
                        wl_err_name(err));
    }
    if (digest != NULL) {
        wl_config_digest(text, bytes, digest);
    }
    err = wl_config_change_read(text, bytes, ret, fault);
    wl_free(text);
    return err;
}

wl_err_t wl_config_sources_document(wl_config_sources_t *self, wl_document_t document, uint64_t seq,
                                    char **ret_text, size_t *ret_bytes, wl_fault_t *fault) {
    wl_config_change_t change;
    wl_err_t err = wl_config_sources_change(self, seq, &change, NULL, fault);
    if (err == WL_OK && change.documents[document] == NULL) {
        err = wl_fault(fault, WL_ERR_NOT_FOUND, "seq", "change %" PRIu64 " brought no %s document",
                       seq, wl_document_name(document));
    }
    if (err == WL_OK) {
        *ret_text = wl_config_document_text(change.documents[document], ret_bytes);
    }
    wl_config_change_release(&change);
    return err;
}

/* ---- adopting -------------------------------------------------------------------------------- */

static bool adopt_from(wl_config_sources_t *self, wl_config_place_t *place) {
    char *text = NULL;
    size_t bytes = 0;
    wl_config_change_t change = {.seq = 0};
    uint64_t last = place->last;
    wl_err_t err = wl_config_log_read(place->log, last, &text, &bytes);
    if (err != WL_OK) {
        wl_config_place_failed(place, err);
        return false;
    }
    bool taken = wl_config_change_read(text, bytes, &change, NULL) == WL_OK;
    if (!taken) {
        wl_config_place_junk(place);
    }
    place->agreed = 0; /* it may be another log since it agreed */
    if (taken &&
        (self->state.seq == 0 || wl_config_place_agrees(place, self->state.seq, self->digest))) {
        self->state = change.state;
        wl_config_digest(text, bytes, self->digest);
        self->source = place->role;
        place->agreed = last;
        wl_config_place_well(place);
    } else {
        taken = false;
    }
    wl_config_change_release(&change);
    wl_free(text);
    return taken;
}

/* The longest log that is of use; of equals the one that is believed first. */
static wl_config_place_t *longest(wl_config_sources_t *self) {
    wl_config_place_t *best = NULL;
    uint64_t last = self->state.seq;
    for (uint32_t i = 0; i < self->count; i++) {
        wl_config_place_t *place = &self->at[i];
        if (wl_config_place_near(place) && !place->strange && !place->damaged &&
            place->last > last) {
            best = place;
            last = place->last;
        }
    }
    return best;
}

static bool adopt(wl_config_sources_t *self) {
    for (uint32_t tries = 0; tries < WL_CONFIG_LOGS_MAX; tries++) {
        wl_config_place_t *best = longest(self);
        if (best == NULL) {
            return false;
        }
        if (adopt_from(self, best)) {
            return true;
        }
    }
    return false;
}

/* ---- bringing the others up to it ------------------------------------------------------------ */

/* Record `seq` into the log, which has the one before it: its hash is `prev`, and becomes that of
 * this one. */
static bool carry_one(wl_config_sources_t *self, wl_config_place_t *place, uint64_t seq,
                      char prev[WL_DIGEST_HEX + 1]) {
    char *text = NULL;
    size_t bytes = 0;
    wl_config_change_t change = {.seq = 0};
    if (record_find(self, seq, place, &text, &bytes) != WL_OK) {
        return false; /* whoever has it is away */
    }
    bool linked = wl_config_change_read(text, bytes, &change, NULL) == WL_OK &&
                  strcmp(change.prev, prev) == 0;
    wl_config_change_release(&change);
    wl_err_t err = WL_OK;
    if (linked) {
        wl_config_digest(text, bytes, prev);
        err = wl_config_log_append(place->log, seq, text, bytes);
    } else {
        wl_config_place_strange(place, "change %" PRIu64 " does not follow the one before it", seq);
    }
    wl_free(text);
    if (err != WL_OK && err != WL_ERR_CONFLICT) { /* somebody else brings it up too */
        wl_config_place_failed(place, err);
    }
    return linked && err == WL_OK;
}

static void carry(wl_config_sources_t *self, wl_config_place_t *place) {
    char prev[WL_DIGEST_HEX + 1] = "";
    if (place->last > 0) {
        char *text = NULL;
        size_t bytes = 0;
        if (record_find(self, place->last, place, &text, &bytes) != WL_OK) {
            return;
        }
        wl_config_digest(text, bytes, prev);
        wl_free(text);
        if (!wl_config_place_agrees(place, place->last, prev)) {
            return;
        }
    }
    uint64_t until =
        place->last + CARRIED_MAX < self->state.seq ? place->last + CARRIED_MAX : self->state.seq;
    uint64_t from = place->last;
    while (place->last < until && carry_one(self, place, place->last + 1, prev)) {
        place->last++;
    }
    self->behind = self->behind || (place->last > from && place->last < self->state.seq);
    if (place->last == self->state.seq) {
        (void)wl_config_place_agrees(place, self->state.seq, self->digest);
    }
    bool store = place->role == WL_CONFIG_FROM_STORE;
    if (place->last - from > (store ? 0 : 1)) { /* not just the newest */
        wl_log(WL_LOG_INFO, "config", "config_healed",
               "%s was brought from change %" PRIu64 " to %" PRIu64, wl_config_log_name(place->log),
               from, place->last);
    }
}

/* A record that is missing or cut off is put back. */
static bool put_back(wl_config_sources_t *self, wl_config_place_t *place, uint64_t seq) {
    char *text = NULL;
    size_t bytes = 0;
    if (record_find(self, seq, place, &text, &bytes) != WL_OK) {
        return false;
    }
    wl_err_t err = wl_config_log_mend(place->log, seq, text, bytes);
    wl_free(text);
    if (err != WL_OK) {
        wl_config_place_failed(place, err);
        return false;
    }
    wl_log(WL_LOG_WARN, "config", "config_mended", "%s: change %" PRIu64 " was put back",
           wl_config_log_name(place->log), seq);
    return true;
}

/* Reads on, record after record, a few each time: what was well once need not stay so. All of them
 * at once when something is known to be wrong. */
static void walk(wl_config_sources_t *self, wl_config_place_t *place) {
    uint32_t budget = place->damaged ? MENDED_MAX : WALKED_MAX;
    for (; budget > 0 && place->walked < self->state.seq; budget--, place->walked++) {
        char *text = NULL;
        size_t bytes = 0;
        wl_err_t err = wl_config_log_read(place->log, place->walked + 1, &text, &bytes);
        wl_free(text);
        bool bad = err == WL_ERR_DAMAGED || err == WL_ERR_NOT_FOUND;
        if (err != WL_OK && (!bad || !put_back(self, place, place->walked + 1))) {
            return;
        }
    }
    if (place->walked < self->state.seq) {
        self->behind = self->behind || place->damaged;
        return;
    }
    place->walked = 0;
    if (place->damaged) { /* the next look tells */
        place->damaged = false;
        place->last = self->state.seq;
    }
}

static void bring(wl_config_sources_t *self, wl_config_place_t *place) {
    if (place->damaged) {
        walk(self, place);
    } else if (place->last < self->state.seq) {
        if (place->role == WL_CONFIG_FROM_STORE) {
            self->healed_at = wl_mono_now().ms;
        }
        carry(self, place);
    } else if (place->last == self->state.seq && place->agreed != self->state.seq) {
        (void)wl_config_place_agrees(place, self->state.seq, self->digest);
    }
    if (place->agreed == self->state.seq && !place->strange) {
        wl_config_sources_carry_blob(self, place);
        if (wl_config_place_walk_due(place)) {
            walk(self, place);
        }
    }
}

static void bring_all(wl_config_sources_t *self) {
    self->behind = false;
    for (uint32_t i = self->count; i-- > 0 && self->state.seq > 0;) { /* the snapshot first */
        if (wl_config_place_near(&self->at[i]) && !self->at[i].strange) {
            bring(self, &self->at[i]);
        }
    }
}

/* A place that is believed before where it came from has it too. */
static bool promoted(wl_config_sources_t *self) {
    for (uint32_t i = 0; i < self->count && self->at[i].role < self->source; i++) {
        if (self->at[i].agreed == self->state.seq && self->state.seq > 0 &&
            wl_config_place_near(&self->at[i])) {
            self->source = self->at[i].role;
            return true;
        }
    }
    return false;
}

bool wl_config_sources_look(wl_config_sources_t *self) {
    for (uint32_t i = 0; i < self->count; i++) {
        wl_config_place_look(&self->at[i]);
    }
    bool newer = adopt(self);
    bring_all(self);
    return promoted(self) || newer;
}

bool wl_config_sources_behind(const wl_config_sources_t *self) {
    return self->behind;
}

const wl_config_state_t *wl_config_sources_state(const wl_config_sources_t *self) {
    return &self->state;
}

const char *wl_config_sources_digest(const wl_config_sources_t *self) {
    return self->digest;
}

wl_config_source_t wl_config_sources_source(const wl_config_sources_t *self) {
    return self->source;
}

wl_config_log_t *wl_config_sources_store(wl_config_sources_t *self) {
    return the_store(self)->log;
}

bool wl_config_sources_store_near(const wl_config_sources_t *self) {
    return wl_config_place_near(&self->at[0]);
}

void wl_config_sources_store_said(wl_config_sources_t *self, wl_err_t err) {
    if (err == WL_ERR_UNAVAILABLE || err == WL_ERR_DEADLINE) {
        wl_config_place_failed(the_store(self), err);
    }
}

/* ---- publishing ------------------------------------------------------------------------------ */

/* The store said no, or nothing: is the record there all the same? */
static wl_err_t append_unsure(wl_config_sources_t *self, wl_err_t err, uint64_t seq,
                              const char *text, size_t bytes, wl_fault_t *fault) {
    wl_config_place_t *store = the_store(self);
    char *there = NULL;
    size_t count = 0;
    char problem[400];
    (void)snprintf(problem, sizeof problem, "%s", wl_config_log_problem(store->log));
    wl_err_t read = wl_config_log_read(store->log, seq, &there, &count);
    bool ours = read == WL_OK && count == bytes && memcmp(there, text, bytes) == 0;
    wl_free(there);
    if (ours) {
        return WL_OK;
    }
    if (read == WL_OK) {
        return wl_fault(fault, WL_ERR_CONFLICT, "base",
                        "somebody else has published change %" PRIu64
                        " meanwhile: look at it (config diff), and begin from there",
                        seq);
    }
    if (err == WL_ERR_CONFLICT) {
        return wl_fault(fault, err, "config.store",
                        "%s does not have all changes yet and is being healed: try again",
                        wl_config_log_name(store->log));
    }
    bool unknown = read != WL_ERR_NOT_FOUND;
    wl_config_place_failed(store, err);
    return wl_fault(fault, unknown ? WL_ERR_DEADLINE : WL_ERR_UNAVAILABLE, "config.store", "%s%s",
                    problem,
                    unknown ? "; it is not known whether the change was published: see config "
                              "status when the store is back"
                            : "; nothing was published");
}

bool wl_config_sources_lost(const wl_config_sources_t *self, char *ret, size_t bytes) {
    for (uint32_t i = 0; self->state.seq == 0 && i < self->count; i++) {
        const wl_config_place_t *place = &self->at[i];
        if (place->damaged) {
            (void)snprintf(ret, bytes,
                           "%s has changes that cannot be used (%s), and nobody has them: mend it, "
                           "or empty it to begin anew",
                           wl_config_log_name(place->log), place->problem);
            return true;
        }
    }
    return false;
}

wl_err_t wl_config_sources_append(wl_config_sources_t *self, const char *text, size_t bytes,
                                  const wl_config_state_t *state, wl_fault_t *fault) {
    wl_config_place_t *store = the_store(self);
    char lost[900];
    WL_ASSERT(state->seq == self->state.seq + 1);
    if (store->strange || store->junk > self->state.seq) {
        return wl_fault(fault, WL_ERR_CONFLICT, "config.store", "%s: %s",
                        wl_config_log_name(store->log), store->problem);
    }
    if (wl_config_sources_lost(self, lost, sizeof lost)) {
        return wl_fault(fault, WL_ERR_CONFLICT, "config.store", "%s", lost);
    }
    if (self->healed_at != 0 && wl_mono_now().ms - self->healed_at < SETTLE_MS) {
        return wl_fault(fault, WL_ERR_CONFLICT, "config.store",
                        "%s has lost changes and is being healed: try again in two seconds",
                        wl_config_log_name(store->log));
    }
    wl_err_t err = wl_config_log_append(store->log, state->seq, text, bytes);
    if (err != WL_OK) {
        err = append_unsure(self, err, state->seq, text, bytes, fault);
    }
    if (err != WL_OK) {
        return err;
    }
    self->state = *state;
    wl_config_digest(text, bytes, self->digest);
    self->source = WL_CONFIG_FROM_STORE;
    store->last = store->agreed = state->seq;
    store->away_ms = 0; /* it has just answered */
    bring_all(self);
    return WL_OK;
}

json_t *wl_config_sources_report(const wl_config_sources_t *self) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < self->count; i++) {
        const wl_config_place_t *place = &self->at[i];
        (void)json_array_append_new(
            list, json_pack("{s:o, s:s, s:I, s:o}", "name",
                            wl_config_text_json(wl_config_log_name(place->log)), "role",
                            wl_config_source_name(place->role), "seq", (json_int_t)place->last,
                            "problem", wl_config_text_json(place->problem)));
    }
    return list;
}
