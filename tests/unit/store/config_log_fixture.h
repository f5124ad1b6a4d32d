/* config_log_fixture.h: for the tests of the configuration's log: the same test over each backend,
 * opening it, records, and processes that write and are killed. */
#ifndef WL_TEST_CONFIG_LOG_FIXTURE_H
#define WL_TEST_CONFIG_LOG_FIXTURE_H

#include "../../stores.h"
#include "redis_world.h"
#include "store/config_log.h"
#include "store/config_log_ops.h"

#include <stdatomic.h>
#include <sys/mman.h>

typedef enum { IN_DIR, IN_REDIS, IN_CLUSTER, IN_ETCD } log_backend_t;
static log_backend_t log_backend;
static wl_settings_t log_settings;
static char log_own_server[200]; /* of the test; "" = tests/stores.h */

static inline void log_world_make(void) {
    char name[24];
    folder_make();
    wl_settings_defaults(&log_settings);
    log_settings.redis_timeout_ms = 5000;
    (void)snprintf(log_settings.config_prefix, sizeof log_settings.config_prefix,
                   "%s:", stores_name("c", name, sizeof name));
}

/* LOG_TEST(name) { ... } runs once in each of the suites. */
#define LOG_TEST_IN(suite, where, name) \
    Test(suite, name, .timeout = 120) { \
        log_backend = where;            \
        name();                         \
    }
#define LOG_TEST(name)                         \
    static void name(void);                    \
    LOG_TEST_IN(log_dir, IN_DIR, name)         \
    LOG_TEST_IN(log_redis, IN_REDIS, name)     \
    LOG_TEST_IN(log_cluster, IN_CLUSTER, name) \
    LOG_TEST_IN(log_etcd, IN_ETCD, name)       \
    static void name(void)
/* In those that have a server. */
#define LOG_SERVER_TEST(name)                  \
    static void name(void);                    \
    LOG_TEST_IN(log_redis, IN_REDIS, name)     \
    LOG_TEST_IN(log_cluster, IN_CLUSTER, name) \
    LOG_TEST_IN(log_etcd, IN_ETCD, name)       \
    static void name(void)
#define LOG_SUITE(suite) TestSuite(suite, .init = log_world_make, .fini = log_world_remove)
#define LOG_SUITES          \
    LOG_SUITE(log_dir);     \
    LOG_SUITE(log_redis);   \
    LOG_SUITE(log_cluster); \
    LOG_SUITE(log_etcd)

/* Redis of the test: a server of its own when it has named one. */
static inline wl_redis_options_t log_redis(void) {
    bool own = log_own_server[0] != '\0';
    wl_redis_options_t where = {.nodes = own ? log_own_server : NULL, .timeout_ms = 5000};
    where.cluster = !own && log_backend == IN_CLUSTER;
    if (!own) {
        where.nodes = where.cluster ? stores_redis_cluster() : stores_redis();
    }
    return where;
}

static inline const char *log_key(const char *name) {
    static char key[140];
    (void)snprintf(key, sizeof key, "%.32s{config}:%.80s", log_settings.config_prefix, name);
    return key;
}

/* One command about a key, the words behind it may be "". */
static inline answer_t log_redis_do(const char *verb, const char *name, const char *words) {
    wl_redis_t *redis = client_with(log_redis());
    char text[400];
    const char *key = log_key(name);
    (void)snprintf(text, sizeof text, "%s %s%s%s", verb, key, words[0] == '\0' ? "" : " ", words);
    answer_t answer = ask(redis, key, text);
    wl_redis_destroy(&redis);
    return answer;
}

static inline void log_world_remove(void) {
    if ((log_backend == IN_REDIS || log_backend == IN_CLUSTER) && log_own_server[0] == '\0') {
        (void)log_redis_do("DEL", "changes", "");
        (void)log_redis_do("DEL", "notes", "");
    }
    folder_remove();
}

