#include "store/queue_dead.h"

#include "store/queue_backend.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Larger ones fit neither SQL nor the wire: they are simply not there. */
static const uint64_t ID_MAX = (uint64_t)INT64_MAX;

static const wl_dead_filter_t all_letters = {.line = NULL};

bool wl_dead_filter_takes(const wl_dead_filter_t *filter, const wl_dead_letter_t *letter) {
    return (filter->line == NULL || strcmp(filter->line, letter->line) == 0) &&
           (filter->uid == 0 || filter->uid == letter->uid) &&
           (filter->failure == WL_FAILURE_NONE || (uint8_t)filter->failure == letter->failure);
}

void wl_dead_filter_words(const wl_dead_filter_t *filter, char *ret, size_t room) {
    char uid[32] = "";
    if (filter->uid != 0) {
        (void)snprintf(uid, sizeof uid, " uid=%" PRIu64, filter->uid);
    }
    (void)snprintf(
        ret, room, "line=%s%s%s%s", filter->line == NULL ? "*" : filter->line,
        filter->failure == WL_FAILURE_NONE ? "" : " class=", wl_failure_word(filter->failure), uid);
}

wl_err_t wl_queue_dead_list(wl_queue_t *self, const wl_dead_filter_t *filter, uint64_t before,
                            size_t max, wl_dead_fn tell, void *arg) {
    uint64_t last = before == 0 || before > ID_MAX ? ID_MAX : before - 1;
    return self->ops->dead_list(self, filter == NULL ? &all_letters : filter, last, max, tell, arg);
}

wl_err_t wl_queue_dead_classes(wl_queue_t *self, uint64_t ret_counts[WL_FAILURE_COUNT]) {
    return self->ops->dead_classes(self, ret_counts);
}

wl_err_t wl_queue_dead_get(wl_queue_t *self, uint64_t id, wl_dead_fn tell, void *arg) {
    return id == 0 || id > ID_MAX ? WL_ERR_NOT_FOUND : self->ops->dead_get(self, id, tell, arg);
}

static wl_dead_choice_t choice_make(uint64_t id, const wl_dead_filter_t *filter, size_t max,
                                    const char *note) {
    return (wl_dead_choice_t){.id = id,
                              .filter = filter == NULL ? all_letters : *filter,
                              .max = max > WL_DEAD_BATCH_MAX ? WL_DEAD_BATCH_MAX : max,
                              .note = note == NULL ? "" : note};
}

wl_err_t wl_queue_dead_redrive(wl_queue_t *self, uint64_t id, const wl_dead_filter_t *filter,
                               size_t max, int64_t now_ms, wl_retry_fn tell, void *arg,
                               uint64_t *ret_count) {
    wl_dead_choice_t choice = choice_make(id, filter, max, NULL);
    choice.now_ms = now_ms;
    return id > ID_MAX ? WL_ERR_NOT_FOUND
                       : self->ops->dead_redrive(self, &choice, tell, arg, ret_count);
}

wl_err_t wl_queue_dead_forget(wl_queue_t *self, uint64_t uid, const char *line,
                              uint64_t *ret_count) {
    return uid == 0 ? WL_ERR_NOT_FOUND : self->ops->dead_forget(self, uid, line, ret_count);
}

wl_err_t wl_queue_dead_discard(wl_queue_t *self, uint64_t id, const wl_dead_filter_t *filter,
                               const char *note, size_t max, wl_retry_fn tell, void *arg,
                               uint64_t *ret_count) {
    wl_dead_choice_t choice = choice_make(id, filter, max, note);
    return id > ID_MAX ? WL_ERR_NOT_FOUND
                       : self->ops->dead_discard(self, &choice, tell, arg, ret_count);
}
