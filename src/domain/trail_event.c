#include "domain/trail_event.h"

#include "base/check.h"
#include "base/slot.h"

#include <string.h>

/* Which fields follow, in this order. */
enum {
    HAS_VERSION = 1,
    HAS_BEFORE = 2,
    HAS_NOTIFIED = 4,
    HAS_PULLED = 8,
    HAS_TAG = 16,
    HAS_ATTEMPT = 32, /* outcome, attempt, number */
    HAS_BUCKET = 64,
    HAS_TEXT = 128,
};
enum { AT_BYTES = 6, TAG_BYTES = 6, PART_MAX = AT_BYTES + 2, TAG_KEY_SHIFT = 32 };

/* Seven numbers of at most ten bytes, a tag, an outcome and three texts. */
static_assert(PART_MAX + 6 * 10 + TAG_BYTES + 1 + (1 + WL_LINE_ID_MAX) + (1 + WL_BUCKET_MAX) +
                      (1 + WL_TRAIL_TEXT_MAX) <=
                  WL_TRAIL_EVENT_MAX,
              "every event fits");
static_assert(WL_TRAIL_COUNT <= 255, "what is one byte");

static const char *const what_names[WL_TRAIL_COUNT] = {
#define WHAT_NAME(NAME, name, doc) name,
    WL_TRAIL_WHATS(WHAT_NAME)
#undef WHAT_NAME
};

const char *wl_trail_what_name(wl_trail_what_t what) {
    return (unsigned)what < WL_TRAIL_COUNT ? what_names[what] : "?";
}

/* ---- writing --------------------------------------------------------------------------------- */

static uint8_t *fixed_put(uint8_t *to, uint64_t value, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) {
        *to++ = (uint8_t)(value >> (8 * i));
    }
    return to;
}

static uint8_t *number_put(uint8_t *to, uint64_t value) {
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

/* A moment near `at`: small numbers for both sides of it. */
static uint8_t *moment_put(uint8_t *to, int64_t at, int64_t moment) {
    uint64_t back = (uint64_t)at - (uint64_t)moment;
    return number_put(to, (back << 1) ^ (0 - (back >> 63)));
}

static uint8_t *text_put(uint8_t *to, const char *text, size_t max) {
    size_t bytes = strnlen(text, max);
    *to++ = (uint8_t)bytes;
    memcpy(to, text, bytes);
    return to + bytes;
}

static unsigned event_has(const wl_trail_event_t *event) {
    unsigned has = event->version != 0 ? HAS_VERSION : 0;
    has |= event->before != 0 ? HAS_BEFORE : 0;
    has |= event->notified_at != 0 ? HAS_NOTIFIED : 0;
    has |= event->pulled_at != 0 ? HAS_PULLED : 0;
    has |= event->tag != 0 ? HAS_TAG : 0;
    bool attempt = event->attempt != 0 || event->outcome != 0 || event->number != 0;
    has |= attempt ? HAS_ATTEMPT : 0;
    has |= event->bucket[0] != '\0' ? HAS_BUCKET : 0;
    has |= event->text[0] != '\0' ? HAS_TEXT : 0;
    return has;
}

size_t wl_trail_pack(const wl_trail_event_t *event, uint8_t *ret) {
    unsigned has = event_has(event);
    uint8_t *to = fixed_put(ret + 1, event->uid, sizeof event->uid);
    to = fixed_put(to, (uint64_t)event->at, AT_BYTES);
    *to++ = (uint8_t)event->what;
    *to++ = (uint8_t)has;
    to = text_put(to, event->line, WL_LINE_ID_MAX);
    to = (has & HAS_VERSION) != 0 ? number_put(to, event->version) : to;
    to = (has & HAS_BEFORE) != 0 ? number_put(to, event->before) : to;
    to = (has & HAS_NOTIFIED) != 0 ? moment_put(to, event->at, event->notified_at) : to;
    to = (has & HAS_PULLED) != 0 ? moment_put(to, event->at, event->pulled_at) : to;
    to = (has & HAS_TAG) != 0 ? fixed_put(to, event->tag, TAG_BYTES) : to;
    if ((has & HAS_ATTEMPT) != 0) {
        *to++ = event->outcome;
        to = number_put(to, event->attempt);
        to = number_put(to, event->number);
    }
    to = (has & HAS_BUCKET) != 0 ? text_put(to, event->bucket, WL_BUCKET_MAX) : to;
    to = (has & HAS_TEXT) != 0 ? text_put(to, event->text, WL_TRAIL_TEXT_MAX) : to;
    size_t bytes = (size_t)(to - ret);
    WL_ASSERT(bytes <= WL_TRAIL_BYTES_MAX);
    ret[0] = (uint8_t)(bytes - WL_TRAIL_HEAD_BYTES);
    return bytes;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Bytes that are left; bad: they ended too early, and all that is read is zero. */
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    bool bad;
} reader_t;

static uint64_t fixed_take(reader_t *self, unsigned bytes) {
    uint64_t value = 0;
    if ((size_t)(self->end - self->at) < bytes) {
        self->bad = true;
        return 0;
    }
    for (unsigned i = 0; i < bytes; i++) {
        value |= (uint64_t)*self->at++ << (8 * i);
    }
    return value;
}

static uint64_t number_take(reader_t *self) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && self->at < self->end; shift += 7) {
        uint8_t byte = *self->at++;
        uint64_t part = byte & 0x7f;
        if (shift == 63 && part > 1) {
            break;
        }
        value |= part << shift;
        if ((byte & 0x80) == 0) {
            return value;
        }
    }
    self->bad = true;
    return 0;
}

