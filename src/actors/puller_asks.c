#include "actors/puller_asks.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/limits.h"

#include <string.h>

/* A key is: what, uid; of pages also month, limit and cursor. */
enum {
    KEY_USER = 1 + sizeof(uint64_t),
    KEY_PAGE = KEY_USER + 8 + sizeof(uint32_t),
    KEY_MAX = KEY_PAGE + WL_LINE_CURSOR_MAX,
};

typedef struct {
    wl_ask_t *first;
    wl_ask_t *last;
    uint32_t count;
} list_t;

struct wl_asks {
    wl_ask_t *waiting; /* owned, uthash by key */
    wl_ask_t *flying;  /* uthash by key; the asks belong to their calls */
    list_t lists[WL_ASKS_LISTS];
    uint32_t pulls;   /* waiting asks with a pull */
    uint32_t waiters; /* of all asks, those under way among them */
    uint32_t expired;
};

wl_asks_t *wl_asks_new(void) {
    return wl_alloc_zero(1, sizeof(wl_asks_t));
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void list_add(wl_asks_t *self, wl_ask_t *ask, wl_asks_list_t which) {
    list_t *list = &self->lists[which];
    ask->list = which;
    ask->before = list->last;
    ask->behind = NULL;
    if (list->last == NULL) {
        list->first = ask;
    } else {
        list->last->behind = ask;
    }
    list->last = ask;
    list->count++;
}

static void list_remove(wl_asks_t *self, wl_ask_t *ask) {
    list_t *list = &self->lists[ask->list];
    if (ask->before == NULL) {
        list->first = ask->behind;
    } else {
        ask->before->behind = ask->behind;
    }
    if (ask->behind == NULL) {
        list->last = ask->before;
    } else {
        ask->behind->before = ask->before;
    }
    WL_ASSERT(list->count > 0);
    list->count--;
}

uint32_t wl_asks_count(const wl_asks_t *self, wl_asks_list_t list) {
    return self->lists[list].count;
}

uint32_t wl_asks_waiting(const wl_asks_t *self) {
    return self->lists[WL_ASKS_PAGES].count + self->lists[WL_ASKS_USERS].count +
           self->lists[WL_ASKS_BULK].count;
}

int64_t wl_asks_oldest(const wl_asks_t *self, wl_asks_list_t list) {
    const wl_ask_t *first = self->lists[list].first;
    return first == NULL ? INT64_MAX : first->pull.arrived_at;
}

/* ---- asks ------------------------------------------------------------------------------------ */

typedef struct {
    uint32_t bytes;
    uint8_t at[KEY_MAX];
} ask_key_t;

static ask_key_t key_of_user(uint64_t uid) {
    ask_key_t key = {.bytes = KEY_USER};
    key.at[0] = WL_LIVE_ASSETS;
    memcpy(key.at + 1, &uid, sizeof uid);
    return key;
}

static ask_key_t key_of(const wl_live_item_t *item) {
    ask_key_t key = key_of_user(item->uid);
    key.at[0] = item->what;
    if (item->what != WL_LIVE_ASSETS) {
        WL_ASSERT(item->cursor.count <= WL_LINE_CURSOR_MAX);
        memcpy(key.at + KEY_USER, item->month, sizeof item->month);
        memcpy(key.at + KEY_USER + 8, &item->limit, sizeof item->limit);
        if (item->cursor.count > 0) {
            memcpy(key.at + KEY_PAGE, item->cursor.at, item->cursor.count);
        }
        key.bytes = KEY_PAGE + (uint32_t)item->cursor.count;
    }
    return key;
}

static wl_ask_t *table_find(wl_ask_t *table, const ask_key_t *key) {
    wl_ask_t *ask = NULL;
    HASH_FIND(hh, table, key->at, key->bytes, ask);
    return ask;
}

static wl_ask_t *ask_new(wl_asks_t *self, const ask_key_t *key, wl_asks_list_t list) {
    wl_ask_t *ask = wl_alloc_zero(1, sizeof *ask + key->bytes);
    ask->key_bytes = key->bytes;
    memcpy(ask->key, key->at, key->bytes);
    ask->what = (wl_live_what_t)key->at[0];
    ask->joinable = true;
    HASH_ADD_KEYPTR(hh, self->waiting, ask->key, ask->key_bytes, ask);
    list_add(self, ask, list);
    return ask;
}

static void waiters_free(wl_asks_t *self, wl_ask_t *ask) {
    while (ask->waiters != NULL) {
        wl_waiter_t *waiter = ask->waiters;
        ask->waiters = waiter->next;
        wl_free(waiter);
        WL_ASSERT(self->waiters > 0);
        self->waiters--;
    }
}

/* Out of the waiting ones. */
static void ask_remove(wl_asks_t *self, wl_ask_t *ask) {
    HASH_DEL(self->waiting, ask);
    ask->joinable = false;
    list_remove(self, ask);
    self->pulls -= ask->pulled;
}

static bool pull_later(const wl_line_pull_t *pull, const wl_line_pull_t *than) {
    return pull->epoch != than->epoch ? pull->epoch > than->epoch : pull->seq > than->seq;
}

wl_err_t wl_asks_pull(wl_asks_t *self, const wl_line_pull_t *pull, uint32_t pulls_max) {
    ask_key_t key = key_of_user(pull->uid);
    wl_ask_t *ask = table_find(self->waiting, &key);
    if ((ask == NULL || !ask->pulled) && self->pulls >= pulls_max) {
        return WL_ERR_FULL;
    }
    wl_asks_list_t list = pull->interactive ? WL_ASKS_USERS : WL_ASKS_BULK;
    if (ask == NULL) {
        ask = ask_new(self, &key, list);
    } else if (list < ask->list) {
        list_remove(self, ask);
        list_add(self, ask, list);
    }
    if (!ask->pulled || pull_later(pull, &ask->pull)) {
        ask->pull = *pull;
    }
    self->pulls += !ask->pulled;
    ask->pulled = true;
    return WL_OK;
}

static void ask_join(wl_asks_t *self, wl_ask_t *ask, const wl_live_head_t *head,
                     const wl_live_item_t *item) {
    wl_waiter_t *waiter = wl_alloc(sizeof *waiter);
    *waiter = (wl_waiter_t){.next = ask->waiters,
                            .ticket = item->ticket,
                            .reader = head->reader,
                            .deadline_at = item->deadline_at,
                            .instance = head->instance,
                            .presence = head->presence,
                            .asker = head->asker};
    ask->waiters = waiter;
    ask->wanted_until =
        item->deadline_at > ask->wanted_until ? item->deadline_at : ask->wanted_until;
    self->waiters++;
}

static wl_ask_t *ask_new_live(wl_asks_t *self, const ask_key_t *key, const wl_live_item_t *item,
                              wl_mono_ms_t now) {
    bool assets = item->what == WL_LIVE_ASSETS;
    wl_ask_t *ask = ask_new(self, key, assets ? WL_ASKS_USERS : WL_ASKS_PAGES);
    ask->pull = (wl_line_pull_t){.uid = item->uid, .arrived_at = now.ms, .interactive = true};
    memcpy(ask->month, item->month, sizeof ask->month);
    ask->limit = item->limit;
    ask->cursor_bytes = assets ? 0 : key->bytes - KEY_PAGE;
    ask->cursor = ask->cursor_bytes > 0 ? ask->key + KEY_PAGE : NULL;
    return ask;
}

wl_err_t wl_asks_live(wl_asks_t *self, const wl_live_head_t *head, const wl_live_item_t *item,
                      wl_mono_ms_t now, bool *ret_joined) {
    WL_ASSERT(item->what <= WL_LIVE_SUMMARY && item->uid != 0);
    if (self->waiters >= WL_WAITERS_MAX) {
        return WL_ERR_BUSY;
    }
    ask_key_t key = key_of(item);
    wl_ask_t *ask = table_find(self->flying, &key);
    *ret_joined = true;
    if (ask == NULL) {
        ask = table_find(self->waiting, &key);
        if (ask == NULL) {
            ask = ask_new_live(self, &key, item, now);
            *ret_joined = false;
        } else if (ask->list == WL_ASKS_BULK) {
            list_remove(self, ask);
            list_add(self, ask, WL_ASKS_USERS);
        }
        if (!ask->pulled && head->epoch >= ask->pull.epoch) {
            ask->pull.dispatcher = head->dispatcher;
            ask->pull.epoch = head->epoch;
        }
    }
    ask_join(self, ask, head, item);
    return WL_OK;
}

bool wl_asks_flies(const wl_asks_t *self, const wl_live_item_t *item) {
    ask_key_t key = key_of(item);
    return table_find(self->flying, &key) != NULL;
}

void wl_asks_probe(wl_asks_t *self, const wl_line_pull_t *pull) {
    ask_key_t key = key_of_user(pull->uid);
    if (table_find(self->waiting, &key) == NULL) {
        wl_ask_t *ask = ask_new(self, &key, WL_ASKS_USERS);
        ask->pull = *pull;
        ask->pull.seq = 0;
        ask->probe = true;
    }
}

/* ---- taking ---------------------------------------------------------------------------------- */

/* Forgets what has come too late; false: nobody wants it any more. */
static bool ask_wanted(wl_asks_t *self, wl_ask_t *ask, wl_mono_ms_t now, int64_t stale_before) {
    if (ask->pulled && ask->pull.arrived_at < stale_before) {
        ask->pulled = false;
        ask->pull.seq = 0;
        ask->pull.hint_count = 0;
        self->pulls--;
    }
    wl_waiter_t **at = &ask->waiters;
    while (*at != NULL) {
        wl_waiter_t *waiter = *at;
        if (waiter->deadline_at < now.ms) {
            *at = waiter->next;
            wl_free(waiter);
            self->waiters--;
            self->expired++;
        } else {
            at = &waiter->next;
        }
    }
    return ask->pulled || ask->waiters != NULL || ask->probe;
}

wl_ask_t *wl_asks_pop(wl_asks_t *self, wl_asks_list_t list, wl_mono_ms_t now,
                      int64_t stale_before) {
    while (self->lists[list].first != NULL) {
        wl_ask_t *ask = self->lists[list].first;
        bool wanted = ask_wanted(self, ask, now, stale_before);
        ask_remove(self, ask);
        if (wanted) {
            return ask;
        }
        wl_free(ask);
    }
    return NULL;
}

/* A younger call is the one to join. */
void wl_asks_fly(wl_asks_t *self, wl_ask_t *ask) {
    wl_ask_t *before = NULL;
    HASH_FIND(hh, self->flying, ask->key, ask->key_bytes, before);
    if (before != NULL) {
        HASH_DEL(self->flying, before);
        before->joinable = false;
    }
    HASH_ADD_KEYPTR(hh, self->flying, ask->key, ask->key_bytes, ask);
    ask->joinable = true;
}

void wl_asks_end(wl_asks_t *self, wl_ask_t **pointer) {
    wl_ask_t *ask = *pointer;
    if (ask->joinable) {
        HASH_DEL(self->flying, ask);
    }
    waiters_free(self, ask);
    wl_free(ask);
    *pointer = NULL;
}

void wl_asks_sweep(wl_asks_t *self, wl_mono_ms_t now) {
    for (uint32_t i = 0; i < WL_ASKS_LISTS; i++) {
        wl_ask_t *behind = NULL;
        for (wl_ask_t *ask = self->lists[i].first; ask != NULL; ask = behind) {
            behind = ask->behind;
            if (ask->waiters != NULL && ask->wanted_until < now.ms &&
                !ask_wanted(self, ask, now, INT64_MIN)) {
                ask_remove(self, ask);
                wl_free(ask);
            }
        }
    }
}

uint32_t wl_asks_expired(wl_asks_t *self) {
    uint32_t expired = self->expired;
    self->expired = 0;
    return expired;
}

void wl_asks_destroy(wl_asks_t **pointer) {
    wl_asks_t *self = pointer == NULL ? NULL : *pointer;
    if (self == NULL) {
        return;
    }
    for (uint32_t i = 0; i < WL_ASKS_LISTS; i++) {
        while (self->lists[i].first != NULL) {
            wl_ask_t *ask = self->lists[i].first;
            ask_remove(self, ask);
            waiters_free(self, ask);
            wl_free(ask);
        }
    }
    HASH_CLEAR(hh, self->flying);
    wl_free(self);
    *pointer = NULL;
}
