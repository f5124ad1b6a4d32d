#include "base/alloc.h"
#include "domain/asset_rules.h"
#include "domain/demand.h"
#include "domain/home.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char integration[] =
    "{\"version\":3,\"lines\":{"
    "\"cash\":{\"kind\":\"cash\",\"title\":\"Cash\",\"url\":\"http://"
    "h\",\"unit\":\"CNY\",\"scale\":2,"
    "\"fresh_ms\":1000},"
    "\"cash2\":{\"kind\":\"cash\",\"url\":\"http://h\",\"unit\":\"CNY\",\"scale\":2},"
    "\"live\":{\"kind\":\"cash\",\"mode\":\"live\",\"url\":\"http://"
    "h\",\"unit\":\"USD\",\"scale\":2,"
    "\"fresh_ms\":1},"
    "\"coin\":{\"kind\":\"coin\",\"url\":\"tcp://h:1\",\"unit\":\"bean\",\"fresh_ms\":5000},"
    "\"cpn\":{\"kind\":\"coupon\",\"url\":\"tcp://h:1\"},"
    "\"off\":{\"kind\":\"coin\",\"url\":\"tcp://h:1\",\"unit\":\"bean\",\"fresh_ms\":1},"
    "\"help\":{\"kind\":\"link\",\"mode\":\"link\",\"title\":\"Help\",\"url\":\"app://help\"}}}";
static const char presentation[] =
    "{\"version\":7,\"golden\":[{\"line\":\"cash\",\"link\":\"app://cash\"},null,"
    "{\"line\":\"coin\",\"title\":\"Beans\"},{\"line\":\"cpn\"}],\"sections\":["
    "{\"kind\":\"cash\",\"title\":\"Money\",\"lines\":[\"cash\",\"cash2\",\"live\"]},"
    "{\"kind\":\"coin\",\"lines\":[\"coin\"]},{\"kind\":\"coupon\",\"lines\":[\"cpn\"]},"
    "{\"kind\":\"link\",\"lines\":[\"help\"]}]}";

enum { NOW = 1000000, ASSETS_MAX = 300 };

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

typedef struct {
    wl_config_t *config;
    wl_home_view_t view;
    wl_asset_t assets[ASSETS_MAX];
    bool sick[WL_LINES_MAX];
    char marks[256];
} user_t;

static void user_open(user_t *user) {
    wl_fault_t fault = {0};
    memset(user, 0, sizeof *user);
    cr_assert_eq(wl_config_compile(integration, sizeof integration - 1, presentation,
                                   sizeof presentation - 1, &user->config, &fault),
                 WL_OK, "%s: %s", fault.where, fault.message);
    user->view = (wl_home_view_t){.config = user->config,
                                  .sick = user->sick,
                                  .assets = user->assets,
                                  .uid = 77,
                                  .now = {NOW},
                                  .source = WL_SOURCE_DB,
                                  .marks = user->marks};
}

static void user_close(user_t *user) {
    wl_config_destroy(&user->config);
}

static void user_mark(user_t *user, const char *text) {
    (void)snprintf(user->marks, sizeof user->marks, "%s", text);
    user->view.marks_bytes = strlen(text);
}

/* A fresh available record of the line in its own unit. */
static wl_asset_t *user_add(user_t *user, const char *line_id, const char *bucket, int64_t amount) {
    const wl_line_t *line = wl_config_line(user->config, line_id);
    wl_asset_t *asset = &user->assets[user->view.asset_count++];
    *asset = (wl_asset_t){.uid = 77, .version = 1, .amount = amount, .pulled_at = NOW};
    (void)snprintf(asset->line, sizeof asset->line, "%s", line_id);
    (void)snprintf(asset->bucket, sizeof asset->bucket, "%s", bucket);
    if (line != NULL) {
        asset->kind = (uint8_t)line->kind;
        asset->scale = line->scale;
        (void)snprintf(asset->unit, sizeof asset->unit, "%s", line->unit);
    }
    return asset;
}

/* reading back */

typedef void (*write_t)(const wl_home_view_t *view, msgpack_sbuffer *into);

/* msgpack-c borrows texts from the bytes, so both stay together. */
typedef struct {
    msgpack_unpacked unpacked;
    msgpack_sbuffer buffer;
} rendered_t;

static void rendered_close(rendered_t *self) {
    msgpack_unpacked_destroy(&self->unpacked);
    msgpack_sbuffer_destroy(&self->buffer);
}

