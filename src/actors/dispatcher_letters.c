/* Dead letters as operators see them: list, show, redrive, discard. Reading letters blocks for
 * milliseconds. */
#include "actors/dispatcher_state.h"

#include "base/slot.h"
#include "proto/args.h"
#include "store/queue_dead.h"

#include <stdio.h>
#include <string.h>

enum {
    LIST_USUAL = 100,
    LIST_MAX = 1000,
    NOTE_MAX = 200,  /* bytes of the note that goes into the audit table */
    CLASS_MAX = 16,  /* bytes of a class */
    WHICH_MAX = 240, /* bytes of the list of classes in a fault */
};

static void pack_text(msgpack_packer *packer, const char *text) {
    size_t bytes = strlen(text);
    msgpack_pack_str(packer, bytes);
    msgpack_pack_str_body(packer, text, bytes);
}

static void pack_number(msgpack_packer *packer, const char *key, uint64_t value) {
    pack_text(packer, key);
    msgpack_pack_uint64(packer, value);
}

static void pack_time(msgpack_packer *packer, const char *key, int64_t value) {
    pack_text(packer, key);
    msgpack_pack_int64(packer, value);
}

static void pack_word(msgpack_packer *packer, const char *key, const char *value) {
    pack_text(packer, key);
    pack_text(packer, value);
}

static void pack_flag(msgpack_packer *packer, const char *key, bool value) {
    pack_text(packer, key);
    value ? msgpack_pack_true(packer) : msgpack_pack_false(packer);
}

void wl_dispatcher_pack_classes(const uint64_t counts[WL_FAILURE_COUNT], msgpack_packer *packer) {
    uint32_t used = 0;
    for (unsigned i = WL_FAILURE_NONE + 1; i < WL_FAILURE_COUNT; i++) {
        used += counts[i] > 0;
    }
    pack_text(packer, "classes");
    msgpack_pack_array(packer, used);
    for (unsigned i = WL_FAILURE_NONE + 1; i < WL_FAILURE_COUNT; i++) {
        if (counts[i] > 0) {
            msgpack_pack_map(packer, 2);
            pack_word(packer, "class", wl_failure_word(i));
            pack_number(packer, "count", counts[i]);
        }
    }
}

/* ---- one letter ------------------------------------------------------------------------------ */

static void pack_letter(msgpack_packer *packer, const wl_dead_letter_t *letter, bool whole) {
    msgpack_pack_map(packer, whole ? 9 : 8);
    pack_number(packer, "id", letter->id);
    pack_number(packer, "uid", letter->uid);
    pack_word(packer, "line", letter->line);
    pack_word(packer, "reason", letter->reason);
    pack_number(packer, "attempts", letter->attempts);
    pack_time(packer, "at", letter->at);
    pack_number(packer, "body_bytes", letter->body_bytes);
    pack_word(packer, "class", wl_failure_word(letter->failure));
}

/* Damaged bytes of the store are no history. */
static void pack_history(msgpack_packer *packer, const wl_dead_letter_t *letter) {
    wl_attempts_t attempts;
    if (wl_attempts_unpack(letter->history, letter->history_bytes, &attempts) != WL_OK) {
        attempts.count = 0;
    }
    pack_text(packer, "history");
    msgpack_pack_array(packer, attempts.count);
    for (uint32_t i = 0; i < attempts.count; i++) {
        msgpack_pack_map(packer, 3);
        pack_time(packer, "at", attempts.at[i].at);
        pack_word(packer, "outcome", wl_failure_word(attempts.at[i].failure));
        pack_word(packer, "reason", attempts.at[i].reason);
    }
}

static void on_letter(const wl_dead_letter_t *letter, void *arg) {
    wl_dispatcher_t *self = arg;
    if (self->listed == self->list_max) {
        self->list_more = true;
        return;
    }
    msgpack_packer packer;
    msgpack_packer_init(&packer, &self->list, msgpack_sbuffer_write);
    pack_letter(&packer, letter, false);
    self->listed++;
}

static void on_whole_letter(const wl_dead_letter_t *letter, void *arg) {
    wl_dispatcher_t *self = arg;
    msgpack_packer packer;
    msgpack_packer_init(&packer, &self->body, msgpack_sbuffer_write);
    pack_letter(&packer, letter, true);
    pack_history(&packer, letter);
}

/* ---- which letters --------------------------------------------------------------------------- */

/* An optional number from 1 on: 0 when it is absent. */
static wl_err_t read_number(const msgpack_object *args, const char *key, uint64_t *ret,
                            wl_fault_t *fault) {
    *ret = 0;
    wl_err_t err = wl_args_u64(args, key, ret, fault);
    if (err == WL_OK && (*ret == 0 || *ret > INT64_MAX)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: is out of range", key);
    }
    return err == WL_ERR_NOT_FOUND ? WL_OK : err;
}

