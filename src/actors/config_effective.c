/* admin.config.effective: what a user sees at a moment, and why. */
#include "actors/config_args.h"
#include "actors/config_self.h"
#include "base/alloc.h"
#include "base/text.h"
#include "domain/effective.h"
#include "domain/moment.h"
#include "store/blob_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MOMENT_END_MS INT64_C(253402300800000) /* of the year 9999 */

enum { PATH_BYTES = 640, AT_MAX = 40 };

typedef struct {
    uint64_t uid;
    char scene[WL_SCENE_MAX + 1];
    char app_version[WL_APP_VERSION_MAX + 1];
    wl_wall_ms_t at;
} asked_t;

/* ---- arguments ------------------------------------------------------------------------------- */

/* A moment as people or programs write it; now when it is left out. */
static wl_err_t at_read(const msgpack_object *args, wl_wall_ms_t *ret, wl_fault_t *fault) {
    const msgpack_object *value = NULL;
    char text[AT_MAX + 1];
    *ret = wl_wall_now();
    if (wl_args_find(args, "at", &value) != WL_OK) {
        return WL_OK;
    }
    bool ok = false;
    if (value->type == MSGPACK_OBJECT_STR || value->type == MSGPACK_OBJECT_BIN) {
        ok = wl_value_text(value, text, AT_MAX) == WL_OK && wl_moment_parse(text, ret);
    } else {
        ok = wl_value_i64(value, &ret->ms) == WL_OK && ret->ms >= 0 && ret->ms < MOMENT_END_MS;
    }
    return ok ? WL_OK
              : wl_fault(fault, WL_ERR_BAD_REQUEST, "at",
                         "at: must be a moment with its zone, like 2026-11-11T00:00:00+08:00, or "
                         "ms since 1970");
}

static wl_err_t asked_read(const msgpack_object *args, asked_t *ret, wl_fault_t *fault) {
    memset(ret, 0, sizeof *ret);
    wl_err_t err = wl_args_uid(args, "uid", &ret->uid, fault);
    if (err == WL_OK) {
        err = wl_config_arg_optional(wl_args_text(args, "scene", ret->scene, WL_SCENE_MAX, fault));
    }
    if (err == WL_OK) {
        err = wl_config_arg_optional(
            wl_args_text(args, "app_version", ret->app_version, WL_APP_VERSION_MAX, fault));
    }
    if (err != WL_OK) {
        return err;
    }
    if (!wl_text_valid(ret->scene, sizeof ret->scene)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "scene",
                        "scene: must be UTF-8 without control characters");
    }
    if (ret->app_version[0] != '\0' && !wl_app_version_valid(ret->app_version)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "app_version",
                        "app_version: must be one to four numbers with dots, like 13.4.0");
    }
    return at_read(args, &ret->at, fault);
}

/* ---- the set of users ------------------------------------------------------------------------ */