/* Writes behind some bytes that are there already, and decodes with msgpack-c. */
static msgpack_object render(write_t write, const wl_home_view_t *view, rendered_t *ret) {
    msgpack_sbuffer_init(&ret->buffer);
    (void)msgpack_sbuffer_write(&ret->buffer, "\xc0", 1);
    write(view, &ret->buffer);
    size_t used = 1;
    msgpack_unpacked_init(&ret->unpacked);
    cr_assert_eq(msgpack_unpack_next(&ret->unpacked, ret->buffer.data, ret->buffer.size, &used),
                 MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(used, ret->buffer.size, "exactly one object");
    cr_assert_eq(ret->unpacked.data.type, MSGPACK_OBJECT_MAP);
    return ret->unpacked.data;
}

static const msgpack_object *find(const msgpack_object *map, const char *key) {
    cr_assert_eq(map->type, MSGPACK_OBJECT_MAP);
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        const msgpack_object *each = &map->via.map.ptr[i].key;
        cr_assert_eq(each->type, MSGPACK_OBJECT_STR);
        if (each->via.str.size == strlen(key) &&
            memcmp(each->via.str.ptr, key, each->via.str.size) == 0) {
            return &map->via.map.ptr[i].val;
        }
    }
    return NULL;
}

static const msgpack_object *get(const msgpack_object *map, const char *key) {
    const msgpack_object *value = find(map, key);
    cr_assert_not_null(value, "%s", key);
    return value;
}

static const msgpack_object *element(const msgpack_object *list, uint32_t index) {
    cr_assert_eq(list->type, MSGPACK_OBJECT_ARRAY);
    cr_assert_lt(index, list->via.array.size);
    return &list->via.array.ptr[index];
}

static uint32_t length(const msgpack_object *list) {
    cr_assert_eq(list->type, MSGPACK_OBJECT_ARRAY);
    return list->via.array.size;
}

static bool is_nil(const msgpack_object *map, const char *key) {
    return get(map, key)->type == MSGPACK_OBJECT_NIL;
}

static int64_t number(const msgpack_object *map, const char *key) {
    const msgpack_object *value = get(map, key);
    cr_assert(value->type == MSGPACK_OBJECT_POSITIVE_INTEGER ||
                  value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER,
              "%s", key);
    return value->via.i64;
}

static bool same(const msgpack_object *value, const char *text) {
    return value->type == MSGPACK_OBJECT_STR && value->via.str.size == strlen(text) &&
           memcmp(value->via.str.ptr, text, value->via.str.size) == 0;
}

#define TEXT(map, key, expected)                                                \
    cr_assert(same(get(map, key), expected), "%s is \"%.*s\", not \"%s\"", key, \
              (int)get(map, key)->via.str.size, get(map, key)->via.str.ptr, expected)

static void check_keys(const msgpack_object *map, const char *keys) {
    char found[512] = "";
    for (uint32_t i = 0; i < map->via.map.size; i++) {
        size_t used = strlen(found);
        const msgpack_object_str *key = &map->via.map.ptr[i].key.via.str;
        (void)snprintf(found + used, sizeof found - used, "%.*s ", (int)key->size, key->ptr);
    }
    cr_assert_str_eq(found, keys);
}

#define ASSET_KEYS                                                                                \
    "line bucket kind amount unit scale count pending state expires_at version changed_at extra " \
    "as_of source freshness "
#define GOLDEN_KEYS                                                                         \
    "position line title link kind amount unit scale count pending freshness as_of source " \
    "version "

/* the model: walks everything again for each question */

static bool model_failing(const user_t *user, uint32_t line) {
    const char *id = user->config->lines[line].id;
    return user->sick[line] ||
           wl_marks_text_get(user->marks, user->view.marks_bytes, id) == WL_MARK_FAILING;
}

static bool model_pending(const user_t *user, uint32_t line) {
    const char *id = user->config->lines[line].id;
    return wl_marks_text_get(user->marks, user->view.marks_bytes, id) == WL_MARK_PENDING;
}

static bool model_old(const user_t *user, uint32_t line, int64_t pulled_at) {
    const wl_line_t *given = &user->config->lines[line];
    return given->mode != WL_MODE_LINK && given->fresh_ms > 0 &&
           pulled_at < NOW - (int64_t)given->fresh_ms;
}

static const char *model_freshness(const user_t *user, uint32_t line, int64_t pulled_at) {
    if (model_failing(user, line)) {
        return "stale";
    }
    bool coming = model_pending(user, line) || model_old(user, line, pulled_at);
    return coming ? "refreshing" : "fresh";
}

static bool of_line(const user_t *user, uint32_t asset, uint32_t line) {
    return strcmp(user->assets[asset].line, user->config->lines[line].id) == 0 &&
           user->assets[asset].state != WL_STATE_GONE;
}

