#include "actors/config_live.h"

#include "base/alloc.h"
#include "domain/config_union.h"
#include "domain/moment.h"
#include "store/blob_file.h"

#include <inttypes.h>
#include <string.h>

enum { EMERGENCY_BYTES_MAX = 2 * WL_DOCUMENT_BYTES_MAX + 4096 };

void wl_config_live_destroy(wl_config_live_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    for (int d = 0; d < WL_DOCUMENT_COUNT; d++) {
        wl_free((*self)->base[d].text);
        wl_free((*self)->candidate[d].text);
    }
    wl_free((*self)->both.text);
    wl_config_destroy(&(*self)->config);
    wl_config_destroy(&(*self)->candidate_config);
    wl_config_destroy(&(*self)->both_config);
    wl_free(*self);
    *self = NULL;
}

static wl_document_text_t text_copy(const char *text, size_t bytes) {
    wl_document_text_t copy = {wl_alloc(bytes + 1), bytes};
    memcpy(copy.text, text, bytes);
    copy.text[bytes] = '\0';
    return copy;
}

static wl_document_text_t text_of_json(const json_t *document) {
    wl_document_text_t text = {NULL, 0};
    text.text = wl_config_document_text(document, &text.bytes);
    return text;
}

static bool text_same(const wl_document_text_t *one, const wl_document_text_t *other) {
    return one->bytes == other->bytes &&
           (one->bytes == 0 || memcmp(one->text, other->text, one->bytes) == 0);
}

bool wl_config_live_same(const wl_config_live_t *one, const wl_config_live_t *other) {
    bool same = one->seq == other->seq && one->source == other->source;
    for (int d = 0; d < WL_DOCUMENT_COUNT; d++) {
        same = same && text_same(&one->base[d], &other->base[d]) &&
               text_same(&one->candidate[d], &other->candidate[d]);
    }
    return same;
}

/* ---- compiling ------------------------------------------------------------------------------- */

static wl_err_t compile(const wl_document_text_t documents[WL_DOCUMENT_COUNT], wl_config_t **ret,
                        wl_fault_t *fault) {
    const wl_document_text_t *integration = &documents[WL_DOCUMENT_INTEGRATION];
    const wl_document_text_t *presentation = &documents[WL_DOCUMENT_PRESENTATION];
    return wl_config_compile(integration->text, integration->bytes, presentation->text,
                             presentation->bytes, ret, fault);
}

/* The candidate by itself, and what writers get as long as it is out. */
static wl_err_t compile_candidate(wl_config_live_t *self, wl_fault_t *fault) {
    wl_err_t err = compile(self->candidate, &self->candidate_config, fault);
    if (err == WL_OK) {
        const wl_document_text_t *base = &self->base[WL_DOCUMENT_INTEGRATION];
        const wl_document_text_t *candidate = &self->candidate[WL_DOCUMENT_INTEGRATION];
        err = wl_config_union(base->text, base->bytes, candidate->text, candidate->bytes,
                              &self->both.text, &self->both.bytes, fault);
    }
    if (err == WL_OK) {
        wl_document_text_t documents[WL_DOCUMENT_COUNT] = {self->both,
                                                           self->base[WL_DOCUMENT_PRESENTATION]};
        err = compile(documents, &self->both_config, fault);
    }
    return err;
}

/* Takes the live over, or destroys it. */
static wl_err_t live_finish(wl_config_live_t *self, wl_err_t err, wl_config_live_t **ret,
                            wl_fault_t *fault) {
    if (err == WL_OK) {
        err = compile(self->base, &self->config, fault);
    }
    if (err == WL_OK && self->rollout.id != 0) {
        err = compile_candidate(self, fault);
    }
    if (err != WL_OK) {
        wl_config_live_destroy(&self);
        return err;
    }
    *ret = self;
    return WL_OK;
}

/* ---- of a state ------------------------------------------------------------------------------ */

typedef struct {
    wl_config_sources_t *sources;
    const wl_config_change_t *fresh;
    const wl_config_live_t *now;
} from_t;

static wl_err_t document_fetch(const from_t *from, wl_document_t document, wl_document_at_t place,
                               wl_document_text_t *ret, wl_fault_t *fault) {
    if (from->fresh != NULL && from->fresh->seq == place.seq &&
        from->fresh->documents[document] != NULL) {
        *ret = text_of_json(from->fresh->documents[document]);
        return WL_OK;
    }
    bool published = place.seq <= wl_config_sources_state(from->sources)->seq;
    if (!published && from->now != NULL) {
        *ret = text_copy(from->now->base[document].text, from->now->base[document].bytes);
        return WL_OK;
    }
    return wl_config_sources_document(from->sources, document, place.seq, &ret->text, &ret->bytes,
                                      fault);
}

