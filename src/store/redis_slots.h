/* redis_slots.h: which node of a Redis Cluster serves which hash slot. Pure. For src/store only. */
#ifndef WL_STORE_REDIS_SLOTS_H
#define WL_STORE_REDIS_SLOTS_H

#include "store/redis.h"
#include "store/redis_address.h"

enum {
    WL_REDIS_SLOTS = 16384,
    WL_REDIS_MASTERS_MAX = 100, /* a cluster of more is refused */
    WL_REDIS_NO_MASTER = 255    /* nobody serves the slot */
};

typedef struct {
    wl_redis_address_t masters[WL_REDIS_MASTERS_MAX];
    uint32_t master_count;         /* of masters */
    uint8_t owner[WL_REDIS_SLOTS]; /* index into masters, or WL_REDIS_NO_MASTER */
} wl_redis_slots_t;

/* Reads the reply of CLUSTER SLOTS; `asked` stands for nodes that do not know their own address.
 * WL_ERR_MALFORMED, WL_ERR_TOO_BIG; *ret is then not usable. */
WL_MUST_USE wl_err_t wl_redis_slots_read(wl_redis_slots_t *ret, const redisReply *reply,
                                         const wl_redis_address_t *asked);

typedef struct {
    bool ask;      /* for one command only; else the slot has moved */
    uint16_t slot; /* that it is about */
    wl_redis_address_t to;
} wl_redis_redirect_t;

/* Reads "MOVED 3999 10.0.0.1:6381" or "ASK ...". WL_ERR_MALFORMED: it is neither. */
WL_MUST_USE wl_err_t wl_redis_redirect_read(wl_redis_redirect_t *ret, const redisReply *reply,
                                            const wl_redis_address_t *asked);

#endif