static bool usable(const wl_asset_t *asset) {
    return asset->state == WL_STATE_AVAILABLE &&
           (asset->expires_at == 0 || asset->expires_at > NOW);
}

static void check_asset(const user_t *user, const msgpack_object *map, const wl_asset_t *asset,
                        const char *freshness) {
    check_keys(map, ASSET_KEYS);
    TEXT(map, "line", asset->line);
    TEXT(map, "bucket", asset->bucket);
    TEXT(map, "kind", wl_kind_name((wl_kind_t)asset->kind));
    TEXT(map, "unit", asset->unit);
    bool over = asset->expires_at != 0 && asset->expires_at <= NOW;
    TEXT(map, "state", over ? "expired" : wl_state_name((wl_state_t)asset->state));
    TEXT(map, "freshness", freshness);
    bool last_good = strcmp(asset->line, "live") == 0 && strcmp(freshness, "stale") == 0;
    TEXT(map, "source", last_good ? "last_good" : "db");
    cr_assert_eq(number(map, "amount"), asset->amount);
    cr_assert_eq(number(map, "pending"), asset->pending);
    cr_assert_eq(number(map, "scale"), asset->scale);
    cr_assert_eq(number(map, "count"), asset->count);
    cr_assert_eq(number(map, "expires_at"), asset->expires_at);
    cr_assert_eq(number(map, "version"), (int64_t)asset->version);
    cr_assert_eq(number(map, "changed_at"), asset->changed_at);
    cr_assert_eq(number(map, "as_of"), asset->pulled_at);
    bool kept = asset->extra_bytes > 0 && wl_asset_extra_valid(asset->extra, asset->extra_bytes);
    cr_assert_eq(get(map, "extra")->via.map.size, kept ? 1 : 0);
    (void)user;
}

static void check_nothing(const user_t *user, const msgpack_object *map, uint32_t line) {
    check_keys(map, ASSET_KEYS);
    TEXT(map, "line", user->config->lines[line].id);
    TEXT(map, "kind", wl_kind_name(user->config->lines[line].kind));
    const char *nils[] = {"amount", "pending", "state", "changed_at", "as_of"};
    for (size_t i = 0; i < WL_COUNT_OF(nils); i++) {
        cr_assert(is_nil(map, nils[i]), "%s", nils[i]);
    }
    cr_assert_eq(number(map, "count"), 0);
    TEXT(map, "freshness", model_pending(user, line) ? "refreshing" : "missing");
}

static void check_link(const user_t *user, const msgpack_object *map, uint32_t line) {
    check_keys(map, ASSET_KEYS);
    TEXT(map, "kind", "link");
    TEXT(map, "freshness", "fresh");
    cr_assert(is_nil(map, "amount"));
    TEXT(get(map, "extra"), "title", user->config->lines[line].title);
    TEXT(get(map, "extra"), "link", user->config->lines[line].url);
}

static void check_slot(const user_t *user, const msgpack_object *map, uint32_t position) {
    const wl_golden_slot_t *slot = &user->config->golden[position];
    check_keys(map, GOLDEN_KEYS);
    cr_assert_eq(number(map, "position"), position + 1);
    TEXT(map, "line", slot->line);
    TEXT(map, "title", slot->title);
    TEXT(map, "link", slot->link);
    int64_t amount = 0;
    int64_t pending = 0;
    int64_t count = 0;
    int64_t version = 0;
    int64_t oldest = INT64_MAX;
    bool there = false;
    bool exact = true;
    for (uint32_t i = 0; slot->used && i < user->view.asset_count; i++) {
        const wl_asset_t *asset = &user->assets[i];
        const wl_line_t *line = &user->config->lines[slot->line_index];
        if (!of_line(user, i, slot->line_index)) {
            continue;
        }
        there = true;
        version = (int64_t)asset->version > version ? (int64_t)asset->version : version;
        oldest = asset->pulled_at < oldest ? asset->pulled_at : oldest;
        if (usable(asset)) {
            count += asset->count;
            exact = exact && asset->scale == line->scale && strcmp(asset->unit, line->unit) == 0;
            exact = exact && !__builtin_add_overflow(amount, asset->amount, &amount) &&
                    !__builtin_add_overflow(pending, asset->pending, &pending);
        }
    }
    cr_assert_eq(number(map, "count"), count);
    cr_assert_eq(number(map, "version"), version);
    cr_assert_eq(is_nil(map, "amount"), !(there && exact));
    cr_assert_eq(is_nil(map, "pending"), !(there && exact));
    cr_assert_eq(is_nil(map, "as_of"), !there);
    if (there && exact) {
        cr_assert_eq(number(map, "amount"), amount);
        cr_assert_eq(number(map, "pending"), pending);
    }
    if (there) {
        cr_assert_eq(number(map, "as_of"), oldest);
        TEXT(map, "freshness", model_freshness(user, slot->line_index, oldest));
    } else {
        TEXT(map, "freshness",
             slot->used && model_pending(user, slot->line_index) ? "refreshing" : "missing");
    }
}

