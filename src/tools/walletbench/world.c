#include "tools/walletbench/world.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <msgpack.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY_MS = 60000, CALL_MS = 10000, LOG_TAIL = 2000, LOOK_MS = 2 };

void bench_pause(uint32_t ms) {
    (void)poll(NULL, 0, (int)ms);
}

/* The port is free now; nobody else on a quiet machine takes it before its owner binds it, as it
 * lies below those that the kernel gives to connections. */
void bench_endpoint(char ret[BENCH_ENDPOINT_MAX]) {
    enum { FIRST = 10240, COUNT = 12000, TRIES = 1000 };
    bool bound = false;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int i = 0; i < TRIES && !bound; i++) {
        address.sin_port = htons((uint16_t)(FIRST + wl_random_below(COUNT)));
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bound = fd != -1 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0;
        if (fd != -1) {
            (void)close(fd);
        }
    }
    if (!bound) {
        bench_fail("no free port: %s", strerror(errno));
    }
    (void)snprintf(ret, BENCH_ENDPOINT_MAX, "tcp://127.0.0.1:%u", ntohs(address.sin_port));
}

static void path_join(char ret[BENCH_PATH_MAX], const char *folder, const char *name) {
    int bytes = snprintf(ret, BENCH_PATH_MAX, "%s/%s", folder, name);
    if (bytes < 0 || bytes >= BENCH_PATH_MAX) {
        bench_fail("the folder's name is too long");
    }
}

static void folder_make(const char *path) {
    if (mkdir(path, 0700) == -1 && errno != EEXIST) {
        bench_fail("%s: %s", path, strerror(errno));
    }
}

