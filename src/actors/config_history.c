/* admin.config.history: who changed what, when and why; and whether the records are still those
 * that were written. Each record names the hash of the one before it, so that from the newest,
 * whose hash this process knows, all others follow. */
#include "actors/config_args.h"
#include "actors/config_self.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { LIMIT_USUAL = 20, LIMIT_MAX = 100, VERSION_BYTES = 48 };

/* A change as it was read. */
typedef struct {
    wl_config_change_t change;
    char digest[WL_DIGEST_HEX + 1];
    wl_err_t err;
    wl_fault_t why;
} record_t;

typedef struct {
    uint64_t newest; /* of this page, 0 = it is empty */
    uint64_t oldest;
    bool verify;
    uint64_t broken; /* the first one that is not what it was, seen from the newest; 0 = none */
    char problem[400];
} page_t;

static void record_read(wl_config_actor_t *self, uint64_t seq, record_t *ret) {
    memset(ret, 0, sizeof *ret);
    ret->err = wl_config_sources_change(self->sources, seq, &ret->change, ret->digest, &ret->why);
    if (ret->err != WL_OK) {
        ret->change.prev[0] = '\0'; /* nothing that it says counts */
    }
}

/* "3.7" */
static void version_write(const wl_document_at_t at[WL_DOCUMENT_COUNT], char ret[VERSION_BYTES]) {
    (void)snprintf(ret, VERSION_BYTES, "%" PRIu64 ".%" PRIu64, at[WL_DOCUMENT_INTEGRATION].version,
                   at[WL_DOCUMENT_PRESENTATION].version);
}

/* The conditions after it, or of the rollout that it ended. */
static json_t *rollout_write(const record_t *record, const record_t *before) {
    const wl_rollout_t *rollout = &record->change.state.rollout;
    if (rollout->id == 0 && before->err == WL_OK) {
        rollout = &before->change.state.rollout;
    }
    return rollout->id == 0 ? json_null() : wl_rollout_write(rollout);
}

static json_t *record_write(uint64_t seq, const record_t *record, const record_t *before) {
    const wl_config_change_t *change = &record->change;
    char now[VERSION_BYTES];
    char then[VERSION_BYTES] = "";
    char version[VERSION_BYTES];
    if (record->err != WL_OK) {
        return json_pack("{s:I, s:o}", "seq", (json_int_t)seq, "problem",
                         wl_config_text_json(record->why.message));
    }
    version_write(change->state.head, now);
    version_write(change->state.rollout.id != 0 ? change->state.candidate : change->state.head,
                  version);
    if (before->err == WL_OK && seq > 1) {
        version_write(before->change.state.head, then);
    }
    json_t *documents = json_array();
    for (wl_document_t d = 0; d < WL_DOCUMENT_COUNT; d++) {
        if (change->documents[d] != NULL) {
            (void)json_array_append_new(documents, json_string(wl_document_name(d)));
        }
    }
    return json_pack("{s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s}", "seq",
                     (json_int_t)seq, "at", (json_int_t)change->at, "action",
                     wl_config_action_name(change->action), "author", change->author, "from",
                     change->from, "reason", change->reason, "version", version, "before", then,
                     "after", now, "documents", documents, "rollout", rollout_write(record, before),
                     "digest", record->digest);
}

/* ---- the chain of hashes --------------------------------------------------------------------- */

static void page_break(page_t *page, uint64_t seq, const char *problem) {
    if (page->broken == 0) {
        page->broken = seq;
        (void)snprintf(page->problem, sizeof page->problem, "%s", problem);
    }
}

/* Is it the record that has this hash? expected "": nobody can say. */
static void record_verify(page_t *page, uint64_t seq, const record_t *record,
                          const char *expected) {
    char text[160];
    if (record->err != WL_OK) {
        page_break(page, seq, record->why.message);
    } else if (expected[0] != '\0' && strcmp(record->digest, expected) != 0) {
        (void)snprintf(text, sizeof text,
                       "change %" PRIu64 " was altered: its SHA-256 is %.12s.., and was %.12s..",
                       seq, record->digest, expected);
        page_break(page, seq, text);
    }
}

