#include "domain/scope.h"

#include "base/alloc.h"
#include "base/check.h"

#include <stdio.h>
#include <string.h>

static const char notify_prefix[] = "notify:";
enum { PREFIX_BYTES = sizeof notify_prefix - 1 };

static const char *const door_names[WL_DOOR_COUNT] = {
#define WL_DOOR_NAME(NAME, name) #name,
    WL_DOORS(WL_DOOR_NAME)
#undef WL_DOOR_NAME
};

const char *wl_door_name(wl_door_t door) {
    return (unsigned)door < WL_DOOR_COUNT ? door_names[door] : "?";
}

bool wl_door_find(const char *name, wl_door_t *ret) {
    for (unsigned i = 0; i < WL_DOOR_COUNT; i++) {
        if (strcmp(name, door_names[i]) == 0) {
            *ret = (wl_door_t)i;
            return true;
        }
    }
    return false;
}

static wl_err_t line_add(wl_scopes_t *self, const char *id, size_t bytes, wl_fault_t *fault) {
    char line[WL_LINE_ID_MAX + 1] = "";
    if (bytes <= WL_LINE_ID_MAX) {
        memcpy(line, id, bytes);
    }
    if (!wl_line_id_valid(line)) {
        return wl_fault(fault, WL_ERR_SETTINGS, "scope", "notify:%.*s names no line", (int)bytes,
                        id);
    }
    for (uint32_t i = 0; i < self->line_count; i++) {
        if (strcmp(self->lines[i], line) == 0) {
            return wl_fault(fault, WL_ERR_SETTINGS, "scope", "notify:%s is there twice", line);
        }
    }
    if (self->line_count == WL_LINES_MAX) {
        return wl_fault(fault, WL_ERR_SETTINGS, "scope", "names more than %d lines", WL_LINES_MAX);
    }
    memcpy(self->lines[self->line_count++], line, sizeof line);
    return WL_OK;
}

/* What stands behind "notify:": "*", or line ids with commas between them. */
static wl_err_t notify_add(wl_scopes_t *self, const char *list, size_t bytes, wl_fault_t *fault) {
    if (bytes == 1 && list[0] == '*') {
        if (self->notify_all) {
            return wl_fault(fault, WL_ERR_SETTINGS, "scope", "notify:* is there twice");
        }
        self->notify_all = true;
        return WL_OK;
    }
    const char *end = list + bytes;
    wl_err_t err = WL_OK;
    for (const char *at = list; err == WL_OK && at <= end;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *to = comma == NULL ? end : comma;
        err = line_add(self, at, (size_t)(to - at), fault);
        at = to + 1;
    }
    return err;
}

static wl_err_t word_add(wl_scopes_t *self, const char *word, size_t bytes, wl_fault_t *fault) {
    if (bytes >= PREFIX_BYTES && memcmp(word, notify_prefix, PREFIX_BYTES) == 0) {
        return notify_add(self, word + PREFIX_BYTES, bytes - PREFIX_BYTES, fault);
    }
    const struct {
        const char *word;
        bool *flag;
    } rows[] = {{"read", &self->read},
                {"consent", &self->consent},
                {"admin", &self->admin},
                {"peer", &self->peer}};
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        if (strlen(rows[i].word) == bytes && memcmp(rows[i].word, word, bytes) == 0) {
            if (*rows[i].flag) {
                return wl_fault(fault, WL_ERR_SETTINGS, "scope", "%s is there twice", rows[i].word);
            }
            *rows[i].flag = true;
            return WL_OK;
        }
    }
    return wl_fault(fault, WL_ERR_SETTINGS, "scope",
                    "\"%.*s\" is not read, consent, notify:LINE[,LINE...], notify:*, admin or peer",
                    (int)(bytes < 64 ? bytes : 64), word);
}

wl_err_t wl_scopes_parse(const char *text, wl_scopes_t *ret, wl_fault_t *fault) {
    wl_scopes_t scopes = {.read = false};
    wl_err_t err = WL_OK;
    uint32_t words = 0;
    for (const char *at = text + strspn(text, " "); err == WL_OK && *at != '\0';) {
        size_t bytes = strcspn(at, " ");
        err = word_add(&scopes, at, bytes, fault);
        words++;
        at += bytes;
        at += strspn(at, " ");
    }
    if (err == WL_OK && words == 0) {
        return wl_fault(fault, WL_ERR_SETTINGS, "scope", "is empty: the key may do nothing");
    }
    if (err == WL_OK && scopes.notify_all && scopes.line_count > 0) {
        return wl_fault(fault, WL_ERR_SETTINGS, "scope", "notify:* already covers every line");
    }
    if (err == WL_OK) {
        *ret = scopes;
    }
    return err;
}

static void text_append(char *text, size_t bytes, const char *before, const char *more) {
    size_t used = strlen(text);
    (void)snprintf(text + used, bytes - used, "%s%s", used == 0 ? "" : before, more);
}

void wl_scopes_format(const wl_scopes_t *self, char *ret_text, size_t bytes) {
    WL_ASSERT(bytes > 0);
    ret_text[0] = '\0';
    if (self->read) {
        text_append(ret_text, bytes, " ", "read");
    }
    if (self->consent) {
        text_append(ret_text, bytes, " ", "consent");
    }
    if (self->notify_all) {
        text_append(ret_text, bytes, " ", "notify:*");
    }
    for (uint32_t i = 0; i < self->line_count; i++) {
        text_append(ret_text, bytes, i == 0 ? " " : "", i == 0 ? notify_prefix : ",");
        text_append(ret_text, bytes, "", self->lines[i]);
    }
    if (self->admin) {
        text_append(ret_text, bytes, " ", "admin");
    }
    if (self->peer) {
        text_append(ret_text, bytes, " ", "peer");
    }
}

bool wl_scopes_notify(const wl_scopes_t *self, const char *line) {
    for (uint32_t i = 0; i < self->line_count; i++) {
        if (strcmp(self->lines[i], line) == 0) {
            return true;
        }
    }
    return self->notify_all;
}

bool wl_scopes_notify_some(const wl_scopes_t *self) {
    return self->notify_all || self->line_count > 0;
}

bool wl_scopes_enter(const wl_scopes_t *self, wl_door_t door) {
    switch (door) {
    case WL_DOOR_READ: return self->read || self->consent;
    case WL_DOOR_INTAKE: return self->read || self->admin || wl_scopes_notify_some(self);
    case WL_DOOR_PUBLISH: return wl_scopes_notify_some(self);
    case WL_DOOR_TIER: return self->peer;
    case WL_DOOR_COUNT: break;
    }
    return false;
}
