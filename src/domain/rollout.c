#include "domain/rollout.h"

#include "base/check.h"
#include "base/slot.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    APP_NUMBERS = 4,
    APP_DIGITS = 9,
    PERCENT = WL_ROLLOUT_WHOLE / 100, /* parts of one percent */
    ABORT_ERRORS_MIN = 10,            /* of the candidate: fewer are chance, whatever their share */
};

static const char *const rule_names[WL_ROLLOUT_RULE_COUNT] = {
#define RULE_NAME(name, text, doc) text,
    WL_ROLLOUT_RULES(RULE_NAME)
#undef RULE_NAME
};

const char *wl_rollout_rule_name(wl_rollout_rule_t rule) {
    return (unsigned)rule < WL_ROLLOUT_RULE_COUNT ? rule_names[rule] : "?";
}

/* ---- versions of apps ------------------------------------------------------------------------ */

/* Reads "13.4.0" into four numbers, missing ones 0. */
static bool app_read(const char *text, uint32_t ret[APP_NUMBERS]) {
    memset(ret, 0, APP_NUMBERS * sizeof *ret);
    for (int n = 0; n < APP_NUMBERS; n++) {
        int digits = 0;
        for (; *text >= '0' && *text <= '9'; text++, digits++) {
            if (digits == APP_DIGITS) {
                return false;
            }
            ret[n] = ret[n] * 10 + (uint32_t)(*text - '0');
        }
        if (digits == 0) {
            return false;
        }
        if (*text == '\0') {
            return true;
        }
        if (*text++ != '.') {
            return false;
        }
    }
    return false;
}

bool wl_app_version_valid(const char *text) {
    uint32_t numbers[APP_NUMBERS];
    return app_read(text, numbers);
}

int wl_app_version_compare(const char *left, const char *right) {
    uint32_t a[APP_NUMBERS];
    uint32_t b[APP_NUMBERS];
    (void)app_read(left, a);
    (void)app_read(right, b);
    for (int n = 0; n < APP_NUMBERS; n++) {
        if (a[n] != b[n]) {
            return a[n] < b[n] ? -1 : 1;
        }
    }
    return 0;
}

/* ---- deciding -------------------------------------------------------------------------------- */

uint32_t wl_rollout_place(uint64_t id, uint64_t uid) {
    return (uint32_t)(wl_mix64(uid ^ wl_mix64(id)) % WL_ROLLOUT_WHOLE);
}

static bool scene_holds(const wl_rollout_t *self, const wl_rollout_asker_t *asker) {
    for (uint32_t i = 0; i < self->scene_count; i++) {
        if (strcmp(self->scenes[i], asker->scene) == 0) {
            return true;
        }
    }
    return self->scene_count == 0;
}

static bool app_holds(const wl_rollout_t *self, const wl_rollout_asker_t *asker) {
    if (self->app_min[0] == '\0' && self->app_max[0] == '\0') {
        return true;
    }
    return wl_app_version_valid(asker->app_version) &&
           (self->app_min[0] == '\0' ||
            wl_app_version_compare(asker->app_version, self->app_min) >= 0) &&
           (self->app_max[0] == '\0' ||
            wl_app_version_compare(asker->app_version, self->app_max) <= 0);
}

bool wl_rollout_holds(const wl_rollout_t *self, wl_rollout_rule_t rule,
                      const wl_uid_set_t *whitelist, const wl_rollout_asker_t *asker) {
    switch (rule) {
    case WL_ROLLOUT_RUNNING: return !self->paused;
    case WL_ROLLOUT_SCENE: return scene_holds(self, asker);
    case WL_ROLLOUT_APP: return app_holds(self, asker);
    case WL_ROLLOUT_SHARE: return wl_rollout_place(self->id, asker->uid) < self->share;
    case WL_ROLLOUT_WHITELIST:
        return self->whitelist[0] == '\0' ||
               (whitelist != NULL && wl_uid_set_test(whitelist, asker->uid));
    case WL_ROLLOUT_RULE_COUNT: break;
    }
    return false;
}

bool wl_rollout_takes(const wl_rollout_t *self, const wl_uid_set_t *whitelist,
                      const wl_rollout_asker_t *asker) {
    bool takes = self->id != 0;
    for (unsigned rule = 0; takes && rule < WL_ROLLOUT_RULE_COUNT; rule++) {
        takes = wl_rollout_holds(self, (wl_rollout_rule_t)rule, whitelist, asker);
    }
    return takes;
}

