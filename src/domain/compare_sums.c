#include "domain/compare_sums.h"

#include "base/slot.h"

#include <stdlib.h>
#include <string.h>

enum {
    NUMBERS = 7, /* before the ages */
    PARTS = 5,   /* of the packed array */
    DAY_MS = 86400000,
    PAST_MIN = 3, /* runs that say what is usual */
    PAST_MAX = 32,
    USUAL_MIN = 50,  /* changes a day: of rarer ones a quiet day says nothing */
    SILENT_PART = 5, /* silent: less than a fifth of what is usual */
};

const int64_t wl_compare_ages[WL_COMPARE_AGES - 1] = {
    60000, 600000, 3600000, 21600000, 86400000, 604800000, 2592000000,
};

/* ---- counting -------------------------------------------------------------------------------- */

static wl_compare_line_t *line_of(wl_compare_sums_t *self, const char *line) {
    for (uint32_t i = 0; i < self->line_count; i++) {
        if (strcmp(self->lines[i].line, line) == 0) {
            return &self->lines[i];
        }
    }
    if (self->line_count == WL_LINES_MAX) {
        return NULL;
    }
    wl_compare_line_t *made = &self->lines[self->line_count++];
    memset(made, 0, sizeof *made);
    memcpy(made->line, line, strnlen(line, WL_LINE_ID_MAX));
    return made;
}

void wl_compare_sums_row(wl_compare_sums_t *self, const wl_asset_t *asset, int64_t now) {
    self->rows++;
    if (asset->state == WL_STATE_GONE || asset->bucket[0] == WL_BUCKET_CONSENT[0]) {
        return;
    }
    int64_t age = now - asset->pulled_at;
    uint32_t at = 0;
    while (at < WL_COMPARE_AGES - 1 && age > wl_compare_ages[at]) {
        at++;
    }
    self->ages[at]++;
    wl_compare_line_t *line = line_of(self, asset->line);
    if (line != NULL) {
        line->records++;
        line->changed += asset->changed_at != 0 && now - asset->changed_at < DAY_MS;
    }
}

void wl_compare_sums_user(wl_compare_sums_t *self, uint64_t uid) {
    self->users++;
    self->slot_users[wl_slot_of(uid)]++;
}

void wl_compare_sums_found(wl_compare_sums_t *self, uint64_t uid) {
    self->slot_found[wl_slot_of(uid)]++;
}

void wl_compare_sums_add(wl_compare_sums_t *self, const wl_compare_sums_t *part) {
    self->users += part->users;
    self->rows += part->rows;
    self->equal += part->equal;
    self->uncached += part->uncached;
    self->checked += part->checked;
    self->moving += part->moving;
    self->worked_ms += part->worked_ms;
    for (uint32_t i = 0; i < WL_COMPARE_AGES; i++) {
        self->ages[i] += part->ages[i];
    }
    for (uint32_t i = 0; i < part->line_count; i++) {
        wl_compare_line_t *line = line_of(self, part->lines[i].line);
        if (line != NULL) {
            line->records += part->lines[i].records;
            line->changed += part->lines[i].changed;
        }
    }
}

/* ---- the cap --------------------------------------------------------------------------------- */

static bool over(uint64_t found, uint64_t users, uint32_t cap_permille) {
    return found >= WL_COMPARE_CAP_MIN && found * 1000 > users * cap_permille;
}

bool wl_compare_capped(const wl_compare_sums_t *self, uint32_t cap_permille, int *ret_slot) {
    uint64_t found = 0;
    uint64_t users = 0;
    if (cap_permille >= 1000) {
        return false;
    }
    for (uint32_t i = 0; i < WL_SLOTS; i++) {
        if (over(self->slot_found[i], self->slot_users[i], cap_permille)) {
            *ret_slot = (int)i;
            return true;
        }
        found += self->slot_found[i];
        users += self->slot_users[i];
    }
    *ret_slot = -1;
    return over(found, users, cap_permille);
}

/* ---- packing --------------------------------------------------------------------------------- */

static void pack_slots(msgpack_packer *packer, const uint32_t slots[WL_SLOTS]) {
    uint32_t last = WL_SLOTS; /* nothing is written of what follows the last one that counts */
    while (last > 0 && slots[last - 1] == 0) {
        last--;
    }
    msgpack_pack_array(packer, last);
    for (uint32_t i = 0; i < last; i++) {
        msgpack_pack_uint32(packer, slots[i]);
    }
}

/* At most 15 numbers of 9 bytes, 64 lines of 60, and 2 * 4,096 slots of 5 bytes: under 46 KiB. */
void wl_compare_sums_pack(const wl_compare_sums_t *self, msgpack_sbuffer *into) {
    msgpack_packer packer;
    const uint64_t numbers[NUMBERS] = {self->users,   self->rows,   self->equal,    self->uncached,
                                       self->checked, self->moving, self->worked_ms};
    msgpack_packer_init(&packer, into, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, PARTS);
    msgpack_pack_array(&packer, NUMBERS);
    for (uint32_t i = 0; i < NUMBERS; i++) {
        msgpack_pack_uint64(&packer, numbers[i]);
    }
    msgpack_pack_array(&packer, WL_COMPARE_AGES);
    for (uint32_t i = 0; i < WL_COMPARE_AGES; i++) {
        msgpack_pack_uint64(&packer, self->ages[i]);
    }
    msgpack_pack_array(&packer, self->line_count);
    for (uint32_t i = 0; i < self->line_count; i++) {
        size_t bytes = strlen(self->lines[i].line);
        msgpack_pack_array(&packer, 3);
        msgpack_pack_str(&packer, bytes);
        msgpack_pack_str_body(&packer, self->lines[i].line, bytes);
        msgpack_pack_uint64(&packer, self->lines[i].records);
        msgpack_pack_uint64(&packer, self->lines[i].changed);
    }
    pack_slots(&packer, self->slot_users);
    pack_slots(&packer, self->slot_found);
}

