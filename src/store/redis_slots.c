#include "store/redis_slots.h"

#include <stdlib.h>
#include <string.h>

/* ---- the hash -------------------------------------------------------------------------------- */

/* CRC16/XMODEM: polynomial 0x1021, begins with 0, nothing reflected. */
static uint16_t crc16(const uint8_t *bytes, size_t count) {
    uint32_t crc = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t x = ((crc >> 8) ^ bytes[i]) & 0xffu;
        x ^= x >> 4;
        crc = ((crc << 8) ^ (x << 12) ^ (x << 5) ^ x) & 0xffffu;
    }
    return (uint16_t)crc;
}

uint32_t wl_redis_slot(const void *key, size_t bytes) {
    const uint8_t *at = key;
    const uint8_t *open = bytes == 0 ? NULL : memchr(at, '{', bytes);
    if (open != NULL) {
        size_t rest = bytes - (size_t)(open + 1 - at);
        const uint8_t *shut = rest == 0 ? NULL : memchr(open + 1, '}', rest);
        if (shut != NULL && shut != open + 1) {
            at = open + 1;
            bytes = (size_t)(shut - at);
        }
    }
    return crc16(at, bytes) % WL_REDIS_SLOTS;
}

/* ---- the map --------------------------------------------------------------------------------- */

static bool is_text(const redisReply *reply) {
    return reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS;
}

/* [host or nil, port, id, [name, value, ...]]; the last two are missing in old versions. */
static wl_err_t address_read(wl_redis_address_t *ret, const redisReply *node,
                             const wl_redis_address_t *asked) {
    if (node->type != REDIS_REPLY_ARRAY || node->elements < 2 ||
        node->element[1]->type != REDIS_REPLY_INTEGER) {
        return WL_ERR_MALFORMED;
    }
    const redisReply *host = node->element[0];
    long long port = node->element[1]->integer;
    if (host->type == REDIS_REPLY_NIL || (is_text(host) && host->len == 0)) {
        wl_err_t err = wl_redis_address_set(ret, asked->host, strlen(asked->host), port);
        memcpy(ret->ip, asked->ip, sizeof ret->ip);
        return err == WL_OK ? WL_OK : WL_ERR_MALFORMED;
    }
    if (!is_text(host) || wl_redis_address_set(ret, host->str, host->len, port) != WL_OK) {
        return WL_ERR_MALFORMED;
    }
    const redisReply *more = node->elements > 3 ? node->element[3] : NULL;
    for (size_t i = 0; ret->ip[0] == '\0' && more != NULL && more->type == REDIS_REPLY_ARRAY &&
                       i + 1 < more->elements;
         i += 2) {
        const redisReply *name = more->element[i];
        const redisReply *value = more->element[i + 1];
        wl_redis_address_t numeric;
        if (is_text(name) && is_text(value) && strcmp(name->str, "ip") == 0 &&
            wl_redis_address_set(&numeric, value->str, value->len, port) == WL_OK) {
            memcpy(ret->ip, numeric.ip, sizeof ret->ip);
        }
    }
    return WL_OK;
}

static wl_err_t master_index(wl_redis_slots_t *self, const wl_redis_address_t *master,
                             uint8_t *ret_index) {
    for (uint32_t i = 0; i < self->master_count; i++) {
        if (wl_redis_address_equal(&self->masters[i], master)) {
            *ret_index = (uint8_t)i;
            return WL_OK;
        }
    }
    if (self->master_count == WL_REDIS_MASTERS_MAX) {
        return WL_ERR_TOO_BIG;
    }
    self->masters[self->master_count] = *master;
    *ret_index = (uint8_t)self->master_count++;
    return WL_OK;
}

/* [first, last, master, replica, ...] */
static wl_err_t range_read(wl_redis_slots_t *self, const redisReply *range,
                           const wl_redis_address_t *asked) {
    if (range->type != REDIS_REPLY_ARRAY || range->elements < 3 ||
        range->element[0]->type != REDIS_REPLY_INTEGER ||
        range->element[1]->type != REDIS_REPLY_INTEGER) {
        return WL_ERR_MALFORMED;
    }
    long long first = range->element[0]->integer;
    long long last = range->element[1]->integer;
    wl_redis_address_t master;
    uint8_t index = 0;
    if (first < 0 || last >= WL_REDIS_SLOTS || first > last) {
        return WL_ERR_MALFORMED;
    }
    wl_err_t err = address_read(&master, range->element[2], asked);
    if (err == WL_OK) {
        err = master_index(self, &master, &index);
    }
    for (long long slot = first; err == WL_OK && slot <= last; slot++) {
        self->owner[slot] = index;
    }
    return err;
}

wl_err_t wl_redis_slots_read(wl_redis_slots_t *ret, const redisReply *reply,
                             const wl_redis_address_t *asked) {
    ret->master_count = 0;
    memset(ret->owner, WL_REDIS_NO_MASTER, sizeof ret->owner);
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
        return WL_ERR_MALFORMED; /* also a node that was never told of a cluster: no slots at all */
    }
    wl_err_t err = WL_OK;
    for (size_t i = 0; err == WL_OK && i < reply->elements; i++) {
        err = range_read(ret, reply->element[i], asked);
    }
    return err;
}

/* ---- redirections ---------------------------------------------------------------------------- */

wl_err_t wl_redis_redirect_read(wl_redis_redirect_t *ret, const redisReply *reply,
                                const wl_redis_address_t *asked) {
    if (reply->type != REDIS_REPLY_ERROR) {
        return WL_ERR_MALFORMED;
    }
    ret->ask = strncmp(reply->str, "ASK ", 4) == 0;
    if (!ret->ask && strncmp(reply->str, "MOVED ", 6) != 0) {
        return WL_ERR_MALFORMED;
    }
    const char *digits = reply->str + (ret->ask ? 4 : 6);
    char *end = NULL;
    unsigned long slot = strtoul(digits, &end, 10);
    if (end == digits || *digits < '0' || *digits > '9' || *end != ' ' || slot >= WL_REDIS_SLOTS) {
        return WL_ERR_MALFORMED;
    }
    ret->slot = (uint16_t)slot;
    const char *at = end + 1;
    char text[WL_REDIS_HOST_MAX + 8];
    size_t bytes = strlen(at);
    if (bytes < 8 &&
        memrchr(at, ':', bytes) == at) { /* it does not know its own address: the one that we use */
        size_t host_bytes = strlen(asked->host);
        memcpy(text, asked->host, host_bytes);
        memcpy(text + host_bytes, at, bytes);
        at = text;
        bytes += host_bytes;
    }
    if (wl_redis_address_read(at, bytes, &ret->to) != WL_OK) {
        return WL_ERR_MALFORMED;
    }
    if (at == text) {
        memcpy(ret->to.ip, asked->ip, sizeof ret->to.ip);
    }
    return WL_OK;
}