static void check_items(const user_t *user, const msgpack_object *items,
                        const wl_section_t *section) {
    uint32_t at = 0;
    for (uint32_t i = 0; i < section->line_count; i++) {
        uint32_t line = section->line_indexes[i];
        uint32_t before = at;
        for (uint32_t j = 0; j < user->view.asset_count; j++) {
            if (of_line(user, j, line)) {
                check_asset(user, element(items, at++), &user->assets[j],
                            model_freshness(user, line, user->assets[j].pulled_at));
            }
        }
        if (at == before) {
            bool link = user->config->lines[line].mode == WL_MODE_LINK;
            (link ? check_link : check_nothing)(user, element(items, at++), line);
        }
    }
    cr_assert_eq(length(items), at);
}

/* Each usable asset belongs to exactly one total, and each total is the sum of its assets. */
static void check_totals(const user_t *user, const msgpack_object *totals,
                         const wl_section_t *section) {
    uint32_t usable_count = 0;
    uint32_t covered = 0;
    for (uint32_t t = 0; t <= length(totals); t++) {
        int64_t amount = 0;
        int64_t pending = 0;
        int64_t count = 0;
        bool overflow = false;
        for (uint32_t i = 0; i < section->line_count; i++) {
            for (uint32_t j = 0; j < user->view.asset_count; j++) {
                const wl_asset_t *asset = &user->assets[j];
                if (!of_line(user, j, section->line_indexes[i]) || !usable(asset)) {
                    continue;
                }
                usable_count += t == length(totals);
                if (t == length(totals) || !same(get(element(totals, t), "unit"), asset->unit) ||
                    number(element(totals, t), "scale") != asset->scale) {
                    continue;
                }
                covered++;
                count += asset->count;
                overflow = overflow || __builtin_add_overflow(amount, asset->amount, &amount) ||
                           __builtin_add_overflow(pending, asset->pending, &pending);
            }
        }
        if (t < length(totals)) {
            const msgpack_object *total = element(totals, t);
            check_keys(total, overflow ? "unit scale amount pending count overflow "
                                       : "unit scale amount pending count ");
            cr_assert_eq(number(total, "count"), count);
            cr_assert_eq(is_nil(total, "amount"), overflow);
            cr_assert_eq(is_nil(total, "pending"), overflow);
            cr_assert(overflow || number(total, "amount") == amount);
            cr_assert(overflow || number(total, "pending") == pending);
        }
    }
    cr_assert_eq(covered, usable_count);
}

static bool model_owns(const user_t *user) {
    for (uint32_t i = 0; i < user->view.asset_count; i++) {
        const wl_asset_t *asset = &user->assets[i];
        bool over = asset->expires_at != 0 && asset->expires_at <= NOW;
        bool held = asset->state == WL_STATE_AVAILABLE || asset->state == WL_STATE_FROZEN;
        if (held && !over && (asset->amount != 0 || asset->pending != 0 || asset->count != 0)) {
            return true;
        }
    }
    return false;
}

static void check_top(const user_t *user, const msgpack_object *map) {
    cr_assert_eq(number(map, "uid"), (int64_t)user->view.uid);
    cr_assert_eq(get(map, "has_assets")->via.boolean, model_owns(user));
    cr_assert_eq(wl_home_has_assets(&user->view), model_owns(user));
    const msgpack_object *golden = get(map, "golden");
    cr_assert_eq(length(golden), WL_GOLDEN_SLOTS);
    for (uint32_t i = 0; i < WL_GOLDEN_SLOTS; i++) {
        check_slot(user, element(golden, i), i);
    }
}

static void check_home(const user_t *user) {
    rendered_t rendered;
    msgpack_object home = render(wl_home_write, &user->view, &rendered);
    check_keys(&home, "uid has_assets golden sections degraded config_version ");
    TEXT(&home, "config_version", "3.7");
    check_top(user, &home);
    const msgpack_object *sections = get(&home, "sections");
    cr_assert_eq(length(sections), user->config->section_count);
    for (uint32_t i = 0; i < length(sections); i++) {
        const msgpack_object *section = element(sections, i);
        check_keys(section, "kind title items totals ");
        TEXT(section, "kind", wl_kind_name(user->config->sections[i].kind));
        TEXT(section, "title", user->config->sections[i].title);
        check_items(user, get(section, "items"), &user->config->sections[i]);
        check_totals(user, get(section, "totals"), &user->config->sections[i]);
    }
    const char *page[] = {"cash", "cash2", "live", "coin", "cpn"};
    const msgpack_object *degraded = get(&home, "degraded");
    uint32_t at = 0;
    for (size_t i = 0; i < WL_COUNT_OF(page); i++) {
        if (model_failing(user, (uint32_t)wl_config_line_index(user->config, page[i]))) {
            cr_assert(same(element(degraded, at++), page[i]));
        }
    }
    cr_assert_eq(length(degraded), at);
    rendered_close(&rendered);
}

