/* home_view.h: what a read of one user's wallet is answered from, and what follows from it for each
 * line: may it be shown, how old is it, is it behind what was asked for. Pure, any thread;
 * allocates nothing. home.c writes answers from it, demand.c says which lines have to be asked. */
#ifndef WL_DOMAIN_HOME_VIEW_H
#define WL_DOMAIN_HOME_VIEW_H

#include "base/clock.h"
#include "domain/config.h"
#include "domain/marks.h"

/* Where the assets came from, said in every asset. */
typedef enum { WL_SOURCE_CACHE, WL_SOURCE_DB, WL_SOURCE_LINE, WL_SOURCE_LAST_GOOD } wl_source_t;

/* name on the wire, doc */
#define WL_FRESHNESS(F)                                                      \
    F(FRESH, "fresh", "no newer value is known of")                          \
    F(STALE, "stale", "the line cannot be asked, or did not answer in time") \
    F(REFRESHING, "refreshing", "a newer value is on its way")               \
    F(UNAUTHORIZED, "unauthorized", "the user has not consented")            \
    F(MISSING, "missing", "nothing is known: not a zero")

typedef enum {
#define WL_FRESHNESS_ENUM(name, text, doc) WL_FRESHNESS_##name,
    WL_FRESHNESS(WL_FRESHNESS_ENUM)
#undef WL_FRESHNESS_ENUM
        WL_FRESHNESS_COUNT
} wl_freshness_t;

/* Which lines an answer is about: those of golden slots and sections, of golden slots alone, of the
 * filter, or the one of the filter, which is asked in any case. */
typedef enum { WL_SHOWS_HOME, WL_SHOWS_GOLDEN, WL_SHOWS_ASSETS, WL_SHOWS_BALANCE } wl_shows_t;

/* What asking a line for this very answer came to. */
typedef enum {
    WL_ASKED_NOT,     /* it was not asked: the copy has to do */
    WL_ASKED_OK,      /* it answered: what it said is marked in `answered` */
    WL_ASKED_NOTHING, /* it answered that it has nothing of the user, now or a moment ago */
    WL_ASKED_FAILED,  /* it failed, did not answer in time, or could not be asked */
    WL_ASKED_BARRED,  /* the user's consent is missing or was withdrawn meanwhile */
} wl_asked_t;

/* Optional parts are NULL or 0 when they are not there. */
typedef struct {
    const wl_config_t *config;
    const bool *sick;         /* [config->line_count]: the line cannot be asked; may be NULL */
    const wl_asset_t *assets; /* all of the user's, any order, tombstones and consents allowed */
    uint32_t asset_count;
    wl_shows_t shows;
    uint64_t uid;
    wl_wall_ms_t now;          /* for age and expiry */
    wl_wall_ms_t campaign_now; /* for campaigns (domain/campaign_clock.h) */
    wl_source_t source;
    const void *marks; /* wl_marks_text() of the user, may be NULL */
    size_t marks_bytes;
    const char *filter; /* "cash,coin," line ids to show in wallet.assets; NULL or empty = all */
    size_t filter_bytes;
    const void *floors; /* versions to reach (domain/floors.h), may be NULL */
    size_t floors_bytes;
    const uint8_t *asked;      /* [config->line_count] of wl_asked_t; NULL: no line was asked */
    const bool *answered;      /* [asset_count]: the line said so for this answer; NULL: none did */
    bool candidate;            /* config is the candidate of a rollout: the answer says so */
    const wl_config_t *unseen; /* a candidate that this user is not shown; may be NULL: lines that
                                  only it has are pulled for all users, and are not there for this
                                  one */
} wl_home_view_t;

/* What holds for each line of the configuration. */
typedef struct {
    const wl_home_view_t *view;
    uint8_t marks[WL_LINES_MAX]; /* wl_mark_state_t */
    bool barred[WL_LINES_MAX];   /* its consent is missing: nothing of it may be shown or asked */
    bool below[WL_LINES_MAX];    /* its newest version is below the floor of the read */
    bool plain[WL_LINES_MAX];    /* none of it, and it is well: only the age of a record counts */
} wl_home_facts_t;

/* A record of a line that the configuration does not have: is it of one that this user is not to
 * see yet? */
static inline bool wl_home_unseen(const wl_home_view_t *view, const wl_asset_t *asset) {
    return view->unseen != NULL && wl_config_line_index(view->unseen, asset->line) >= 0;
}

/* wl_asset_is_consent() for those who look at every asset of every read. */
static inline bool wl_home_consent(const wl_asset_t *asset) {
    return asset->bucket[0] == WL_BUCKET_CONSENT[0] && wl_asset_is_consent(asset);
}

/* Borrows the view. */
void wl_home_facts(wl_home_facts_t *self, const wl_home_view_t *view);

wl_asked_t wl_home_asked(const wl_home_view_t *view, uint32_t line);
bool wl_home_sick(const wl_home_view_t *view, uint32_t line);
/* Is the line among those of the filter? */
bool wl_home_listed(const wl_home_view_t *view, const char *line_id);
/* Has the user consented to this line at view->now, or need not? Looks through all assets. */
bool wl_home_consented(const wl_home_view_t *view, uint32_t line);

/* Is a copy of this time older than the line's fresh_ms and `more` ms? Sync lines with fresh_ms 0
 * never get old, live ones are old at once. A copy without a plausible time is old. */
static inline bool wl_home_older(const wl_line_t *line, int64_t pulled_at, uint64_t more,
                                 wl_wall_ms_t now) {
    int64_t age = 0;
    uint64_t limit = 0;
    if (line->mode == WL_MODE_LINK || (line->mode == WL_MODE_SYNC && line->fresh_ms == 0)) {
        return false;
    }
    if (__builtin_sub_overflow(now.ms, pulled_at, &age)) {
        return true;
    }
    if (__builtin_add_overflow(line->fresh_ms, more, &limit)) {
        return false;
    }
    return limit == 0 ? age >= 0 : age > 0 && (uint64_t)age > limit;
}

/* How a record is to be shown. */
typedef struct {
    wl_freshness_t freshness;
    wl_source_t source;
    bool known;     /* amount and pending are shown; else they are nil */
    bool last_good; /* the amount is shown as last_good */
} wl_home_shown_t;

/* Of a record pulled at that time; answered: the line said it for this answer. */
wl_home_shown_t wl_home_shown(const wl_home_facts_t *self, uint32_t line, int64_t pulled_at,
                              bool answered);
/* The same, quick where nothing is special: nearly always. */
static inline wl_home_shown_t wl_home_shown_fast(const wl_home_facts_t *self, uint32_t line,
                                                 int64_t pulled_at, bool answered) {
    const wl_home_view_t *view = self->view;
    if (self->plain[line] && !answered &&
        !wl_home_older(&view->config->lines[line], pulled_at, 0, view->now)) {
        return (wl_home_shown_t){WL_FRESHNESS_FRESH, view->source, true, false};
    }
    return wl_home_shown(self, line, pulled_at, answered);
}
/* Of a line without a record. */
wl_home_shown_t wl_home_shown_nothing(const wl_home_facts_t *self, uint32_t line);
/* The line is to be named in `degraded`, whatever is shown of it. */
bool wl_home_degraded(const wl_home_facts_t *self, uint32_t line);

#endif
