/* answer.h: turns the bytes of a line's answer into assets: standard contract in JSON or
 * MessagePack, or a foreign JSON shape by mapping. Untrusted input; pure; any thread. A broken
 * record refuses that record only; a broken document refuses the whole answer. */
#ifndef WL_LINES_ANSWER_H
#define WL_LINES_ANSWER_H

#include "lines/caller.h"

#include <jansson.h>
#include <msgpack.h>

typedef struct wl_answer_reader wl_answer_reader_t; /* memory reused from answer to answer */

wl_answer_reader_t *wl_answer_reader_new(void);
void wl_answer_reader_destroy(wl_answer_reader_t **self);

/* One record as the reader saw it, for those who ask why (explain.h). Borrowed for the call. A
 * record that is refused only at the end, beside another one, is told a second time: then json, map
 * and asset are NULL. */
typedef struct {
    uint32_t index;            /* place in the list of the answer, from 0 */
    json_t *json;              /* NULL for MessagePack */
    const msgpack_object *map; /* NULL for JSON */
    const wl_asset_t *asset;   /* as far as it could be read; uid 0 = not known */
    const wl_fault_t *faults;  /* message: a whole reason; the first is that of the refusal */
    uint32_t fault_count;      /* 0 = the record is taken */
} wl_answer_record_t;

typedef void (*wl_answer_watch_fn)(const wl_answer_record_t *record, void *arg);

/* Tells about each record of the answers from now on; watch NULL = no more. */
void wl_answer_reader_watch(wl_answer_reader_t *self, wl_answer_watch_fn watch, void *arg);

/* Fills assets (sorted by user and bucket), refusals and counts of *answer. uids, uid_count and
 * made_version are set by the caller: they decide which users are accepted and the version of
 * lines that give none. A user without a record is simply not there; only state "gone" deletes. Of
 * two records of one (uid, bucket) the higher version stands, the other is refused.
 * Everything lives until the next read. WL_ERR_MALFORMED with answer->reason: not the shape.
 * WL_ERR_TOO_BIG: more records than uid_count * WL_USER_ASSETS_MAX. Then no asset is returned.
 *
 * JSON: {"assets": [{uid, bucket?, kind?, amount, unit?, scale?, count?, pending?, state?,
 * expires_at?, version, changed_at?, title?, badge?, extra?}]}, integers as such or as text of
 * digits; a real number never carries money and is refused. kind, unit and scale are the line's
 * when absent. Another shape is read by line->mapping. MessagePack: the same map with the same
 * keys (proto/args.h, wl_value_asset). */
WL_MUST_USE wl_err_t wl_answer_read_json(wl_answer_reader_t *self, const wl_line_t *line,
                                         wl_wall_ms_t pulled_at, const void *bytes, size_t count,
                                         wl_answer_t *answer);
WL_MUST_USE wl_err_t wl_answer_read_msgpack(wl_answer_reader_t *self, const wl_line_t *line,
                                            wl_wall_ms_t pulled_at, const void *bytes, size_t count,
                                            wl_answer_t *answer);

#endif