static void check_golden(const user_t *user) {
    rendered_t rendered;
    msgpack_object golden = render(wl_golden_write, &user->view, &rendered);
    check_keys(&golden, "uid has_assets golden ");
    check_top(user, &golden);
    rendered_close(&rendered);
}

static void check_assets(const user_t *user) {
    rendered_t rendered;
    msgpack_object result = render(wl_assets_write, &user->view, &rendered);
    check_keys(&result, "uid assets ");
    const msgpack_object *list = get(&result, "assets");
    uint32_t at = 0;
    bool there[WL_LINES_MAX] = {false};
    for (uint32_t i = 0; i < user->view.asset_count; i++) {
        const wl_asset_t *asset = &user->assets[i];
        char wanted[64];
        char filter[64] = ",";
        (void)snprintf(wanted, sizeof wanted, ",%s,", asset->line);
        (void)snprintf(filter, sizeof filter, ",%.*s", (int)user->view.filter_bytes,
                       user->view.filter == NULL ? "" : user->view.filter);
        if (asset->state == WL_STATE_GONE ||
            (user->view.filter != NULL && strstr(filter, wanted) == NULL)) {
            continue;
        }
        int line = wl_config_line_index(user->config, asset->line);
        if (line >= 0) {
            there[line] = true;
        }
        check_asset(user, element(list, at++), asset,
                    line < 0 ? "stale" : model_freshness(user, (uint32_t)line, asset->pulled_at));
    }
    /* a live line that cannot be asked, or one with a change that is not there yet, may have
     * something all the same */
    for (uint32_t i = 0; i < user->config->line_count; i++) {
        const wl_line_t *line = &user->config->lines[i];
        char wanted[64];
        char filter[64] = ",";
        (void)snprintf(wanted, sizeof wanted, ",%s,", line->id);
        (void)snprintf(filter, sizeof filter, ",%.*s", (int)user->view.filter_bytes,
                       user->view.filter == NULL ? "" : user->view.filter);
        bool listed = user->view.filter == NULL || strstr(filter, wanted) != NULL;
        bool sick = line->mode == WL_MODE_LIVE && user->view.sick != NULL && user->sick[i];
        bool marked = line->mode != WL_MODE_LINK &&
                      wl_marks_text_get(user->marks, user->view.marks_bytes, line->id) != 0;
        if (listed && !there[i] && (sick || marked)) {
            check_nothing(user, element(list, at++), i);
        }
    }
    cr_assert_eq(length(list), at);
    rendered_close(&rendered);
}

static void on_old(const wl_line_t *line, void *arg) {
    char *told = arg;
    size_t used = strlen(told);
    (void)snprintf(told + used, 256 - used, "%s,", line->id);
}

static void check_each_old(const user_t *user) {
    char told[256] = "";
    wl_demand_each_behind(&user->view, on_old, told);
    size_t expected = 0;
    for (uint32_t line = 0; line < user->config->line_count; line++) {
        bool old = false;
        for (uint32_t i = 0; i < user->view.asset_count; i++) {
            old =
                old || (of_line(user, i, line) && model_old(user, line, user->assets[i].pulled_at));
        }
        bool probe = user->sick[line] && user->config->lines[line].mode == WL_MODE_LIVE;
        if (probe || (old && !model_failing(user, line))) {
            char wanted[64];
            (void)snprintf(wanted, sizeof wanted, "%s,", user->config->lines[line].id);
            cr_assert_not_null(strstr(told, wanted), "%s in %s", wanted, told);
            expected += strlen(wanted);
        }
    }
    cr_assert_eq(strlen(told), expected, "%s", told);
}

/* properties */