/* As frontends load it; NULL with a problem: to them nobody is in it. */
static wl_uid_set_t *whitelist_load(wl_config_actor_t *self, const char *digest,
                                    wl_fault_t *problem) {
    char path[PATH_BYTES];
    void *bytes = NULL;
    size_t count = 0;
    wl_uid_set_t *set = NULL;
    if (digest[0] == '\0') {
        return NULL;
    }
    (void)snprintf(path, sizeof path, "%s/config/blobs/%s", self->hub.settings->server_data_dir,
                   digest);
    wl_err_t err = wl_blob_file_read(path, WL_CONFIG_BLOB_BYTES_MAX, &bytes, &count);
    if (err != WL_OK) {
        (void)wl_fault(problem, err, "whitelist", "%s", wl_err_text(err));
        return NULL;
    }
    err = wl_uid_set_load(bytes, count, &set, problem);
    wl_free(bytes);
    return err == WL_OK ? set : NULL;
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* Which of the configuration's lines cannot be asked now. */
static void sick_fill(const wl_hub_t *hub, const wl_config_t *config, bool ret[WL_LINES_MAX]) {
    memset(ret, 0, WL_LINES_MAX * sizeof *ret);
    for (uint32_t i = 0; i < hub->sick_count; i++) {
        int line = wl_config_line_index(config, hub->sick_lines[i]);
        if (line >= 0) {
            ret[line] = true;
        }
    }
}

/* Beyond int64 a JSON number ends. */
static json_t *uid_write(uint64_t uid) {
    return uid <= INT64_MAX ? json_integer((json_int_t)uid) : json_sprintf("%" PRIu64, uid);
}

/* Why this variant, in a sentence. */
static json_t *why_write(const wl_config_live_t *live, const json_t *rules, bool candidate) {
    size_t index = 0;
    const json_t *rule = NULL;
    if (live->rollout.id == 0) {
        return json_string(live->source == WL_CONFIG_FROM_EMERGENCY
                               ? "an emergency file stands before what is published"
                               : "no rollout is under way: everybody sees the same");
    }
    json_array_foreach(rules, index, rule) {
        if (!json_is_true(json_object_get(rule, "holds"))) {
            return json_sprintf("rollout %" PRIu64
                                " does not take the user: %s wants %s, found: %s",
                                live->rollout.id, json_string_value(json_object_get(rule, "rule")),
                                json_string_value(json_object_get(rule, "wants")),
                                json_string_value(json_object_get(rule, "has")));
        }
    }
    return json_sprintf("rollout %" PRIu64 " takes the user%s", live->rollout.id,
                        candidate ? "" : ", but has no candidate here");
}

wl_err_t wl_config_view_effective(wl_config_actor_t *self, const msgpack_object *args,
                                  const char *user, json_t **ret, wl_fault_t *fault) {
    asked_t asked;
    bool sick[WL_LINES_MAX];
    wl_fault_t problem = {.message = ""};
    char moment[WL_MOMENT_BYTES + 1];
    const wl_config_live_t *live = self->live;
    (void)user;
    wl_err_t err = asked_read(args, &asked, fault);
    if (err != WL_OK) {
        return err;
    }
    wl_rollout_asker_t asker = {asked.uid, asked.scene, asked.app_version};
    WL_AUTO(wl_uid_set) whitelist = whitelist_load(self, live->rollout.whitelist, &problem);
    bool candidate =
        live->candidate_config != NULL && wl_rollout_takes(&live->rollout, whitelist, &asker);
    const wl_config_t *config = candidate ? live->candidate_config : live->config;
    sick_fill(&self->hub, config, sick);
    wl_effective_t page = {.config = config, .sick = sick, .at = asked.at};
    json_t *rules = wl_effective_rules(&live->rollout, whitelist, problem.message, &asker);
    json_t *why = why_write(live, rules, candidate);
    wl_moment_write(asked.at, moment);
    *ret = json_pack("{s:o, s:s, s:s, s:s, s:o, s:s, s:o}", "uid", uid_write(asked.uid), "version",
                     config->version, "variant", candidate ? "candidate" : "base", "source",
                     wl_config_source_name(live->source), "why", why, "at", moment, "rules", rules);
    json_t *shown = wl_effective_page(&page);
    (void)json_object_update(*ret, shown);
    json_decref(shown);
    return WL_OK;
}

/* ---- for the trail --------------------------------------------------------------------------- */

/* Of scene and app version nothing is known there: a rollout that asks for them takes nobody. */
void wl_config_tell_shown(wl_config_actor_t *self, const wl_msg_t *msg) {
    const wl_config_live_t *live = self->live;
    wl_fault_t problem = {.message = ""};
    WL_AUTO(wl_uid_set)
    whitelist = live == NULL ? NULL : whitelist_load(self, live->rollout.whitelist, &problem);
    for (uint32_t i = 0; live != NULL && i < msg->count; i++) {
        wl_rollout_asker_t asker = {msg->items.trail_ask[i].uid, "", ""};
        bool candidate =
            live->candidate_config != NULL && wl_rollout_takes(&live->rollout, whitelist, &asker);
        const wl_config_t *config = candidate ? live->candidate_config : live->config;
        json_t *rules = wl_effective_rules(&live->rollout, whitelist, problem.message, &asker);
        json_t *why = why_write(live, rules, candidate);
        wl_trail_shown_item_t item = {.asked = msg->items.trail_ask[i].asked, .seq = live->seq};
        (void)snprintf(item.version, sizeof item.version, "%s", config->version);
        (void)snprintf(item.source, sizeof item.source, "%s", wl_config_source_name(live->source));
        (void)snprintf(item.variant, sizeof item.variant, "%s", candidate ? "candidate" : "base");
        (void)snprintf(item.why, sizeof item.why, "%s", json_string_value(why));
        json_decref(rules);
        json_decref(why);
        wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_TRAIL, 0, WL_MSG_TRAIL_SHOWN, 0);
        if (!wl_encoder_begun(to)) {
            wl_trail_shown_begin(to, NULL);
        }
        wl_trail_shown_add(to, &item);
    }
}