static void file_write(const char *folder, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void file_write(const char *folder, const char *name, const char *format, ...) {
    char path[BENCH_PATH_MAX];
    path_join(path, folder, name);
    FILE *file = fopen(path, "w");
    va_list args;
    va_start(args, format);
    if (file == NULL || vfprintf(file, format, args) < 0 || fclose(file) != 0) {
        bench_fail("%s: %s", path, strerror(errno));
    }
    va_end(args);
}

/* ---- processes ------------------------------------------------------------------------------ */

/* The folder that this program lies in; walletd lies beside it. */
static void program_path(const char *name, char ret[BENCH_PATH_MAX]) {
    char self[BENCH_PATH_MAX];
    ssize_t bytes = readlink("/proc/self/exe", self, sizeof self - 1);
    if (bytes <= 0) {
        bench_fail("/proc/self/exe: %s", strerror(errno));
    }
    self[bytes] = '\0';
    char *slash = strrchr(self, '/');
    WL_ASSERT(slash != NULL);
    *slash = '\0';
    path_join(ret, self, name);
}

pid_t bench_process_start(char *const *argv, const char *log) {
    (void)fflush(NULL);
    pid_t worker = getpid();
    pid_t pid = fork();
    if (pid == -1) {
        bench_fail("fork: %s", strerror(errno));
    }
    if (pid != 0) {
        return pid;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int out = log == NULL ? -1 : open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (getppid() != worker || (log != NULL && (out == -1 || dup2(out, STDERR_FILENO) == -1 ||
                                                dup2(out, STDOUT_FILENO) == -1))) {
        _exit(126);
    }
    (void)execv(argv[0], argv);
    _exit(127);
}

static void process_stop(pid_t pid, int signal_number) {
    (void)kill(pid, signal_number);
    while (waitpid(pid, NULL, 0) == -1 && errno == EINTR) {
        continue;
    }
}

pid_t bench_peer_start(const char *role, const char *endpoint, const char *argument) {
    char program[BENCH_PATH_MAX];
    program_path("walletbench", program);
    char role_text[32];
    char endpoint_text[BENCH_ENDPOINT_MAX];
    char argument_text[32];
    (void)snprintf(role_text, sizeof role_text, "%s", role);
    (void)snprintf(endpoint_text, sizeof endpoint_text, "%s", endpoint);
    (void)snprintf(argument_text, sizeof argument_text, "%s", argument);
    char *argv[] = {program, role_text, endpoint_text, argument_text, NULL};
    return bench_process_start(argv, NULL);
}

void bench_peer_stop(pid_t pid) {
    process_stop(pid, SIGKILL);
}

/* ---- walletd -------------------------------------------------------------------------------- */

void bench_walletd_prepare(const bench_setup_t *setup, const bench_walletd_options_t *options,
                           bench_walletd_t *ret) {
    char home[BENCH_PATH_MAX];
    char config[BENCH_PATH_MAX];
    path_join(home, setup->folder, options->name);
    path_join(config, home, "config");
    path_join(ret->data, home, "data");
    path_join(ret->log, home, "walletd.log");
    folder_make(home);
    folder_make(config);
    folder_make(ret->data);
    bench_endpoint(ret->read);
    bench_endpoint(ret->write);
    file_write(config, "integration-1.json", "{\"version\": 1, \"lines\": %s}\n", options->lines);
    file_write(config, "presentation-1.json",
               "{\"version\": 1, \"golden\": %s, \"sections\": %s}\n", options->golden,
               options->sections);
    file_write(home, "walletd.ini",
               "[server]\ndata_dir = %s\nconfig_dir = %s\n"
               "[frontend]\nendpoint = %s\n[intake]\nendpoint = %s\nsubscribe =\n%s\n",
               ret->data, config, ret->read, ret->write, options->settings);
    ret->pid = 0;
}

void bench_walletd_spawn(bench_walletd_t *self) {
    char program[BENCH_PATH_MAX];
    char conf[BENCH_PATH_MAX];
    program_path("walletd", program);
    if (access(program, X_OK) == -1) {
        bench_fail("%s: %s", program, strerror(errno));
    }
    (void)snprintf(conf, sizeof conf, "%.*s/walletd.ini",
                   (int)(strrchr(self->log, '/') - self->log), self->log);
    char flag[] = "-c";
    char *argv[] = {program, flag, conf, NULL};
    self->started_at = wl_mono_now().ms;
    self->pid = bench_process_start(argv, self->log);
}

_Noreturn static void walletd_fail(const bench_walletd_t *self, const char *why) {
    char tail[LOG_TAIL + 1] = "";
    FILE *log = fopen(self->log, "r");
    if (log != NULL) {
        (void)fseek(log, 0, SEEK_END);
        long size = ftell(log);
        (void)fseek(log, size > LOG_TAIL ? size - LOG_TAIL : 0, SEEK_SET);
        tail[fread(tail, 1, LOG_TAIL, log)] = '\0';
        (void)fclose(log);
    }
    bench_fail("walletd %s; its log ends:\n%s", why, tail);
}

static bool log_says(const bench_walletd_t *self, const char *word) {
    char line[2048];
    bool found = false;
    FILE *log = fopen(self->log, "r");
    while (log != NULL && !found && fgets(line, sizeof line, log) != NULL) {
        found = strstr(line, word) != NULL;
    }
    if (log != NULL) {
        (void)fclose(log);
    }
    return found;
}

static bool text_is(const msgpack_object *value, const char *text) {
    return value->type == MSGPACK_OBJECT_STR && value->via.str.size == strlen(text) &&
           memcmp(value->via.str.ptr, text, value->via.str.size) == 0;
}

/* Does the map hold this text under this key? */
static bool object_text_is(const msgpack_object *object, const char *key, const char *text) {
    bool same = false;
    for (uint32_t i = 0; object->type == MSGPACK_OBJECT_MAP && i < object->via.map.size; i++) {
        const msgpack_object_kv *pair = &object->via.map.ptr[i];
        same = same || (text_is(&pair->key, key) && text_is(&pair->val, text));
    }
    return same;
}

static bool reply_text_is(const wallet_reply_t *reply, const char *key, const char *text) {
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    bool same = msgpack_unpack_next(&unpacked, reply->result, reply->result_bytes, NULL) ==
                    MSGPACK_UNPACK_SUCCESS &&
                object_text_is(&unpacked.data, key, text);
    msgpack_unpacked_destroy(&unpacked);
    return same;
}

void bench_walletd_wait(const bench_walletd_t *self) {
    int64_t until = self->started_at + READY_MS;
    wallet_t *reader = bench_open(self->read);
    for (bool ready = false; !ready;) {
        wallet_reply_t reply;
        if (waitpid(self->pid, NULL, WNOHANG) != 0) {
            walletd_fail(self, "ended");
        }
        if (wl_mono_now().ms > until) {
            walletd_fail(self, "does not become ready");
        }
        ready = wallet_call(reader, "sys.info", NULL, 0, 100, &reply) == WALLET_OK &&
                reply_text_is(&reply, "state", "ready");
    }
    /* The frontend is ready at once; the filter behind it says so in the log. */
    while (!log_says(self, "\"presence_ready\"")) {
        if (waitpid(self->pid, NULL, WNOHANG) != 0 || wl_mono_now().ms > until) {
            walletd_fail(self, "has no presence");
        }
        bench_pause(LOOK_MS);
    }
    wallet_close(&reader);
}

void bench_walletd_start(const bench_setup_t *setup, const bench_walletd_options_t *options,
                         bench_walletd_t *ret) {
    bench_walletd_prepare(setup, options, ret);
    bench_walletd_spawn(ret);
    bench_walletd_wait(ret);
}

void bench_walletd_stop(bench_walletd_t *self) {
    process_stop(self->pid, SIGTERM);
    self->pid = 0;
}

/* ---- questions ------------------------------------------------------------------------------ */

wallet_t *bench_open(const char *endpoint) {
    const wallet_options_t plain = {NULL, NULL}; /* whatever the environment says */
    wallet_t *wallet = wallet_open_with(endpoint, &plain, NULL, 0);
    WL_ASSERT(wallet != NULL);
    return wallet;
}

wallet_reply_t bench_call(wallet_t *wallet, const char *method, const void *args, size_t bytes) {
    wallet_reply_t reply;
    wallet_status_t status = wallet_call(wallet, method, args, bytes, CALL_MS, &reply);
    if (status != WALLET_OK) {
        bench_fail("%s: %s %s %s", method, wallet_status_text(status), reply.error.code,
                   reply.error.message);
    }
    return reply;
}

/* Adds up all numbers of `key`, however deep they lie. */
static uint64_t object_sum(const msgpack_object *object, const char *key, int depth) {
    uint64_t sum = 0;
    if (object->type == MSGPACK_OBJECT_ARRAY) {
        for (uint32_t i = 0; depth > 0 && i < object->via.array.size; i++) {
            sum += object_sum(&object->via.array.ptr[i], key, depth - 1);
        }
    } else if (object->type == MSGPACK_OBJECT_MAP) {
        for (uint32_t i = 0; i < object->via.map.size; i++) {
            const msgpack_object_kv *pair = &object->via.map.ptr[i];
            if (pair->val.type == MSGPACK_OBJECT_POSITIVE_INTEGER && text_is(&pair->key, key)) {
                sum += pair->val.via.u64;
            } else if (depth > 0) {
                sum += object_sum(&pair->val, key, depth - 1);
            }
        }
    }
    return sum;
}

static uint64_t reply_sum(const wallet_reply_t *reply, const char *key, int depth) {
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    uint64_t sum = 0;
    if (msgpack_unpack_next(&unpacked, reply->result, reply->result_bytes, NULL) ==
        MSGPACK_UNPACK_SUCCESS) {
        sum = object_sum(&unpacked.data, key, depth);
    }
    msgpack_unpacked_destroy(&unpacked);
    return sum;
}

uint64_t bench_reply_u64(const wallet_reply_t *reply, const char *key) {
    return reply_sum(reply, key, 0);
}

uint64_t bench_reply_deep_u64(const wallet_reply_t *reply, const char *key) {
    return reply_sum(reply, key, 8);
}

uint64_t bench_counter(wallet_t *writer, const char *name) {
    wallet_reply_t reply = bench_call(writer, "admin.stats", NULL, 0);
    return bench_reply_deep_u64(&reply, name);
}

void bench_wait_quiet(wallet_t *writer, int64_t limit_ms) {
    static const char *const keys[] = {"entries", "pending", "in_flight", "retries_waiting"};
    int64_t until = wl_mono_now().ms + limit_ms;
    for (;;) {
        wallet_reply_t reply = bench_call(writer, "admin.queue", NULL, 0);
        uint64_t waiting = 0;
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
            waiting += bench_reply_u64(&reply, keys[i]);
        }
        if (waiting == 0) {
            return;
        }
        if (wl_mono_now().ms > until) {
            bench_fail("the queue is not empty after %lld ms: %llu entries, %llu pending, %llu "
                       "under way, %llu to be repeated",
                       (long long)limit_ms, (unsigned long long)bench_reply_u64(&reply, "entries"),
                       (unsigned long long)bench_reply_u64(&reply, "pending"),
                       (unsigned long long)bench_reply_u64(&reply, "in_flight"),
                       (unsigned long long)bench_reply_u64(&reply, "retries_waiting"));
        }
        bench_pause(LOOK_MS);
    }
}

/* Work that admin.queue counts for one line. */
static uint64_t line_waiting(const msgpack_object *reply, const char *line) {
    uint64_t waiting = 0;
    const msgpack_object_map *map = &reply->via.map;
    for (uint32_t i = 0; reply->type == MSGPACK_OBJECT_MAP && i < map->size; i++) {
        const msgpack_object *rows = &map->ptr[i].val;
        for (uint32_t j = 0; rows->type == MSGPACK_OBJECT_ARRAY && j < rows->via.array.size; j++) {
            const msgpack_object *row = &rows->via.array.ptr[j];
            if (object_text_is(row, "line", line)) {
                waiting += object_sum(row, "pending", 0) + object_sum(row, "in_flight", 0);
            }
        }
    }
    return waiting;
}

void bench_wait_line(wallet_t *writer, const char *line, int64_t limit_ms) {
    int64_t until = wl_mono_now().ms + limit_ms;
    for (uint64_t waiting = 1; waiting > 0;) {
        wallet_reply_t reply = bench_call(writer, "admin.queue", NULL, 0);
        msgpack_unpacked unpacked;
        msgpack_unpacked_init(&unpacked);
        if (msgpack_unpack_next(&unpacked, reply.result, reply.result_bytes, NULL) ==
            MSGPACK_UNPACK_SUCCESS) {
            waiting = line_waiting(&unpacked.data, line);
        }
        msgpack_unpacked_destroy(&unpacked);
        if (waiting > 0 && wl_mono_now().ms > until) {
            bench_fail("%llu changes of %s still wait", (unsigned long long)waiting, line);
        }
        bench_pause(LOOK_MS);
    }
}
