/* config_self.h: the state of the config actor, shared by the files that make it up: config.c (its
 * loop), config_live.c (what is handed out), config_publish.c (making a change live),
 * config_trial.c (how a candidate fares), config_steer.c (requests that change), config_status.c
 * and others (requests that look). */
#ifndef WL_ACTORS_CONFIG_SELF_H
#define WL_ACTORS_CONFIG_SELF_H

#include "actors/config_nodes.h"
#include "actors/config_sources.h"
#include "actors/hub.h"
#include "domain/config.h"
#include "proto/unpacker.h"

#include <jansson.h>

/* A document as text. */
typedef struct {
    char *text; /* owned, NUL-terminated, NULL = there is none */
    size_t bytes;
} wl_document_text_t;

/* What the actors of this process work with. Immutable once made. */
typedef struct {
    uint64_t seq; /* of the change, 0 = documents of the directory */
    wl_config_source_t source;
    wl_rollout_t rollout;                            /* id 0 = none */
    wl_document_text_t base[WL_DOCUMENT_COUNT];      /* always there */
    wl_document_text_t candidate[WL_DOCUMENT_COUNT]; /* of the rollout */
    wl_document_text_t both;       /* integration for writers; none: base[0] is it */
    wl_config_t *config;           /* owned: of base */
    wl_config_t *candidate_config; /* owned, NULL = no rollout */
    wl_config_t *both_config; /* owned, NULL = no rollout: of `both` with base's presentation */
} wl_config_live_t;

typedef struct wl_config_publishing wl_config_publishing_t;
typedef struct wl_config_trial wl_config_trial_t;

/* Who waits for an answer. */
typedef struct {
    uint32_t intake; /* instance */
    uint64_t ticket; /* 0 = nobody */
} wl_config_asker_t;

typedef struct {
    wl_hub_t hub;
    wl_config_sources_t *sources;       /* owned */
    wl_config_nodes_t *nodes;           /* owned */
    wl_config_live_t *live;             /* owned: what was handed out last */
    wl_config_live_t *below;            /* owned: what an emergency file stands before, or NULL */
    int64_t emergency_until;            /* wall ms, 0 = there is none */
    int64_t emergency_seen;             /* ns: when its file was written */
    uint64_t tried;                     /* the change that was read last, live or not;
                                           0: read it again, something of it was not at hand */
    char problem[1600];                 /* why the newest change is not what is live, "" */
    bool lost;                          /* wl_config_sources_lost() when it was told last */
    wl_config_verdict_t verdict;        /* of the newest proposal */
    wl_config_publishing_t *publishing; /* owned, NULL = nothing is on its way */
    wl_config_trial_t *trial;           /* owned */
    wl_unpacker_t *unpacker;            /* owned: of requests */
    msgpack_sbuffer body;               /* of answers, reused */
    bool watched;                       /* the loop listens to nudges */
} wl_config_actor_t;

/* Answers an operator: result (stolen) when err is WL_OK, else the fault. */
void wl_config_answer(wl_config_actor_t *self, wl_config_asker_t asker, wl_err_t err,
                      json_t *result, const wl_fault_t *fault);
/* Looks at every log, judges a proposal, hands out what is new. */
void wl_config_look(wl_config_actor_t *self);
/* Each config.poll_ms: looks, also at the emergency file, goes on with a change that is on its way
 * and with the trial. */
void wl_config_poll(wl_config_actor_t *self);

/* One request that changes: as a view, but *ret NULL with WL_OK means that the answer comes later,
 * when every process has judged the change (config_publish.c). */
typedef wl_err_t(wl_config_steer_fn)(wl_config_actor_t *self, const msgpack_object *args,
                                     const char *user, wl_config_asker_t asker, json_t **ret,
                                     wl_fault_t *fault);
wl_config_steer_fn wl_config_steer_put;      /* config_steer.c */
wl_config_steer_fn wl_config_steer_rollout;  /* config_steer.c */
wl_config_steer_fn wl_config_steer_rollback; /* config_steer.c */
wl_config_steer_fn wl_config_steer_steer;    /* config_steer.c */

/* One request that looks: writes *ret (owned by the caller) or returns an error with a message for
 * the operator that names the place and the fix. `user`: User-Id of who asks, "" without CURVE. */
typedef wl_err_t(wl_config_view_fn)(wl_config_actor_t *self, const msgpack_object *args,
                                    const char *user, json_t **ret, wl_fault_t *fault);
wl_config_view_fn wl_config_view_status;    /* config_status.c */
wl_config_view_fn wl_config_view_get;       /* config_views.c */
wl_config_view_fn wl_config_view_validate;  /* config_views.c */
wl_config_view_fn wl_config_view_diff;      /* config_views.c */
wl_config_view_fn wl_config_view_schema;    /* config_views.c */
wl_config_view_fn wl_config_view_history;   /* config_history.c */
wl_config_view_fn wl_config_view_effective; /* config_effective.c */
wl_config_view_fn wl_config_view_draft;     /* config_drafts.c */
wl_config_view_fn wl_config_view_upload;    /* config_upload.c */

/* Tells the trail which variant users are shown, as far as uids say (config_effective.c). */
void wl_config_tell_shown(wl_config_actor_t *self, const wl_msg_t *msg);

/* Both documents, compiled alone and with each other, their samples judged: what has to hold before
 * anything is proposed. WL_ERR_BAD_REQUEST or WL_ERR_TOO_BIG with fault->where, line, column. The
 * caller owns *ret. */
WL_MUST_USE wl_err_t wl_config_judge(const wl_document_text_t documents[WL_DOCUMENT_COUNT],
                                     wl_config_t **ret, wl_fault_t *fault);

#endif
