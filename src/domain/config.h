/* config.h: the runtime configuration, compiled from two JSON documents into an immutable value
 * (design section 9). Pure: no files, no clock. Each actor compiles its own copy from the bytes of
 * a CONFIG message and reads it without locks. docs/CONFIG.md describes every key. */
#ifndef WL_DOMAIN_CONFIG_H
#define WL_DOMAIN_CONFIG_H

#include "base/asset.h"
#include "base/err.h"
#include "domain/campaign.h"
#include "domain/line_mapping.h"

typedef enum { WL_MODE_SYNC, WL_MODE_LIVE, WL_MODE_LINK, WL_MODE_COUNT } wl_mode_t;
typedef enum { WL_ADAPTER_HTTP, WL_ADAPTER_ZMQ, WL_ADAPTER_NONE, WL_ADAPTER_COUNT } wl_adapter_t;

/* Whose calls go first when several lines wait for the same puller. */
typedef enum {
    WL_PRIORITY_HIGH,
    WL_PRIORITY_NORMAL,
    WL_PRIORITY_LOW,
    WL_PRIORITY_COUNT
} wl_priority_t;

/* Bounds that a line's data must keep; beyond them it is quarantined (design section 6, rule 7). */
typedef struct {
    int64_t amount_min;         /* default 0 */
    int64_t amount_max;         /* default INT64_MAX */
    int64_t jump_max;           /* largest change from one version to the next, 0 = any */
    uint64_t version_ahead_max; /* largest step of a version, 0 = any */
} wl_sanity_t;

typedef struct {
    char id[WL_LINE_ID_MAX + 1];
    char title[WL_TITLE_MAX + 1];
    char url[WL_URL_MAX + 1]; /* http(s)://host:port/prefix, tcp://host:port; a link's target */
    char secret[WL_LINE_ID_MAX + 1]; /* name of the signing key in secrets_dir, "" = unsigned */
    char unit[WL_UNIT_MAX + 1];      /* the only unit this line may send; "" = pieces only */
    wl_kind_t kind;
    wl_mode_t mode;
    wl_adapter_t adapter;
    uint8_t scale;
    bool versions;          /* given by the line; false: made at the pull's start */
    uint32_t batch_max;     /* users of one call, 1..WL_PULL_UIDS_MAX */
    uint32_t batch_wait_ms; /* how long a call waits to fill up */
    uint32_t timeout_ms;    /* of one call */
    uint32_t concurrency;   /* calls at once */
    uint32_t rate;          /* calls a second, 0 = no limit */
    uint32_t burst;         /* calls at once after a quiet time */
    uint32_t response_bytes_max;
    uint32_t attempts_max;  /* pulls of one (user, line) before it becomes a dead letter */
    uint32_t retry_base_ms; /* first back-off, doubled each time */
    uint32_t retry_max_ms;
    uint64_t fresh_ms;    /* an older copy is pulled when its user looks, 0 = never */
    uint64_t swr_ms;      /* live: up to so much older is shown at once and asked for meanwhile */
    uint64_t sie_ms;      /* when the line fails, a copy older than fresh_ms by more than this is
                        `missing`; 0 = any copy is shown, as stale */
    bool must_revalidate; /* a copy that is not fresh is no amount: it is only named as last good */
    bool consent;         /* nothing is asked, kept or shown without the user's consent */
    bool details;         /* the line answers /details */
    bool summary;         /* the line answers /summary */
    uint32_t details_fresh_ms; /* how long a first page is kept */
    uint32_t summary_fresh_ms; /* how long the sums of the current month are kept */
    wl_priority_t priority;
    uint64_t quota;     /* calls a day (UTC), 0 = no limit */
    bool adaptive;      /* fewer calls at once while the line is slow or fails */
    uint32_t hedge_ms;  /* a second call when the first takes longer, 0 = never */
    uint32_t url_count; /* 1 ..: url is urls[0] */
    char urls[WL_LINE_URLS_MAX][WL_URL_MAX + 1];
    uint32_t breaker_failures; /* failures in a row that open the breaker */
    uint32_t breaker_open_ms;  /* how long it stays open before a probe */
    wl_sanity_t sanity;
    wl_mapping_t mapping;
    wl_details_mapping_t details_mapping;
    wl_summary_mapping_t summary_mapping;
    uint32_t sample_at;    /* into samples of the configuration */
    uint32_t sample_bytes; /* 0 = there is none */
} wl_line_t;

