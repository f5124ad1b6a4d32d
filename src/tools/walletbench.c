/* walletbench: the figures of design section 11, each one measured against its other side in the
 * same run on the same machine. */
#include "base/alloc.h"
#include "tools/walletbench/config_bench.h"
#include "tools/walletbench/notify.h"
#include "tools/walletbench/peers.h"
#include "tools/walletbench/run.h"

#include <czmq.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const bench_t benches[] = {
    {"read_lockstep", "home pages, 64 lockstep clients / bare ROUTER echo", 0.90, true,
     bench_read_lockstep},
    {"read_pipelined", "home pages, 64 clients x 8 under way / bare ROUTER echo", 0.70, true,
     bench_read_pipelined},
    {"read_redis", "cached reads with Redis / with the embedded cache", 0.70, true,
     bench_read_redis},
    {"read_vs_node", "home pages with Redis / the same from Node.js, Redis, JSON over HTTP", 4,
     true, bench_read_vs_node},
    {"read_absent", "users without assets / cached users", 1.2, true, bench_read_absent},
    {"read_flat", "cached reads with 10 M users / with 10 k users", 0.90, true, bench_read_flat},
    {"read_publishing", "cached reads while a change is published each second / while none is",
     0.98, true, bench_read_publishing},
    {"read_reconciling",
     "cached reads while a run compares 20,000 records a second / while none does", 0.90, true,
     bench_read_reconciling},
    {"whitelist_mb", "memory of a set of 2 M users, random ids of 32 bits; b: of 40 bits", 8, false,
     bench_whitelist_mb},
    {"whitelist_ns", "deciding who is shown a candidate, the same sets", 1000, false,
     bench_whitelist_ns},
    {"presence_bytes", "resident bytes per user, 10 M random uids", 6, false, bench_presence_bytes},
    {"presence_false_positives", "per cent of 10 M absent users", 0.06, false,
     bench_presence_false_positives},
    {"presence_false_negatives", "over add, delete, restart", 0, false,
     bench_presence_false_negatives},
    {"start_10m_ms", "start to ready with 10 M users in presence", 2000, false, bench_start_10m},
    {"intake_sqlite", "acknowledged changes / raw batched insert, FULL", 0.5, true,
     bench_intake_sqlite},
    {"sync_sqlite", "notified to stored / raw batched upsert, FULL", 0.4, true, bench_sync_sqlite},
    {"intake_redis", "acknowledged changes / raw pipelined XADD, AOF always", 0.5, true,
     bench_intake_redis},
    {"sync_mysql", "notified to stored / raw multi-row upsert", 0.4, true, bench_sync_mysql},
    {"reconcile", "records compared by a run / bare scan of the same rows", 0.3, true,
     bench_reconcile},
    {"line_stalled", "sync of one line while another hangs / while all are healthy", 0.90, true,
     bench_line_stalled},
    {"sync_trail", "sync with what happens to users being kept / without", 0.98, true,
     bench_sync_trail},
    {"intake_trail", "intake with what happens to users being kept / without", 0.98, true,
     bench_intake_trail},
    {"fresh_p50_ms", "change to visible at half of capacity, median", 20, false, bench_fresh_p50},
    {"fresh_p99_ms", "change to visible at half of capacity, 99th percentile", 200, false,
     bench_fresh_p99},
};

typedef struct {
    const char *dir;
    bool quick;
    bool json;
} options_t;

static const bench_t *bench_find(const char *name) {
    for (size_t i = 0; i < WL_COUNT_OF(benches); i++) {
        if (strcmp(benches[i].name, name) == 0) {
            return &benches[i];
        }
    }
    return NULL;
}

static bool bench_holds(const bench_t *bench, const bench_result_t *result) {
    return bench->at_least ? result->value >= bench->target : result->value <= bench->target;
}

static int list(void) {
    for (size_t i = 0; i < WL_COUNT_OF(benches); i++) {
        (void)printf("%-26s %s %-6g %s\n", benches[i].name,
                     benches[i].at_least ? ">=" : "<=", benches[i].target, benches[i].help);
    }
    return 0;
}

static json_t *row_json(const bench_t *bench, bool done, const bench_result_t *result) {
    json_t *row = json_object();
    (void)json_object_set_new(row, "name", json_string(bench->name));
    (void)json_object_set_new(row, "value", done ? json_real(result->value) : json_null());
    (void)json_object_set_new(row, "target", json_real(bench->target));
    (void)json_object_set_new(row, "holds", json_boolean(done && bench_holds(bench, result)));
    (void)json_object_set_new(row, "samples", json_integer(done ? result->samples : 0));
    (void)json_object_set_new(row, "a", done ? json_real(result->a) : json_null());
    (void)json_object_set_new(row, "b", done ? json_real(result->b) : json_null());
    (void)json_object_set_new(row, "unit", json_string(done ? result->unit : ""));
    return row;
}

