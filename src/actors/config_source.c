#include "actors/config_source.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    AWAY_MS_MIN = 500,
    AWAY_MS_MAX = 5000,
    CALM_MS = 2000, /* nobody but us writes the snapshot, and nothing is published by a mirror */
};

static const char *const source_names[WL_CONFIG_SOURCE_COUNT] = {
#define SOURCE_NAME(NAME, text, doc) text,
    WL_CONFIG_SOURCES(SOURCE_NAME)
#undef SOURCE_NAME
};

const char *wl_config_source_name(wl_config_source_t source) {
    return (unsigned)source < WL_CONFIG_SOURCE_COUNT ? source_names[source] : "?";
}

/* Told once for each new text. */
static void problem_set(wl_config_place_t *self, const char *text) {
    if (strncmp(self->problem, text, sizeof self->problem - 1) != 0) {
        bool over = text[0] == '\0';
        wl_log(over ? WL_LOG_INFO : WL_LOG_WARN, "config", "config_source", "%s: %s",
               wl_config_log_name(self->log), over ? "is well again" : text);
        (void)snprintf(self->problem, sizeof self->problem, "%s", text);
    }
}

void wl_config_place_failed(wl_config_place_t *self, wl_err_t err) {
    problem_set(self, wl_config_log_problem(self->log));
    if (err == WL_ERR_DAMAGED) {
        self->damaged = true;
        return;
    }
    self->away_ms = self->away_ms == 0 ? AWAY_MS_MIN : self->away_ms * 2;
    self->away_ms = self->away_ms > AWAY_MS_MAX ? AWAY_MS_MAX : self->away_ms;
    self->away_until = wl_mono_now().ms + self->away_ms;
}

void wl_config_place_junk(wl_config_place_t *self) {
    char text[sizeof self->problem];
    (void)snprintf(text, sizeof text, "change %" PRIu64 " is no record of a change: take it away",
                   self->last);
    self->junk = self->last;
    self->damaged = true;
    problem_set(self, text);
}

void wl_config_place_well(wl_config_place_t *self) {
    self->junk = 0;
    problem_set(self, "");
}

void wl_config_place_strange(wl_config_place_t *self, const char *format, ...) {
    char text[sizeof self->problem];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    self->strange = true;
    problem_set(self, text);
}

bool wl_config_place_walk_due(wl_config_place_t *self) {
    int64_t now = wl_mono_now().ms;
    bool due = now >= self->walk_at;
    self->walk_at = due ? now + CALM_MS : self->walk_at;
    return due;
}

bool wl_config_place_near(const wl_config_place_t *self) {
    return self->away_ms == 0;
}

void wl_config_place_look(wl_config_place_t *self) {
    int64_t now = wl_mono_now().ms;
    if (now < (self->away_ms != 0 ? self->away_until : self->look_at)) {
        return;
    }
    self->look_at = self->role == WL_CONFIG_FROM_STORE ? 0 : now + CALM_MS;
    uint64_t last = 0;
    wl_err_t err = wl_config_log_last(self->log, &last);
    if (err != WL_OK && err != WL_ERR_DAMAGED) {
        wl_config_place_failed(self, err);
        return;
    }
    self->away_ms = 0;
    if (err == WL_ERR_DAMAGED) {
        wl_config_place_failed(self, err);
        return;
    }
    if (last < self->last) { /* it has lost records, perhaps all */
        self->agreed = 0;
        self->blob[0] = '\0';
        self->strange = self->strange && last > 0;
    }
    self->last = last;
    self->damaged = false;
    if (!self->strange &&
        (last == 0 || self->junk != last)) { /* else it is read again, and told then */
        wl_config_place_well(self);
    }
}

bool wl_config_place_agrees(wl_config_place_t *self, uint64_t seq, const char *digest) {
    char *text = NULL;
    size_t bytes = 0;
    char theirs[WL_DIGEST_HEX + 1];
    if (seq == self->agreed) {
        return true;
    }
    wl_err_t err = wl_config_log_read(self->log, seq, &text, &bytes);
    if (err != WL_OK) {
        wl_config_place_failed(self, err);
        return false;
    }
    wl_config_digest(text, bytes, theirs);
    wl_free(text);
    if (strcmp(theirs, digest) != 0) {
        wl_config_place_strange(
            self,
            "its change %" PRIu64 " is another one than the one known here: two histories were "
            "begun. Keep one: empty the other's folder or keys while no process uses it",
            seq);
        return false;
    }
    self->agreed = seq;
    return true;
}
