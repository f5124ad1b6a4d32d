#include "proto/unpacker.h"

#include "base/alloc.h"
#include "base/check.h"

#include <string.h>

enum {
    ZONE_BYTES_MIN = 16384,   /* a usual batch fits */
    ZONE_BYTES_KEPT = 1 << 20 /* a larger zone is given back when the next message is small again */
};

struct wl_unpacker {
    msgpack_zone zone;     /* one chunk of capacity bytes, unless a guess was too small */
    msgpack_object object; /* root of the last read */
    size_t capacity;       /* bytes that the zone takes before it allocates again */
    size_t extra;          /* bytes given by wl_unpacker_alloc() since the last read */
};

static void zone_open(wl_unpacker_t *self, size_t need) {
    size_t capacity = ZONE_BYTES_MIN;
    while (capacity < need) {
        capacity *= 2;
    }
    bool ready = msgpack_zone_init(&self->zone, capacity);
    WL_ASSERT(ready);
    self->capacity = capacity;
}

wl_unpacker_t *wl_unpacker_new(void) {
    wl_unpacker_t *self = wl_alloc_zero(1, sizeof *self);
    zone_open(self, ZONE_BYTES_MIN);
    return self;
}

/* Empties the zone and makes it large enough for the objects and for as much again as the last
 * message needed beside them. */
static void zone_reuse(wl_unpacker_t *self, uint32_t objects) {
    size_t need = ((size_t)objects + 1) * sizeof(msgpack_object) + self->extra;
    self->extra = 0;
    if (need > self->capacity || (self->capacity > ZONE_BYTES_KEPT && need <= ZONE_BYTES_KEPT)) {
        msgpack_zone_destroy(&self->zone);
        zone_open(self, need);
    } else {
        msgpack_zone_clear(&self->zone);
    }
}

wl_err_t wl_unpacker_read(wl_unpacker_t *self, const void *bytes, size_t count,
                          const wl_walk_limits_t *limits, const msgpack_object **ret) {
    uint32_t objects = 0;
    wl_err_t err = wl_walk(bytes, count, limits, &objects);
    zone_reuse(self, objects);
    if (err != WL_OK) {
        return err;
    }
    size_t used = 0;
    msgpack_unpack_return done = msgpack_unpack(bytes, count, &used, &self->zone, &self->object);
    if (done != MSGPACK_UNPACK_SUCCESS || used != count) {
        return WL_ERR_MALFORMED;
    }
    *ret = &self->object;
    return WL_OK;
}

void *wl_unpacker_alloc(wl_unpacker_t *self, size_t count, size_t each) {
    if (count == 0) {
        return NULL;
    }
    size_t bytes = 0;
    bool fits = !__builtin_mul_overflow(count, each, &bytes);
    WL_ASSERT(fits);
    void *at = msgpack_zone_malloc(&self->zone, bytes);
    WL_ASSERT(at != NULL);
    self->extra += bytes + sizeof(void *);
    return memset(at, 0, bytes);
}

msgpack_zone *wl_unpacker_zone(wl_unpacker_t *self) {
    return &self->zone;
}

void wl_unpacker_destroy(wl_unpacker_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    msgpack_zone_destroy(&(*self)->zone);
    wl_free(*self);
    *self = NULL;
}