static void user_random(user_t *user) {
    static const char *const lines[] = {"cash", "cash2", "live", "coin", "cpn", "off", "ghost"};
    static const char *const buckets[] = {"", "ios", "gift", "1234567890123456"};
    static const uint8_t good[] = {0x81, 0xa1, 't', 0xa1, 'x'};
    static const uint8_t damaged[] = {0x82, 0xa1, 't', 0xa1, 'x'};
    const int64_t amounts[] = {0, 0, 5, -5, 1000, INT64_MAX, INT64_MIN, INT64_MAX - 4, 70000, -200};
    const int64_t expiries[] = {0, 0, 0, NOW - 1, NOW, NOW + 1, INT64_MAX};
    const int64_t pulls[] = {NOW,        NOW - 1,    NOW - 1000, NOW - 1001,
                             NOW - 5000, NOW - 5001, NOW + 9,    0};
    user->view.asset_count = 0;
    for (size_t i = 0; i < WL_COUNT_OF(lines) * WL_COUNT_OF(buckets); i++) {
        if (next_random() % 3 != 0) {
            continue;
        }
        wl_asset_t *asset = user_add(user, lines[i * 2 % 7], buckets[i / 7],
                                     amounts[next_random() % WL_COUNT_OF(amounts)]);
        asset->pending = next_random() % 3 == 0 ? amounts[next_random() % 10] : 0;
        asset->count = next_random() % 3 == 0 ? (uint32_t)next_random() : 0;
        asset->state = (uint8_t)(next_random() % 2 == 0 ? 0 : next_random() % WL_STATE_COUNT);
        asset->expires_at = expiries[next_random() % WL_COUNT_OF(expiries)];
        asset->pulled_at = pulls[next_random() % WL_COUNT_OF(pulls)];
        asset->changed_at = (int64_t)next_random();
        asset->version = next_random() >> (1 + next_random() % 63);
        if (next_random() % 10 == 0) {
            (void)snprintf(asset->unit, sizeof asset->unit, "EUR");
        }
        if (next_random() % 4 == 0) {
            asset->extra = next_random() % 4 == 0 ? damaged : good;
            asset->extra_bytes = 5;
        }
    }
    char marks[256] = "";
    for (uint32_t i = 0; i < user->config->line_count; i++) {
        user->sick[i] = next_random() % 6 == 0;
        size_t used = strlen(marks);
        if (next_random() % 4 == 0) {
            (void)snprintf(marks + used, sizeof marks - used, "%s=%u,", user->config->lines[i].id,
                           (unsigned)(1 + next_random() % 2));
        }
    }
    user_mark(user, marks);
}

Test(home, renders_what_a_naive_model_says) {
    user_t user;
    user_open(&user);
    for (uint32_t round = 0; round < 20000; round++) {
        static const char *const filters[] = {NULL, "cash,coin,", "cash2,", "ghost,off,cpn,",
                                              "ca,"};
        user_random(&user);
        check_home(&user);
        check_golden(&user);
        check_each_old(&user);
        user.view.filter = filters[round % WL_COUNT_OF(filters)];
        user.view.filter_bytes = user.view.filter == NULL ? 0 : strlen(user.view.filter);
        check_assets(&user);
    }
    user_close(&user);
}

/* single promises */

Test(home, an_absent_user_sees_missing_and_never_a_zero) {
    user_t user;
    user_open(&user);
    user_mark(&user, "coin=1,");
    cr_expect_not(wl_home_has_assets(&user.view));
    check_home(&user);
    check_golden(&user);
    check_assets(&user);
    rendered_t rendered;
    msgpack_object golden = render(wl_golden_write, &user.view, &rendered);
    const msgpack_object *slots = get(&golden, "golden");
    TEXT(element(slots, 0), "freshness", "missing");
    TEXT(element(slots, 1), "line", "");
    TEXT(element(slots, 2), "freshness", "refreshing");
    cr_expect(is_nil(element(slots, 0), "amount"));
    rendered_close(&rendered);
    user_close(&user);
}

static const msgpack_object *first_total(user_t *user, rendered_t *rendered) {
    msgpack_object home = render(wl_home_write, &user->view, rendered);
    const msgpack_object *totals = get(element(get(&home, "sections"), 0), "totals");
    return length(totals) == 0 ? NULL : element(totals, 0);
}

Test(home, a_sum_that_does_not_fit_is_nil_and_says_so) {
    user_t user;
    rendered_t rendered;
    user_open(&user);
    (void)user_add(&user, "cash", "", INT64_MAX);
    (void)user_add(&user, "cash", "ios", 1);
    const msgpack_object *total = first_total(&user, &rendered);
    cr_expect(is_nil(total, "amount"));
    cr_expect(get(total, "overflow")->via.boolean);
    cr_expect(is_nil(element(get(&rendered.unpacked.data, "golden"), 0), "amount"));
    rendered_close(&rendered);
    check_home(&user);
    user_close(&user);
}

