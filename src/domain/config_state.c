#include "domain/config_state.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/limits.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

static_assert(crypto_hash_sha256_BYTES * 2 == WL_DIGEST_HEX, "the hex of a digest");

static const char *const action_names[WL_CONFIG_ACTION_COUNT] = {
#define ACTION_NAME(name, text, doc) text,
    WL_CONFIG_ACTIONS(ACTION_NAME)
#undef ACTION_NAME
};

static const char *const document_names[WL_DOCUMENT_COUNT] = {"integration", "presentation"};

const char *wl_config_action_name(wl_config_action_t action) {
    return (unsigned)action < WL_CONFIG_ACTION_COUNT ? action_names[action] : "?";
}

const char *wl_document_name(wl_document_t document) {
    return (unsigned)document < WL_DOCUMENT_COUNT ? document_names[document] : "?";
}

void wl_config_digest(const void *bytes, size_t count, char ret_hex[WL_DIGEST_HEX + 1]) {
    unsigned char digest[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256(digest, bytes, count);
    (void)sodium_bin2hex(ret_hex, WL_DIGEST_HEX + 1, digest, sizeof digest);
}

char *wl_config_document_text(const json_t *document, size_t *ret_bytes) {
    char *text = json_dumps(document, JSON_INDENT(2));
    if (text != NULL && strlen(text) > WL_DOCUMENT_BYTES_MAX) {
        free(text);
        text = json_dumps(document, JSON_COMPACT);
    }
    WL_ASSERT(text != NULL);
    char *copy = wl_strdup(text);
    *ret_bytes = strlen(text);
    free(text);
    return copy;
}

/* ---- may it be done? ------------------------------------------------------------------------- */

static bool brings_documents(wl_config_action_t action) {
    return action == WL_CONFIG_ACTION_IMPORT || action == WL_CONFIG_ACTION_PUBLISH ||
           action == WL_CONFIG_ACTION_ROLLBACK || action == WL_CONFIG_ACTION_ROLLOUT;
}

static wl_err_t text_check(const char *text, const char *name, size_t max, wl_fault_t *fault) {
    size_t bytes = strlen(text);
    if (bytes == 0) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, name, "%s: is missing", name);
    }
    if (bytes > max) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, name, "%s: more than %zu bytes", name, max);
    }
    for (size_t i = 0; i < bytes; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) {
            return wl_fault(fault, WL_ERR_BAD_REQUEST, name, "%s: has control characters", name);
        }
    }
    return WL_OK;
}

/* A rollout pins its base: nobody else publishes meanwhile. */
static wl_err_t wish_check_rollout(const wl_config_state_t *state, const wl_config_wish_t *wish,
                                   wl_fault_t *fault) {
    bool under_way = state->rollout.id != 0;
    if (brings_documents(wish->action)) {
        return !under_way ? WL_OK
                          : wl_fault(fault, WL_ERR_CONFLICT, "rollout",
                                     "rollout %" PRIu64 " is under way: promote or abort it first",
                                     state->rollout.id);
    }
    if (!under_way) {
        return wl_fault(fault, WL_ERR_CONFLICT, "rollout", "there is no rollout under way");
    }
    if (wish->rollout_id != state->rollout.id) {
        return wl_fault(fault, WL_ERR_CONFLICT, "rollout",
                        "rollout %" PRIu64 " is under way, not %" PRIu64, state->rollout.id,
                        wish->rollout_id);
    }
    bool paused = state->rollout.paused;
    if (wish->action == (paused ? WL_CONFIG_ACTION_PAUSE : WL_CONFIG_ACTION_RESUME)) {
        return wl_fault(fault, WL_ERR_CONFLICT, "rollout", "rollout %" PRIu64 " is %s already",
                        state->rollout.id, paused ? "paused" : "running");
    }
    return WL_OK;
}

