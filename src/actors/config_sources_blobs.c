/* Sets of users, which rollouts name: brought to every log, and fetched from any. */
#include "actors/config_source.h"
#include "base/alloc.h"

#include <string.h>

static wl_config_place_t *the_snapshot(wl_config_sources_t *self) {
    return &self->at[self->count - 1];
}

void wl_config_sources_carry_blob(wl_config_sources_t *self, wl_config_place_t *place) {
    const char *digest = self->state.rollout.whitelist;
    if (digest[0] == '\0' || strcmp(place->blob, digest) == 0) {
        return;
    }
    void *bytes = NULL;
    size_t count = 0;
    for (uint32_t i = self->count; i-- > 0 && bytes == NULL;) {
        if (&self->at[i] != place && wl_config_place_near(&self->at[i])) {
            (void)!wl_config_log_blob_get(self->at[i].log, digest, &bytes, &count);
        }
    }
    if (bytes != NULL) {
        wl_err_t err = wl_config_log_blob_put(place->log, digest, bytes, count);
        if (err == WL_OK) {
            memcpy(place->blob, digest, sizeof place->blob);
        } else {
            wl_config_place_failed(place, err);
        }
        wl_free(bytes);
    }
}

wl_err_t wl_config_sources_blob(wl_config_sources_t *self, const char *digest, wl_fault_t *fault) {
    wl_config_place_t *snapshot = the_snapshot(self);
    void *bytes = NULL;
    size_t count = 0;
    wl_err_t err = wl_config_log_blob_get(snapshot->log, digest, &bytes, &count);
    for (uint32_t i = 0; err != WL_OK && i + 1 < self->count; i++) {
        if (wl_config_place_near(&self->at[i]) &&
            wl_config_log_blob_get(self->at[i].log, digest, &bytes, &count) == WL_OK) {
            err = wl_config_log_blob_put(snapshot->log, digest, bytes, count);
        }
    }
    wl_free(bytes);
    return err == WL_OK ? WL_OK
                        : wl_fault(fault, WL_ERR_NOT_FOUND, "whitelist",
                                   "there is no set of users %.12s..: upload it first "
                                   "(config upload)",
                                   digest);
}

wl_err_t wl_config_sources_blob_put(wl_config_sources_t *self, const char *digest,
                                    const void *bytes, size_t count, wl_fault_t *fault) {
    wl_config_log_t *logs[] = {the_snapshot(self)->log, wl_config_sources_store(self)};
    for (int i = 0; i < 2; i++) {
        wl_err_t err = wl_config_log_blob_put(logs[i], digest, bytes, count);
        if (err != WL_OK) {
            return wl_fault(fault, err, "whitelist", "%s", wl_config_log_problem(logs[i]));
        }
    }
    return WL_OK;
}
