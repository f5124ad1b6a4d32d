/* trail_event.h: one moment of a user's history, as the trail keeps it: what happened to which line
 * and bucket, with which version; never an amount. Pure, any thread.
 *
 * An event is packed into few bytes, since two of them are written for each change:
 *     count                  u8, bytes behind uid
 *     uid                    u64, little endian; 0 = it concerns everybody
 *     at, what, has, line    the moment (48 bits, wall ms), what, which of the others follow, line
 *     version, before ..     those that are there, in the order of the fields below
 * Numbers are LEB128. What a newer walletd adds stands behind and is passed over. */
#ifndef WL_DOMAIN_TRAIL_EVENT_H
#define WL_DOMAIN_TRAIL_EVENT_H

#include "base/asset.h"
#include "base/err.h"

/* NAME, name on the wire, doc. These numbers stand in files: new ones go to the end. */
#define WL_TRAIL_WHATS(W)                                                                     \
    W(NOTIFIED, "notified", "the line said that something changed")                           \
    W(PAYLOAD, "payload", "the line sent the value itself")                                   \
    W(ASKED, "asked", "wallet.refresh: somebody asked for a pull")                            \
    W(LOOKED, "looked", "the user looked at a copy that was too old")                         \
    W(BACKFILL, "backfill", "a backfill came to the user")                                    \
    W(REDRIVE, "redrive", "an operator let a dead letter be tried again")                     \
    W(STORED, "stored", "a newer version was stored")                                         \
    W(CONFIRMED, "confirmed", "the line gave the version that was there already")             \
    W(OLDER, "older", "refused: a newer version stands")                                      \
    W(QUARANTINED, "quarantined", "refused: it broke a rule of the line")                     \
    W(NO_CONSENT, "no_consent", "refused: the user has not consented to the line")            \
    W(NOTHING, "nothing", "the line knew nothing of the user: what was stored stays")         \
    W(FAILED, "pull_failed", "a pull ended without a value that counts")                      \
    W(RETRY, "retry", "the pull will be made again")                                          \
    W(DEAD, "dead_letter", "given up: an operator has to look")                               \
    W(GIVEN_UP, "given_up", "given up: nothing was notified, the next look asks again")       \
    W(DISCARDED, "discarded", "an operator discarded a dead letter")                          \
    W(GRANTED, "consent_given", "the user consented to the line")                             \
    W(WITHDRAWN, "consent_withdrawn", "the user withdrew the consent: all of it was deleted") \
    W(REPAIR, "repair", "a comparison found a difference and repaired it")                    \
    W(CONFIG, "config", "another configuration came into use, for everybody")                 \
    W(DROPPED, "dropped", "events of some users were lost before they were written")

typedef enum {
#define WL_TRAIL_ENUM(NAME, name, doc) WL_TRAIL_##NAME,
    WL_TRAIL_WHATS(WL_TRAIL_ENUM)
#undef WL_TRAIL_ENUM
        WL_TRAIL_COUNT
} wl_trail_what_t;

enum {
    WL_TRAIL_TEXT_MAX = 96,                                        /* bytes of a reason */
    WL_TRAIL_HEAD_BYTES = 9,                                       /* count and uid */
    WL_TRAIL_EVENT_MAX = 255,                                      /* behind them */
    WL_TRAIL_BYTES_MAX = WL_TRAIL_HEAD_BYTES + WL_TRAIL_EVENT_MAX, /* of one event */
};

/* 0 and "": not said. Texts are borrowed and never NULL. */
typedef struct {
    uint64_t uid;
    int64_t at; /* wall ms */
    wl_trail_what_t what;
    const char *line; /* "" = of no line */
    const char *bucket;
    uint64_t version;    /* of the record; NOTIFIED: to be reached; CONFIG: number of the change */
    uint64_t before;     /* the version that stands; STORED: as far as somebody knew it */
    int64_t notified_at; /* wall ms of the notification behind it */
    int64_t pulled_at;   /* wall ms when the pull started */
    uint64_t tag;        /* 48 bits that differ when the value does, see wl_trail_tag() */
    uint8_t outcome;     /* wl_pull_outcome_t */
    uint32_t attempt;    /* 1 = first */
    uint64_t number;     /* RETRY: ms until it is due; DROPPED: events */
    const char *text;    /* why; at most WL_TRAIL_TEXT_MAX bytes, longer ones are cut */
} wl_trail_event_t;

/* Where an event that was read keeps its texts. */
typedef struct {
    char line[WL_LINE_ID_MAX + 1];
    char bucket[WL_BUCKET_MAX + 1];
    char text[WL_TRAIL_TEXT_MAX + 1];
} wl_trail_texts_t;

const char *wl_trail_what_name(wl_trail_what_t what); /* "stored"; "?" when out of range */

/* Packs an event; returns its bytes. ret has room for WL_TRAIL_BYTES_MAX. */
size_t wl_trail_pack(const wl_trail_event_t *event, uint8_t *ret);

/* Finds the next event in untrusted bytes: its length, whose it is and when it was. false: the
 * bytes end before it does, or hold none. */
bool wl_trail_peek(const uint8_t *bytes, size_t count, size_t *ret_bytes, uint64_t *ret_uid,
                   int64_t *ret_at);
/* Reads one event that fills all bytes. WL_ERR_MALFORMED: damaged; also of a kind that is not
 * known. *ret borrows from texts. */
WL_MUST_USE wl_err_t wl_trail_unpack(const uint8_t *bytes, size_t count, wl_trail_texts_t *texts,
                                     wl_trail_event_t *ret);

/* A number for "is it the same value?" that says nothing about the value to whoever does not have
 * the key: 16 bits name the key, so that tags of two keys are not compared, and 32 bits depend on
 * everything that a user can see of the record. Never 0. */
uint64_t wl_trail_tag(const wl_asset_t *asset, uint64_t key);
/* Were both made with one key? */
bool wl_trail_tags_compare(uint64_t one, uint64_t other);

#endif
