/* soak.c: the whole topology in one process, worked hard for some seconds: for ThreadSanitizer,
 * under which the test framework aborts, and for AddressSanitizer as well.
 *
 *     writers --> intake ... puller <--> fake lines           every value that a reader sees must
 *     readers <-> frontends ... cache, query, shards          have been true once; after quiet all
 *     operator --> admin.*                                    of them must be the newest ones
 *
 * usage: soak [SECONDS]       exit 0: nothing was wrong. */
#include "base/log.h"
#include "clients.h"
#include "house.h"

#include <curl/curl.h>
#include <ftw.h>
#include <signal.h>
#include <sodium.h>
#include <unistd.h>

enum { READERS = 2, WRITERS = 2, SECONDS = 20, QUIET_MS = 90000 };

typedef struct {
    char folder[64];
    char write[96];
    char publish[96];
    char read[READERS][96];
    zactor_t *lines;
    wl_settings_t settings;
    wl_house_t *house; /* as main.c runs it */
    pthread_t threads[READERS + WRITERS + 1];
    uint32_t thread_count;
    writer_t writers[WRITERS];
    reader_t readers[READERS];
} soak_t;

static soak_t soak;

__attribute__((format(printf, 2, 3))) static void document_write(const char *name,
                                                                 const char *format, ...) {
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", soak.folder, name);
    FILE *file = fopen(path, "w");
    va_list args;
    va_start(args, format);
    if (file == NULL || vfprintf(file, format, args) < 0 || fclose(file) != 0) {
        mismatch("%s cannot be written", path);
    }
    va_end(args);
}

static void documents_write(void) {
    document_write("integration-1.json",
                   "{\"version\":1,\"lines\":{"
                   "\"cash\":{\"kind\":\"cash\",\"url\":\"tcp://127.0.0.1:%d\",\"unit\":\"CNY\","
                   "\"scale\":2,\"timeout_ms\":1000,\"retry_base_ms\":50,\"retry_max_ms\":300,"
                   "\"attempts_max\":1000,\"breaker_failures\":50,\"fresh_ms\":5000},"
                   "\"coin\":{\"kind\":\"coin\",\"url\":\"tcp://127.0.0.1:%d\",\"unit\":\"bean\","
                   "\"timeout_ms\":1000,\"retry_base_ms\":50,\"retry_max_ms\":300,"
                   "\"attempts_max\":1000,\"breaker_failures\":50}}}",
                   atomic_load(&truth.ports[0]), atomic_load(&truth.ports[1]));
    document_write("presentation-1.json",
                   "{\"version\":1,\"golden\":[{\"line\":\"cash\"},{\"line\":\"coin\"}],"
                   "\"sections\":[{\"kind\":\"cash\",\"lines\":[\"cash\"]},"
                   "{\"kind\":\"coin\",\"lines\":[\"coin\"]}]}");
}

static void setting(const char *format, const char *value) {
    char assignment[600];
    wl_fault_t fault = {0};
    (void)snprintf(assignment, sizeof assignment, "%s%s", format, value);
    if (wl_settings_assign(&soak.settings, assignment, &fault) != WL_OK) {
        mismatch("%s: %s", assignment, fault.message);
    }
}

static void settings_make(void) {
    char endpoints[256];
    wl_settings_defaults(&soak.settings);
    (void)snprintf(soak.write, sizeof soak.write, "ipc://%s/write", soak.folder);
    (void)snprintf(soak.publish, sizeof soak.publish, "ipc://%s/publish", soak.folder);
    for (uint32_t i = 0; i < READERS; i++) {
        (void)snprintf(soak.read[i], sizeof soak.read[i], "ipc://%s/read%u", soak.folder, i);
    }
    (void)snprintf(endpoints, sizeof endpoints, "%s,%s", soak.read[0], soak.read[1]);
    setting("server.data_dir=", soak.folder);
    setting("server.config_dir=", soak.folder);
    setting("frontend.endpoint=", endpoints);
    setting("intake.endpoint=", soak.write);
    setting("intake.subscribe=", soak.publish);
    static const char *const others[] = {
        "frontend.deadline_ms=20000", "presence.instances=2", "presence.snapshot_s=1",
        "cache.instances=2",          "cache.bytes_max=1M",   "query.instances=2",
        "puller.instances=2",         "shard.instances=2",    "dispatcher.keys_max=1024",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        setting(others[i], "");
    }
}

