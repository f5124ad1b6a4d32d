/* What the configuration costs those who read: publishing, and deciding who sees a candidate. */
#include "tools/walletbench/config_bench.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "domain/rollout.h"
#include "tools/walletbench/bench.h"
#include "tools/walletbench/big_set.h"
#include "tools/walletbench/world.h"

#include <jansson.h>
#include <malloc.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LISTED = 2000000, DECISIONS = 5000000, EACH_MS = 1000, TITLE_MAX = 32 };

/* ---- publishing ------------------------------------------------------------------------------ */

static void text_pack(msgpack_packer *packer, const char *text) {
    (void)msgpack_pack_str_with_body(packer, text, strlen(text));
}

/* The presentation document that is live. */
static json_t *presentation_get(wallet_t *writer, msgpack_sbuffer *args) {
    msgpack_packer packer;
    json_t *document = NULL;
    msgpack_sbuffer_clear(args);
    msgpack_packer_init(&packer, args, msgpack_sbuffer_write);
    (void)msgpack_pack_map(&packer, 1);
    text_pack(&packer, "document");
    text_pack(&packer, "presentation");
    wallet_reply_t reply = bench_call(writer, "admin.config.get", args->data, args->size);
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    if (msgpack_unpack_next(&unpacked, reply.result, reply.result_bytes, NULL) ==
        MSGPACK_UNPACK_SUCCESS) {
        const msgpack_object_map *map = &unpacked.data.via.map;
        for (uint32_t i = 0; unpacked.data.type == MSGPACK_OBJECT_MAP && i < map->size; i++) {
            const msgpack_object_str *key = &map->ptr[i].key.via.str;
            const msgpack_object_str *text = &map->ptr[i].val.via.str;
            if (key->size == strlen("text") && memcmp(key->ptr, "text", key->size) == 0) {
                document = json_loadb(text->ptr, text->size, 0, NULL);
            }
        }
    }
    msgpack_unpacked_destroy(&unpacked);
    if (document == NULL) {
        bench_fail("admin.config.get gives no document");
    }
    return document;
}

static void presentation_put(wallet_t *writer, msgpack_sbuffer *args, const json_t *document) {
    msgpack_packer packer;
    wallet_reply_t reply = bench_call(writer, "admin.config.status", NULL, 0);
    uint64_t seq = bench_reply_u64(&reply, "seq");
    char *text = json_dumps(document, JSON_COMPACT);
    msgpack_sbuffer_clear(args);
    msgpack_packer_init(&packer, args, msgpack_sbuffer_write);
    (void)msgpack_pack_map(&packer, 4);
    text_pack(&packer, "base");
    (void)msgpack_pack_uint64(&packer, seq);
    text_pack(&packer, "author");
    text_pack(&packer, "walletbench");
    text_pack(&packer, "reason");
    text_pack(&packer, "another title");
    text_pack(&packer, "presentation");
    text_pack(&packer, text);
    (void)bench_call(writer, "admin.config.put", args->data, args->size);
    free(text);
}

int bench_publish_role(const char *endpoint) {
    wallet_t *writer = bench_open(endpoint);
    msgpack_sbuffer args;
    msgpack_sbuffer_init(&args);
    json_t *document = presentation_get(writer, &args);
    json_t *slot = json_array_get(json_object_get(document, "golden"), 0);
    for (uint64_t turn = 0;; turn++) {
        char title[TITLE_MAX];
        (void)snprintf(title, sizeof title, "title %llu", (unsigned long long)turn);
        (void)json_object_set_new(slot, "title", json_string(title));
        presentation_put(writer, &args, document);
        bench_pause(EACH_MS);
    }
}

uint64_t bench_published(wallet_t *writer) {
    wallet_reply_t reply = bench_call(writer, "admin.config.status", NULL, 0);
    return bench_reply_u64(&reply, "seq");
}

/* ---- sets of users --------------------------------------------------------------------------- */

/* LISTED users at random below 2^bits, as a frontend holds them: from a snapshot. ret_resident: its
 * bytes in memory, may be NULL. */
static wl_uid_set_t *set_load(uint32_t bits, uint64_t *ret_resident) {
    wl_presence_set_t *set = wl_presence_set_new(WL_PRESENCE_EXACT, 0);
    void *blob = NULL;
    size_t bytes = 0;
    wl_uid_set_t *loaded = NULL;
    wl_fault_t fault = {0};
    for (uint64_t i = 0; i < LISTED; i++) {
        wl_presence_set_mark(set, bench_big_uid(i) >> (64 - bits));
    }
    wl_presence_set_optimize(set);
    wl_presence_set_save(set, NULL, 0, &blob, &bytes);
    wl_presence_set_destroy(&set);
    (void)malloc_trim(0);
    uint64_t before = bench_resident_bytes();
    if (wl_uid_set_load(blob, bytes, &loaded, &fault) != WL_OK) {
        bench_fail("the set does not load: %s", fault.message);
    }
    (void)malloc_trim(0);
    if (ret_resident != NULL) {
        *ret_resident = bench_resident_bytes() - before;
    }
    wl_free(blob);
    return loaded;
}

static double set_megabytes(uint32_t bits) {
    uint64_t resident = 0;
    wl_uid_set_t *set = set_load(bits, &resident);
    wl_uid_set_destroy(&set);
    return (double)resident / 1e6;
}

bench_result_t bench_whitelist_mb(const bench_setup_t *setup) {
    (void)setup;
    bench_result_t result = {
        .value = set_megabytes(32), .b = set_megabytes(40), .samples = LISTED, .unit = "MB"};
    result.a = result.value;
    return result;
}

/* ns a decision over all conditions; half of those asked for are members. */
static double decide_ns(const wl_uid_set_t *set, uint32_t bits) {
    wl_rollout_t rollout = {.id = 7,
                            .share = WL_ROLLOUT_WHOLE - 1,
                            .whitelist = "set",
                            .scene_count = 1,
                            .scenes = {"home"},
                            .app_min = "13.4",
                            .app_max = "14.2.1"};
    uint64_t taken = 0;
    uint64_t begun = wl_mono_ns();
    for (uint64_t i = 0; i < DECISIONS; i++) {
        wl_rollout_asker_t asker = {.uid = bench_big_uid(i % (2 * LISTED)) >> (64 - bits),
                                    .scene = "home",
                                    .app_version = "13.10"};
        taken += wl_rollout_takes(&rollout, set, &asker);
    }
    uint64_t spent = wl_mono_ns() - begun;
    if (taken < DECISIONS / 3) {
        bench_fail("%llu of %d users are taken", (unsigned long long)taken, DECISIONS);
    }
    return (double)spent / DECISIONS;
}

bench_result_t bench_whitelist_ns(const bench_setup_t *setup) {
    (void)setup;
    bench_result_t result = {.samples = DECISIONS, .unit = "ns"};
    wl_uid_set_t *set = set_load(32, NULL);
    result.value = result.a = decide_ns(set, 32);
    wl_uid_set_destroy(&set);
    set = set_load(40, NULL);
    result.b = decide_ns(set, 40);
    wl_uid_set_destroy(&set);
    return result;
}