Test(home, money_expires_at_its_millisecond) {
    user_t user;
    rendered_t rendered;
    user_open(&user);
    wl_asset_t *asset = user_add(&user, "cash", "", 500);
    asset->expires_at = NOW;
    for (int64_t now = NOW - 1; now <= NOW; now++) {
        user.view.now.ms = now;
        cr_expect_eq(wl_home_has_assets(&user.view), now < NOW);
        const msgpack_object *total = first_total(&user, &rendered);
        cr_expect_eq(total != NULL, now < NOW);
        const msgpack_object *slot = element(get(&rendered.unpacked.data, "golden"), 0);
        cr_expect_eq(number(slot, "amount"), now < NOW ? 500 : 0, "nothing is left, and known so");
        rendered_close(&rendered);
    }
    user_close(&user);
}

Test(home, totals_never_mix_units_or_scales) {
    user_t user;
    rendered_t rendered;
    user_open(&user);
    (void)user_add(&user, "cash", "", 1);
    (void)user_add(&user, "live", "", 2);
    user_add(&user, "cash2", "", 4)->scale = 3;
    (void)user_add(&user, "cash2", "b", 8);
    msgpack_object home = render(wl_home_write, &user.view, &rendered);
    const msgpack_object *totals = get(element(get(&home, "sections"), 0), "totals");
    cr_assert_eq(length(totals), 3);
    cr_expect_eq(number(element(totals, 0), "amount"), 9);
    rendered_close(&rendered);
    user_close(&user);
}

Test(home, a_record_in_an_old_unit_makes_the_golden_amount_unknown) {
    user_t user;
    rendered_t rendered;
    user_open(&user);
    user_add(&user, "cash", "", 1)->scale = 3;
    msgpack_object golden = render(wl_golden_write, &user.view, &rendered);
    cr_expect(is_nil(element(get(&golden, "golden"), 0), "amount"));
    rendered_close(&rendered);
    user_close(&user);
}

Test(home, tombstones_own_nothing_and_are_not_shown) {
    user_t user;
    user_open(&user);
    user_add(&user, "cash", "", 500)->state = WL_STATE_GONE;
    cr_expect_not(wl_home_has_assets(&user.view));
    check_home(&user);
    check_assets(&user);
    user_close(&user);
}

Test(home, lines_unknown_to_the_configuration_are_listed_as_stale) {
    user_t user;
    rendered_t rendered;
    user_open(&user);
    (void)user_add(&user, "ghost", "", 500);
    cr_expect(wl_home_has_assets(&user.view));
    check_home(&user);
    msgpack_object result = render(wl_assets_write, &user.view, &rendered);
    TEXT(element(get(&result, "assets"), 0), "freshness", "stale");
    rendered_close(&rendered);
    user_close(&user);
}

Test(home, copies_without_a_plausible_time_are_old) {
    user_t user;
    char told[256] = "";
    user_open(&user);
    user_add(&user, "cash", "", 5)->pulled_at = INT64_MIN;
    user_add(&user, "coin", "", 5)->pulled_at = INT64_MAX;
    wl_demand_each_behind(&user.view, on_old, told);
    cr_expect_str_eq(told, "cash,");
    user_close(&user);
}

/* Rule 8: a user who looks joins a pull that waits, and it jumps the queue. */
Test(home, old_copies_are_told_also_when_a_change_is_on_its_way_but_not_when_it_fails) {
    user_t user;
    char told[256] = "";
    user_open(&user);
    user_add(&user, "cash", "", 5)->pulled_at = INT64_MIN;
    static const char pending[] = "cash=1,";
    static const char failing[] = "cash=2,";
    user.view.marks = pending;
    user.view.marks_bytes = sizeof pending - 1;
    wl_demand_each_behind(&user.view, on_old, told);
    cr_expect_str_eq(told, "cash,");
    told[0] = '\0';
    user.view.marks = failing;
    user.view.marks_bytes = sizeof failing - 1;
    wl_demand_each_behind(&user.view, on_old, told);
    cr_expect_str_eq(told, "");
    user_close(&user);
}

/* More records than the store admits: labelled, never passed for the truth. */
Test(home, a_copy_beyond_the_bound_is_stale_and_degraded) {
    user_t user;
    rendered_t rendered;
    user_open(&user);
    for (uint32_t i = 0; i < WL_USER_ASSETS_MAX + 1; i++) {
        char bucket[WL_BUCKET_MAX + 1];
        (void)snprintf(bucket, sizeof bucket, "b%u", i);
        (void)user_add(&user, "cash", bucket, 1);
    }
    msgpack_object home = render(wl_home_write, &user.view, &rendered);
    TEXT(element(get(&home, "golden"), 0), "freshness", "stale");
    cr_expect(same(element(get(&home, "degraded"), 0), "cash"));
    rendered_close(&rendered);
    check_assets(&user);
    user_close(&user);
}