static wl_err_t wish_check(const wl_config_state_t *state, const wl_config_wish_t *wish,
                           wl_fault_t *fault) {
    bool any = wish->documents[WL_DOCUMENT_INTEGRATION] != NULL ||
               wish->documents[WL_DOCUMENT_PRESENTATION] != NULL;
    WL_ASSERT(any == brings_documents(wish->action));
    wl_err_t err = text_check(wish->author, "author", WL_AUTHOR_MAX, fault);
    if (err == WL_OK) {
        err = text_check(wish->reason, "reason", WL_REASON_MAX, fault);
    }
    if (err != WL_OK) {
        return err;
    }
    if (wish->base != state->seq) {
        return wl_fault(fault, WL_ERR_CONFLICT, "base",
                        "base %" PRIu64 " is not the newest change, which is %" PRIu64
                        ": look at what has changed (config diff), and begin from there",
                        wish->base, state->seq);
    }
    if (state->seq == WL_CONFIG_SEQ_MAX) {
        return wl_fault(fault, WL_ERR_FULL, "base", "there have been too many changes");
    }
    if (wish->action == WL_CONFIG_ACTION_WIDEN && !wish->set_share && !wish->set_whitelist) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "percent",
                        "percent or whitelist: one of them is needed");
    }
    return wish_check_rollout(state, wish, fault);
}

/* ---- the state after it ---------------------------------------------------------------------- */

static uint64_t document_number(const json_t *document) {
    const json_t *version = json_object_get(document, "version");
    return json_is_integer(version) && json_integer_value(version) > 0
               ? (uint64_t)json_integer_value(version)
               : 0;
}

/* Numbers the new documents; an imported one keeps its number. */
static void state_documents(wl_config_state_t *state, const wl_config_wish_t *wish,
                            wl_document_at_t into[WL_DOCUMENT_COUNT]) {
    for (int d = 0; d < WL_DOCUMENT_COUNT; d++) {
        if (wish->documents[d] == NULL) {
            continue;
        }
        uint64_t number = wish->action == WL_CONFIG_ACTION_IMPORT
                              ? document_number(wish->documents[d])
                              : state->newest[d] + 1;
        state->newest[d] = number;
        into[d] = (wl_document_at_t){.version = number, .seq = state->seq};
    }
}

static void state_end_rollout(wl_config_state_t *state) {
    memset(&state->rollout, 0, sizeof state->rollout);
    memset(state->candidate, 0, sizeof state->candidate);
}

