/* config_nodes.h: the processes that share a configuration's store, as they tell of themselves in
 * its notes nodes/<server.name>: what they work with, and what they think of a proposed change.
 * Part of the config actor, on its thread; blocks on the store. */
#ifndef WL_ACTORS_CONFIG_NODES_H
#define WL_ACTORS_CONFIG_NODES_H

#include "base/clock.h"
#include "domain/config_state.h"
#include "store/config_log.h"

enum { WL_VERDICT_MAX = 400 };

/* What a process says of a proposal: its hash, and why not. */
typedef struct {
    char digest[WL_DIGEST_HEX + 1]; /* "" = it has judged none */
    bool accepted;
    char why[WL_VERDICT_MAX + 1]; /* of a refusal: place and reason */
} wl_config_verdict_t;

/* What a process tells of itself. Texts are borrowed. */
typedef struct {
    uint64_t seq; /* of what its actors work with */
    const char *version;
    const char *source;
    const char *problem; /* a newer change cannot be used here; "" */
    const wl_config_verdict_t *verdict;
} wl_config_node_t;

typedef struct wl_config_nodes wl_config_nodes_t;

/* name: server.name. */
wl_config_nodes_t *wl_config_nodes_new(const char *name);
void wl_config_nodes_destroy(wl_config_nodes_t **self);

/* Writes what is told when it has changed, and once in WL_NODE_BEAT_MS. */
enum { WL_NODE_BEAT_MS = 1000, WL_NODE_GONE_MS = 4000 };
WL_MUST_USE wl_err_t wl_config_nodes_tell(wl_config_nodes_t *self, wl_config_log_t *log,
                                          const wl_config_node_t *node);
/* On the way out: nobody waits for this process any more. */
void wl_config_nodes_leave(wl_config_nodes_t *self, wl_config_log_t *log);

/* Every process that is there, in order of names: [{"node", "host", "pid", "seq", "version",
 * "source", "problem", "at"}]. One is gone that has not told anything for WL_NODE_GONE_MS, or that
 * ran on this host and does no longer. Caller owns *ret. */
WL_MUST_USE wl_err_t wl_config_nodes_list(wl_config_nodes_t *self, wl_config_log_t *log,
                                          json_t **ret);

/* How the others have judged a proposal. */
typedef struct {
    uint32_t others;   /* that are there */
    uint32_t accepted; /* of them */
    char waiting[80];  /* one that has not judged it, "" = none */
    char refused[80];  /* one that refuses it, "" = none */
    char why[WL_VERDICT_MAX + 1];
} wl_config_votes_t;
WL_MUST_USE wl_err_t wl_config_nodes_votes(wl_config_nodes_t *self, wl_config_log_t *log,
                                           const char *digest, wl_config_votes_t *ret);

#endif
