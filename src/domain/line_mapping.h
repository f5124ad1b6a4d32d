/* line_mapping.h: how the answers of a line of another shape are read: part of its configuration
 * (config.h). Plain data, any thread. docs/CONFIG.md describes every key. */
#ifndef WL_DOMAIN_LINE_MAPPING_H
#define WL_DOMAIN_LINE_MAPPING_H

#include "base/limits.h"

#include <stdbool.h>

/* How a number of a foreign answer becomes minor units. */
typedef enum {
    WL_AMOUNT_MINOR,   /* an integer or a text of digits: minor units already */
    WL_AMOUNT_DECIMAL, /* "12.5" or 12: units; more digits than scale are refused, never rounded */
    WL_AMOUNT_RULE_COUNT
} wl_amount_rule_t;

/* JSON pointers (RFC 6901) into an answer of another shape. "" = not there. */
typedef struct {
    bool used;                  /* false: the standard line contract */
    char path[WL_LINK_MAX + 1]; /* request path, "" = /assets */
    char list[64];              /* pointer to the array of records */
    char uid[64];               /* the rest: pointers inside one record */
    char bucket[64];
    char amount[64];
    char pending[64];
    char count[64];
    char state[64];      /* a text of wl_state_t, or absent = available */
    char expires_at[64]; /* ms since 1970 */
    char changed_at[64];
    char version[64];
    char title[64]; /* display text, kept in extra */
    wl_amount_rule_t amount_rule;
} wl_mapping_t;

/* How a number of a foreign answer becomes ms since 1970. */
typedef enum { WL_TIME_MS, WL_TIME_S, WL_TIME_RULE_COUNT } wl_time_rule_t;

/* JSON pointers into a foreign page of details; list and next from the root, the others from one
 * item. "" = not there. Names of query parameters: "" = the standard one. */
typedef struct {
    bool used;                  /* false: the standard line contract */
    char path[WL_LINK_MAX + 1]; /* request path, "" = /details */
    char list[64];              /* pointer to the array of items */
    char id[64];                /* a text, or an integer */
    char time[64];
    char title[64];
    char amount[64];
    char kind[64];
    char next[64]; /* the next page's cursor, a text or an integer; absent = the last page */
    char query_uid[WL_LINE_ID_MAX + 1];
    char query_month[WL_LINE_ID_MAX + 1];
    char query_cursor[WL_LINE_ID_MAX + 1];
    char query_limit[WL_LINE_ID_MAX + 1];
    wl_amount_rule_t amount_rule;
    wl_time_rule_t time_rule;
} wl_details_mapping_t;

/* The same for sums, from the root. */
typedef struct {
    bool used;                  /* false: the standard line contract */
    char path[WL_LINK_MAX + 1]; /* request path, "" = /summary */
    char in[64];
    char out[64];
    char count[64];
    char query_uid[WL_LINE_ID_MAX + 1];
    char query_month[WL_LINE_ID_MAX + 1];
    wl_amount_rule_t amount_rule;
} wl_summary_mapping_t;

#endif