static wl_err_t class_fault(const char *word, wl_fault_t *fault) {
    char known[WHICH_MAX] = "";
    size_t used = 0;
    for (unsigned i = WL_FAILURE_NONE + 1; i < WL_FAILURE_COUNT && used < sizeof known; i++) {
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used == 0 ? "" : ", ",
                                 wl_failure_word(i));
    }
    return wl_fault(fault, WL_ERR_BAD_REQUEST, "class", "class: there is no \"%s\", but %s", word,
                    known);
}

/* line?, class?, uid? Of `line` the filter keeps a pointer. */
static wl_err_t read_filter(const msgpack_object *args, char line[WL_LINE_ID_MAX + 1],
                            wl_dead_filter_t *ret, wl_fault_t *fault) {
    char class[CLASS_MAX + 1] = "";
    *ret = (wl_dead_filter_t){.line = NULL};
    wl_err_t err = wl_args_text(args, "line", line, WL_LINE_ID_MAX, fault);
    ret->line = err == WL_OK ? line : NULL;
    if (err == WL_OK || err == WL_ERR_NOT_FOUND) {
        err = wl_args_text(args, "class", class, CLASS_MAX, fault);
    }
    if (err == WL_OK && !wl_failure_parse(class, &ret->failure)) {
        return class_fault(class, fault);
    }
    if (err == WL_OK || err == WL_ERR_NOT_FOUND) {
        err = wl_args_u64(args, "uid", &ret->uid, fault);
    }
    if (err == WL_OK && ret->uid == 0) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "uid", "uid: must be 1 to 2^64-1");
    }
    return err == WL_ERR_NOT_FOUND ? WL_OK : err;
}

/* What redrive and discard are about: one letter, some, or all: that has to be said, lest a
 * misspelt key mean all. */
typedef struct {
    uint64_t id;
    wl_dead_filter_t filter;
    char line[WL_LINE_ID_MAX + 1];
} choice_t;

static wl_err_t read_choice(const msgpack_object *args, choice_t *ret, wl_fault_t *fault) {
    bool all = false;
    wl_err_t err = read_filter(args, ret->line, &ret->filter, fault);
    if (err == WL_OK) {
        err = read_number(args, "id", &ret->id, fault);
    }
    if (err == WL_OK) {
        err = wl_args_bool(args, "all", &all, fault);
        err = err == WL_ERR_NOT_FOUND ? WL_OK : err;
    }
    if (err != WL_OK) {
        return err;
    }
    bool some = ret->filter.line != NULL || ret->filter.uid != 0 || ret->filter.failure != 0;
    if ((ret->id != 0) + some + all > 1) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "id",
                        "id: give one of: an id; a line, class or uid; all");
    }
    if (ret->id == 0 && !some && !all) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "id",
                        "id: which letters? give an id, a line, a class, a uid, or all: true");
    }
    return WL_OK;
}

/* ---- list and show --------------------------------------------------------------------------- */

wl_err_t wl_dispatcher_letters_list(wl_dispatcher_t *self, const msgpack_object *args,
                                    msgpack_packer *packer, wl_fault_t *fault) {
    char line[WL_LINE_ID_MAX + 1] = "";
    wl_dead_filter_t filter;
    uint64_t limit = 0;
    uint64_t before = 0;
    uint64_t classes[WL_FAILURE_COUNT];
    wl_err_t err = read_filter(args, line, &filter, fault);
    if (err == WL_OK) {
        err = read_number(args, "limit", &limit, fault);
    }
    if (err == WL_OK) {
        err = read_number(args, "before", &before, fault);
    }
    limit = limit == 0 ? LIST_USUAL : limit > LIST_MAX ? LIST_MAX : limit;
    msgpack_sbuffer_clear(&self->list);
    self->listed = 0;
    self->list_more = false;
    self->list_max = (uint32_t)limit;
    if (err == WL_OK) {
        err = wl_queue_dead_list(self->queue, &filter, before, limit + 1, on_letter, self);
    }
    if (err == WL_OK) {
        err = wl_queue_dead_classes(self->queue, classes);
    }
    if (err != WL_OK) {
        return err;
    }
    msgpack_pack_map(packer, 3);
    pack_text(packer, "letters");
    msgpack_pack_array(packer, self->listed);
    (void)msgpack_sbuffer_write(&self->body, self->list.data, self->list.size);
    pack_flag(packer, "more", self->list_more);
    wl_dispatcher_pack_classes(classes, packer);
    return WL_OK;
}

