/* fuzz_redis_reply.c: what a Redis server sends, in pieces as a socket would: replies come out or
 * the reader refuses; slot maps and redirections that are accepted stay inside their bounds. */
#include "base/alloc.h"
#include "store/redis_reader.h"
#include "store/redis_slots.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static const wl_redis_address_t asked = {.host = "10.0.0.1", .ip = "10.0.0.1", .port = 7000};

static void look_at(const redisReply *reply, wl_redis_slots_t *map) {
    wl_redis_redirect_t redirect;
    if (wl_redis_slots_read(map, reply, &asked) == WL_OK) {
        for (uint32_t slot = 0; slot < WL_REDIS_SLOTS; slot++) {
            if (map->owner[slot] != WL_REDIS_NO_MASTER && map->owner[slot] >= map->master_count) {
                abort();
            }
        }
    }
    if (wl_redis_redirect_read(&redirect, reply, &asked) == WL_OK &&
        (redirect.slot >= WL_REDIS_SLOTS || redirect.to.port == 0)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    if (count == 0) {
        return 0;
    }
    wl_redis_slots_t *map = wl_alloc_zero(1, sizeof *map);
    wl_redis_reader_t *reader = wl_redis_reader_new();
    size_t piece = (size_t)bytes[0] + 1; /* the first byte says how the rest is cut */
    wl_err_t err = WL_ERR_EMPTY;
    for (size_t at = 1; at < count && err == WL_ERR_EMPTY; at += piece) {
        wl_redis_reader_feed(reader, bytes + at, count - at < piece ? count - at : piece);
        redisReply *reply = NULL;
        while ((err = wl_redis_reader_next(reader, &reply)) == WL_OK) {
            look_at(reply, map);
            freeReplyObject(reply);
        }
    }
    if (err == WL_ERR_MALFORMED && wl_redis_reader_problem(reader)[0] == '\0') {
        abort();
    }
    wl_redis_reader_destroy(&reader);
    wl_free(map);
    return 0;
}
