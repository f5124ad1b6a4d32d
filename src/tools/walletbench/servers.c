#include "tools/walletbench/servers.h"

#include "base/clock.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <mariadb/mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UP_MS = 60000, LOOK_MS = 20 };

static const char password[] = "walletbench";

static uint16_t port_free(void) {
    char endpoint[BENCH_ENDPOINT_MAX];
    bench_endpoint(endpoint);
    return (uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10);
}

/* A folder of the server's own in the benchmark's. */
static void home_make(const bench_setup_t *setup, const char *name, char ret[BENCH_PATH_MAX]) {
    (void)snprintf(ret, BENCH_PATH_MAX, "%s/%s", setup->folder, name);
    if (mkdir(ret, 0700) == -1) {
        bench_fail("%s: %s", ret, strerror(errno));
    }
}

static void file_put(const char *path, const char *text, mode_t mode) {
    FILE *file = fopen(path, "w");
    if (file == NULL || fputs(text, file) == EOF || fclose(file) != 0 || chmod(path, mode) == -1) {
        bench_fail("%s: %s", path, strerror(errno));
    }
}

/* Looks again and again until `up` holds. */
static void up_wait(const bench_server_t *self, const char *what,
                    bool (*up)(const bench_server_t *)) {
    int64_t until = wl_mono_now().ms + UP_MS;
    while (!up(self)) {
        if (waitpid(self->pid, NULL, WNOHANG) != 0 || wl_mono_now().ms > until) {
            bench_fail("%s does not start: is it installed?", what);
        }
        bench_pause(LOOK_MS);
    }
}

static bool redis_up(const bench_server_t *self) {
    redisContext *redis = redisConnect("127.0.0.1", self->port);
    redisReply *reply = redis != NULL && redis->err == 0 ? redisCommand(redis, "PING") : NULL;
    bool up = reply != NULL && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    if (redis != NULL) {
        redisFree(redis);
    }
    return up;
}

void bench_redis_start(const bench_setup_t *setup, const char *name, bool durable,
                       bench_server_t *ret) {
    char home[BENCH_PATH_MAX];
    char port[8];
    home_make(setup, name, home);
    *ret = (bench_server_t){.port = port_free()};
    (void)snprintf(port, sizeof port, "%u", ret->port);
    char *argv[] = {"/usr/bin/env",
                    "redis-server",
                    "--port",
                    port,
                    "--bind",
                    "127.0.0.1",
                    "--dir",
                    home,
                    "--save",
                    "",
                    "--appendfsync",
                    "always",
                    "--appendonly",
                    durable ? "yes" : "no",
                    NULL};
    char log[BENCH_PATH_MAX + 8];
    (void)snprintf(log, sizeof log, "%s/log", home);
    ret->pid = bench_process_start(argv, log);
    up_wait(ret, "redis-server", redis_up);
}

/* ---- MariaDB -------------------------------------------------------------------------------- */

static bool mariadb_up(const bench_server_t *self) {
    MYSQL *mysql = mysql_init(NULL);
    bool up = mysql_real_connect(mysql, NULL, "root", NULL, NULL, 0, self->socket, 0) != NULL &&
              mysql_query(mysql, "CREATE DATABASE IF NOT EXISTS wallet") == 0;
    mysql_close(mysql);
    return up;
}

static void mariadb_install(const char *home, const char *log) {
    char data[BENCH_PATH_MAX + 32];
    (void)snprintf(data, sizeof data, "--datadir=%s/data", home);
    char *argv[] = {"/usr/bin/env",
                    "mariadb-install-db",
                    "--no-defaults",
                    "--skip-test-db",
                    "--auth-root-authentication-method=normal",
                    "--user=root",
                    data,
                    NULL};
    int status = 0;
    pid_t pid = bench_process_start(argv, log);
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        bench_fail("mariadb-install-db failed: is mariadb-server installed?");
    }
}

