/* campaign.h: a line that a page shows for a while. A plain value inside wl_config_t. */
#ifndef WL_DOMAIN_CAMPAIGN_H
#define WL_DOMAIN_CAMPAIGN_H

#include "base/limits.h"

#include <stdint.h>

/* When a campaign gives way: name, name in documents, doc. */
#define WL_UNLESS(U)                                \
    U(SICK, "sick", "the line cannot be asked now") \
    U(EMPTY, "empty", "the user has nothing there")

typedef enum {
#define WL_UNLESS_ENUM(name, text, doc) WL_UNLESS_##name,
    WL_UNLESS(WL_UNLESS_ENUM)
#undef WL_UNLESS_ENUM
        WL_UNLESS_COUNT
} wl_unless_t;

enum {
    WL_CAMPAIGNS_MAX = WL_GOLDEN_SLOTS * WL_GOLDEN_CAMPAIGNS_MAX +
                       WL_SECTIONS_MAX * WL_SECTION_CAMPAIGNS_MAX, /* of one configuration */
};

/* In place of a golden slot's own line, or before the lines of a section. */
typedef struct {
    int64_t start; /* ms since 1970, its first moment; INT64_MIN = it has always been on */
    int64_t end;   /* the first moment after it; INT64_MAX = it does not end */
    char id[WL_LINE_ID_MAX + 1]; /* its own in the document */
    char line[WL_LINE_ID_MAX + 1];
    char title[WL_TITLE_MAX + 1]; /* the line's when the document says none */
    char link[WL_LINK_MAX + 1];
    uint32_t priority;   /* the higher one is shown, or stands further up */
    uint32_t unless;     /* 1 << wl_unless_t: gives way when one of these holds */
    uint32_t line_index; /* into lines */
} wl_campaign_t;

const char *wl_unless_name(wl_unless_t unless); /* "sick"; "?" when out of range */

#endif
