#include "tools/walletbench/raw_stores.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <hiredis/hiredis.h>
#include <mariadb/mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 500, ROW_BYTES = 160 };

double bench_raw_xadd(const bench_server_t *redis, uint32_t ms) {
    redisContext *link = redisConnect("127.0.0.1", redis->port);
    if (link == NULL || link->err != 0) {
        bench_fail("Redis cannot be reached");
    }
    uint64_t begun = wl_mono_ns();
    uint64_t entries = 0;
    while (wl_mono_ns() - begun < (uint64_t)ms * 1000000u) {
        for (int i = 0; i < ROWS; i++) {
            unsigned long long uid = entries + (unsigned)i;
            (void)redisAppendCommand(link, "XADD raw * line cash uid %llu version %llu at %lld",
                                     uid, uid, (long long)wl_wall_now().ms);
        }
        for (int i = 0; i < ROWS; i++) {
            redisReply *reply = NULL;
            if (redisGetReply(link, (void **)&reply) != REDIS_OK ||
                reply->type != REDIS_REPLY_STRING) {
                bench_fail("XADD failed");
            }
            freeReplyObject(reply);
        }
        entries += ROWS;
    }
    double rate = (double)entries * 1e9 / (double)(wl_mono_ns() - begun);
    freeReplyObject(redisCommand(link, "DEL raw"));
    redisFree(link);
    return rate;
}

static void mysql_do(MYSQL *mysql, const char *sql, size_t bytes) {
    if (mysql_real_query(mysql, sql, bytes) != 0) {
        bench_fail("MariaDB: %s", mysql_error(mysql));
    }
}

static const char raw_table[] =
    "CREATE TABLE IF NOT EXISTS raw_asset(uid BIGINT UNSIGNED NOT NULL, line VARCHAR(32)"
    " CHARACTER SET ascii COLLATE ascii_bin NOT NULL, bucket VARCHAR(16) CHARACTER SET ascii"
    " COLLATE ascii_bin NOT NULL, kind TINYINT NOT NULL, amount BIGINT NOT NULL, unit VARCHAR(12)"
    " NOT NULL, scale TINYINT NOT NULL, count INT UNSIGNED NOT NULL, pending BIGINT NOT NULL,"
    " state TINYINT NOT NULL, expires_at BIGINT NOT NULL, version BIGINT UNSIGNED NOT NULL,"
    " changed_at BIGINT NOT NULL, pulled_at BIGINT NOT NULL, extra VARBINARY(512),"
    " PRIMARY KEY(uid, line, bucket)) ENGINE=InnoDB";

static const char raw_guard[] =
    " ON DUPLICATE KEY UPDATE amount = IF(VALUES(version) > version, VALUES(amount), amount),"
    " pulled_at = IF(VALUES(version) > version, VALUES(pulled_at), pulled_at),"
    " extra = IF(VALUES(version) > version, VALUES(extra), extra),"
    " version = GREATEST(version, VALUES(version))";

double bench_raw_mysql_upsert(const bench_server_t *mariadb, uint64_t uid_first, uint64_t users) {
    MYSQL *mysql = mysql_init(NULL);
    if (mysql_real_connect(mysql, NULL, "root", NULL, "wallet", 0, mariadb->socket, 0) == NULL) {
        bench_fail("MariaDB: %s", mysql_error(mysql));
    }
    mysql_do(mysql, raw_table, sizeof raw_table - 1);
    char *sql = wl_alloc(ROWS * ROW_BYTES + 1024);
    uint64_t begun = wl_mono_ns();
    int64_t version = wl_wall_now().ms; /* newer than in the round before */
    for (uint64_t done = 0; done < users;) {
        size_t bytes = (size_t)snprintf(sql, 64, "INSERT INTO raw_asset VALUES");
        for (int i = 0; i < ROWS && done < users; i++, done++) {
            bytes += (size_t)snprintf(sql + bytes, ROW_BYTES,
                                      "%s(%llu,'cash','',0,%lld,'CNY',2,0,0,0,0,%lld,0,%lld,"
                                      "x'81a57469746c65a742616c616e6365')",
                                      i == 0 ? "" : ",", (unsigned long long)(uid_first + done),
                                      (long long)(100 + version % 1000), (long long)version,
                                      (long long)version);
        }
        memcpy(sql + bytes, raw_guard, sizeof raw_guard);
        mysql_do(mysql, sql, bytes + sizeof raw_guard - 1);
    }
    double rate = (double)users * 1e9 / (double)(wl_mono_ns() - begun);
    wl_free(sql);
    mysql_close(mysql);
    return rate;
}
