#include "domain/config_schema.h"

#include "base/alloc.h"
#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const mode_names[WL_MODE_COUNT] = {"sync", "live", "link"};
static const char *const adapter_names[WL_ADAPTER_COUNT] = {"http", "zmq", "none"};
static const char *const priority_names[WL_PRIORITY_COUNT] = {"high", "normal", "low"};
static const char *const amount_rule_names[WL_AMOUNT_RULE_COUNT] = {"minor", "decimal"};
static const char *const time_rule_names[WL_TIME_RULE_COUNT] = {"ms", "s"};

const char *wl_mode_name(wl_mode_t mode) {
    return (unsigned)mode < WL_MODE_COUNT ? mode_names[mode] : "?";
}

const char *wl_adapter_name(wl_adapter_t adapter) {
    return (unsigned)adapter < WL_ADAPTER_COUNT ? adapter_names[adapter] : "?";
}

const char *wl_priority_name(wl_priority_t priority) {
    return (unsigned)priority < WL_PRIORITY_COUNT ? priority_names[priority] : "?";
}

const char *wl_unless_name(wl_unless_t unless) {
    static const char *const names[WL_UNLESS_COUNT] = {
#define UNLESS_NAME(name, text, doc) text,
        WL_UNLESS(UNLESS_NAME)
#undef UNLESS_NAME
    };
    return (unsigned)unless < WL_UNLESS_COUNT ? names[unless] : "?";
}

static const char *choice_unless(unsigned index) {
    return wl_unless_name((wl_unless_t)index);
}

static const char *choice_time_rule(unsigned index) {
    return index < WL_TIME_RULE_COUNT ? time_rule_names[index] : "?";
}

static const char *choice_priority(unsigned index) {
    return wl_priority_name((wl_priority_t)index);
}

static const char *choice_kind(unsigned index) {
    return wl_kind_name((wl_kind_t)index);
}

static const char *choice_mode(unsigned index) {
    return wl_mode_name((wl_mode_t)index);
}

static const char *choice_adapter(unsigned index) {
    return wl_adapter_name((wl_adapter_t)index);
}

static const char *choice_amount_rule(unsigned index) {
    return index < WL_AMOUNT_RULE_COUNT ? amount_rule_names[index] : "?";
}

