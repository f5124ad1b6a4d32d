/* config_publish.h: makes one change live. The change is written as a record and compiled here;
 * then it is proposed to every process that shares the store, and each compiles it too and says
 * so in its note; only when all have accepted it, within config.ready_ms, is the record appended,
 * which is the moment at which it is published. Nothing is half done when anybody is killed:
 * before the append nothing has happened, after it everything has.
 * Part of the config actor, on its thread. */
#ifndef WL_ACTORS_CONFIG_PUBLISH_H
#define WL_ACTORS_CONFIG_PUBLISH_H

#include "actors/config_self.h"

/* Begins. WL_OK with *ret: done (nobody else shares the store, or dry_run), {seq, version, changes:
 * [{document, path, before, after}], rollout}; WL_OK with NULL: the asker is answered later.
 * WL_ERR_CONFLICT, WL_ERR_BAD_REQUEST, WL_ERR_BUSY (another one is on its way here),
 * WL_ERR_UNAVAILABLE: nothing has happened; when others refuse the very first change later, then
 * documents of the directory stay published as change 1. wish->base etc.:
 * wl_config_change_make(). */
WL_MUST_USE wl_err_t wl_config_publish(wl_config_actor_t *self, const wl_config_wish_t *wish,
                                       bool dry_run, wl_config_asker_t asker, json_t **ret,
                                       wl_fault_t *fault);
/* Goes on with what is on its way: to be called when somebody nudged, and now and then. */
void wl_config_publish_go_on(wl_config_actor_t *self);
/* Judges what others propose, and tells them. */
void wl_config_publish_judge(wl_config_actor_t *self);
void wl_config_publishing_destroy(wl_config_publishing_t **self);

#endif
