/* Items from the seed are numbered from 0, the newest; number k is at end - k * STEP, or a step
 * later, which makes some times equal to the one before. Ids fall as numbers grow, so that order by
 * number is the order of pages. What was added, and the ids of what was deleted, are edits. */
#include "details.h"

#include "base/alloc.h"
#include "base/slot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STEP_MS = 22620000 /* 6 h 17 min */, ID_FIRST = 2000000000, MONTH_CHARS = 7 };

typedef struct {
    uint64_t uid;
    bool deleted; /* the seed's item of this id is gone; else: the item was added */
    detail_t item;
} edit_t;

struct details {
    details_options_t options;
    edit_t *edits; /* owned, in any order */
    size_t edit_count;
    size_t edit_room;
    uint64_t added; /* so far, for ids */
};

/* A place in the order; items strictly behind it are on the next page. */
typedef struct {
    int64_t time_ms;
    char id[DETAIL_ID_MAX + 1];
} place_t;

/* from <= time < to */
typedef struct {
    int64_t from_ms;
    int64_t to_ms;
} span_t;

details_t *details_new(const details_options_t *options) {
    details_t *self = wl_alloc_zero(1, sizeof *self);
    self->options = *options;
    return self;
}

void details_destroy(details_t **pointer) {
    if (pointer != NULL && *pointer != NULL) {
        wl_free((*pointer)->edits);
        wl_free(*pointer);
        *pointer = NULL;
    }
}

/* ---- items ---------------------------------------------------------------------------------- */

/* Above 0: a comes before b on a page. */
static int place_compare(int64_t a_ms, const char *a_id, int64_t b_ms, const char *b_id) {
    return a_ms != b_ms ? (a_ms > b_ms ? 1 : -1) : strcmp(a_id, b_id);
}

static detail_t seeded_item(const details_t *self, uint64_t uid, uint32_t number) {
    static const char *const kinds[] = {"spend", "fee", "income", "refund", ""};
    static const char *const titles[] = {"Coffee", "Fee", "Salary", "Returned", "Booking"};
    uint64_t hash = wl_mix64(self->options.seed ^ wl_mix64(uid) ^ wl_mix64(number + 1));
    uint32_t kind = (uint32_t)(hash % 5);
    int64_t amount = 1 + (int64_t)((hash >> 8) % 1000000);
    bool twin = (hash >> 40) % 4 == 0; /* may share its time with the one before */
    detail_t item = {
        .kind = kinds[kind],
        .amount = kind == 0 || kind == 1 || (kind == 4 && (hash >> 50) % 2 == 0) ? -amount : amount,
        .time_ms = self->options.end_ms - ((int64_t)number - (twin ? 1 : 0)) * STEP_MS -
                   (int64_t)(wl_mix64(uid) % STEP_MS),
    };
    (void)snprintf(item.id, sizeof item.id, "d%010u", (unsigned)ID_FIRST - number);
    (void)snprintf(item.title, sizeof item.title, "%s", titles[kind]);
    return item;
}

