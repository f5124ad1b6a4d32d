/* Answers of lines, the most hostile input that walletd reads: JSON of the standard contract, JSON
 * by a mapping, MessagePack with and without its envelope; the first byte says which.
 * Invariants: what is accepted is valid, sane, asked for, sorted and unique; written down as a
 * standard answer and read again it is the same. */
#include "base/alloc.h"
#include "base/check.h"
#include "domain/asset_rules.h"
#include "lines/answer.h"
#include "proto/reply.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t asked[] = {7, 3, UINT64_MAX, 1000};
static const wl_wall_ms_t pulled_at = {1700000000000};

enum { SHAPE_STANDARD, SHAPE_FOREIGN, SHAPE_DECIMAL, SHAPE_REPLY, SHAPE_MSGPACK, SHAPES };

static wl_line_t line_of(unsigned shape) {
    wl_line_t line = {.id = "cash",
                      .unit = "CNY",
                      .scale = 2,
                      .kind = WL_KIND_CASH,
                      .versions = true,
                      .sanity = {.amount_min = -1000000, .amount_max = INT64_MAX}};
    if (shape == SHAPE_FOREIGN || shape == SHAPE_DECIMAL) {
        line.mapping = (wl_mapping_t){.used = true,
                                      .list = "/data/list",
                                      .uid = "/user_id",
                                      .bucket = "/sub/0",
                                      .amount = "/balance",
                                      .pending = "/on~1the~0way",
                                      .count = "/n",
                                      .state = "/s",
                                      .expires_at = "/until",
                                      .changed_at = "/updated_ms",
                                      .version = "/rev",
                                      .title = "/name",
                                      .amount_rule = shape == SHAPE_DECIMAL ? WL_AMOUNT_DECIMAL
                                                                            : WL_AMOUNT_MINOR};
    }
    return line;
}

static bool was_asked(uint64_t uid) {
    for (size_t i = 0; i < WL_COUNT_OF(asked); i++) {
        if (asked[i] == uid) {
            return true;
        }
    }
    return false;
}

static void check_answer(const wl_answer_t *answer, const wl_line_t *line) {
    WL_ASSERT(answer->refusal_count <= answer->uid_count + 16);
    WL_ASSERT(answer->refusal_count <= answer->refused_total);
    for (uint32_t i = 0; i < answer->asset_count; i++) {
        const wl_asset_t *asset = &answer->assets[i];
        wl_fault_t fault;
        WL_ASSERT(was_asked(asset->uid));
        WL_ASSERT(asset->pulled_at == pulled_at.ms);
        WL_ASSERT(wl_asset_valid(asset, &fault) == WL_OK);
        WL_ASSERT(wl_asset_sane(asset, line, &fault) == WL_OK);
        if (i > 0) {
            const wl_asset_t *last = asset - 1;
            WL_ASSERT(last->uid < asset->uid ||
                      (last->uid == asset->uid && strcmp(last->bucket, asset->bucket) < 0));
        }
    }
}

static json_t *text_of(int64_t number) {
    char text[24];
    (void)snprintf(text, sizeof text, "%lld", (long long)number);
    return json_string(text);
}

/* The assets as a line would send them; the caller frees the text. */
static char *written(const wl_asset_t *assets, uint32_t count) {
    json_t *list = json_array();
    for (uint32_t i = 0; i < count; i++) {
        const wl_asset_t *asset = &assets[i];
        char uid[24];
        (void)snprintf(uid, sizeof uid, "%llu", (unsigned long long)asset->uid);
        json_t *record = json_object();
        (void)json_object_set_new(record, "uid", json_string(uid));
        (void)json_object_set_new(record, "bucket", json_string(asset->bucket));
        (void)json_object_set_new(record, "kind",
                                  json_string(wl_kind_name((wl_kind_t)asset->kind)));
        (void)json_object_set_new(record, "amount", text_of(asset->amount));
        (void)json_object_set_new(record, "unit", json_string(asset->unit));
        (void)json_object_set_new(record, "scale", json_integer(asset->scale));
        (void)json_object_set_new(record, "count", json_integer(asset->count));
        (void)json_object_set_new(record, "pending", text_of(asset->pending));
        (void)json_object_set_new(record, "state",
                                  json_string(wl_state_name((wl_state_t)asset->state)));
        (void)json_object_set_new(record, "expires_at", text_of(asset->expires_at));
        (void)json_object_set_new(record, "version", json_integer((json_int_t)asset->version));
        (void)json_object_set_new(record, "changed_at", json_integer(asset->changed_at));
        (void)json_array_append_new(list, record);
    }
    json_t *root = json_pack("{s:o}", "assets", list);
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

static void check_same(const wl_asset_t *a, const wl_asset_t *b) {
    WL_ASSERT(wl_asset_same_key(a, b));
    WL_ASSERT(a->version == b->version && a->amount == b->amount && a->pending == b->pending);
    WL_ASSERT(a->kind == b->kind && a->state == b->state && a->scale == b->scale);
    WL_ASSERT(a->count == b->count && a->expires_at == b->expires_at);
    WL_ASSERT(a->changed_at == b->changed_at && strcmp(a->unit, b->unit) == 0);
}

static void check_again(wl_answer_reader_t *again, const wl_answer_t *answer) {
    wl_line_t standard = line_of(SHAPE_STANDARD);
    char *text = written(answer->assets, answer->asset_count);
    WL_ASSERT(text != NULL);
    wl_answer_t second = {.uids = asked, .uid_count = WL_COUNT_OF(asked), .made_version = 42};
    wl_err_t err = wl_answer_read_json(again, &standard, pulled_at, text, strlen(text), &second);
    WL_ASSERT(err == WL_OK);
    WL_ASSERT(second.asset_count == answer->asset_count && second.refused_total == 0);
    for (uint32_t i = 0; i < second.asset_count; i++) {
        check_same(&answer->assets[i], &second.assets[i]);
    }
    free(text);
}

static wl_err_t read_shape(wl_answer_reader_t *reader, wl_replies_t *replies, unsigned shape,
                           const wl_line_t *line, const uint8_t *bytes, size_t count,
                           wl_answer_t *answer) {
    if (shape < SHAPE_REPLY) {
        return wl_answer_read_json(reader, line, pulled_at, bytes, count, answer);
    }
    wl_reply_t reply = {.result = {bytes, count}};
    if (shape == SHAPE_REPLY) {
        wl_err_t err = wl_replies_decode(replies, bytes, count, &reply);
        if (err != WL_OK || reply.failed) {
            return WL_ERR_MALFORMED;
        }
    }
    return wl_answer_read_msgpack(reader, line, pulled_at, reply.result.at, reply.result.count,
                                  answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    static wl_answer_reader_t *reader;
    static wl_answer_reader_t *again;
    static wl_replies_t *replies;
    if (count < 1) {
        return 0;
    }
    if (reader == NULL) {
        reader = wl_answer_reader_new();
        again = wl_answer_reader_new();
        replies = wl_replies_new();
    }
    unsigned shape = bytes[0] % SHAPES;
    wl_line_t line = line_of(shape);
    wl_answer_t answer = {.uids = asked, .uid_count = WL_COUNT_OF(asked), .made_version = 42};
    if (read_shape(reader, replies, shape, &line, bytes + 1, count - 1, &answer) == WL_OK) {
        check_answer(&answer, &line);
        check_again(again, &answer);
    } else {
        WL_ASSERT(answer.asset_count == 0 && answer.refusal_count == 0);
    }
    return 0;
}