/* The largest texts and numbers of 256 records: what a map reserves is enough. */
Test(home, the_largest_records_fit_what_is_reserved) {
    static uint8_t extra[WL_EXTRA_BYTES_MAX] = {0x81, 0xa1, 'k', 0xda, 0x01, 0xfa};
    user_t user;
    user_open(&user);
    for (uint32_t i = 0; i < WL_USER_ASSETS_MAX; i++) {
        char bucket[WL_BUCKET_MAX + 1];
        (void)snprintf(bucket, sizeof bucket, "bucket-%09u", i);
        wl_asset_t *asset = user_add(
            &user, i % 2 == 0 ? "cash" : "12345678901234567890123456789012", bucket, INT64_MIN);
        (void)snprintf(asset->unit, sizeof asset->unit, "%012u", i);
        asset->kind = WL_KIND_CASHBACK;
        asset->state = WL_STATE_AVAILABLE;
        asset->pending = INT64_MIN;
        asset->count = UINT32_MAX;
        asset->version = WL_VERSION_MAX;
        asset->changed_at = INT64_MIN;
        asset->pulled_at = INT64_MIN + NOW;
        asset->expires_at = INT64_MAX;
        asset->extra = extra;
        asset->extra_bytes = sizeof extra;
    }
    cr_assert(wl_asset_extra_valid(extra, sizeof extra));
    check_home(&user);
    check_golden(&user);
    check_assets(&user);
    user_close(&user);
}

Test(home, numbers_of_every_width_read_back) {
    user_t user;
    user_open(&user);
    wl_asset_t *asset = user_add(&user, "cash", "", 0);
    for (int shift = 0; shift < 64; shift++) {
        for (uint64_t step = 0; step < 3; step++) {
            uint64_t number_of_bits = ((uint64_t)1 << shift) + step - 1;
            asset->amount = (int64_t)number_of_bits;
            asset->pending = (int64_t)(0 - number_of_bits);
            asset->version = number_of_bits & WL_VERSION_MAX;
            asset->count = (uint32_t)number_of_bits;
            check_golden(&user);
            check_assets(&user);
        }
    }
    user_close(&user);
}

Test(home, nobody_is_sick_when_health_is_not_known) {
    user_t user;
    user_open(&user);
    (void)user_add(&user, "cash", "", 5);
    user.view.sick = NULL;
    check_home(&user);
    user_close(&user);
}

/* ---- variants -------------------------------------------------------------------------------- */

static const write_t writes[] = {wl_home_write, wl_golden_write, wl_assets_write, wl_balance_write};

Test(home, only_answers_from_a_candidate_say_so) {
    user_t user;
    rendered_t rendered;
    user_open(&user);
    (void)user_add(&user, "cash", "", 500);
    for (size_t i = 0; i < WL_COUNT_OF(writes); i++) {
        user.view.candidate = false;
        msgpack_object result = render(writes[i], &user.view, &rendered);
        uint32_t keys = result.via.map.size;
        rendered_close(&rendered);
        user.view.candidate = true;
        result = render(writes[i], &user.view, &rendered);
        cr_expect_eq(result.via.map.size, keys + 1);
        TEXT(&result, "variant", "candidate");
        rendered_close(&rendered);
    }
    user_close(&user);
}

/* Writers ask it for all users while the candidate is tried out. */
Test(home, a_line_that_only_another_variant_has_is_not_there) {
    static const char other[] = "{\"version\":4,\"lines\":{\"new\":{\"kind\":\"coin\","
                                "\"url\":\"http://h\",\"unit\":\"bean\"}}}";
    static const char page[] = "{\"version\":1}";
    user_t user;
    rendered_t rendered;
    wl_config_t *unseen = NULL;
    user_open(&user);
    cr_assert_eq(wl_config_compile(other, sizeof other - 1, page, sizeof page - 1, &unseen, NULL),
                 WL_OK);
    (void)user_add(&user, "new", "", 500);
    cr_expect(wl_home_has_assets(&user.view));
    user.view.unseen = unseen;
    cr_expect_not(wl_home_has_assets(&user.view));
    msgpack_object result = render(wl_assets_write, &user.view, &rendered);
    cr_expect_eq(length(get(&result, "assets")), 0u);
    rendered_close(&rendered);
    (void)user_add(&user, "ghost", "", 500);
    cr_expect(wl_home_has_assets(&user.view), "a line that nobody knows is another matter");
    (void)user_add(&user, "cash", "", 500);
    result = render(wl_assets_write, &user.view, &rendered);
    cr_expect_eq(length(get(&result, "assets")), 2u);
    rendered_close(&rendered);
    wl_config_destroy(&unseen);
    user_close(&user);
}