static int64_t moment_take(reader_t *self, int64_t at) {
    uint64_t folded = number_take(self);
    uint64_t back = (folded >> 1) ^ (0 - (folded & 1));
    return (int64_t)((uint64_t)at - back);
}

static void text_take(reader_t *self, char *ret, size_t max) {
    size_t bytes = (size_t)fixed_take(self, 1);
    if (bytes > max || (size_t)(self->end - self->at) < bytes ||
        memchr(self->at, '\0', bytes) != NULL) {
        self->bad = true;
        return;
    }
    memcpy(ret, self->at, bytes);
    ret[bytes] = '\0';
    self->at += bytes;
}

bool wl_trail_peek(const uint8_t *bytes, size_t count, size_t *ret_bytes, uint64_t *ret_uid,
                   int64_t *ret_at) {
    reader_t reader = {.at = bytes, .end = bytes + count};
    size_t behind = (size_t)fixed_take(&reader, 1);
    uint64_t uid = fixed_take(&reader, sizeof uid);
    if (reader.bad || behind < PART_MAX + 1 || (size_t)(reader.end - reader.at) < behind) {
        return false;
    }
    *ret_bytes = WL_TRAIL_HEAD_BYTES + behind;
    *ret_uid = uid;
    *ret_at = (int64_t)fixed_take(&reader, AT_BYTES);
    return true;
}

wl_err_t wl_trail_unpack(const uint8_t *bytes, size_t count, wl_trail_texts_t *texts,
                         wl_trail_event_t *ret) {
    size_t own = 0;
    wl_trail_event_t event = {.line = texts->line, .bucket = texts->bucket, .text = texts->text};
    if (!wl_trail_peek(bytes, count, &own, &event.uid, &event.at) || own != count) {
        return WL_ERR_MALFORMED;
    }
    memset(texts, 0, sizeof *texts);
    reader_t reader = {.at = bytes + WL_TRAIL_HEAD_BYTES + AT_BYTES, .end = bytes + count};
    event.what = (wl_trail_what_t)fixed_take(&reader, 1);
    unsigned has = (unsigned)fixed_take(&reader, 1);
    text_take(&reader, texts->line, WL_LINE_ID_MAX);
    event.version = (has & HAS_VERSION) != 0 ? number_take(&reader) : 0;
    event.before = (has & HAS_BEFORE) != 0 ? number_take(&reader) : 0;
    event.notified_at = (has & HAS_NOTIFIED) != 0 ? moment_take(&reader, event.at) : 0;
    event.pulled_at = (has & HAS_PULLED) != 0 ? moment_take(&reader, event.at) : 0;
    event.tag = (has & HAS_TAG) != 0 ? fixed_take(&reader, TAG_BYTES) : 0;
    if ((has & HAS_ATTEMPT) != 0) {
        event.outcome = (uint8_t)fixed_take(&reader, 1);
        uint64_t attempt = number_take(&reader);
        event.attempt = attempt < UINT32_MAX ? (uint32_t)attempt : UINT32_MAX;
        event.number = number_take(&reader);
    }
    if ((has & HAS_BUCKET) != 0) {
        text_take(&reader, texts->bucket, WL_BUCKET_MAX);
    }
    if ((has & HAS_TEXT) != 0) {
        text_take(&reader, texts->text, WL_TRAIL_TEXT_MAX);
    }
    bool line = texts->line[0] == '\0' || wl_line_id_valid(texts->line);
    if (reader.bad || !line || (unsigned)event.what >= WL_TRAIL_COUNT) {
        return WL_ERR_MALFORMED;
    }
    *ret = event;
    return WL_OK;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Eight bytes at a time; the last ones are filled up with zeros. */
static uint64_t bytes_mix(uint64_t hash, const void *bytes, size_t count) {
    for (size_t at = 0; at < count; at += sizeof hash) {
        uint64_t part = 0;
        memcpy(&part, (const uint8_t *)bytes + at,
               count - at < sizeof part ? count - at : sizeof part);
        hash = wl_mix64(hash ^ part);
    }
    return hash;
}

/* Keyed at both ends. It need not stand up to whoever can try values with the key: nobody can. */
uint64_t wl_trail_tag(const wl_asset_t *asset, uint64_t key) {
    uint64_t small = (uint64_t)asset->count << 32 | (uint64_t)asset->kind << 24 |
                     (uint64_t)asset->state << 16 | asset->scale;
    uint64_t hash = wl_mix64(key ^ (uint64_t)asset->amount);
    hash = wl_mix64(hash ^ small);
    hash = wl_mix64(hash ^ (uint64_t)asset->pending);
    hash = wl_mix64(hash ^ (uint64_t)asset->expires_at);
    hash = bytes_mix(hash, asset->unit, strnlen(asset->unit, sizeof asset->unit));
    hash = bytes_mix(hash ^ asset->extra_bytes, asset->extra, asset->extra_bytes);
    hash = wl_mix64(hash ^ key);
    uint64_t name = (wl_mix64(~key) & 0xffff) | 1; /* so that no tag is 0 */
    return name << TAG_KEY_SHIFT | (hash & UINT32_MAX);
}

bool wl_trail_tags_compare(uint64_t one, uint64_t other) {
    return one != 0 && other != 0 && one >> TAG_KEY_SHIFT == other >> TAG_KEY_SHIFT;
}