static bool house_open(void) {
    wl_fault_t fault = {0};
    wl_err_t err = wl_house_start(&soak.settings, &soak.house, &fault);
    if (err != WL_OK) {
        mismatch("%s: %s", fault.where, fault.message);
    }
    return err == WL_OK;
}

/* ---- what main asks itself ---- */

/* Does a text or number under this key of the reply's map equal the given one? */
static bool reply_has(const wl_reply_t *reply, const char *key, const char *text, uint64_t number) {
    char found[64] = "";
    uint64_t value = UINT64_MAX;
    msgpack_unpacked body;
    msgpack_unpacked_init(&body);
    bool equal = false;
    if (!reply->failed &&
        msgpack_unpack_next(&body, (const char *)reply->result.at, reply->result.count, NULL) ==
            MSGPACK_UNPACK_SUCCESS) {
        equal = text != NULL
                    ? wl_args_text(&body.data, key, found, sizeof found - 1, NULL) == WL_OK &&
                          strcmp(found, text) == 0
                    : wl_args_u64(&body.data, key, &value, NULL) == WL_OK && value == number;
    }
    msgpack_unpacked_destroy(&body);
    return equal;
}

/* Waits until sys.info names this configuration. */
static void await_version(client_t *reader, const char *version) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    wl_reply_t reply;
    do {
        (void)client_args(reader, 0);
        if (client_call(reader, "sys.info", &reply) &&
            reply_has(&reply, "config_version", version, 0)) {
            return;
        }
        (void)client_wait(reader, 20);
    } while (wl_mono_now().ms < until);
    mismatch("configuration %s is not live", version);
}

static void await_quiet(client_t *writer) {
    static const char *const counts[] = {"entries", "pending", "in_flight", "retries_waiting"};
    int64_t until = wl_mono_now().ms + QUIET_MS;
    wl_reply_t reply;
    do {
        (void)client_args(writer, 0);
        uint32_t zeros = 0;
        if (client_call(writer, "admin.queue", &reply)) {
            for (uint32_t i = 0; i < 4; i++) {
                zeros += reply_has(&reply, counts[i], NULL, 0);
            }
        }
        if (zeros == 4) {
            if (!reply_has(&reply, "dead", NULL, 0)) {
                mismatch("there are dead letters");
            }
            return;
        }
        (void)client_wait(writer, 100);
    } while (wl_mono_now().ms < until);
    mismatch("the queue does not become empty");
}

/* Everybody has to see the newest version of everything now. */
static void compare(client_t *reader) {
    for (uint64_t uid = 1; uid <= USERS; uid++) {
        wl_reply_t reply;
        uint64_t versions[LINES];
        msgpack_packer packer = client_args(reader, 1);
        pack_text(&packer, "uid");
        msgpack_pack_uint64(&packer, uid);
        if (!client_call(reader, "wallet.assets", &reply) || reply.failed) {
            mismatch("user %llu cannot be read", (unsigned long long)uid);
            continue;
        }
        assets_judge(reply.result, uid, versions);
        for (unsigned line = 0; line < LINES; line++) {
            uint64_t newest = atomic_load(&truth.versions[line][uid]);
            if (versions[line] != newest) {
                mismatch("%s of %llu stays at version %llu of %llu", line_ids[line],
                         (unsigned long long)uid, (unsigned long long)versions[line],
                         (unsigned long long)newest);
            }
        }
    }
}

/* ---- the run ---- */

static void thread_start(void *(*body)(void *), void *arg) {
    if (pthread_create(&soak.threads[soak.thread_count], NULL, body, arg) == 0) {
        soak.thread_count++;
    } else {
        mismatch("a thread does not start");
    }
}

