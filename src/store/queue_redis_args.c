#include "store/queue_redis_args.h"

#include "base/alloc.h"
#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 511 };

struct wl_queue_args {
    wl_redis_arg_t *at; /* owned; of a copied text `at` is NULL until all() */
    size_t *text_at;    /* owned; where its text begins, for borrowed bytes not used */
    uint32_t count;
    uint32_t room; /* of at and text_at */
    char *text;    /* owned; moves while it grows */
    size_t text_bytes;
    size_t text_room;
    size_t bytes; /* of all arguments */
};

wl_queue_args_t *wl_queue_args_new(void) {
    return wl_alloc_zero(1, sizeof(wl_queue_args_t));
}

void wl_queue_args_destroy(wl_queue_args_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_free((*self)->at);
    wl_free((*self)->text_at);
    wl_free((*self)->text);
    wl_free(*self);
    *self = NULL;
}

void wl_queue_args_clear(wl_queue_args_t *self) {
    self->count = 0;
    self->text_bytes = 0;
    self->bytes = 0;
}

static void args_push(wl_queue_args_t *self, const void *at, size_t text_at, size_t bytes) {
    if (self->count == self->room) {
        self->room = self->room == 0 ? 64 : self->room * 2;
        self->at = wl_realloc_array(self->at, self->room, sizeof *self->at);
        self->text_at = wl_realloc_array(self->text_at, self->room, sizeof *self->text_at);
    }
    self->at[self->count] = (wl_redis_arg_t){at, bytes};
    self->text_at[self->count++] = text_at;
    self->bytes += bytes;
}

void wl_queue_args_add(wl_queue_args_t *self, const void *at, size_t bytes) {
    args_push(self, bytes == 0 ? "" : at, 0, bytes);
}

void wl_queue_args_word(wl_queue_args_t *self, const char *word) {
    wl_queue_args_add(self, word, strlen(word));
}

static void text_reserve(wl_queue_args_t *self, size_t bytes) {
    if (self->text_room - self->text_bytes <= bytes) {
        self->text_room = (self->text_room + bytes + 1) * 2;
        self->text = wl_realloc_array(self->text, self->text_room, 1);
    }
}

void wl_queue_args_text(wl_queue_args_t *self, const char *format, ...) {
    text_reserve(self, TEXT_MAX);
    va_list values;
    va_start(values, format);
    int wanted = vsnprintf(self->text + self->text_bytes, TEXT_MAX + 1, format, values);
    va_end(values);
    WL_ASSERT(wanted >= 0);
    size_t bytes = wanted > TEXT_MAX ? TEXT_MAX : (size_t)wanted;
    args_push(self, NULL, self->text_bytes, bytes);
    self->text_bytes += bytes;
}

void wl_queue_args_tail(wl_queue_args_t *self, const void *at, size_t bytes) {
    WL_ASSERT(self->count > 0);
    uint32_t last = self->count - 1;
    WL_ASSERT(self->at[last].at == NULL &&
              self->text_at[last] + self->at[last].bytes == self->text_bytes);
    if (bytes > 0) {
        text_reserve(self, bytes);
        memcpy(self->text + self->text_bytes, at, bytes);
        self->text_bytes += bytes;
        self->at[last].bytes += bytes;
        self->bytes += bytes;
    }
}

uint32_t wl_queue_args_count(const wl_queue_args_t *self) {
    return self->count;
}

size_t wl_queue_args_bytes(const wl_queue_args_t *self) {
    return self->bytes;
}

const wl_redis_arg_t *wl_queue_args_all(wl_queue_args_t *self) {
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->at[i].at == NULL) {
            self->at[i].at = self->text + self->text_at[i];
        }
    }
    return self->at;
}