wl_err_t wl_config_live_of_state(wl_config_sources_t *sources, const wl_config_state_t *state,
                                 const wl_config_change_t *fresh, const wl_config_live_t *now,
                                 wl_config_live_t **ret, wl_fault_t *fault) {
    from_t from = {sources, fresh, now};
    wl_config_live_t *self = wl_alloc_zero(1, sizeof *self);
    wl_err_t err = WL_OK;
    self->seq = state->seq;
    self->source = wl_config_sources_source(sources);
    self->rollout = state->rollout;
    for (wl_document_t d = 0; err == WL_OK && d < WL_DOCUMENT_COUNT; d++) {
        err = document_fetch(&from, d, state->head[d], &self->base[d], fault);
        if (err == WL_OK && state->rollout.id != 0) {
            err = document_fetch(&from, d, state->candidate[d], &self->candidate[d], fault);
        }
    }
    if (err == WL_OK && state->rollout.whitelist[0] != '\0') {
        err = wl_config_sources_blob(sources, state->rollout.whitelist, fault);
    }
    return live_finish(self, err, ret, fault);
}

/* ---- of the directory ------------------------------------------------------------------------ */

wl_err_t wl_config_live_of_directory(const char *dir, wl_config_refused_fn refused, void *arg,
                                     wl_config_live_t **ret, wl_fault_t *fault) {
    wl_config_loaded_t loaded = {0};
    wl_err_t err = wl_config_load(dir, refused, arg, &loaded, fault);
    if (err != WL_OK) {
        return err;
    }
    wl_config_live_t *self = wl_alloc_zero(1, sizeof *self);
    self->source = WL_CONFIG_FROM_DIRECTORY;
    self->base[WL_DOCUMENT_INTEGRATION] =
        text_copy(loaded.integration.text, loaded.integration.bytes);
    self->base[WL_DOCUMENT_PRESENTATION] =
        text_copy(loaded.presentation.text, loaded.presentation.bytes);
    self->config = loaded.config;
    loaded.config = NULL;
    wl_config_loaded_release(&loaded);
    *ret = self;
    return WL_OK;
}

/* ---- of the emergency file ------------------------------------------------------------------- */

static wl_err_t emergency_read(const json_t *root, wl_wall_ms_t wall, const wl_config_live_t *now,
                               wl_config_live_t *self, int64_t *ret_expires_at, wl_fault_t *fault) {
    const char *until = json_string_value(json_object_get(root, "expires_at"));
    wl_wall_ms_t end;
    if (until == NULL || !wl_moment_parse(until, &end)) {
        return wl_fault(fault, WL_ERR_SETTINGS, "expires_at",
                        "must be a moment with its zone, like 2026-11-11T00:00:00+08:00");
    }
    if (json_string_value(json_object_get(root, "reason")) == NULL) {
        return wl_fault(fault, WL_ERR_SETTINGS, "reason", "must be a text that says why");
    }
    if (end.ms <= wall.ms) {
        return wl_fault(fault, WL_ERR_NOT_FOUND, "expires_at", "%s is over", until);
    }
    *ret_expires_at = end.ms;
    for (wl_document_t d = 0; d < WL_DOCUMENT_COUNT; d++) {
        const json_t *document = json_object_get(root, wl_document_name(d));
        if (document != NULL && !json_is_object(document)) {
            return wl_fault(fault, WL_ERR_SETTINGS, wl_document_name(d), "must be an object");
        }
        if (document != NULL) {
            self->base[d] = text_of_json(document);
        } else if (now != NULL) {
            self->base[d] = text_copy(now->base[d].text, now->base[d].bytes);
        } else {
            return wl_fault(fault, WL_ERR_SETTINGS, wl_document_name(d),
                            "is missing, and no other configuration is known");
        }
    }
    return WL_OK;
}

wl_err_t wl_config_live_of_emergency(const char *path, wl_wall_ms_t wall,
                                     const wl_config_live_t *now, wl_config_live_t **ret,
                                     int64_t *ret_expires_at, wl_fault_t *fault) {
    void *text = NULL;
    size_t bytes = 0;
    json_error_t why = {.line = 0};
    wl_err_t err = wl_blob_file_read(path, EMERGENCY_BYTES_MAX, &text, &bytes);
    if (err != WL_OK) {
        return wl_fault(fault, err, path, "cannot be read: %s", wl_err_name(err));
    }
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);
    wl_free(text);
    if (root == NULL) {
        err = wl_fault(fault, WL_ERR_SETTINGS, path, "is not JSON: %s", why.text);
        if (fault != NULL) {
            fault->line = (uint32_t)why.line;
            fault->column = (uint32_t)why.column;
        }
        return err;
    }
    wl_config_live_t *self = wl_alloc_zero(1, sizeof *self);
    self->source = WL_CONFIG_FROM_EMERGENCY;
    self->seq = now == NULL ? 0 : now->seq;
    err = emergency_read(root, wall, now, self, ret_expires_at, fault);
    json_decref(root);
    return live_finish(self, err, ret, fault);
}
