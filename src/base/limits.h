/* limits.h: every maximum of walletd on one page, with the relations between them checked at
 * compile time. A number here is a promise of docs/PROTOCOL.md; change both together. */
#ifndef WL_BASE_LIMITS_H
#define WL_BASE_LIMITS_H

#include <assert.h>
#include <stdint.h>

enum {
    /* words */
    WL_LINE_ID_MAX = 32,      /* bytes of a line id, [a-z0-9_-] */
    WL_BUCKET_MAX = 16,       /* bytes of a bucket name */
    WL_UNIT_MAX = 12,         /* bytes of a unit, "CNY" */
    WL_SCALE_MAX = 9,         /* decimal digits behind the point */
    WL_EXTRA_BYTES_MAX = 512, /* msgpack map of display fields */
    WL_SLOTS = 4096,          /* logical shards of users, fixed for ever */
    WL_GOLDEN_SLOTS = 4,      /* positions of the personal centre */

    /* configuration */
    WL_LINES_MAX = 64,             /* lines of one configuration */
    WL_SECTIONS_MAX = 16,          /* sections of the home page */
    WL_TITLE_MAX = 96,             /* bytes of a title */
    WL_LINK_MAX = 256,             /* bytes of a link */
    WL_URL_MAX = 512,              /* bytes of an endpoint */
    WL_GOLDEN_CAMPAIGNS_MAX = 8,   /* campaigns of one golden slot */
    WL_SECTION_CAMPAIGNS_MAX = 16, /* campaigns of one section */
    WL_CAMPAIGN_PRIORITY_MAX = 1000,
    WL_DOCUMENT_BYTES_MAX = 102400, /* one runtime configuration document */
    WL_SAMPLE_BYTES_MAX = 16384,    /* a recorded answer of a line in its configuration, compact */

    /* the wire to clients */
    WL_REQUEST_BYTES_MAX = 65536,         /* one request frame */
    WL_CONFIG_REQUEST_BYTES_MAX = 262144, /* one of admin.config.*: it may bring two documents */
    WL_WALK_DEPTH_MAX = 16,               /* nesting of any MessagePack that we read */
    WL_ROUTING_ID_MAX = 255,              /* bytes of a ROUTER identity */
    WL_HAS_UIDS_MAX = 1000,               /* wallet.has_assets */
    WL_CHANGES_MAX = 1000,                /* notify.changed */
    WL_PAYLOAD_ASSETS_MAX = 200,          /* notify.assets */
    WL_MESSAGE_TEXT_MAX = 400,            /* bytes of an error message */

    /* one user */
    WL_USER_ASSETS_MAX = 256, /* live assets of one user; more are refused by the store */

    /* between actors */
    WL_BATCH_ITEMS_MAX = 256,       /* items of one message */
    WL_MESSAGE_BYTES_MAX = 4194304, /* one message between actors */
    WL_MAILBOX_HWM = 10000,         /* messages, on each side of a pipe */
    WL_HINTS_MAX = 4,               /* version hints kept per (uid, line) */

    /* lines */
    WL_LINE_URLS_MAX = 8,                 /* endpoints of one line */
    WL_DETAILS_MAX = 100,                 /* items of one page of details */
    WL_LINE_CURSOR_MAX = 512,             /* bytes of a line's own cursor */
    WL_PULL_UIDS_MAX = 200,               /* users of one pull */
    WL_LINE_RESPONSE_BYTES_MAX = 1048576, /* default cap of one answer */
};

/* A version is a u64 on the wire and a signed 64-bit number in SQL: larger ones are refused. */
#define WL_VERSION_MAX ((uint64_t)INT64_MAX)

static_assert(WL_BATCH_ITEMS_MAX >= WL_PULL_UIDS_MAX, "a pull fits one message");
static_assert(WL_REQUEST_BYTES_MAX < WL_MESSAGE_BYTES_MAX, "a request fits one message");
static_assert((WL_SLOTS & (WL_SLOTS - 1)) == 0, "slots are cut from the top bits of a hash");
static_assert(WL_PAYLOAD_ASSETS_MAX * (WL_EXTRA_BYTES_MAX + 256) < WL_MESSAGE_BYTES_MAX,
              "a payload notification fits one message between actors");

#endif