static void row_print(const bench_t *bench, bool done, const bench_result_t *result) {
    if (!done) {
        (void)printf("%-26s %10s  %s %-6g  FAILED\n", bench->name, "-",
                     bench->at_least ? ">=" : "<=", bench->target);
    } else {
        (void)printf("%-26s %10.4g  %s %-6g  %-5s %12.6g %12.6g  %s, %u samples\n", bench->name,
                     result->value, bench->at_least ? ">=" : "<=", bench->target,
                     bench_holds(bench, result) ? "holds" : "NOT", result->a, result->b,
                     result->unit, result->samples);
    }
    (void)fflush(stdout);
}

/* Exit 0: all were measured, whether or not their targets hold: machines differ. */
static int run(const options_t *options, int count, char **names) {
    int code = 0;
    json_t *rows = json_array();
    if (!options->json) {
        (void)printf("%-26s %10s  %-9s  %-5s %12s %12s\n", "name", "value", "target", "", "a", "b");
    }
    for (int i = 0; i < count && code != 130; i++) {
        const bench_t *bench = bench_find(names[i]);
        bench_result_t result = {0};
        bench_end_t end = bench_run(bench, options->dir, options->quick, &result);
        (void)json_array_append_new(rows, row_json(bench, end == BENCH_DONE, &result));
        if (!options->json && end != BENCH_INTERRUPTED) {
            row_print(bench, end == BENCH_DONE, &result);
        }
        code = end == BENCH_INTERRUPTED ? 130 : end == BENCH_FAILED ? 1 : code;
    }
    json_t *json = json_object();
    (void)json_object_set_new(json, "rows", rows);
    if (options->json && code != 130) {
        (void)json_dumpf(json, stdout, JSON_REAL_PRECISION(6));
        (void)putchar('\n');
    }
    json_decref(json);
    return code;
}

/* Roles that bench_peer_start() gives to processes of this program. */
static int role(int argc, char **argv) {
    if (argc == 4 && strcmp(argv[1], "echo") == 0) {
        return bench_echo(argv[2], strtoul(argv[3], NULL, 10));
    }
    if (argc == 4 && strcmp(argv[1], "line") == 0) {
        return bench_line(argv[2], strcmp(argv[3], "silent") == 0);
    }
    if (argc == 4 && strcmp(argv[1], "notify") == 0) {
        zsys_handler_set(NULL);
        return bench_notify_role(argv[2], strtoul(argv[3], NULL, 10));
    }
    if (argc == 4 && strcmp(argv[1], "publish") == 0) {
        zsys_handler_set(NULL);
        return bench_publish_role(argv[2]);
    }
    return -1;
}

static int usage(FILE *out, int code) {
    (void)fputs("usage: walletbench list\n"
                "       walletbench run NAME... | all [--quick] [--json] [--dir FOLDER]\n"
                "\n"
                "  --quick        about two seconds a side instead of fourteen\n"
                "  --json         {\"rows\": [{name, value, target, holds, samples, a, b, unit}]}\n"
                "  --dir FOLDER   where data goes meanwhile, default $TMPDIR or /tmp\n"
                "\n"
                "a and b are the two sides, in unit. Exit: 0 measured, 1 a benchmark failed,\n"
                "2 usage, 130 interrupted.\n",
                out);
    return code;
}

int main(int argc, char **argv) {
    int code = role(argc, argv);
    if (code != -1) {
        return code;
    }
    if (argc == 2 && strcmp(argv[1], "list") == 0) {
        return list();
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        return usage(stdout, 0);
    }
    if (argc < 3 || strcmp(argv[1], "run") != 0) {
        return usage(stderr, 2);
    }
    const char *tmp = getenv("TMPDIR");
    options_t options = {.dir = tmp == NULL || tmp[0] == '\0' ? "/tmp" : tmp};
    char *names[256];
    int count = 0;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            options.quick = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            options.json = true;
        } else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) {
            options.dir = argv[++i];
        } else if (strcmp(argv[i], "all") == 0) {
            for (size_t j = 0; j < WL_COUNT_OF(benches) && count < 256; j++) {
                names[count++] = (char *)(uintptr_t)benches[j].name;
            }
        } else if (bench_find(argv[i]) == NULL || count == 256) {
            (void)fprintf(stderr, "walletbench: there is no \"%s\"; see walletbench list\n",
                          argv[i]);
            return 2;
        } else {
            names[count++] = argv[i];
        }
    }
    return count == 0 ? usage(stderr, 2) : run(&options, count, names);
}
