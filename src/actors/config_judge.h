/* config_judge.h: what has to hold for two documents before anything is proposed, said of each
 * line. Pure but for the wall clock, any thread. */
#ifndef WL_ACTORS_CONFIG_JUDGE_H
#define WL_ACTORS_CONFIG_JUDGE_H

#include "actors/config_self.h"

/* As wl_config_judge(), which this is part of; goes on behind a sample that is refused, and appends
 * {"line", "ok", "message"} of every line that has one to `samples`. */
WL_MUST_USE wl_err_t wl_config_judge_each(const wl_document_text_t documents[WL_DOCUMENT_COUNT],
                                          json_t *samples, wl_config_t **ret, wl_fault_t *fault);

#endif
