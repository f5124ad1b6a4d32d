#include "store/redis_slots.h"

#include "base/alloc.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static uint32_t slot_of(const char *key) {
    return wl_redis_slot(key, strlen(key));
}

Test(redis_slots, hashes_keys_as_redis_does) {
    /* From CLUSTER KEYSLOT of Redis 7.0; 0x31c3 is the check value of CRC16/XMODEM. */
    cr_assert_eq(slot_of("123456789"), 0x31c3);
    cr_assert_eq(slot_of("foo"), 12182);
    cr_assert_eq(slot_of("bar"), 5061);
    cr_assert_eq(slot_of(""), 0);
    cr_assert_eq(slot_of("{user1000}.following"), slot_of("user1000"));
    cr_assert_eq(slot_of("a{user1000}b{c}"), slot_of("user1000"));
    cr_assert_eq(slot_of("foo{}{bar}"), 8363, "empty braces: the whole key");
    cr_assert_eq(slot_of("foo{{bar}}zap"), slot_of("{bar"));
    cr_assert_eq(slot_of("{foo"), 13308, "never closed: the whole key");
    cr_assert_eq(wl_redis_slot("\0\xff", 2), 7920);
}

/* ---- replies from their text ----------------------------------------------------------------- */

static redisReader *reader;
static redisReply *parsed;

static const redisReply *reply_of(const char *resp) {
    freeReplyObject(parsed);
    parsed = NULL;
    redisReaderFree(reader);
    reader = redisReaderCreate();
    cr_assert_eq(redisReaderFeed(reader, resp, strlen(resp)), REDIS_OK);
    cr_assert_eq(redisReaderGetReply(reader, (void **)&parsed), REDIS_OK);
    cr_assert_not_null(parsed);
    return parsed;
}

static void parser_start(void) {
    reader = redisReaderCreate();
}

static void parser_end(void) {
    freeReplyObject(parsed);
    redisReaderFree(reader);
}

TestSuite(redis_slots, .init = parser_start, .fini = parser_end);

static const wl_redis_address_t asked = {.host = "10.9.9.9", .ip = "10.9.9.9", .port = 7000};

#define RANGE(first, last, node) "*3\r\n:" first "\r\n:" last "\r\n" node
#define NODE(host, port) "*3\r\n" host ":" port "\r\n$2\r\nid\r\n"
#define HOST_1 "$8\r\n10.0.0.1\r\n"

Test(redis_slots, reads_the_slot_map) {
    wl_redis_slots_t *map = wl_alloc_zero(1, sizeof *map);
    const redisReply *reply =
        reply_of("*4\r\n" RANGE("0", "99", NODE(HOST_1, "7001"))
                     RANGE("100", "16000", NODE("$-1\r\n", "7002"))
                         RANGE("16001", "16001",
                               NODE(HOST_1, "7001")) "*3\r\n:16002\r\n:16003\r\n"
                                                     "*4\r\n$7\r\nredis-3\r\n:7003\r\n$2\r\nid\r\n*"
                                                     "2\r\n$2\r\nip\r\n$8\r\n10.0.0.3\r\n");
    cr_assert_eq(wl_redis_slots_read(map, reply, &asked), WL_OK);
    cr_assert_eq(map->master_count, 3);
    cr_assert(map->owner[0] == 0 && map->owner[99] == 0 && map->owner[100] == 1);
    cr_assert(map->owner[16000] == 1 && map->owner[16001] == 0 && map->owner[16003] == 2);
    cr_assert_eq(map->owner[16004], WL_REDIS_NO_MASTER);
    cr_assert_str_eq(map->masters[0].ip, "10.0.0.1");
    cr_assert_str_eq(map->masters[1].ip, "10.9.9.9", "a node without a name is the one we asked");
    cr_assert_eq(map->masters[1].port, 7002);
    cr_assert_str_eq(map->masters[2].host, "redis-3");
    cr_assert_str_eq(map->masters[2].ip, "10.0.0.3");
    wl_free(map);
}