static void state_advance(wl_config_state_t *state, const wl_config_wish_t *wish) {
    state->seq++;
    switch (wish->action) {
    case WL_CONFIG_ACTION_IMPORT:
    case WL_CONFIG_ACTION_PUBLISH:
    case WL_CONFIG_ACTION_ROLLBACK: state_documents(state, wish, state->head); break;
    case WL_CONFIG_ACTION_ROLLOUT:
        state->rollout = wish->rollout;
        state->rollout.id = state->seq;
        memcpy(state->candidate, state->head, sizeof state->candidate);
        state_documents(state, wish, state->candidate);
        break;
    case WL_CONFIG_ACTION_WIDEN:
        if (wish->set_share) {
            state->rollout.share = wish->rollout.share;
        }
        if (wish->set_whitelist) {
            memcpy(state->rollout.whitelist, wish->rollout.whitelist,
                   sizeof state->rollout.whitelist);
        }
        break;
    case WL_CONFIG_ACTION_PAUSE: state->rollout.paused = true; break;
    case WL_CONFIG_ACTION_RESUME: state->rollout.paused = false; break;
    case WL_CONFIG_ACTION_PROMOTE:
        memcpy(state->head, state->candidate, sizeof state->head);
        state_end_rollout(state);
        break;
    case WL_CONFIG_ACTION_ABORT: state_end_rollout(state); break;
    case WL_CONFIG_ACTION_COUNT: break;
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

static json_t *places_write(const wl_document_at_t at[WL_DOCUMENT_COUNT]) {
    json_t *object = json_object();
    for (int d = 0; d < WL_DOCUMENT_COUNT; d++) {
        (void)json_object_set_new(object, document_names[d],
                                  json_pack("{s:I, s:I}", "version", (json_int_t)at[d].version,
                                            "seq", (json_int_t)at[d].seq));
    }
    return object;
}

static json_t *state_write(const wl_config_state_t *state) {
    json_t *rollout = json_null();
    if (state->rollout.id != 0) {
        rollout = wl_rollout_write(&state->rollout);
        (void)json_object_set_new(rollout, "candidate", places_write(state->candidate));
    }
    return json_pack("{s:o, s:{s:I, s:I}, s:o}", "head", places_write(state->head), "newest",
                     document_names[0], (json_int_t)state->newest[0], document_names[1],
                     (json_int_t)state->newest[1], "rollout", rollout);
}

static json_t *documents_write(const wl_config_state_t *state, const wl_config_wish_t *wish) {
    json_t *documents = json_object();
    for (int d = 0; d < WL_DOCUMENT_COUNT; d++) {
        if (wish->documents[d] != NULL) {
            json_t *copy = json_copy(wish->documents[d]);
            (void)json_object_set_new(copy, "version", json_integer((json_int_t)state->newest[d]));
            (void)json_object_set_new(documents, document_names[d], copy);
        }
    }
    return documents;
}

static json_t *change_write(const wl_config_state_t *state, const char *prev,
                            const wl_config_wish_t *wish, wl_wall_ms_t now) {
    json_t *change = json_pack(
        "{s:I, s:I, s:s, s:s, s:s, s:s, s:I, s:s}", "seq", (json_int_t)state->seq, "at",
        (json_int_t)now.ms, "action", action_names[wish->action], "author", wish->author, "from",
        wish->from, "reason", wish->reason, "base", (json_int_t)wish->base, "prev", prev);
    if (change == NULL) {
        return NULL; /* a text that is not UTF-8 */
    }
    if (brings_documents(wish->action)) {
        (void)json_object_set_new(change, "documents", documents_write(state, wish));
    }
    (void)json_object_set_new(change, "state", state_write(state));
    return change;
}

wl_err_t wl_config_change_make(const wl_config_state_t *state, const char *prev,
                               const wl_config_wish_t *wish, wl_wall_ms_t now, char **ret_text,
                               size_t *ret_bytes, wl_config_state_t *ret_state, wl_fault_t *fault) {
    WL_ASSERT(state != NULL && prev != NULL && (unsigned)wish->action < WL_CONFIG_ACTION_COUNT);
    wl_err_t err = wish_check(state, wish, fault);
    if (err != WL_OK) {
        return err;
    }
    wl_config_state_t next = *state;
    state_advance(&next, wish);
    json_t *change = change_write(&next, prev, wish, now);
    if (change == NULL) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "reason", "author, reason: must be UTF-8");
    }
    char *text = json_dumps(change, JSON_INDENT(1));
    if (text != NULL && strlen(text) > WL_CHANGE_BYTES_MAX) {
        free(text);
        text = json_dumps(change, JSON_COMPACT);
    }
    json_decref(change);
    if (text == NULL || strlen(text) > WL_CHANGE_BYTES_MAX) {
        free(text);
        return wl_fault(fault, WL_ERR_TOO_BIG, "documents", "the change has more than %d bytes",
                        WL_CHANGE_BYTES_MAX);
    }
    *ret_bytes = strlen(text);
    *ret_text = wl_alloc(*ret_bytes + 1);
    memcpy(*ret_text, text, *ret_bytes + 1);
    free(text);
    *ret_state = next;
    return WL_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool number_read(const json_t *object, const char *key, uint64_t max, uint64_t *ret) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max) {
        return false;
    }
    *ret = (uint64_t)json_integer_value(value);
    return true;
}

static bool text_read(const json_t *object, const char *key, char *ret, size_t max) {
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value) || json_string_length(value) > max ||
        strlen(json_string_value(value)) != json_string_length(value)) {
        return false;
    }
    memcpy(ret, json_string_value(value), json_string_length(value) + 1);
    return true;
}

static bool digest_valid(const char *hex) {
    return strspn(hex, "0123456789abcdef") == WL_DIGEST_HEX && hex[WL_DIGEST_HEX] == '\0';
}

static bool places_read(const json_t *object, uint64_t seq_max,
                        wl_document_at_t ret[WL_DOCUMENT_COUNT]) {
    bool ok = true;
    for (int d = 0; d < WL_DOCUMENT_COUNT; d++) {
        const json_t *place = json_object_get(object, document_names[d]);
        ok = ok && number_read(place, "version", INT64_MAX, &ret[d].version) &&
             number_read(place, "seq", seq_max, &ret[d].seq) && ret[d].version > 0 &&
             ret[d].seq > 0;
    }
    return ok;
}

