/* config_source.h: one place where changes of the configuration are kept, with what is known of it:
 * how far it goes, whether it tells the same story as we know, when to ask it again. Used by
 * config_sources.c and config_sources_blobs.c only, on the config actor's thread. */
#ifndef WL_ACTORS_CONFIG_SOURCE_H
#define WL_ACTORS_CONFIG_SOURCE_H

#include "actors/config_sources.h"

typedef struct {
    wl_config_log_t *log; /* owned by wl_config_sources_t */
    wl_config_source_t role;
    uint64_t last;      /* its newest record when it was looked at last */
    uint64_t agreed;    /* its record of this number is ours, 0 = not compared */
    uint64_t walked;    /* records up to here were read lately, to see that they are well */
    uint64_t junk;      /* its newest record, of this number, is none of a change; 0 = it is one */
    bool damaged;       /* a record is missing or cut off */
    bool strange;       /* tells another story: neither believed nor written */
    uint32_t away_ms;   /* how long it is left alone, 0 = it answers */
    int64_t away_until; /* monotonic ms */
    int64_t look_at;    /* monotonic ms: not asked before */
    int64_t walk_at;    /* likewise: not read before */
    char blob[WL_DIGEST_HEX + 1]; /* it has this set of users */
    char problem[400];            /* for people, "" = none */
} wl_config_place_t;

/* All of them. */
enum { WL_CONFIG_LOGS_MAX = 4 }; /* the store, two mirrors, the snapshot */
struct wl_config_sources {
    wl_config_place_t at[WL_CONFIG_LOGS_MAX]; /* in the order in which they are believed */
    uint32_t count;
    bool behind;
    int64_t healed_at; /* monotonic ms: the store was behind, 0 = never */
    wl_config_state_t state;
    char digest[WL_DIGEST_HEX + 1];
    wl_config_source_t source;
};

/* The set of users that is needed now is brought to that place (config_sources_blobs.c). */
void wl_config_sources_carry_blob(wl_config_sources_t *self, wl_config_place_t *place);

/* Asks for its newest record, unless it is left alone. */
void wl_config_place_look(wl_config_place_t *self);
/* Once in two seconds: its records are to be read again. */
bool wl_config_place_walk_due(wl_config_place_t *self);
/* It answered when it was asked last. */
bool wl_config_place_near(const wl_config_place_t *self);
/* Its record `seq` has this hash: then agreed = seq. Else it failed, or is strange. */
bool wl_config_place_agrees(wl_config_place_t *self, uint64_t seq, const char *digest);

/* A call failed: damaged, or left alone for 500 ms, doubled up to 5 s. */
void wl_config_place_failed(wl_config_place_t *self, wl_err_t err);
/* Its newest record is no record of a change. */
void wl_config_place_junk(wl_config_place_t *self);
/* It is well, as far as can be seen. */
void wl_config_place_well(wl_config_place_t *self);
void wl_config_place_strange(wl_config_place_t *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