Test(redis_slots, refuses_what_is_no_slot_map) {
    static const char *const bad[] = {
        "*0\r\n",
        "$2\r\nhi\r\n",
        "-ERR This instance has cluster support disabled\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*2\r\n:0\r\n:1\r\n",
        "*1\r\n" RANGE("5", "4", NODE(HOST_1, "7001")),
        "*1\r\n" RANGE("-1", "4", NODE(HOST_1, "7001")),
        "*1\r\n" RANGE("0", "16384", NODE(HOST_1, "7001")),
        "*1\r\n" RANGE("0", "9223372036854775807", NODE(HOST_1, "7001")),
        "*1\r\n" RANGE("0", "1", NODE(HOST_1, "0")),
        "*1\r\n" RANGE("0", "1", NODE(HOST_1, "65536")),
        "*1\r\n" RANGE("0", "1", ":7\r\n"),
        "*1\r\n" RANGE("0", "1", "*1\r\n" HOST_1),
        "*1\r\n" RANGE("0", "1", NODE(":5\r\n", "7001")),
    };
    wl_redis_slots_t *map = wl_alloc_zero(1, sizeof *map);
    for (size_t i = 0; i < WL_COUNT_OF(bad); i++) {
        cr_assert_eq(wl_redis_slots_read(map, reply_of(bad[i]), &asked), WL_ERR_MALFORMED, "%zu",
                     i);
    }
    char many[16384] = "*101\r\n";
    for (int i = 0; i < 101; i++) {
        size_t at = strlen(many);
        (void)snprintf(many + at, sizeof many - at, RANGE("%d", "%d", NODE(HOST_1, "%d")), i, i,
                       7000 + i);
    }
    cr_assert_eq(wl_redis_slots_read(map, reply_of(many), &asked), WL_ERR_TOO_BIG);
    wl_free(map);
}

Test(redis_slots, reads_redirections) {
    wl_redis_redirect_t to;
    cr_assert_eq(wl_redis_redirect_read(&to, reply_of("-MOVED 3999 127.0.0.1:6381\r\n"), &asked),
                 WL_OK);
    cr_assert(!to.ask && to.slot == 3999 && to.to.port == 6381);
    cr_assert_str_eq(to.to.ip, "127.0.0.1");
    cr_assert_eq(wl_redis_redirect_read(&to, reply_of("-ASK 16383 ::1:7\r\n"), &asked), WL_OK);
    cr_assert(to.ask && to.slot == 16383 && to.to.port == 7);
    cr_assert_str_eq(to.to.ip, "::1");
    cr_assert_eq(wl_redis_redirect_read(&to, reply_of("-MOVED 1 :6382\r\n"), &asked), WL_OK);
    cr_assert_str_eq(to.to.ip, "10.9.9.9", "no host: the one we asked");
    cr_assert_eq(to.to.port, 6382);
    cr_assert_eq(wl_redis_redirect_read(&to, reply_of("-MOVED 1 redis-3:6382\r\n"), &asked), WL_OK);
    cr_assert(to.to.ip[0] == '\0' && strcmp(to.to.host, "redis-3") == 0);
    static const char *const bad[] = {
        "+MOVED 1 127.0.0.1:1\r\n",
        "-MOVED\r\n",
        "-MOVED 16384 127.0.0.1:1\r\n",
        "-MOVED -1 127.0.0.1:1\r\n",
        "-MOVED 1\r\n",
        "-MOVED 1 127.0.0.1\r\n",
        "-MOVED 1 127.0.0.1:0\r\n",
        "-MOVED 1 a:65536\r\n",
        "-MOVED x 127.0.0.1:1\r\n",
        "-MOVED 1 :\r\n",
        "-ERR MOVED 1 a:1\r\n",
        "-MOVED 1 a:99999999999999999999\r\n",
    };
    for (size_t i = 0; i < WL_COUNT_OF(bad); i++) {
        cr_assert_eq(wl_redis_redirect_read(&to, reply_of(bad[i]), &asked), WL_ERR_MALFORMED, "%zu",
                     i);
    }
}