static bool read_numbers(const msgpack_object *from, uint64_t *into, uint32_t count) {
    if (from->type != MSGPACK_OBJECT_ARRAY || from->via.array.size != count) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        const msgpack_object *number = &from->via.array.ptr[i];
        if (number->type != MSGPACK_OBJECT_POSITIVE_INTEGER) {
            return false;
        }
        into[i] = number->via.u64;
    }
    return true;
}

static bool read_slots(const msgpack_object *from, uint32_t slots[WL_SLOTS]) {
    if (from->type != MSGPACK_OBJECT_ARRAY || from->via.array.size > WL_SLOTS) {
        return false;
    }
    for (uint32_t i = 0; i < from->via.array.size; i++) {
        const msgpack_object *number = &from->via.array.ptr[i];
        if (number->type != MSGPACK_OBJECT_POSITIVE_INTEGER || number->via.u64 > UINT32_MAX) {
            return false;
        }
        slots[i] = (uint32_t)number->via.u64;
    }
    return true;
}

static bool read_lines(const msgpack_object *from, wl_compare_sums_t *into) {
    if (from->type != MSGPACK_OBJECT_ARRAY || from->via.array.size > WL_LINES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < from->via.array.size; i++) {
        const msgpack_object *line = &from->via.array.ptr[i];
        if (line->type != MSGPACK_OBJECT_ARRAY || line->via.array.size != 3 ||
            line->via.array.ptr[0].type != MSGPACK_OBJECT_STR ||
            line->via.array.ptr[0].via.str.size > WL_LINE_ID_MAX) {
            return false;
        }
        const msgpack_object_str *name = &line->via.array.ptr[0].via.str;
        uint64_t counts[2];
        for (uint32_t k = 0; k < 2; k++) {
            if (line->via.array.ptr[1 + k].type != MSGPACK_OBJECT_POSITIVE_INTEGER) {
                return false;
            }
            counts[k] = line->via.array.ptr[1 + k].via.u64;
        }
        wl_compare_line_t *to = &into->lines[into->line_count++];
        memcpy(to->line, name->ptr, name->size);
        to->records = counts[0];
        to->changed = counts[1];
        if (!wl_line_id_valid(to->line)) {
            return false;
        }
    }
    return true;
}

static bool sums_read(const msgpack_object *root, wl_compare_sums_t *into) {
    uint64_t numbers[NUMBERS];
    if (root->type != MSGPACK_OBJECT_ARRAY || root->via.array.size != PARTS) {
        return false;
    }
    const msgpack_object *parts = root->via.array.ptr;
    if (!read_numbers(&parts[0], numbers, NUMBERS) ||
        !read_numbers(&parts[1], into->ages, WL_COMPARE_AGES) || !read_lines(&parts[2], into) ||
        !read_slots(&parts[3], into->slot_users) || !read_slots(&parts[4], into->slot_found)) {
        return false;
    }
    into->users = numbers[0];
    into->rows = numbers[1];
    into->equal = numbers[2];
    into->uncached = numbers[3];
    into->checked = numbers[4];
    into->moving = numbers[5];
    into->worked_ms = numbers[6];
    return true;
}

wl_err_t wl_compare_sums_unpack(const void *bytes, size_t count, wl_compare_sums_t *ret) {
    memset(ret, 0, sizeof *ret);
    if (count == 0) {
        return WL_OK;
    }
    if (count > WL_COMPARE_PACKED_MAX) {
        return WL_ERR_MALFORMED;
    }
    size_t offset = 0;
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    bool sound = msgpack_unpack_next(&unpacked, bytes, count, &offset) == MSGPACK_UNPACK_SUCCESS &&
                 offset == count && sums_read(&unpacked.data, ret);
    msgpack_unpacked_destroy(&unpacked);
    if (!sound) {
        memset(ret, 0, sizeof *ret);
    }
    return sound ? WL_OK : WL_ERR_MALFORMED;
}

/* ---- lines that fell silent ------------------------------------------------------------------ */

static int number_compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

bool wl_compare_silent(uint64_t changed, const uint64_t *past, uint32_t count,
                       uint64_t *ret_usual) {
    uint64_t sorted[PAST_MAX];
    *ret_usual = 0;
    if (count < PAST_MIN) {
        return false;
    }
    count = count < PAST_MAX ? count : PAST_MAX;
    memcpy(sorted, past, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, number_compare);
    *ret_usual = sorted[count / 2];
    return *ret_usual >= USUAL_MIN && changed * SILENT_PART < *ret_usual;
}
