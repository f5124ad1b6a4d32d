/* demand.h: which lines have to be asked for a read of a user's wallet: before it is answered, or
 * behind it. Pure, any thread; allocates nothing.
 *
 * Before: the line of wallet.balance; on the page (never for wallet.golden) a line whose newest
 * version is below the floor of the read; a live line without a record, with one that is older than
 * fresh_ms and swr_ms, or whose last pull failed; a line that must be revalidated with a record
 * that is not fresh. Never a link, a line that cannot be asked, or one without its consent. */
#ifndef WL_DOMAIN_DEMAND_H
#define WL_DOMAIN_DEMAND_H

#include "domain/home_view.h"

typedef struct {
    uint32_t count;
    uint8_t lines[WL_LINES_MAX]; /* indexes into config->lines, ascending */
} wl_demand_t;

/* Can it be that lines have to be asked first? A cheap look at what is the same for all users. */
static inline bool wl_demand_possible(const wl_config_t *config, wl_shows_t shows,
                                      size_t floors_bytes) {
    return shows == WL_SHOWS_BALANCE ||
           (shows != WL_SHOWS_GOLDEN && (config->asks || floors_bytes > 0));
}

/* The same of a user of whom nothing is stored, as presence says. */
static inline bool wl_demand_possible_absent(const wl_config_t *config, wl_shows_t shows,
                                             size_t floors_bytes) {
    return shows == WL_SHOWS_BALANCE || (shows == WL_SHOWS_HOME && config->live_home) ||
           (shows == WL_SHOWS_ASSETS && (config->live || config->consents)) ||
           (shows != WL_SHOWS_GOLDEN && floors_bytes > 0);
}

/* The lines to be asked before the answer; those that view->asked says were asked are left out. */
void wl_demand_first(const wl_home_view_t *view, wl_demand_t *ret);

/* Calls back for each line whose copy is older than its fresh_ms (design section 6, rule 8), at
 * most once a line; live lines only when they are on the page. A copy with a change on its way is
 * told, too: its pull then jumps the queue. Failing and sick lines, and those that were asked for
 * this answer, are left out: they are tried again in their time. Of sick ones those are told all
 * the same that only reads ask: nobody else would find out that they are well again. */
void wl_demand_each_behind(const wl_home_view_t *view,
                           void (*tell)(const wl_line_t *line, void *arg), void *arg);

#endif
