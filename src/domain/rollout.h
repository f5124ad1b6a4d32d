/* rollout.h: who sees the candidate of a rollout. Its conditions are combined with AND: a set of
 * users, a share of users, scenes, a range of app versions. Pure and sticky: the same user, scene,
 * app version and rollout always give the same answer, and a larger share keeps everybody of the
 * smaller one. A plain struct, any thread; decided once for each request, by the frontend. */
#ifndef WL_DOMAIN_ROLLOUT_H
#define WL_DOMAIN_ROLLOUT_H

#include "base/err.h"
#include "domain/uid_set.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WL_ROLLOUT_WHOLE = 10000, /* share of all users, in hundredths of a percent */
    WL_ROLLOUT_SCENES_MAX = 8,
    WL_SCENE_MAX = 32,       /* bytes */
    WL_APP_VERSION_MAX = 32, /* bytes */
    WL_DIGEST_HEX = 64,      /* SHA-256 */
};

typedef struct {
    uint64_t id;    /* seq of the change that began it, salt of the share; 0 = there is none */
    bool paused;    /* everybody sees the base */
    uint32_t share; /* of users, 0 .. WL_ROLLOUT_WHOLE */
    char whitelist[WL_DIGEST_HEX + 1]; /* SHA-256 of the set of users in hex, "" = any user */
    uint32_t scene_count;              /* 0 = any scene */
    char scenes[WL_ROLLOUT_SCENES_MAX][WL_SCENE_MAX + 1];
    char app_min[WL_APP_VERSION_MAX + 1]; /* inclusive, "" = any */
    char app_max[WL_APP_VERSION_MAX + 1]; /* inclusive, "" = any */
    uint32_t abort_share; /* errors of the candidate beyond the base's that abort it, hundredths of
                               a percent of its replies, 0 = never */
    uint32_t abort_replies; /* but not before so many replies of the candidate */
} wl_rollout_t;

/* The conditions, in the order in which they are looked at. */
#define WL_ROLLOUT_RULES(R)                                     \
    R(RUNNING, "running", "the rollout is not paused")          \
    R(SCENE, "scene", "the request's scene is one of these")    \
    R(APP, "app_version", "the app's version is in this range") \
    R(SHARE, "percent", "the user is in this share")            \
    R(WHITELIST, "whitelist", "the user is in this set")

typedef enum {
#define WL_ROLLOUT_RULE_ENUM(name, text, doc) WL_ROLLOUT_##name,
    WL_ROLLOUT_RULES(WL_ROLLOUT_RULE_ENUM)
#undef WL_ROLLOUT_RULE_ENUM
        WL_ROLLOUT_RULE_COUNT
} wl_rollout_rule_t;

/* What is known about a request. */
typedef struct {
    uint64_t uid;
    const char *scene;       /* "" = not said: fails a rollout that names scenes */
    const char *app_version; /* "" likewise */
} wl_rollout_asker_t;

const char *wl_rollout_rule_name(wl_rollout_rule_t rule);
/* Does one condition hold? One that the rollout does not set holds. whitelist: the set that the
 * rollout names; NULL (it is not at hand): nobody is in it. */
bool wl_rollout_holds(const wl_rollout_t *self, wl_rollout_rule_t rule,
                      const wl_uid_set_t *whitelist, const wl_rollout_asker_t *asker);
/* All of them; false when there is no rollout. About 0.1 us. */
bool wl_rollout_takes(const wl_rollout_t *self, const wl_uid_set_t *whitelist,
                      const wl_rollout_asker_t *asker);

/* Where the user stands, 0 .. WL_ROLLOUT_WHOLE - 1: in a share greater than that. */
uint32_t wl_rollout_place(uint64_t id, uint64_t uid);
/* "13.4.0" against "13.10": numbers between dots, missing ones are 0; < 0, 0, > 0. */
int wl_app_version_compare(const char *left, const char *right);
/* One to four numbers of up to nine digits, between dots. */
bool wl_app_version_valid(const char *text);

/* The trial of a candidate: has it failed? Both counts are of replies and errors of one process,
 * over the same time. */
bool wl_rollout_failed(const wl_rollout_t *self, uint64_t base, uint64_t base_errors,
                       uint64_t candidate, uint64_t candidate_errors);

/* {"id", "paused", "percent": 12.5, "whitelist", "scenes", "app_min", "app_max", "abort_percent",
 * "abort_replies"}; what is not set is left out. The caller owns the result. */
json_t *wl_rollout_write(const wl_rollout_t *self);
/* WL_ERR_BAD_REQUEST: a key that is unknown or out of its bounds; fault->where names it. */
WL_MUST_USE wl_err_t wl_rollout_read(const json_t *object, wl_rollout_t *ret, wl_fault_t *fault);

#endif