wl_err_t wl_dispatcher_letters_show(wl_dispatcher_t *self, const msgpack_object *args,
                                    wl_fault_t *fault) {
    uint64_t id = 0;
    wl_err_t err = read_number(args, "id", &id, fault);
    if (err == WL_OK && id == 0) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "id", "id: is required");
    }
    if (err == WL_OK) {
        err = wl_queue_dead_get(self->queue, id, on_whole_letter, self);
    }
    if (err == WL_ERR_NOT_FOUND) {
        return wl_fault(fault, err, "id", "there is no letter %llu", (unsigned long long)id);
    }
    return err;
}

/* ---- redrive and discard --------------------------------------------------------------------- */

static void letter_trail(wl_dispatcher_t *self, wl_trail_what_t what, const wl_retry_row_t *row) {
    wl_trail_tell(&self->trail,
                  &(wl_trail_event_t){
                      .uid = row->uid, .at = wl_wall_now().ms, .what = what, .line = row->line});
}

/* Also those of partitions that are held elsewhere: it was asked for here. */
static void on_redriven(const wl_retry_row_t *row, void *arg) {
    wl_dispatcher_t *self = arg;
    letter_trail(self, WL_TRAIL_REDRIVE, row);
    wl_dispatcher_take_retry(row, self);
}

wl_err_t wl_dispatcher_letters_redrive(wl_dispatcher_t *self, const msgpack_object *args,
                                       msgpack_packer *packer, wl_fault_t *fault) {
    choice_t choice = {.id = 0};
    uint64_t count = 0;
    wl_err_t err = read_choice(args, &choice, fault);
    if (err == WL_OK) {
        err = wl_queue_dead_redrive(self->queue, choice.id, &choice.filter, WL_DEAD_BATCH_MAX,
                                    wl_wall_now().ms, on_redriven, self, &count);
    }
    if (err == WL_ERR_NOT_FOUND) {
        return wl_fault(fault, err, "id", "there is no such letter");
    }
    if (err == WL_OK) {
        msgpack_pack_map(packer, 1);
        pack_number(packer, "redriven", count);
    }
    return err;
}

/* Nobody brings this change any more, so its copy need not be called stale for it. What has come
 * since then says so itself. */
static void letter_forget(wl_dispatcher_t *self, const char *line, uint64_t uid) {
    if (self->epoch > 0 && strcmp(wl_pending_state(self->pending, line, uid), "none") == 0) {
        wl_dispatcher_notice(self, line, uid, wl_pending_seq(self->pending), WL_MARK_NONE);
    }
}

/* Whoever serves the partition knows whether more is coming. In another process: the label stays
 * until the next change or look. */
static void on_discarded(const wl_retry_row_t *row, void *arg) {
    wl_dispatcher_t *self = arg;
    letter_trail(self, WL_TRAIL_DISCARDED, row);
    if (wl_dispatcher_owns(self, row->uid)) {
        letter_forget(self, row->line, row->uid);
        return;
    }
    uint32_t owner = wl_uid_owner(row->uid, wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER));
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_DISPATCHER, owner, WL_MSG_NOTICE, 0);
    if (!wl_encoder_begun(to)) {
        wl_notice_head_t head = {.dispatcher = self->hub.instance};
        wl_notice_begin(to, &head);
    }
    wl_notice_item_t item = {.uid = row->uid, .state = WL_MARK_NONE};
    memcpy(item.line, row->line, sizeof item.line);
    wl_notice_add(to, &item);
}

void wl_dispatcher_take_notice(wl_dispatcher_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_notice_item_t *item = &msg->items.notice[i];
        if (item->state != WL_MARK_NONE || !wl_dispatcher_owns(self, item->uid)) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
        } else {
            letter_forget(self, item->line, item->uid);
        }
    }
}

wl_err_t wl_dispatcher_letters_discard(wl_dispatcher_t *self, const msgpack_object *args,
                                       msgpack_packer *packer, wl_fault_t *fault) {
    char note[NOTE_MAX + 1] = "";
    choice_t choice = {.id = 0};
    uint64_t count = 0;
    wl_err_t err = read_choice(args, &choice, fault);
    if (err == WL_OK) {
        err = wl_args_text(args, "note", note, NOTE_MAX, fault);
    }
    if (err == WL_ERR_NOT_FOUND || (err == WL_OK && note[0] == '\0')) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "note", "note: is required, it says why");
    }
    if (err == WL_OK) {
        err = wl_queue_dead_discard(self->queue, choice.id, &choice.filter, note, WL_DEAD_BATCH_MAX,
                                    on_discarded, self, &count);
    }
    if (err == WL_ERR_NOT_FOUND) {
        return wl_fault(fault, err, "id", "there is no such letter");
    }
    if (err == WL_OK) {
        msgpack_pack_map(packer, 1);
        pack_number(packer, "discarded", count);
    }
    return err;
}