/* The hash that the page's newest record had when it was written. */
static void hash_known(wl_config_actor_t *self, uint64_t seq, char ret[WL_DIGEST_HEX + 1]) {
    if (seq == wl_config_sources_state(self->sources)->seq) {
        memcpy(ret, wl_config_sources_digest(self->sources), WL_DIGEST_HEX + 1);
        return;
    }
    record_t next;
    record_read(self, seq + 1, &next);
    memcpy(ret, next.change.prev, WL_DIGEST_HEX + 1); /* "" when it cannot be read */
    wl_config_change_release(&next.change);
}

/* ---- the page -------------------------------------------------------------------------------- */

static json_t *page_write(wl_config_actor_t *self, page_t *page) {
    json_t *list = json_array();
    record_t record;
    char expected[WL_DIGEST_HEX + 1] = "";
    if (page->newest == 0) {
        return list;
    }
    if (page->verify) {
        hash_known(self, page->newest, expected);
    }
    record_read(self, page->newest, &record);
    for (uint64_t seq = page->newest; seq >= page->oldest; seq--) {
        record_t before = {.err = WL_ERR_NOT_FOUND};
        if (page->verify) {
            record_verify(page, seq, &record, expected);
        }
        memcpy(expected, record.change.prev, sizeof expected);
        if (seq > 1) {
            record_read(self, seq - 1, &before);
        }
        (void)json_array_append_new(list, record_write(seq, &record, &before));
        wl_config_change_release(&record.change);
        record = before;
    }
    if (page->verify && page->oldest > 1) { /* the one that this page rests on */
        record_verify(page, page->oldest - 1, &record, expected);
    }
    wl_config_change_release(&record.change);
    return list;
}

static wl_err_t page_read(wl_config_actor_t *self, const msgpack_object *args, page_t *ret,
                          wl_fault_t *fault) {
    uint64_t end = wl_config_sources_state(self->sources)->seq + 1;
    uint64_t before = end;
    uint64_t limit = LIMIT_USUAL;
    wl_err_t err = wl_config_arg_optional(wl_args_u64(args, "before", &before, fault));
    if (err == WL_OK) {
        err = wl_config_arg_optional(wl_args_u64(args, "limit", &limit, fault));
    }
    if (err == WL_OK) {
        err = wl_config_arg_optional(wl_args_bool(args, "verify", &ret->verify, fault));
    }
    if (err != WL_OK) {
        return err;
    }
    if (before == 0) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "before",
                        "before: must be at least 1, leave it out for the newest");
    }
    if (limit == 0 || limit > LIMIT_MAX) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "limit", "limit: must be 1 to %d, got %" PRIu64,
                        LIMIT_MAX, limit);
    }
    before = before < end ? before : end;
    ret->newest = before - 1;
    ret->oldest = ret->newest > limit ? ret->newest - limit + 1 : 1;
    return WL_OK;
}

wl_err_t wl_config_view_history(wl_config_actor_t *self, const msgpack_object *args,
                                const char *user, json_t **ret, wl_fault_t *fault) {
    page_t page = {.newest = 0};
    (void)user;
    wl_err_t err = page_read(self, args, &page, fault);
    if (err != WL_OK) {
        return err;
    }
    json_t *changes = page_write(self, &page);
    *ret = json_pack("{s:o, s:b}", "changes", changes, "more", page.oldest > 1 && page.newest > 0);
    if (page.verify) {
        (void)json_object_set_new(*ret, "verified", json_boolean(page.broken == 0));
    }
    if (page.broken != 0) {
        (void)json_object_set_new(*ret, "broken", json_integer((json_int_t)page.broken));
        (void)json_object_set_new(*ret, "problem", wl_config_text_json(page.problem));
    }
    return WL_OK;
}
