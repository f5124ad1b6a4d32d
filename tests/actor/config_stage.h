/* config_stage.h: for tests of requests to the config actor: its state with a directory store in a
 * folder of its own, without its loop; requests are JSON and go through the wire's own reader. */
#ifndef WL_TESTS_ACTOR_CONFIG_STAGE_H
#define WL_TESTS_ACTOR_CONFIG_STAGE_H

#include "actors/config_live.h"
#include "actors/config_self.h"
#include "base/alloc.h"
#include "proto/json_pack.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STAGE_SAMPLE "{\"assets\":[{\"uid\":7,\"version\":3,\"amount\":1250}]}"
#define STAGE_CASH "\"cash\":{\"kind\":\"cash\",\"url\":\"http://h\",\"unit\":\"CNY\",\"scale\":2"
#define STAGE_COIN "\"coin\":{\"kind\":\"coin\",\"url\":\"http://h\",\"unit\":\"bean\"}"
#define STAGE_GIFT "\"gift\":{\"kind\":\"coin\",\"url\":\"http://h\",\"unit\":\"bean\"}"
#define STAGE_LINES(version, cash) \
    "{\"version\":" version ",\"lines\":{" STAGE_CASH cash "}," STAGE_COIN "," STAGE_GIFT "}}"
#define STAGE_PAGE(version, title)                                                        \
    "{\"version\":" version ",\"golden\":[{\"line\":\"cash\",\"title\":\"" title "\"}],"  \
    "\"sections\":[{\"kind\":\"cash\",\"title\":\"Cash\",\"lines\":[\"cash\"]},"          \
    "{\"kind\":\"coin\",\"title\":\"Coins\",\"lines\":[\"coin\"],\"campaigns\":[{\"id\":" \
    "\"gifts\",\"line\":\"gift\",\"start\":\"2026-11-11T00:00:00Z\",\"end\":"             \
    "\"2026-11-12T00:00:00Z\",\"unless\":[\"sick\"]}]}]}"

typedef struct {
    char folder[64];
    wl_settings_t settings;
    wl_config_actor_t self;
    wl_fault_t fault;
} config_stage_t;

static config_stage_t stage;

static inline void stage_write(const char *name, const char *text) {
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", stage.folder, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    cr_assert(fputs(text, file) >= 0);
    cr_assert_eq(fclose(file), 0);
}

/* Looks at the logs and makes live what they say. */
static inline void stage_look(void) {
    wl_config_live_t *live = NULL;
    (void)wl_config_sources_look(stage.self.sources);
    const wl_config_state_t *state = wl_config_sources_state(stage.self.sources);
    wl_err_t err = WL_OK;
    if (state->seq > 0) {
        err = wl_config_live_of_state(stage.self.sources, state, NULL, NULL, &live, &stage.fault);
    } else {
        err = wl_config_live_of_directory(stage.settings.server_config_dir, NULL, NULL, &live,
                                          &stage.fault);
    }
    cr_assert_eq(err, WL_OK, "%s: %s", stage.fault.where, stage.fault.message);
    wl_config_live_destroy(&stage.self.live);
    stage.self.live = live;
}

/* The directory has integration 3 and presentation 7; nothing is published. */
static inline void stage_open(void) {
    memset(&stage, 0, sizeof stage);
    (void)snprintf(stage.folder, sizeof stage.folder, "/tmp/wl_config_XXXXXX");
    cr_assert_not_null(mkdtemp(stage.folder));
    wl_settings_defaults(&stage.settings);
    (void)snprintf(stage.settings.server_config_dir, 200, "%s/store", stage.folder);
    (void)snprintf(stage.settings.server_data_dir, 200, "%s/data", stage.folder);
    cr_assert_eq(mkdir(stage.settings.server_config_dir, 0700), 0);
    cr_assert_eq(mkdir(stage.settings.server_data_dir, 0700), 0);
    stage_write("store/integration-3.json", STAGE_LINES("3", ",\"sample\":" STAGE_SAMPLE));
    stage_write("store/presentation-7.json", STAGE_PAGE("7", "Cash"));
    stage.self.hub.settings = &stage.settings;
    cr_assert_eq(wl_config_sources_new(&stage.settings, &stage.self.sources, &stage.fault), WL_OK,
                 "%s", stage.fault.message);
    stage.self.unpacker = wl_unpacker_new();
    stage_look();
}

static inline int stage_remove(const char *path, const struct stat *about, int type,
                               struct FTW *walk) {
    (void)about, (void)type, (void)walk;
    return remove(path);
}