static inline wl_err_t log_try(wl_config_log_t **ret, wl_fault_t *fault) {
    if (log_backend == IN_DIR) {
        return wl_config_log_dir(in_folder("log"), ret, fault);
    }
    if (log_backend == IN_ETCD) {
        (void)snprintf(log_settings.config_mirror_etcd, sizeof log_settings.config_mirror_etcd,
                       "%s", log_own_server[0] != '\0' ? log_own_server : stores_etcd());
        return wl_config_log_etcd(&log_settings, ret, fault);
    }
    wl_redis_options_t where = log_redis();
    log_settings.config_cluster = where.cluster;
    (void)snprintf(log_settings.config_redis, sizeof log_settings.config_redis, "%s", where.nodes);
    return wl_config_log_redis(&log_settings, ret, fault);
}

static inline wl_config_log_t *log_open(void) {
    wl_config_log_t *log = NULL;
    wl_fault_t fault = {0};
    wl_err_t err = log_try(&log, &fault);
    cr_assert_eq(err, WL_OK, "%s: %s %s", wl_err_name(err), fault.where, fault.message);
    return log;
}

/* Fails the test unless err is the wanted one; says why it is not. */
static inline void log_want(wl_config_log_t *log, wl_err_t err, wl_err_t wanted) {
    cr_assert_eq(err, wanted, "%s instead of %s: %s", wl_err_name(err), wl_err_name(wanted),
                 wl_config_log_problem(log));
}

/* A record, in one of two buffers that take turns. */
enum { RECORD_PAD_MAX = 20000 };
static inline const char *record(uint64_t seq, int by, size_t pad) {
    static char texts[2][RECORD_PAD_MAX + 100];
    static unsigned turn;
    char *text = texts[turn++ % 2];
    int head =
        snprintf(text, 100, "{\"seq\": %llu, \"by\": %d, \"pad\": \"", (unsigned long long)seq, by);
    memset(text + head, 'a' + by % 26, pad);
    (void)snprintf(text + head + pad, 10, "\"}");
    return text;
}

static inline wl_err_t append(wl_config_log_t *log, uint64_t seq, int by, size_t pad) {
    const char *text = record(seq, by, pad);
    return wl_config_log_append(log, seq, text, strlen(text));
}

static inline uint64_t last_of(wl_config_log_t *log) {
    uint64_t last = UINT64_MAX;
    log_want(log, wl_config_log_last(log, &last), WL_OK);
    return last;
}

/* Is record `seq` exactly the one that `by` wrote? */
static inline void want_record(wl_config_log_t *log, uint64_t seq, int by, size_t pad) {
    char *text = NULL;
    size_t bytes = 0;
    const char *wanted = record(seq, by, pad);
    log_want(log, wl_config_log_read(log, seq, &text, &bytes), WL_OK);
    cr_assert_str_eq(text, wanted);
    cr_assert_eq(bytes, strlen(wanted));
    wl_free(text);
}

static inline bool problem_names(wl_config_log_t *log, const char *part) {
    return strstr(wl_config_log_problem(log), part) != NULL;
}

/* ---- processes ------------------------------------------------------------------------------- */

/* Memory that children share with us. */
static inline void *shared_make(size_t bytes) {
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(at, MAP_FAILED);
    return at;
}

/* Runs body(arg) in a process of its own, which ends with ours. */
static inline pid_t process_start(int (*body)(void *arg), void *arg) {
    pid_t process = fork();
    cr_assert(process >= 0);
    if (process == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(body(arg));
    }
    return process;
}

/* Its exit status, -1 = killed. */
static inline int process_wait(pid_t process) {
    int status = 0;
    cr_assert_eq(waitpid(process, &status, 0), process);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- nudges ---------------------------------------------------------------------------------- */

/* Serves the log's descriptor as a loop does, until it was nudged; false: not within ms. */
static inline bool nudge_await(wl_config_log_t *log, int ms) {
    int64_t until = wl_mono_now().ms + ms;
    while (wl_mono_now().ms < until) {
        struct pollfd item = {.fd = wl_config_log_fd(log), .events = POLLIN};
        (void)poll(&item, 1, (int)(until - wl_mono_now().ms));
        if (wl_config_log_nudged(log)) {
            return true;
        }
    }
    return false;
}

#endif