static bool state_rollout_read(const json_t *object, wl_config_state_t *ret) {
    wl_fault_t fault = {0};
    json_t *conditions = json_copy((json_t *)object);
    (void)json_object_del(conditions, "candidate");
    bool ok = wl_rollout_read(conditions, &ret->rollout, &fault) == WL_OK &&
              places_read(json_object_get(object, "candidate"), ret->seq, ret->candidate);
    json_decref(conditions);
    return ok && ret->rollout.id > 0 && ret->rollout.id <= ret->seq;
}

static bool state_read(const json_t *object, wl_config_state_t *ret) {
    const json_t *newest = json_object_get(object, "newest");
    const json_t *rollout = json_object_get(object, "rollout");
    bool ok = places_read(json_object_get(object, "head"), ret->seq, ret->head);
    for (int d = 0; d < WL_DOCUMENT_COUNT; d++) {
        ok = ok && number_read(newest, document_names[d], INT64_MAX, &ret->newest[d]) &&
             ret->newest[d] >= ret->head[d].version;
    }
    if (json_is_object(rollout)) {
        ok = ok && state_rollout_read(rollout, ret);
    }
    return ok && (json_is_null(rollout) || json_is_object(rollout));
}

static bool action_read(const json_t *object, wl_config_action_t *ret) {
    const char *text = json_string_value(json_object_get(object, "action"));
    for (unsigned a = 0; text != NULL && a < WL_CONFIG_ACTION_COUNT; a++) {
        if (strcmp(text, action_names[a]) == 0) {
            *ret = (wl_config_action_t)a;
            return true;
        }
    }
    return false;
}

static bool documents_read(const json_t *object, wl_config_change_t *ret) {
    const json_t *documents = json_object_get(object, "documents");
    bool any = false;
    for (int d = 0; d < WL_DOCUMENT_COUNT; d++) {
        json_t *document = json_object_get(documents, document_names[d]);
        if (document != NULL && (!json_is_object(document) || document_number(document) == 0 ||
                                 document_number(document) > ret->state.newest[d])) {
            return false;
        }
        ret->documents[d] = json_incref(document);
        any = any || document != NULL;
    }
    return any == brings_documents(ret->action);
}

static bool change_read(const json_t *root, wl_config_change_t *ret) {
    uint64_t at = 0;
    bool ok = number_read(root, "seq", WL_CONFIG_SEQ_MAX, &ret->seq) && ret->seq > 0 &&
              number_read(root, "at", INT64_MAX, &at) &&
              number_read(root, "base", ret->seq - 1, &ret->base) &&
              action_read(root, &ret->action) &&
              text_read(root, "author", ret->author, WL_AUTHOR_MAX) &&
              text_read(root, "from", ret->from, sizeof ret->from - 1) &&
              text_read(root, "reason", ret->reason, WL_REASON_MAX) &&
              text_read(root, "prev", ret->prev, WL_DIGEST_HEX) &&
              (ret->seq == 1 ? ret->prev[0] == '\0' : digest_valid(ret->prev));
    ret->at = (int64_t)at;
    ret->state.seq = ret->seq;
    return ok && state_read(json_object_get(root, "state"), &ret->state) &&
           documents_read(root, ret);
}

wl_err_t wl_config_change_read(const char *text, size_t bytes, wl_config_change_t *ret,
                               wl_fault_t *fault) {
    json_error_t why;
    memset(ret, 0, sizeof *ret);
    json_t *root =
        bytes > WL_CHANGE_BYTES_MAX ? NULL : json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);
    bool ok = json_is_object(root) && change_read(root, ret);
    json_decref(root);
    return ok ? WL_OK : wl_fault(fault, WL_ERR_DAMAGED, "change", "is not a record of a change");
}

void wl_config_change_release(wl_config_change_t *self) {
    for (int d = 0; d < WL_DOCUMENT_COUNT; d++) {
        json_decref(self->documents[d]);
        self->documents[d] = NULL;
    }
}