static inline void stage_close(void) {
    wl_config_live_destroy(&stage.self.live);
    wl_config_live_destroy(&stage.self.below);
    wl_config_sources_destroy(&stage.self.sources);
    wl_unpacker_destroy(&stage.self.unpacker);
    (void)nftw(stage.folder, stage_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- changes --------------------------------------------------------------------------------- */

/* Makes a change live; base, author, reason and from are filled in. */
static inline void stage_change(wl_config_wish_t wish) {
    const wl_config_state_t *state = wl_config_sources_state(stage.self.sources);
    wl_config_state_t after;
    char *text = NULL;
    size_t bytes = 0;
    wish.base = state->seq;
    wish.author = wish.author == NULL ? "ann" : wish.author;
    wish.reason = "because";
    wish.from = "ops/1";
    cr_assert_eq(wl_config_change_make(state, wl_config_sources_digest(stage.self.sources), &wish,
                                       (wl_wall_ms_t){1764000000000 + (int64_t)state->seq}, &text,
                                       &bytes, &after, &stage.fault),
                 WL_OK, "%s", stage.fault.message);
    cr_assert_eq(wl_config_sources_append(stage.self.sources, text, bytes, &after, &stage.fault),
                 WL_OK, "%s", stage.fault.message);
    wl_free(text);
    for (int d = 0; d < WL_DOCUMENT_COUNT; d++) {
        json_decref(wish.documents[d]);
    }
    stage_look();
}

static inline json_t *stage_json(const char *text) {
    json_error_t why;
    json_t *json = json_loads(text, 0, &why);
    cr_assert_not_null(json, "%s: %s", why.text, text);
    return json;
}

/* One document, or two when neither is NULL. */
static inline void stage_put(wl_config_action_t action, const char *integration,
                             const char *presentation) {
    wl_config_wish_t wish = {.action = action};
    const char *texts[] = {integration, presentation};
    for (int d = 0; d < WL_DOCUMENT_COUNT; d++) {
        wish.documents[d] = texts[d] == NULL ? NULL : stage_json(texts[d]);
    }
    stage_change(wish);
}

/* Change 1: files of the directory. */
static inline void stage_import(void) {
    stage_put(WL_CONFIG_ACTION_IMPORT, STAGE_LINES("3", ",\"sample\":" STAGE_SAMPLE),
              STAGE_PAGE("7", "Cash"));
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Packed arguments; the answer, or NULL with the error. Caller owns it. */
static inline json_t *stage_ask_packed(wl_config_view_fn *view, const void *packed, size_t bytes,
                                       wl_err_t *ret_err) {
    static const wl_walk_limits_t limits = {WL_WALK_DEPTH_MAX, 4096};
    const msgpack_object *args = NULL;
    json_t *result = NULL;
    stage.fault = (wl_fault_t){.line = 0};
    cr_assert_eq(wl_unpacker_read(stage.self.unpacker, packed, bytes, &limits, &args), WL_OK);
    *ret_err = view(&stage.self, args, "ops/1", &result, &stage.fault);
    if (*ret_err != WL_OK) {
        cr_assert_null(result);
        cr_expect_neq(stage.fault.message[0], '\0', "a refusal says why");
        return NULL;
    }
    cr_assert_not_null(result);
    msgpack_sbuffer body;
    msgpack_sbuffer_init(&body);
    cr_expect_eq(wl_json_pack(result, &body), WL_OK);
    msgpack_sbuffer_destroy(&body);
    return result;
}

/* Takes args over. */
static inline json_t *stage_ask_json(wl_config_view_fn *view, json_t *args, wl_err_t *ret_err) {
    msgpack_sbuffer packed;
    msgpack_sbuffer_init(&packed);
    cr_assert_not_null(args);
    cr_assert_eq(wl_json_pack(args, &packed), WL_OK);
    json_t *result = stage_ask_packed(view, packed.data, packed.size, ret_err);
    msgpack_sbuffer_destroy(&packed);
    json_decref(args);
    return result;
}

/* What is answered to these arguments, a JSON object. */
static inline json_t *stage_ask(wl_config_view_fn *view, const char *args) {
    wl_err_t err = WL_OK;
    json_t *result = stage_ask_json(view, stage_json(args), &err);
    cr_assert_eq(err, WL_OK, "%s: %s: %s", wl_err_name(err), args, stage.fault.message);
    return result;
}

/* It is refused with this error, and a message that has this in it. */
static inline void stage_refused(wl_config_view_fn *view, json_t *args, wl_err_t error,
                                 const char *part) {
    wl_err_t err = WL_OK;
    json_t *result = stage_ask_json(view, args, &err);
    cr_expect_null(result);
    json_decref(result);
    cr_expect_eq(err, error, "%s instead of %s: %s", wl_err_name(err), wl_err_name(error),
                 stage.fault.message);
    cr_expect_not_null(strstr(stage.fault.message, part), "\"%s\" is not in \"%s\"", part,
                       stage.fault.message);
}
#define REFUSED(view, args, error, part) stage_refused(view, stage_json(args), error, part)

/* "changes.0.path" of an answer; NULL when there is no such thing. */
static inline const json_t *at(const json_t *json, const char *path) {
    char step[64];
    while (json != NULL && *path != '\0') {
        size_t bytes = strcspn(path, ".");
        cr_assert_lt(bytes, sizeof step);
        memcpy(step, path, bytes);
        step[bytes] = '\0';
        json = json_is_array(json) ? json_array_get(json, (size_t)strtoul(step, NULL, 10))
                                   : json_object_get(json, step);
        path += bytes + (path[bytes] == '.' ? 1 : 0);
    }
    return json;
}

static inline const char *text_at(const json_t *json, const char *path) {
    const char *text = json_string_value(at(json, path));
    return text == NULL ? "(none)" : text;
}

static inline int64_t number_at(const json_t *json, const char *path) {
    const json_t *value = at(json, path);
    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static inline bool true_at(const json_t *json, const char *path) {
    return json_is_true(at(json, path));
}

#endif