#define FIELD(type_, field_) .offset = offsetof(type_, field_), .size = sizeof(((type_ *)0)->field_)
#define ROW(object_, type_, key_, ...) \
    { .object = WL_CONFIG_##object_, .type = WL_CONFIG_##type_, .key = (key_), __VA_ARGS__ }
#define NUMBER(object_, in, field_, fallback_, min_, max_, doc_)                             \
    ROW(object_, NUMBER, #field_, FIELD(in, field_), .fallback = (fallback_), .min = (min_), \
        .max = (max_), .doc = (doc_))
#define AMOUNT(in, field_, fallback_, min_, doc_)                                           \
    ROW(SANITY, AMOUNT, #field_, FIELD(in, field_), .fallback = (fallback_), .min = (min_), \
        .max = INT64_MAX, .doc = (doc_))
#define TEXT(object_, type_, in, field_, doc_) \
    ROW(object_, type_, #field_, FIELD(in, field_), .doc = (doc_))
#define POINTER(field_, doc_) TEXT(MAPPING, POINTER, wl_mapping_t, field_, doc_)
#define ITEM_POINTER(field_, required_, doc_)                                   \
    ROW(DETAILS_MAPPING, POINTER, #field_, FIELD(wl_details_mapping_t, field_), \
        .required = (required_), .doc = (doc_))
#define SUM_POINTER(field_, required_, doc_)                                    \
    ROW(SUMMARY_MAPPING, POINTER, #field_, FIELD(wl_summary_mapping_t, field_), \
        .required = (required_), .doc = (doc_))
#define QUERY_NAME(object_, in, field_, name_)                               \
    ROW(object_, TEXT, #field_, FIELD(in, field_), .fallback_text = (name_), \
        .doc = "name of this parameter in the query of the request")
#define NEST(object_, type_, key_, max_, required_, doc_) \
    ROW(object_, type_, key_, .max = (max_), .required = (required_), .doc = (doc_))
#define TEXTS(object_, key_, element_, bytes_max_, max_, required_, doc_)               \
    ROW(object_, LIST, key_, .element = WL_CONFIG_##element_, .size = (bytes_max_) + 1, \
        .max = (max_), .required = (required_), .doc = (doc_))
#define MOMENT(object_, field_, fallback_, doc_)                                       \
    ROW(object_, TIME, #field_, FIELD(wl_campaign_t, field_), .fallback = (fallback_), \
        .fallback_text = "open", .doc = (doc_))
#define CAMPAIGN_ROWS(object_, line_doc_, priority_doc_, unless_doc_)                             \
    ROW(object_, ID, "id", FIELD(wl_campaign_t, id), .required = true,                            \
        .doc = "its name in replies, its own in the document"),                                   \
        ROW(object_, ID, "line", FIELD(wl_campaign_t, line), .required = true,                    \
            .doc = (line_doc_)),                                                                  \
        ROW(object_, TEXT, "title", FIELD(wl_campaign_t, title),                                  \
            .fallback_text = "the line's title", .doc = "name for people"),                       \
        TEXT(object_, URL, wl_campaign_t, link, "where the client goes"),                         \
        MOMENT(object_, start, INT64_MIN, "the first moment it runs, 2026-11-11T00:00:00+08:00"), \
        MOMENT(object_, end, INT64_MAX, "the first moment it does not run any more"),             \
        NUMBER(object_, wl_campaign_t, priority, 0, 0, WL_CAMPAIGN_PRIORITY_MAX, priority_doc_),  \
        ROW(object_, LIST, "unless", FIELD(wl_campaign_t, unless), .choice = choice_unless,       \
            .max = WL_UNLESS_COUNT, .doc = (unless_doc_))

enum {
    DAY_MS = 86400000,
    HOUR_MS = 3600000,
    RESPONSE_BYTES_MAX = 16777216, /* 16 MiB: 200 users with a few hundred records each */
};
#define YEAR_MS ((int64_t)365 * DAY_MS)
#define VERSION_MAX (((int64_t)1 << 53) - 1)

static const wl_config_row_t rows[] = {
    ROW(INTEGRATION, NUMBER, "version", FIELD(wl_config_top_t, version), .min = 1,
        .max = VERSION_MAX, .required = true, .doc = "grows with every change of this document"),
    NEST(INTEGRATION, OBJECT, "lines", WL_LINES_MAX, true, "the business lines by their id"),

    ROW(LINE, CHOICE, "kind", FIELD(wl_line_t, kind), .choice = choice_kind, .max = WL_KIND_COUNT,
        .required = true, .doc = "what the line holds; link goes with mode link only"),
    ROW(LINE, CHOICE, "mode", FIELD(wl_line_t, mode), .choice = choice_mode, .max = WL_MODE_COUNT,
        .doc = "sync: copied and kept fresh; live: asked when needed; link: never asked"),
    TEXT(LINE, TEXT, wl_line_t, title, "name for people"),
    ROW(LINE, CHOICE, "adapter", FIELD(wl_line_t, adapter), .choice = choice_adapter,
        .fallback = WL_ADAPTER_NONE, .fallback_text = "by the scheme of url",
        .max = WL_ADAPTER_NONE, .doc = "how the line is asked: HTTP JSON or ZeroMQ MessagePack"),
    TEXT(LINE, URL, wl_line_t, url,
         "http://, https:// or tcp://host:port; required but for links, where it is the target"),
    TEXTS(LINE, "urls", URL, WL_URL_MAX, WL_LINE_URLS_MAX, false,
          "instead of url: several endpoints of one line, of one scheme"),
    TEXT(LINE, ID, wl_line_t, secret, "name of the signing key in secrets_dir; empty = unsigned"),
    TEXT(LINE, TEXT, wl_line_t, unit, "the only unit the line may send; required but for coupons"),
    NUMBER(LINE, wl_line_t, scale, 0, 0, WL_SCALE_MAX, "decimal digits of one unit"),
    ROW(LINE, FLAG, "versions", FIELD(wl_line_t, versions), .fallback = true,
        .doc = "the line gives versions; false: the start of the pull is one"),
    NUMBER(LINE, wl_line_t, batch_max, 100, 1, WL_PULL_UIDS_MAX, "users of one call"),
    NUMBER(LINE, wl_line_t, batch_wait_ms, 5, 0, 1000, "how long a call waits to fill up"),
    NUMBER(LINE, wl_line_t, timeout_ms, 1000, 1, 60000, "of one call"),
    NUMBER(LINE, wl_line_t, concurrency, 4, 1, 256,
           "calls under way at once; each writer has at least one"),
    NUMBER(LINE, wl_line_t, rate, 0, 0, 1000000, "calls a second, 0 = no limit"),
    ROW(LINE, NUMBER, "burst", FIELD(wl_line_t, burst), .fallback_text = "rate, at least 1",
        .min = 1, .max = 1000000, .doc = "calls at once after a quiet time"),
    NUMBER(LINE, wl_line_t, response_bytes_max, WL_LINE_RESPONSE_BYTES_MAX, 1024,
           RESPONSE_BYTES_MAX, "a longer answer is refused"),
    NUMBER(LINE, wl_line_t, attempts_max, 8, 1, 1000, "pulls before a dead letter"),
    NUMBER(LINE, wl_line_t, retry_base_ms, 200, 1, HOUR_MS, "first back-off, doubled each time"),
    NUMBER(LINE, wl_line_t, retry_max_ms, 60000, 1, DAY_MS, "longest back-off"),
    NUMBER(LINE, wl_line_t, fresh_ms, 0, 0, 10 * YEAR_MS,
           "sync: an older copy is pulled when its user looks, 0 = never; live: a younger copy is "
           "shown without asking"),
    NUMBER(
        LINE, wl_line_t, swr_ms, 0, 0, 10 * YEAR_MS,
        "live: a copy up to so much older than fresh_ms is shown at once and asked for meanwhile"),
    NUMBER(
        LINE, wl_line_t, sie_ms, 0, 0, 10 * YEAR_MS,
        "when the line fails, a copy older than fresh_ms by more than this is missing, 0 = never"),
    ROW(LINE, FLAG, "must_revalidate", FIELD(wl_line_t, must_revalidate),
        .doc = "a copy older than fresh_ms is asked for first and never shown as an amount"),
    ROW(LINE, FLAG, "consent", FIELD(wl_line_t, consent),
        .doc = "nothing is asked, kept or shown without the user's consent"),
    ROW(LINE, FLAG, "details", FIELD(wl_line_t, details), .doc = "the line answers /details"),
    ROW(LINE, FLAG, "summary", FIELD(wl_line_t, summary), .doc = "the line answers /summary"),
    NUMBER(LINE, wl_line_t, details_fresh_ms, 5000, 0, DAY_MS,
           "how long the first page of a user's details is kept"),
    NUMBER(LINE, wl_line_t, summary_fresh_ms, 60000, 0, DAY_MS,
           "how long the sums of the current month are kept; past months are kept for a day"),
    ROW(LINE, CHOICE, "priority", FIELD(wl_line_t, priority), .choice = choice_priority,
        .fallback = WL_PRIORITY_COUNT, .fallback_text = "high for cash, else normal",
        .max = WL_PRIORITY_COUNT, .doc = "whose calls go first when several lines wait"),
    NUMBER(LINE, wl_line_t, quota, 0, 0, VERSION_MAX,
           "calls a day (UTC), over all writers; 0 = no limit"),
    ROW(LINE, FLAG, "adaptive", FIELD(wl_line_t, adaptive), .fallback = true,
        .doc = "fewer calls at once than concurrency while the line is slow or fails"),
    NUMBER(LINE, wl_line_t, hedge_ms, 0, 0, 60000,
           "a second call, of one in twenty at most, when the first takes longer, 0 = never"),
    NUMBER(LINE, wl_line_t, breaker_failures, 5, 1, 1000,
           "failures in a row that open the breaker"),
    NUMBER(LINE, wl_line_t, breaker_open_ms, 2000, 1, HOUR_MS, "how long before a probe"),
    NEST(LINE, OBJECT, "sanity", 0, false, "bounds; data beyond them is quarantined"),
    NEST(LINE, OBJECT, "mapping", 0, false, "JSON pointers into answers of another shape"),
    NEST(LINE, OBJECT, "details_mapping", 0, false,
         "the same for pages of details; needs details: true"),
    NEST(LINE, OBJECT, "summary_mapping", 0, false, "the same for sums; needs summary: true"),
    ROW(LINE, JSON, "sample", .max = WL_SAMPLE_BYTES_MAX,
        .doc = "a recorded answer to /assets, to test the mapping with"),

    AMOUNT(wl_sanity_t, amount_min, 0, INT64_MIN, "least amount, in minor units"),
    AMOUNT(wl_sanity_t, amount_max, INT64_MAX, INT64_MIN, "largest amount, in minor units"),
    AMOUNT(wl_sanity_t, jump_max, 0, 0, "largest change from one version to the next, 0 = any"),
    AMOUNT(wl_sanity_t, version_ahead_max, 0, 0, "largest step of a version, 0 = any"),

    TEXT(MAPPING, PATH, wl_mapping_t, path, "path of the request, empty = /assets"),
    POINTER(list, "the list of records in the answer, empty = the answer itself"),
    ROW(MAPPING, POINTER, "uid", FIELD(wl_mapping_t, uid), .required = true,
        .doc = "inside a record, as all below: the user"),
    POINTER(bucket, "sub-account"),
    POINTER(amount, "amount by amount_rule; this or count is required"),
    POINTER(pending, "pending amount, likewise by amount_rule"),
    POINTER(count, "pieces"),
    POINTER(state, "available, frozen, expired or gone; absent = available"),
    POINTER(expires_at, "ms since 1970"),
    POINTER(changed_at, "ms since 1970"),
    POINTER(version, "required when the line gives versions"),
    POINTER(title, "text for people"),
    ROW(MAPPING, CHOICE, "amount_rule", FIELD(wl_mapping_t, amount_rule),
        .choice = choice_amount_rule, .max = WL_AMOUNT_RULE_COUNT,
        .doc = "minor: whole minor units; decimal: units such as \"12.5\", never rounded"),

    TEXT(DETAILS_MAPPING, PATH, wl_details_mapping_t, path,
         "path of the request, empty = /details"),
    ITEM_POINTER(list, false, "the list of items in the answer, empty = the answer itself"),
    ITEM_POINTER(id, true, "inside an item, as the next four: a text or integer that is its own"),
    ITEM_POINTER(time, true, "when it happened, by time_rule; newest come first"),
    ITEM_POINTER(title, false, "text for people"),
    ITEM_POINTER(amount, true, "amount by amount_rule, negative when it went out"),
    ITEM_POINTER(kind, false, "a short word to filter by"),
    ITEM_POINTER(next, false, "in the answer: cursor of the next page; empty = one page is all"),
    ROW(DETAILS_MAPPING, CHOICE, "amount_rule", FIELD(wl_details_mapping_t, amount_rule),
        .choice = choice_amount_rule, .max = WL_AMOUNT_RULE_COUNT,
        .doc = "minor: whole minor units; decimal: units such as \"12.5\", never rounded"),
    ROW(DETAILS_MAPPING, CHOICE, "time_rule", FIELD(wl_details_mapping_t, time_rule),
        .choice = choice_time_rule, .max = WL_TIME_RULE_COUNT,
        .doc = "ms or s since 1970, as whole numbers"),
    QUERY_NAME(DETAILS_MAPPING, wl_details_mapping_t, query_uid, "uid"),
    QUERY_NAME(DETAILS_MAPPING, wl_details_mapping_t, query_month, "month"),
    QUERY_NAME(DETAILS_MAPPING, wl_details_mapping_t, query_cursor, "cursor"),
    QUERY_NAME(DETAILS_MAPPING, wl_details_mapping_t, query_limit, "limit"),

    TEXT(SUMMARY_MAPPING, PATH, wl_summary_mapping_t, path,
         "path of the request, empty = /summary"),
    SUM_POINTER(in, true, "in the answer, as the next two: what came in, by amount_rule"),
    SUM_POINTER(out, true, "what went out, not negative"),
    SUM_POINTER(count, true, "number of items"),
    ROW(SUMMARY_MAPPING, CHOICE, "amount_rule", FIELD(wl_summary_mapping_t, amount_rule),
        .choice = choice_amount_rule, .max = WL_AMOUNT_RULE_COUNT,
        .doc = "minor: whole minor units; decimal: units such as \"12.5\", never rounded"),
    QUERY_NAME(SUMMARY_MAPPING, wl_summary_mapping_t, query_uid, "uid"),
    QUERY_NAME(SUMMARY_MAPPING, wl_summary_mapping_t, query_month, "month"),

    ROW(PRESENTATION, NUMBER, "version", FIELD(wl_config_top_t, version), .min = 1,
        .max = VERSION_MAX, .required = true, .doc = "grows with every change of this document"),
    ROW(PRESENTATION, LIST, "golden", .max = WL_GOLDEN_SLOTS, .nullable = true,
        .doc = "positions of the personal centre in order; null = empty"),
    NEST(PRESENTATION, LIST, "sections", WL_SECTIONS_MAX, false,
         "the home page from top to bottom"),

    ROW(GOLDEN, ID, "line", FIELD(wl_golden_slot_t, line), .required = true,
        .doc = "a sync line, in one position only"),
    ROW(GOLDEN, TEXT, "title", FIELD(wl_golden_slot_t, title), .fallback_text = "the line's title",
        .doc = "name for people"),
    TEXT(GOLDEN, URL, wl_golden_slot_t, link, "where the client goes"),
    NEST(GOLDEN, LIST, "campaigns", WL_GOLDEN_CAMPAIGNS_MAX, false,
         "what stands here for a while in place of the line"),
    CAMPAIGN_ROWS(GOLDEN_CAMPAIGN, "a sync line that no other position uses",
                  "the highest of those that run is shown, of equal ones the first",
                  "sick: the line cannot be asked now, empty: the user has nothing there; then the "
                  "next one is shown, at last the slot's own line"),

    ROW(SECTION, CHOICE, "kind", FIELD(wl_section_t, kind), .choice = choice_kind,
        .max = WL_KIND_COUNT, .required = true, .doc = "the kind of all its lines"),
    TEXT(SECTION, TEXT, wl_section_t, title, "name for people"),
    TEXTS(SECTION, "lines", ID, WL_LINE_ID_MAX, WL_LINES_MAX, true,
          "line ids in order; a line in one section only"),
    NEST(SECTION, LIST, "campaigns", WL_SECTION_CAMPAIGNS_MAX, false,
         "lines that stand before the others for a while"),
    CAMPAIGN_ROWS(SECTION_CAMPAIGN, "a line of the section's kind that no section lists",
                  "higher ones stand further up, of equal ones the first",
                  "sick: the line cannot be asked now, empty: the user has nothing there; then it "
                  "is left out"),
};

const char *wl_config_object_path(wl_config_object_t object) {
    static const char *const paths[WL_CONFIG_OBJECT_COUNT] = {
#define CONFIG_OBJECT_PATH(name, path) path,
        WL_CONFIG_OBJECTS(CONFIG_OBJECT_PATH)
#undef CONFIG_OBJECT_PATH
    };
    WL_ASSERT(object < WL_CONFIG_OBJECT_COUNT);
    return paths[object];
}

const wl_config_row_t *wl_config_row(wl_config_object_t object, size_t index) {
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        if (rows[i].object == object && index-- == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

const wl_config_row_t *wl_config_row_find(wl_config_object_t object, const char *key) {
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        if (rows[i].object == object && strcmp(rows[i].key, key) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static const char *row_type(const wl_config_row_t *row) {
    static const char *const names[WL_CONFIG_TYPE_COUNT] = {
        [WL_CONFIG_NUMBER] = "number",   [WL_CONFIG_FLAG] = "true or false",
        [WL_CONFIG_TEXT] = "text",       [WL_CONFIG_ID] = "id",
        [WL_CONFIG_POINTER] = "pointer", [WL_CONFIG_AMOUNT] = "number as text",
        [WL_CONFIG_CHOICE] = "one of",   [WL_CONFIG_TIME] = "time",
        [WL_CONFIG_OBJECT] = "object",   [WL_CONFIG_LIST] = "list",
        [WL_CONFIG_URL] = "URL",         [WL_CONFIG_PATH] = "path",
        [WL_CONFIG_JSON] = "any JSON",
    };
    return names[row->type];
}

static void row_fallback(const wl_config_row_t *row, char *into, size_t max) {
    if (row->required) {
        (void)snprintf(into, max, "required");
    } else if (row->fallback_text != NULL) {
        (void)snprintf(into, max, "%s", row->fallback_text);
    } else if (row->type == WL_CONFIG_CHOICE) {
        (void)snprintf(into, max, "%s", row->choice((unsigned)row->fallback));
    } else if (row->type == WL_CONFIG_FLAG) {
        (void)snprintf(into, max, "%s", row->fallback != 0 ? "true" : "false");
    } else if (row->type == WL_CONFIG_NUMBER || row->type == WL_CONFIG_AMOUNT) {
        (void)snprintf(into, max, "%" PRId64, row->fallback);
    } else {
        (void)snprintf(into, max, "%s", "empty");
    }
}

static void row_bounds(const wl_config_row_t *row, char *into, size_t max) {
    into[0] = '\0';
    if (row->choice != NULL) {
        for (unsigned i = 0; i < row->max; i++) {
            size_t used = strlen(into);
            (void)snprintf(into + used, max - used, i == 0 ? "%s" : ", %s", row->choice(i));
        }
    } else if (row->type == WL_CONFIG_NUMBER || row->type == WL_CONFIG_AMOUNT) {
        (void)snprintf(into, max, "%" PRId64 "..%" PRId64, row->min, row->max);
    } else if (row->type == WL_CONFIG_OBJECT || row->type == WL_CONFIG_LIST) {
        if (row->max > 0) {
            (void)snprintf(into, max, "at most %" PRId64, row->max);
        }
    } else if (row->type == WL_CONFIG_JSON) {
        (void)snprintf(into, max, "at most %" PRId64 " bytes", row->max);
    } else if (row->type != WL_CONFIG_FLAG && row->type != WL_CONFIG_TIME) {
        WL_ASSERT(row->size > 1);
        (void)snprintf(into, max, "at most %zu bytes", row->size - 1);
    }
}

void wl_config_document(void (*print)(const char *row, void *arg), void *arg) {
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        char fallback[64];
        char bounds[96];
        char text[512];
        row_fallback(&rows[i], fallback, sizeof fallback);
        row_bounds(&rows[i], bounds, sizeof bounds);
        (void)snprintf(text, sizeof text, "%s/%s\t%s\t%s\t%s\t%s",
                       wl_config_object_path(rows[i].object), rows[i].key, row_type(&rows[i]),
                       fallback, bounds, rows[i].doc);
        print(text, arg);
    }
}