/* The first number at or behind the place, which is excluded itself. */
static uint32_t seeded_behind(const details_t *self, uint64_t uid, const place_t *place) {
    uint32_t low = 0;
    uint32_t high = self->options.each;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        detail_t item = seeded_item(self, uid, middle);
        if (place_compare(item.time_ms, item.id, place->time_ms, place->id) >= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool item_deleted(const details_t *self, uint64_t uid, const char *id) {
    for (size_t i = 0; i < self->edit_count; i++) {
        const edit_t *edit = &self->edits[i];
        if (edit->deleted && edit->uid == uid && strcmp(edit->item.id, id) == 0) {
            return true;
        }
    }
    return false;
}

/* The newest of the user's added items that is behind the place; NULL: there is none. */
static const detail_t *added_behind(const details_t *self, uint64_t uid, const place_t *place) {
    const detail_t *best = NULL;
    for (size_t i = 0; i < self->edit_count; i++) {
        const edit_t *edit = &self->edits[i];
        const detail_t *item = &edit->item;
        if (edit->uid == uid && !edit->deleted &&
            place_compare(item->time_ms, item->id, place->time_ms, place->id) < 0 &&
            (best == NULL || place_compare(item->time_ms, item->id, best->time_ms, best->id) > 0)) {
            best = item;
        }
    }
    return best;
}

/* Goes through a user's items, newest first. */
typedef struct {
    const details_t *details;
    uint64_t uid;
    place_t place;   /* of the last one */
    uint32_t seeded; /* number of the next one from the seed */
} walk_t;

static walk_t walk_from(const details_t *self, uint64_t uid, const place_t *place) {
    walk_t walk = {.details = self, .uid = uid, .place = *place};
    walk.seeded = seeded_behind(self, uid, place);
    return walk;
}

/* false: that was the last one. */
static bool walk_next(walk_t *walk, detail_t *ret) {
    const details_t *self = walk->details;
    detail_t seeded = {.time_ms = INT64_MIN};
    bool any = false;
    for (; !any && walk->seeded < self->options.each; walk->seeded++) {
        seeded = seeded_item(self, walk->uid, walk->seeded);
        any = !item_deleted(self, walk->uid, seeded.id);
    }
    const detail_t *added = added_behind(self, walk->uid, &walk->place);
    if (added == NULL && !any) {
        return false;
    }
    if (added != NULL &&
        (!any || place_compare(added->time_ms, added->id, seeded.time_ms, seeded.id) > 0)) {
        walk->seeded -= any ? 1 : 0; /* not its turn yet */
        *ret = *added;
    } else {
        *ret = seeded;
    }
    walk->place.time_ms = ret->time_ms;
    memcpy(walk->place.id, ret->id, sizeof ret->id);
    return true;
}

/* ---- months and cursors --------------------------------------------------------------------- */

static int64_t month_begin(int year, int month) {
    struct tm when = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = 1};
    return (int64_t)timegm(&when) * 1000;
}

static wl_err_t month_read(const char *text, span_t *ret) {
    *ret = (span_t){INT64_MIN, INT64_MAX};
    if (text[0] == '\0') {
        return WL_OK;
    }
    int number[2] = {0, 0};
    for (int i = 0; i < MONTH_CHARS; i++) {
        if (i == 4 ? text[i] != '-' : text[i] < '0' || text[i] > '9') {
            return WL_ERR_BAD_REQUEST;
        }
        if (i != 4) {
            number[i > 4] = number[i > 4] * 10 + (text[i] - '0');
        }
    }
    if (text[MONTH_CHARS] != '\0' || number[0] < 1970 || number[1] < 1 || number[1] > 12) {
        return WL_ERR_BAD_REQUEST;
    }
    *ret = (span_t){month_begin(number[0], number[1]), month_begin(number[0], number[1] + 1)};
    return WL_OK;
}

static uint64_t text_hash(uint64_t hash, const char *text) {
    for (; *text != '\0'; text++) {
        hash = wl_mix64(hash ^ (uint64_t)(unsigned char)*text) + 0x9e3779b97f4a7c15u;
    }
    return hash;
}

static uint64_t cursor_seal(const details_t *self, uint64_t uid, const char *month,
                            const place_t *place) {
    uint64_t hash = wl_mix64(self->options.seed ^ wl_mix64(uid));
    hash = text_hash(hash, month);
    hash = wl_mix64(hash ^ (uint64_t)place->time_ms);
    return text_hash(hash, place->id);
}

static void cursor_write(const details_t *self, uint64_t uid, const char *month,
                         const place_t *place, char ret[DETAILS_CURSOR_MAX + 1]) {
    (void)snprintf(ret, DETAILS_CURSOR_MAX + 1, "%" PRId64 ".%s.%016" PRIx64, place->time_ms,
                   place->id, cursor_seal(self, uid, month, place));
}

/* Writes the cursor again from what it says: only the very same text is good. */
static wl_err_t cursor_read(const details_t *self, uint64_t uid, const char *month,
                            const char *text, place_t *ret) {
    char *end = NULL;
    place_t place = {.time_ms = strtoll(text, &end, 10)};
    size_t id_bytes = *end == '.' ? strcspn(end + 1, ".") : 0;
    if (id_bytes == 0 || id_bytes > DETAIL_ID_MAX) {
        return WL_ERR_BAD_REQUEST;
    }
    memcpy(place.id, end + 1, id_bytes);
    char expected[DETAILS_CURSOR_MAX + 1];
    cursor_write(self, uid, month, &place, expected);
    if (strcmp(expected, text) != 0) {
        return WL_ERR_BAD_REQUEST;
    }
    *ret = place;
    return WL_OK;
}

/* ---- what is asked -------------------------------------------------------------------------- */

wl_err_t details_page(const details_t *self, uint64_t uid, const char *month, const char *cursor,
                      uint32_t limit, details_page_t *ret) {
    span_t span;
    place_t place = {.time_ms = INT64_MAX, .id = "~"};
    wl_err_t err = month_read(month, &span);
    if (err == WL_OK && cursor[0] != '\0') {
        err = cursor_read(self, uid, month, cursor, &place);
    }
    if (err != WL_OK) {
        return err;
    }
    if (place.time_ms >= span.to_ms) {
        place = (place_t){.time_ms = span.to_ms}; /* "" is below each id: excludes that time */
    }
    walk_t walk = walk_from(self, uid, &place);
    ret->count = 0;
    ret->next[0] = '\0';
    detail_t item;
    while (walk_next(&walk, &item) && item.time_ms >= span.from_ms) {
        if (ret->count == limit) {
            const detail_t *last = &ret->items[limit - 1];
            place_t shown = {.time_ms = last->time_ms};
            memcpy(shown.id, last->id, sizeof last->id);
            cursor_write(self, uid, month, &shown, ret->next);
            break;
        }
        ret->items[ret->count++] = item;
    }
    return WL_OK;
}

wl_err_t details_sums(const details_t *self, uint64_t uid, const char *month, details_sums_t *ret) {
    span_t span;
    wl_err_t err = month_read(month, &span);
    if (err != WL_OK) {
        return err;
    }
    *ret = (details_sums_t){.count = 0};
    place_t place = {.time_ms = INT64_MAX, .id = "~"};
    if (span.to_ms != INT64_MAX) {
        place = (place_t){.time_ms = span.to_ms};
    }
    walk_t walk = walk_from(self, uid, &place);
    detail_t item;
    while (walk_next(&walk, &item) && item.time_ms >= span.from_ms) {
        ret->in += item.amount > 0 ? item.amount : 0;
        ret->out -= item.amount < 0 ? item.amount : 0;
        ret->count++;
    }
    return WL_OK;
}

/* ---- edits ---------------------------------------------------------------------------------- */

static edit_t *edit_push(details_t *self, uint64_t uid) {
    if (self->edit_count == self->edit_room) {
        self->edit_room = self->edit_room == 0 ? 64 : self->edit_room * 2;
        self->edits = wl_realloc_array(self->edits, self->edit_room, sizeof *self->edits);
    }
    edit_t *edit = &self->edits[self->edit_count++];
    *edit = (edit_t){.uid = uid};
    return edit;
}

void details_add(details_t *self, uint64_t uid, int64_t time_ms, int64_t amount, const char *title,
                 detail_t *ret_item) {
    edit_t *edit = edit_push(self, uid);
    edit->item = (detail_t){.time_ms = time_ms, .amount = amount, .kind = ""};
    (void)snprintf(edit->item.id, sizeof edit->item.id, "a%010" PRIu64, ++self->added);
    (void)snprintf(edit->item.title, sizeof edit->item.title, "%s", title);
    *ret_item = edit->item;
}

static bool seeded_known(const details_t *self, uint64_t uid, const char *id) {
    uint64_t number = id[0] == 'd' ? strtoull(id + 1, NULL, 10) : 0;
    if (number > ID_FIRST || number <= (uint64_t)ID_FIRST - self->options.each) {
        return false;
    }
    detail_t item = seeded_item(self, uid, (uint32_t)(ID_FIRST - number));
    return strcmp(item.id, id) == 0;
}

wl_err_t details_delete(details_t *self, uint64_t uid, const char *id) {
    for (size_t i = 0; i < self->edit_count; i++) {
        edit_t *edit = &self->edits[i];
        if (!edit->deleted && edit->uid == uid && strcmp(edit->item.id, id) == 0) {
            *edit = self->edits[--self->edit_count];
            return WL_OK;
        }
    }
    if (!seeded_known(self, uid, id) || item_deleted(self, uid, id)) {
        return WL_ERR_NOT_FOUND;
    }
    edit_t *edit = edit_push(self, uid);
    edit->deleted = true;
    memcpy(edit->item.id, id, strlen(id) + 1);
    return WL_OK;
}