static void threads_start(void) {
    atomic_store(&truth.writing, true);
    atomic_store(&truth.reading, true);
    for (uint32_t i = 0; i < WRITERS; i++) {
        soak.writers[i] = (writer_t){
            .endpoint = soak.write, .publish = i == 0 ? soak.publish : NULL, .random = i};
        thread_start(writer_main, &soak.writers[i]);
    }
    for (uint32_t i = 0; i < READERS; i++) {
        soak.readers[i].endpoint = soak.read[i];
        thread_start(reader_main, &soak.readers[i]);
    }
    thread_start(operator_main, soak.write);
}

static void work(client_t *reader, client_t *writer, uint32_t seconds) {
    int64_t begun = wl_mono_now().ms;
    int64_t half = begun + (int64_t)seconds * 500;
    while (wl_mono_now().ms < half) {
        (void)client_wait(reader, 100);
    }
    document_write("presentation-2.json",
                   "{\"version\":2,\"golden\":[{\"line\":\"coin\"}],\"sections\":["
                   "{\"kind\":\"coin\",\"title\":\"Beans\",\"lines\":[\"coin\"]}]}");
    wl_house_tell(soak.house, WL_ACTOR_CONFIG, "RELOAD");
    await_version(reader, "1.2");
    document_write("presentation-3.json", "{\"version\":3,");
    wl_house_tell(soak.house, WL_ACTOR_CONFIG, "RELOAD");
    while (wl_mono_now().ms < begun + (int64_t)seconds * 1000) {
        (void)client_wait(reader, 100);
    }
    await_version(reader, "1.2");
    atomic_store(&truth.writing, false);
    for (uint32_t i = 0; i < WRITERS; i++) {
        (void)pthread_join(soak.threads[i], NULL);
    }
    await_quiet(writer);
    compare(reader);
}

static int entry_remove(const char *path, const struct stat *stat, int type, struct FTW *at) {
    (void)stat;
    (void)type;
    (void)at;
    return remove(path);
}

static bool soak_open(void) {
    (void)signal(SIGPIPE, SIG_IGN);
    zsys_handler_set(NULL);
    (void)snprintf(soak.folder, sizeof soak.folder, "/tmp/wl-soak-XXXXXX");
    if (sodium_init() == -1 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
        mkdtemp(soak.folder) == NULL) {
        return false;
    }
    wl_log_level_set(WL_LOG_ERROR);
    soak.lines = zactor_new(fake_line_run, NULL);
    documents_write();
    settings_make();
    return house_open();
}

static void soak_close(void) {
    atomic_store(&truth.stopping, true);
    wl_house_stop(&soak.house); /* while the readers still ask */
    atomic_store(&truth.reading, false);
    for (uint32_t i = WRITERS; i < soak.thread_count; i++) {
        (void)pthread_join(soak.threads[i], NULL);
    }
    zactor_destroy(&soak.lines);
    curl_global_cleanup();
    zsys_shutdown();
    (void)nftw(soak.folder, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv) {
    long seconds = argc > 1 ? strtol(argv[1], NULL, 10) : SECONDS;
    if (argc > 2 || seconds < 1 || seconds > 100000) {
        (void)fputs("usage: soak [SECONDS]\n", stderr);
        return 2;
    }
    bool open = soak_open();
    if (open) {
        client_t reader = client_open(soak.read[0]);
        client_t writer = client_open(soak.write);
        await_version(&reader, "1.1");
        threads_start();
        work(&reader, &writer, (uint32_t)seconds);
        client_close(&reader);
        client_close(&writer);
    }
    soak_close();
    (void)printf("soak %s seconds=%ld acknowledged=%llu reads=%llu pulls=%llu operations=%llu "
                 "mismatches=%llu\n",
                 atomic_load(&truth.mismatches) == 0 ? "passed" : "failed", seconds,
                 (unsigned long long)atomic_load(&truth.acknowledged),
                 (unsigned long long)atomic_load(&truth.reads),
                 (unsigned long long)atomic_load(&truth.pulls),
                 (unsigned long long)atomic_load(&truth.operations),
                 (unsigned long long)atomic_load(&truth.mismatches));
    return open && atomic_load(&truth.mismatches) == 0 ? 0 : 1;
}