typedef struct {
    bool used; /* false: an empty position */
    char line[WL_LINE_ID_MAX + 1];
    char title[WL_TITLE_MAX + 1];
    char link[WL_LINK_MAX + 1];
    uint32_t line_index;     /* into lines */
    uint32_t campaign_first; /* into campaigns: the highest priority first */
    uint32_t campaign_count;
} wl_golden_slot_t;

typedef struct {
    wl_kind_t kind;
    char title[WL_TITLE_MAX + 1];
    uint32_t line_count;
    uint32_t campaign_first; /* into campaigns: the highest priority first */
    uint32_t campaign_count;
    uint32_t line_indexes[WL_LINES_MAX];
} wl_section_t;

typedef struct {
    char version[48]; /* "3.7": integration.presentation */
    uint32_t line_count;
    uint32_t section_count;
    uint32_t campaign_count; /* 0: nothing of a page depends on the time of day */
    bool asks;      /* a line is live or must be revalidated: some reads have to ask first */
    bool live;      /* a line is live */
    bool live_home; /* a live line is in a section, or may be there by a campaign */
    bool consents;  /* a line needs consent */
    uint8_t buckets[WL_LINES_MAX * 2]; /* hash of a line id -> index + 1, 0 = empty */
    wl_line_t lines[WL_LINES_MAX];
    wl_golden_slot_t golden[WL_GOLDEN_SLOTS];
    wl_section_t sections[WL_SECTIONS_MAX];
    wl_campaign_t campaigns[WL_CAMPAIGNS_MAX]; /* those of a slot or section stand together */
    uint32_t samples_bytes;
    char *samples; /* owned: recorded answers as compact JSON, one behind the other */
} wl_config_t;

/* Validates both documents and compiles them. Refused: not JSON, unknown keys (the nearest known
 * one is named), wrong types, values out of bounds, duplicate keys, two golden slots of one line, a
 * golden slot or section naming a missing line, golden slots of lines that are not sync, a line in
 * two sections or in one of another kind, a campaign that breaks one of these rules, has another
 * one's id or does not end after its start. WL_ERR_SETTINGS, or WL_ERR_TOO_BIG beyond
 * WL_DOCUMENT_BYTES_MAX. fault->line/column point into the document named by fault->where
 * ("integration/lines/cash/rate"). The caller owns *ret. */
WL_MUST_USE wl_err_t wl_config_compile(const char *integration, size_t integration_bytes,
                                       const char *presentation, size_t presentation_bytes,
                                       wl_config_t **ret, wl_fault_t *fault);
void wl_config_destroy(wl_config_t **self);

/* NULL when there is no such line. Only values from wl_config_compile can be searched. */
const wl_line_t *wl_config_line(const wl_config_t *self, const char *line_id);
/* The line's recorded answer: compact JSON, *ret_bytes long, no NUL at its end; NULL when it has
 * none. Belongs to the configuration. */
const char *wl_config_sample(const wl_config_t *self, const wl_line_t *line, size_t *ret_bytes);
/* Index into lines, or -1. */
int wl_config_line_index(const wl_config_t *self, const char *line_id);

/* "sync", "http", ...; "none" is the adapter of links; "?" when out of range. */
const char *wl_mode_name(wl_mode_t mode);
const char *wl_adapter_name(wl_adapter_t adapter);
const char *wl_priority_name(wl_priority_t priority);

/* The documented keys, one "path\ttype\tdefault\tbounds\tdoc" line each, for docs and tidy. */
void wl_config_document(void (*print)(const char *row, void *arg), void *arg);

#endif
