#include "domain/line_names.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/table.h"

#include <string.h>

typedef struct {
    char text[WL_LINE_ID_MAX + 1]; /* the key */
    uint8_t number;                /* its place in slots */
    uint32_t holders;              /* 0 = the slot is free and not in the table */
    UT_hash_handle hh;
} line_name_t;

struct wl_line_names {
    line_name_t *by_text;                 /* uthash over the used slots */
    line_name_t slots[WL_LINE_NAMES_MAX]; /* by number */
};

wl_line_names_t *wl_line_names_new(void) {
    wl_line_names_t *self = wl_alloc_zero(1, sizeof *self);
    for (size_t i = 0; i < WL_LINE_NAMES_MAX; i++) {
        self->slots[i].number = (uint8_t)i;
    }
    return self;
}

static line_name_t *line_names_at(const wl_line_names_t *self, const char *line) {
    line_name_t *found = NULL;
    HASH_FIND(hh, self->by_text, line, strlen(line), found);
    return found;
}

wl_err_t wl_line_names_hold(wl_line_names_t *self, const char *line, uint8_t *ret_number) {
    WL_ASSERT(self != NULL && line != NULL);
    line_name_t *name = line_names_at(self, line);
    if (name == NULL) {
        size_t bytes = strnlen(line, WL_LINE_ID_MAX + 1);
        if (bytes == 0 || bytes > WL_LINE_ID_MAX) {
            return WL_ERR_FULL;
        }
        size_t free_slot = 0;
        while (free_slot < WL_LINE_NAMES_MAX && self->slots[free_slot].holders > 0) {
            free_slot++;
        }
        if (free_slot == WL_LINE_NAMES_MAX) {
            return WL_ERR_FULL;
        }
        name = &self->slots[free_slot];
        memcpy(name->text, line, bytes + 1);
        HASH_ADD_KEYPTR(hh, self->by_text, name->text, bytes, name);
    }
    name->holders++;
    *ret_number = name->number;
    return WL_OK;
}

bool wl_line_names_find(const wl_line_names_t *self, const char *line, uint8_t *ret_number) {
    WL_ASSERT(self != NULL && line != NULL);
    const line_name_t *name = line_names_at(self, line);
    if (name == NULL) {
        return false;
    }
    *ret_number = name->number;
    return true;
}

const char *wl_line_names_text(const wl_line_names_t *self, uint8_t number) {
    WL_ASSERT(number < WL_LINE_NAMES_MAX);
    WL_ASSERT(self->slots[number].holders > 0);
    return self->slots[number].text;
}

bool wl_line_names_drop(wl_line_names_t *self, uint8_t number) {
    WL_ASSERT(number < WL_LINE_NAMES_MAX);
    line_name_t *name = &self->slots[number];
    WL_ASSERT(name->holders > 0);
    name->holders--;
    if (name->holders > 0) {
        return false;
    }
    HASH_DEL(self->by_text, name);
    return true;
}

void wl_line_names_destroy(wl_line_names_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    HASH_CLEAR(hh, (*self)->by_text);
    wl_free(*self);
    *self = NULL;
}
