/* show.h: replies for people: aligned tables, amounts with their decimals, words for how fresh a
 * value is. Replies come from the wire: what is missing or of another type is shown as "-". */
#ifndef WL_TOOLS_WALLETCTL_SHOW_H
#define WL_TOOLS_WALLETCTL_SHOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* {uid, has_assets, golden, sections, degraded, config_version} */
void ctl_show_home(const json_t *home, bool color, FILE *out);
/* {uid, has_assets, golden}; also the upper part of a home page */
void ctl_show_golden(const json_t *golden, bool color, FILE *out);
/* {uid, assets, degraded?} */
void ctl_show_assets(const json_t *assets, bool color, FILE *out);
/* {actors: [{actor, instance, counters}]}: counters that are not zero */
void ctl_show_stats(const json_t *stats, bool color, FILE *out);
/* Any object: its numbers and texts as a list, lists of objects as tables. */
void ctl_show_any(const json_t *object, unsigned indent, bool color, FILE *out);

#endif