void bench_mariadb_start(const bench_setup_t *setup, const char *name, bench_server_t *ret) {
    char home[BENCH_PATH_MAX];
    char log[BENCH_PATH_MAX + 8];
    char init[BENCH_PATH_MAX + 16];
    char words[4][BENCH_PATH_MAX + 32];
    home_make(setup, name, home);
    *ret = (bench_server_t){.port = port_free()};
    (void)snprintf(log, sizeof log, "%s/log", home);
    (void)snprintf(init, sizeof init, "%s/init.sql", home);
    (void)snprintf(ret->password_file, sizeof ret->password_file, "%.600s/password", home);
    (void)snprintf(ret->socket, sizeof ret->socket, "%.600s/socket", home);
    mariadb_install(home, log);
    file_put(ret->password_file, password, 0600);
    file_put(init,
             "CREATE USER IF NOT EXISTS walletd@'%' IDENTIFIED BY 'walletbench';\n"
             "GRANT ALL ON *.* TO walletd@'%';\n",
             0600);
    (void)snprintf(words[0], sizeof words[0], "--datadir=%s/data", home);
    (void)snprintf(words[1], sizeof words[1], "--port=%u", ret->port);
    (void)snprintf(words[2], sizeof words[2], "--socket=%s", ret->socket);
    (void)snprintf(words[3], sizeof words[3], "--init-file=%s", init);
    char *argv[] = {"/usr/bin/env",
                    "mariadbd",
                    "--no-defaults",
                    "--user=root",
                    "--bind-address=127.0.0.1",
                    "--skip-name-resolve",
                    "--innodb-buffer-pool-size=256M",
                    "--innodb-log-file-size=256M",
                    "--innodb-flush-log-at-trx-commit=1",
                    words[0],
                    words[1],
                    words[2],
                    words[3],
                    NULL};
    ret->pid = bench_process_start(argv, log);
    up_wait(ret, "mariadbd", mariadb_up);
}

/* ---- Node.js -------------------------------------------------------------------------------- */

static char node_log[BENCH_PATH_MAX + 8];

static bool node_up(const bench_server_t *self) {
    (void)self;
    char line[64] = "";
    FILE *log = fopen(node_log, "r");
    bool up = log != NULL && fgets(line, sizeof line, log) != NULL && strcmp(line, "filled\n") == 0;
    if (log != NULL) {
        (void)fclose(log);
    }
    return up;
}

void bench_node_start(const bench_setup_t *setup, const bench_server_t *redis, uint64_t users,
                      bench_server_t *ret) {
    char home[BENCH_PATH_MAX];
    char script[BENCH_PATH_MAX];
    char numbers[3][24];
    home_make(setup, "node", home);
    const char *folder = getenv("WALLETBENCH_NODE_REDIS");
    (void)snprintf(script, sizeof script, "%.500s/server.mjs",
                   folder == NULL ? "bench/peers/node-redis" : folder);
    if (access(script, R_OK) == -1) {
        bench_fail("%s: %s; run from the project's folder after npm install there, or say where "
                   "it is in WALLETBENCH_NODE_REDIS",
                   script, strerror(errno));
    }
    *ret = (bench_server_t){.port = port_free()};
    (void)snprintf(numbers[0], sizeof numbers[0], "%u", ret->port);
    (void)snprintf(numbers[1], sizeof numbers[1], "%u", redis->port);
    (void)snprintf(numbers[2], sizeof numbers[2], "%llu", (unsigned long long)users);
    (void)snprintf(node_log, sizeof node_log, "%s/log", home);
    char *argv[] = {"/usr/bin/env", "node", script, numbers[0], numbers[1], numbers[2], NULL};
    ret->pid = bench_process_start(argv, node_log);
    up_wait(ret, "node", node_up);
}

void bench_server_stop(bench_server_t *self) {
    bench_peer_stop(self->pid);
    self->pid = 0;
}
