/* config_state.h: the life of the runtime configuration as a log of changes. Each change is one
 * immutable JSON record that says who did what and why, brings the documents that are new with it,
 * names the hash of the record before it, and carries the whole state after it: the newest record
 * is all one has to read to know what is live. Pure: the moment comes in. Any thread.
 *
 *   {"seq": 12, "at": 1764, "action": "publish", "author": "ann", "from": "ops/ab12",
 *    "reason": "..",
 *    "base": 11, "prev": "<sha-256 of record 11>",
 *    "documents": {"integration": {...}},
 *    "state": {"head": {"integration": {"version": 4, "seq": 12}, "presentation": {..}},
 *              "newest": {"integration": 4, "presentation": 8},
 *              "rollout": null | {<wl_rollout_write()>, "candidate": {<like head>}}}}
 *
 * Numbers of documents only grow and are never given twice, so an aborted candidate's number is
 * not used again. */
#ifndef WL_DOMAIN_CONFIG_STATE_H
#define WL_DOMAIN_CONFIG_STATE_H

#include "base/clock.h"
#include "domain/rollout.h"

/* name on the wire, doc */
#define WL_CONFIG_ACTIONS(A)                                                      \
    A(IMPORT, "import", "the documents of the directory became the first change") \
    A(PUBLISH, "publish", "new documents for everybody")                          \
    A(ROLLBACK, "rollback", "documents of an earlier change, as new versions")    \
    A(ROLLOUT, "rollout", "new documents for some users, as a candidate")         \
    A(WIDEN, "widen", "the candidate's share or set of users changed")            \
    A(PAUSE, "pause", "the candidate is shown to nobody for now")                 \
    A(RESUME, "resume", "it is shown again")                                      \
    A(PROMOTE, "promote", "the candidate is for everybody")                       \
    A(ABORT, "abort", "the candidate is withdrawn")

typedef enum {
#define WL_CONFIG_ACTION_ENUM(name, text, doc) WL_CONFIG_ACTION_##name,
    WL_CONFIG_ACTIONS(WL_CONFIG_ACTION_ENUM)
#undef WL_CONFIG_ACTION_ENUM
        WL_CONFIG_ACTION_COUNT
} wl_config_action_t;

typedef enum { WL_DOCUMENT_INTEGRATION, WL_DOCUMENT_PRESENTATION, WL_DOCUMENT_COUNT } wl_document_t;

enum {
    WL_AUTHOR_MAX = 64,            /* bytes */
    WL_REASON_MAX = 400,           /* bytes */
    WL_CHANGE_BYTES_MAX = 1048576, /* one record: two documents and what is said about them */
    WL_CONFIG_SEQ_MAX = 99999999,
};

/* One document: its number, and the change that brought it. */
typedef struct {
    uint64_t version;
    uint64_t seq;
} wl_document_at_t;

typedef struct {
    uint64_t seq; /* of the change that made this state, 0 = nothing was ever published */
    wl_document_at_t head[WL_DOCUMENT_COUNT];
    uint64_t newest[WL_DOCUMENT_COUNT];            /* highest number ever given */
    wl_rollout_t rollout;                          /* id 0 = none */
    wl_document_at_t candidate[WL_DOCUMENT_COUNT]; /* of the rollout */
} wl_config_state_t;

/* What somebody wants to change. Texts are borrowed. */
typedef struct {
    wl_config_action_t action;
    uint64_t base;      /* seq that the author has looked at: must be state->seq */
    const char *author; /* 1 .. WL_AUTHOR_MAX bytes without control characters */
    const char *reason; /* likewise, WL_REASON_MAX */
    const char *from;   /* User-Id or "" */
    json_t *documents[WL_DOCUMENT_COUNT]; /* borrowed, NULL = unchanged; PUBLISH, ROLLBACK, ROLLOUT,
                                             IMPORT: at least one. Their "version" is set here */
    uint64_t rollout_id;                  /* STEER actions: which rollout is meant */
    bool set_share, set_whitelist;        /* WIDEN */
    wl_rollout_t rollout; /* ROLLOUT: its conditions, id ignored; WIDEN: share and whitelist */
} wl_config_wish_t;

const char *wl_config_action_name(wl_config_action_t action); /* "publish"; "?" out of range */
const char *wl_document_name(wl_document_t document);         /* "integration" */

/* Makes the next record from the state and the hash of the record that made it ("" for seq 0).
 * WL_ERR_CONFLICT: base is not state->seq, a rollout is under way (PUBLISH, ROLLBACK, ROLLOUT) or
 * not, or it is another one (PROMOTE, ABORT, ...): fault->message says what to do instead.
 * WL_ERR_BAD_REQUEST: texts or conditions out of bounds, a document that is not new. *ret_text is
 * NUL-terminated, wl_free()d by the caller, *ret_state the state after it. */
WL_MUST_USE wl_err_t wl_config_change_make(const wl_config_state_t *state, const char *prev,
                                           const wl_config_wish_t *wish, wl_wall_ms_t now,
                                           char **ret_text, size_t *ret_bytes,
                                           wl_config_state_t *ret_state, wl_fault_t *fault);

/* A record read back: bytes from a store are not to be trusted. */
typedef struct {
    uint64_t seq;
    int64_t at;
    uint64_t base;
    wl_config_action_t action;
    char author[WL_AUTHOR_MAX + 1];
    char reason[WL_REASON_MAX + 1];
    char from[WL_AUTHOR_MAX + 2];
    char prev[WL_DIGEST_HEX + 1];
    wl_config_state_t state;
    json_t *documents[WL_DOCUMENT_COUNT]; /* owned, NULL = not in this one */
} wl_config_change_t;

/* WL_ERR_DAMAGED: not such a record. Release *ret in any case. */
WL_MUST_USE wl_err_t wl_config_change_read(const char *text, size_t bytes, wl_config_change_t *ret,
                                           wl_fault_t *fault);
void wl_config_change_release(wl_config_change_t *self);

/* A document as text for people: two spaces of indent, unless that makes it larger than a document
 * may be. wl_free()d by the caller. */
char *wl_config_document_text(const json_t *document, size_t *ret_bytes);

/* SHA-256 of a record or blob, in hex. */
void wl_config_digest(const void *bytes, size_t count, char ret_hex[WL_DIGEST_HEX + 1]);

#endif
