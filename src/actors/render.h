/* render.h: how an actor turns a user's assets into the answer of a read. Shared by cache and
 * query, which reply to a frontend, and by the frontend, which writes the bodies of absent users.
 * Belongs to the actor's thread; allocates nothing but the growth of its buffer. */
#ifndef WL_ACTORS_RENDER_H
#define WL_ACTORS_RENDER_H

#include "actors/hub.h"
#include "domain/campaign_clock.h"
#include "domain/demand.h"
#include "domain/home.h"
#include "proto/methods.h"

enum {
    WL_REFRESH_HINTS_PER_S = 1000, /* of one actor; more are forgotten: the next look hints again */
    WL_PROBE_MS = 1000, /* how often one actor has a line asked that cannot be asked, to find out */
};

typedef struct {
    msgpack_sbuffer body;      /* owned; the last body */
    int64_t second;            /* monotonic second that `hints` counts */
    uint32_t hints;            /* hints sent within it */
    uint64_t config_number;    /* counts configurations: line indexes of two are not the same */
    wl_campaign_clock_t clock; /* of campaigns */
    /* when each sick line of base and candidate may be asked again, monotonic ms */
    int64_t probe_at[2][WL_LINES_MAX];
} wl_render_t;

void wl_render_open(wl_render_t *self);
void wl_render_close(wl_render_t *self); /* accepts one that was never opened, all zero */

/* To be called from the actor's `configured` handler. */
void wl_render_configured(wl_render_t *self);

/* To be called from the actor's `tick` handler: looks at the clocks for campaigns. */
void wl_render_tick(wl_render_t *self);

/* The moment for campaigns; costs nothing without any, and is then 0. */
wl_wall_ms_t wl_render_campaign_now(wl_render_t *self, const wl_config_t *config,
                                    wl_wall_ms_t wall);

/* Can this method be answered from a user's assets? */
bool wl_render_method(wl_method_t method);

/* The result of `method` for what the view shows, borrowed until the next call. view->config must
 * not be NULL and wl_render_method(method) must hold. */
wl_bytes_t wl_render_body(wl_render_t *self, wl_method_t method, const wl_home_view_t *view);

/* What a read shows, by its method; wl_render_method() must hold. */
wl_shows_t wl_render_shows(wl_method_t method);

/* The view of a read of these assets, now, without anything asked. It borrows the read, the assets
 * and wl_hub_config() of its rollout, which must not be NULL. */
wl_home_view_t wl_render_view(wl_render_t *self, const wl_hub_t *hub, const wl_read_item_t *read,
                              const wl_asset_t *assets, uint32_t asset_count, wl_source_t source);

/* Answers the read with what the view shows, and has the lines asked whose copies are old: by a
 * REFRESH to the dispatcher, a live line by a LIVE whose answer nobody waits for (ticket 0). */
void wl_render_send(wl_render_t *self, wl_hub_t *hub, uint32_t frontend, const wl_read_item_t *read,
                    const wl_home_view_t *view);

/* Must lines be asked before the read is answered from these assets? Costs next to nothing where no
 * line is live or must be revalidated and the read wants no version. */
bool wl_render_asks(wl_render_t *self, const wl_hub_t *hub, const wl_read_item_t *read,
                    const wl_asset_t *assets, uint32_t asset_count);

/* Answers one read to its frontend from `assets` as they are, and tells the dispatcher which copies
 * are old. A method that cannot be rendered is counted as malformed and dropped. Without a
 * configuration the answer is WL_ERR_UNAVAILABLE. */
void wl_render_reply(wl_render_t *self, wl_hub_t *hub, uint32_t frontend,
                     const wl_read_item_t *read, const wl_asset_t *assets, uint32_t asset_count,
                     wl_source_t source);

/* Answers with an error; text NULL = the error's own. */
void wl_render_error(wl_hub_t *hub, uint32_t frontend, const wl_read_item_t *read, wl_err_t err,
                     const char *text, uint32_t retry_after_ms);

/* REPLY to frontend: the encoder, begun. */
wl_encoder_t *wl_render_to(wl_hub_t *hub, uint32_t frontend);

#endif