bool wl_rollout_failed(const wl_rollout_t *self, uint64_t base, uint64_t base_errors,
                       uint64_t candidate, uint64_t candidate_errors) {
    if (self->abort_share == 0 || candidate == 0 || candidate < self->abort_replies ||
        candidate_errors < ABORT_ERRORS_MIN) {
        return false;
    }
    double usual = base == 0 ? 0 : (double)base_errors / (double)base;
    double now = (double)candidate_errors / (double)candidate;
    return now - usual > (double)self->abort_share / WL_ROLLOUT_WHOLE;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *percent_write(uint32_t share) {
    return share % PERCENT == 0 ? json_integer(share / PERCENT)
                                : json_real((double)share / PERCENT);
}

static void set_text(json_t *object, const char *key, const char *text) {
    if (text[0] != '\0') {
        (void)json_object_set_new(object, key, json_string(text));
    }
}

json_t *wl_rollout_write(const wl_rollout_t *self) {
    json_t *object = json_object();
    (void)json_object_set_new(object, "id", json_integer((json_int_t)self->id));
    (void)json_object_set_new(object, "paused", json_boolean(self->paused));
    (void)json_object_set_new(object, "percent", percent_write(self->share));
    set_text(object, "whitelist", self->whitelist);
    if (self->scene_count > 0) {
        json_t *scenes = json_array();
        for (uint32_t i = 0; i < self->scene_count; i++) {
            (void)json_array_append_new(scenes, json_string(self->scenes[i]));
        }
        (void)json_object_set_new(object, "scenes", scenes);
    }
    set_text(object, "app_min", self->app_min);
    set_text(object, "app_max", self->app_max);
    if (self->abort_share > 0) {
        (void)json_object_set_new(object, "abort_percent", percent_write(self->abort_share));
        (void)json_object_set_new(object, "abort_replies",
                                  json_integer((json_int_t)self->abort_replies));
    }
    return object;
}

static wl_err_t bad(wl_fault_t *fault, const char *key, const char *wants) {
    return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: %s", key, wants);
}

static wl_err_t percent_read(const json_t *value, const char *key, uint32_t *ret,
                             wl_fault_t *fault) {
    double percent = json_number_value(value);
    if (!json_is_number(value) || percent < 0 || percent > 100) {
        return bad(fault, key, "must be a number from 0 to 100");
    }
    double share = percent * PERCENT;
    if (fabs(share - round(share)) > 1e-6) {
        return bad(fault, key, "has more than two digits behind the point");
    }
    *ret = (uint32_t)lround(share);
    return WL_OK;
}

static wl_err_t app_version_read(const json_t *value, const char *key,
                                 char ret[WL_APP_VERSION_MAX + 1], wl_fault_t *fault) {
    const char *text = json_string_value(value);
    if (text == NULL || strlen(text) > WL_APP_VERSION_MAX || !wl_app_version_valid(text)) {
        return bad(fault, key, "must be one to four numbers between dots, \"13.4.0\"");
    }
    memcpy(ret, text, strlen(text) + 1);
    return WL_OK;
}

static wl_err_t scenes_read(const json_t *value, wl_rollout_t *ret, wl_fault_t *fault) {
    size_t at = 0;
    const json_t *scene = NULL;
    if (!json_is_array(value) || json_array_size(value) > WL_ROLLOUT_SCENES_MAX) {
        return bad(fault, "scenes", "must be a list of at most 8 scenes");
    }
    json_array_foreach(value, at, scene) {
        const char *text = json_string_value(scene);
        if (text == NULL || text[0] == '\0' || json_string_length(scene) > WL_SCENE_MAX ||
            strlen(text) != json_string_length(scene)) {
            return bad(fault, "scenes", "a scene is a text of 1 to 32 bytes");
        }
        memcpy(ret->scenes[ret->scene_count++], text, strlen(text) + 1);
    }
    return WL_OK;
}

static wl_err_t whitelist_read(const json_t *value, wl_rollout_t *ret, wl_fault_t *fault) {
    const char *text = json_string_value(value);
    if (text == NULL || strlen(text) != WL_DIGEST_HEX ||
        strspn(text, "0123456789abcdef") != WL_DIGEST_HEX) {
        return bad(fault, "whitelist", "must be the SHA-256 of an uploaded set, 64 hex digits");
    }
    memcpy(ret->whitelist, text, WL_DIGEST_HEX + 1);
    return WL_OK;
}

static wl_err_t count_read(const json_t *value, const char *key, uint64_t max, uint64_t *ret,
                           wl_fault_t *fault) {
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        (uint64_t)json_integer_value(value) > max) {
        return bad(fault, key, "must be a whole number within bounds");
    }
    *ret = (uint64_t)json_integer_value(value);
    return WL_OK;
}

static wl_err_t key_read(const char *key, const json_t *value, wl_rollout_t *ret,
                         wl_fault_t *fault) {
    uint64_t replies = 0;
    wl_err_t err = WL_OK;
    if (strcmp(key, "id") == 0) {
        return count_read(value, key, INT64_MAX, &ret->id, fault);
    }
    if (strcmp(key, "paused") == 0) {
        ret->paused = json_is_true(value);
        return json_is_boolean(value) ? WL_OK : bad(fault, key, "must be true or false");
    }
    if (strcmp(key, "percent") == 0) {
        return percent_read(value, key, &ret->share, fault);
    }
    if (strcmp(key, "whitelist") == 0) {
        return whitelist_read(value, ret, fault);
    }
    if (strcmp(key, "scenes") == 0) {
        return scenes_read(value, ret, fault);
    }
    if (strcmp(key, "app_min") == 0) {
        return app_version_read(value, key, ret->app_min, fault);
    }
    if (strcmp(key, "app_max") == 0) {
        return app_version_read(value, key, ret->app_max, fault);
    }
    if (strcmp(key, "abort_percent") == 0) {
        return percent_read(value, key, &ret->abort_share, fault);
    }
    if (strcmp(key, "abort_replies") == 0) {
        err = count_read(value, key, UINT32_MAX, &replies, fault);
        ret->abort_replies = (uint32_t)replies;
        return err;
    }
    return bad(fault, key, "is not a condition of a rollout");
}

wl_err_t wl_rollout_read(const json_t *object, wl_rollout_t *ret, wl_fault_t *fault) {
    const char *key = NULL;
    json_t *value = NULL;
    *ret = (wl_rollout_t){.share = WL_ROLLOUT_WHOLE};
    if (!json_is_object(object)) {
        return bad(fault, "rollout", "must be an object");
    }
    json_object_foreach((json_t *)object, key, value) {
        wl_err_t err = key_read(key, value, ret, fault);
        if (err != WL_OK) {
            return err;
        }
    }
    if (ret->app_min[0] != '\0' && ret->app_max[0] != '\0' &&
        wl_app_version_compare(ret->app_min, ret->app_max) > 0) {
        return bad(fault, "app_max", "is below app_min");
    }
    return WL_OK;
}
