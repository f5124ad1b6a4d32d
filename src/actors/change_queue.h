/* change_queue.h: opens the durable queue that the settings name: a file in the data folder, or
 * Redis. Part of the intake and the dispatcher; logs what the store warns of. */
#ifndef WL_ACTORS_CHANGE_QUEUE_H
#define WL_ACTORS_CHANGE_QUEUE_H

#include "base/settings.h"
#include "store/queue.h"

/* actor: who logs. partition: of use WL_QUEUE_SETTLE; see wl_queue_open() for the rest. */
WL_MUST_USE wl_err_t wl_change_queue_open(const wl_settings_t *settings, const char *actor,
                                          wl_queue_use_t use, uint32_t partition, wl_queue_t **ret,
                                          wl_fault_t *fault);

#endif
