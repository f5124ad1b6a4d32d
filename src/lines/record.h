/* record.h: the fields of one JSON record, found by the names of the standard line contract or by
 * the pointers of a mapping, and read as what they should be. Pure, any thread; private to
 * lines/. */
#ifndef WL_LINES_RECORD_H
#define WL_LINES_RECORD_H

#include "domain/config.h"

#include <jansson.h>

/* NAME, key of the standard contract */
#define WL_RECORD_FIELDS(F)     \
    F(UID, "uid")               \
    F(LINE, "line")             \
    F(BUCKET, "bucket")         \
    F(KIND, "kind")             \
    F(AMOUNT, "amount")         \
    F(UNIT, "unit")             \
    F(SCALE, "scale")           \
    F(COUNT, "count")           \
    F(PENDING, "pending")       \
    F(STATE, "state")           \
    F(EXPIRES_AT, "expires_at") \
    F(VERSION, "version")       \
    F(CHANGED_AT, "changed_at") \
    F(TITLE, "title")           \
    F(BADGE, "badge")           \
    F(EXTRA, "extra")

typedef enum {
#define WL_RECORD_ENUM(name, key) WL_RECORD_##name,
    WL_RECORD_FIELDS(WL_RECORD_ENUM)
#undef WL_RECORD_ENUM
        WL_RECORD_FIELD_COUNT
} wl_record_field_t;

typedef struct {
    json_t *json;                /* borrowed, any type */
    const wl_mapping_t *mapping; /* borrowed, NULL = the standard contract */
} wl_record_t;

/* Key of the standard contract, for messages. */
const char *wl_record_field_name(wl_record_field_t field);

/* Where this shape has the field: its key, or the pointer of the mapping; "" = nowhere. */
const char *wl_record_source(const wl_mapping_t *mapping, wl_record_field_t field);

/* Borrowed; NULL when it is absent, null, or of no use in this shape. */
json_t *wl_record_get(const wl_record_t *self, wl_record_field_t field);

/* Each writes *ret only when the field is there and good; an absent one is WL_OK. Numbers may be
 * JSON integers or text of digits. WL_ERR_BAD_REQUEST; fault->message never holds the value. */
WL_MUST_USE wl_err_t wl_record_u64(const wl_record_t *self, wl_record_field_t field, uint64_t max,
                                   uint64_t *ret, wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_record_i64(const wl_record_t *self, wl_record_field_t field, int64_t *ret,
                                   wl_fault_t *fault);
/* Minor units, or units with up to `scale` decimals when the mapping says so. */
WL_MUST_USE wl_err_t wl_record_money(const wl_record_t *self, wl_record_field_t field,
                                     uint8_t scale, int64_t *ret, wl_fault_t *fault);
/* At most max bytes into ret[max + 1]. */
WL_MUST_USE wl_err_t wl_record_text(const wl_record_t *self, wl_record_field_t field, char *ret,
                                    size_t max, wl_fault_t *fault);

#endif
