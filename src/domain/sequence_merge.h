/* sequence_merge.h: lists of names of which none is there twice, changed by two people. Pure, any
 * thread. Arguments are JSON arrays of distinct texts, borrowed. */
#ifndef WL_DOMAIN_SEQUENCE_MERGE_H
#define WL_DOMAIN_SEQUENCE_MERGE_H

#include <jansson.h>
#include <stdbool.h>

/* Do names that are in both stand in another order? */
bool wl_sequence_moved(const json_t *base, const json_t *changed);

/* Both changes together: what one added or removed happens in the other's order. A name that is new
 * stands behind the one before it. false: both moved names, and what both still have does
 * not stand in one order; *ret is not written. The caller owns *ret. */
bool wl_sequence_merge(const json_t *base, const json_t *mine, const json_t *theirs, json_t **ret);

#endif
