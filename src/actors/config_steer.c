/* Requests that change the configuration: their arguments, and the wish that is made of them. What
 * is refused here names the argument. */
#include "actors/config_publish.h"
#include "base/alloc.h"
#include "proto/args.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SCENES_ASKED_MAX = 64 };

/* A wish with the texts it borrows. */
typedef struct {
    wl_config_wish_t wish;
    char author[WL_AUTHOR_MAX + 1];
    char reason[WL_REASON_MAX + 1];
    wl_document_text_t texts[WL_DOCUMENT_COUNT]; /* as sent: borrowed, NULL = not sent */
    bool dry_run;
} asked_t;

static wl_err_t required(wl_err_t err, const char *key, wl_fault_t *fault) {
    return err == WL_ERR_NOT_FOUND ? wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: is missing", key)
                                   : err;
}

static wl_err_t optional(wl_err_t err) {
    return err == WL_ERR_NOT_FOUND ? WL_OK : err;
}

/* base, author, reason, dry_run: what every change says. */
static wl_err_t asked_read(const msgpack_object *args, const char *user, asked_t *ret,
                           wl_fault_t *fault) {
    wl_err_t err = required(wl_args_u64(args, "base", &ret->wish.base, fault), "base", fault);
    if (err == WL_OK) {
        err = wl_args_text(args, "author", ret->author, WL_AUTHOR_MAX, fault);
        err = required(err, "author", fault);
    }
    if (err == WL_OK) {
        err = wl_args_text(args, "reason", ret->reason, WL_REASON_MAX, fault);
        err = required(err, "reason", fault);
    }
    if (err == WL_OK) {
        err = optional(wl_args_bool(args, "dry_run", &ret->dry_run, fault));
    }
    ret->wish.author = ret->author;
    ret->wish.reason = ret->reason;
    ret->wish.from = user;
    return err;
}

static void asked_release(asked_t *self) {
    for (int d = 0; d < WL_DOCUMENT_COUNT; d++) {
        json_decref(self->wish.documents[d]);
    }
}

/* ---- documents ------------------------------------------------------------------------------- */

static wl_err_t text_find(const msgpack_object *args, const char *key, wl_document_text_t *ret,
                          wl_fault_t *fault) {
    const msgpack_object *value = NULL;
    if (wl_args_find(args, key, &value) != WL_OK) {
        return WL_OK;
    }
    bool bin = value->type == MSGPACK_OBJECT_BIN;
    if (!bin && value->type != MSGPACK_OBJECT_STR) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key,
                        "%s: must be the text of a document, got %s", key,
                        wl_value_type_name(value));
    }
    ret->text = (char *)(bin ? value->via.bin.ptr : value->via.str.ptr); /* only read */
    ret->bytes = bin ? value->via.bin.size : value->via.str.size;
    return WL_OK;
}

/* The documents that are sent: judged as they were written, so that line and column are those of
 * the author's file. */
static wl_err_t documents_read(wl_config_actor_t *self, const msgpack_object *args, asked_t *into,
                               wl_fault_t *fault) {
    const wl_config_live_t *live = self->below != NULL ? self->below : self->live;
    wl_document_text_t whole[WL_DOCUMENT_COUNT];
    bool any = false;
    for (wl_document_t d = 0; d < WL_DOCUMENT_COUNT; d++) {
        wl_err_t err = text_find(args, wl_document_name(d), &into->texts[d], fault);
        if (err != WL_OK) {
            return err;
        }
        any = any || into->texts[d].text != NULL;
        whole[d] = into->texts[d].text != NULL ? into->texts[d] : live->base[d];
    }
    if (!any) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "integration",
                        "integration or presentation: one of them is needed");
    }
    wl_config_t *config = NULL;
    wl_err_t err = wl_config_judge(whole, &config, fault);
    wl_config_destroy(&config);
    for (wl_document_t d = 0; err == WL_OK && d < WL_DOCUMENT_COUNT; d++) {
        if (into->texts[d].text != NULL) {
            into->wish.documents[d] =
                json_loadb(into->texts[d].text, into->texts[d].bytes, 0, NULL);
        }
    }
    return err;
}

/* Is it, but for its number, what everybody sees already? */
static bool same_as_live(const wl_document_text_t *live, const json_t *document) {
    json_t *now = json_loadb(live->text, live->bytes, 0, NULL);
    json_t *copy = json_copy((json_t *)document);
    (void)json_object_del(now, "version");
    (void)json_object_del(copy, "version");
    bool same = json_equal(now, copy) == 1;
    json_decref(now);
    json_decref(copy);
    return same;
}

/* Documents that would change nothing are left out; all of them: refused. */
static wl_err_t documents_thin(wl_config_actor_t *self, asked_t *into, wl_fault_t *fault) {
    const wl_config_live_t *live = self->below != NULL ? self->below : self->live;
    bool any = false;
    for (wl_document_t d = 0; d < WL_DOCUMENT_COUNT; d++) {
        json_t *document = into->wish.documents[d];
        if (document != NULL && same_as_live(&live->base[d], document)) {
            json_decref(document);
            into->wish.documents[d] = NULL;
        }
        any = any || into->wish.documents[d] != NULL;
    }
    return any ? WL_OK
               : wl_fault(fault, WL_ERR_BAD_REQUEST, "integration",
                          "it would change nothing: these documents are live already");
}

/* Publishes what the arguments bring, under what was asked. */
static wl_err_t documents_publish(wl_config_actor_t *self, const msgpack_object *args,
                                  asked_t *asked, wl_config_asker_t asker, json_t **ret,
                                  wl_fault_t *fault) {
    wl_err_t err = documents_read(self, args, asked, fault);
    if (err == WL_OK) {
        err = documents_thin(self, asked, fault);
    }
    return err == WL_OK ? wl_config_publish(self, &asked->wish, asked->dry_run, asker, ret, fault)
                        : err;
}

wl_err_t wl_config_steer_put(wl_config_actor_t *self, const msgpack_object *args, const char *user,
                             wl_config_asker_t asker, json_t **ret, wl_fault_t *fault) {
    asked_t asked = {.wish = {.action = WL_CONFIG_ACTION_PUBLISH}};
    wl_err_t err = asked_read(args, user, &asked, fault);
    if (err == WL_OK) {
        err = documents_publish(self, args, &asked, asker, ret, fault);
    }
    asked_release(&asked);
    return err;
}

/* ---- rollouts -------------------------------------------------------------------------------- */

/* One argument as JSON: what a rollout's conditions are read from. */
static json_t *argument_json(const msgpack_object *value) {
    switch (value->type) {
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return value->via.u64 > INT64_MAX ? NULL : json_integer((json_int_t)value->via.u64);
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: return json_integer(value->via.i64);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: return json_real(value->via.f64);
    case MSGPACK_OBJECT_STR: return json_stringn(value->via.str.ptr, value->via.str.size);
    case MSGPACK_OBJECT_ARRAY: {
        json_t *list = json_array();
        for (uint32_t i = 0; i < value->via.array.size && i < SCENES_ASKED_MAX; i++) {
            const msgpack_object *each = &value->via.array.ptr[i];
            json_t *text = each->type == MSGPACK_OBJECT_STR ? argument_json(each) : NULL;
            (void)json_array_append_new(list, text == NULL ? json_null() : text);
        }
        return list;
    }
    case MSGPACK_OBJECT_NIL:
    case MSGPACK_OBJECT_BOOLEAN:
    case MSGPACK_OBJECT_MAP:
    case MSGPACK_OBJECT_BIN:
    case MSGPACK_OBJECT_EXT:
    default: return NULL;
    }
}

static const char *const conditions[] = {"percent", "whitelist",     "scenes",       "app_min",
                                         "app_max", "abort_percent", "abort_replies"};
enum { WIDENED = 2 }; /* of them may change while the rollout is under way */

/* A rollout that is under way keeps its other conditions: whoever names one hears so. */
static wl_err_t conditions_none(const msgpack_object *args, bool widen, wl_fault_t *fault) {
    for (size_t k = widen ? WIDENED : 0; k < sizeof conditions / sizeof conditions[0]; k++) {
        const msgpack_object *value = NULL;
        if (wl_args_find(args, conditions[k], &value) == WL_OK) {
            return wl_fault(fault, WL_ERR_BAD_REQUEST, conditions[k], "%s: cannot be changed %s",
                            conditions[k],
                            k < WIDENED ? "but by widen" : "while the rollout is under way");
        }
    }
    return WL_OK;
}

/* The conditions among the arguments. ret->id is of no meaning. */
static wl_err_t conditions_read(const msgpack_object *args, wl_rollout_t *ret, bool *ret_share,
                                bool *ret_whitelist, wl_fault_t *fault) {
    json_t *object = json_pack("{s:i}", "id", 1);
    wl_err_t err = WL_OK;
    for (size_t k = 0; err == WL_OK && k < sizeof conditions / sizeof conditions[0]; k++) {
        const char *key = conditions[k];
        const msgpack_object *value = NULL;
        if (wl_args_find(args, key, &value) != WL_OK) {
            continue;
        }
        json_t *as_json = argument_json(value);
        if (as_json == NULL) {
            err = wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: cannot be a %s", key,
                           wl_value_type_name(value));
        } else {
            (void)json_object_set_new(object, key, as_json);
        }
    }
    if (err == WL_OK) {
        err = wl_rollout_read(object, ret, fault);
    }
    *ret_share = json_object_get(object, "percent") != NULL;
    *ret_whitelist = json_object_get(object, "whitelist") != NULL;
    json_decref(object);
    return err;
}

wl_err_t wl_config_steer_rollout(wl_config_actor_t *self, const msgpack_object *args,
                                 const char *user, wl_config_asker_t asker, json_t **ret,
                                 wl_fault_t *fault) {
    asked_t asked = {.wish = {.action = WL_CONFIG_ACTION_ROLLOUT}};
    bool share = false;
    bool whitelist = false;
    wl_err_t err = asked_read(args, user, &asked, fault);
    if (err == WL_OK) {
        err = conditions_read(args, &asked.wish.rollout, &share, &whitelist, fault);
    }
    if (err == WL_OK) {
        err = documents_publish(self, args, &asked, asker, ret, fault);
    }
    asked_release(&asked);
    return err;
}

static wl_err_t action_read(const msgpack_object *args, wl_config_action_t *ret,
                            wl_fault_t *fault) {
    static const wl_config_action_t actions[] = {WL_CONFIG_ACTION_WIDEN, WL_CONFIG_ACTION_PAUSE,
                                                 WL_CONFIG_ACTION_RESUME, WL_CONFIG_ACTION_PROMOTE,
                                                 WL_CONFIG_ACTION_ABORT};
    char text[16];
    wl_err_t err =
        required(wl_args_text(args, "action", text, sizeof text - 1, fault), "action", fault);
    if (err != WL_OK) {
        return err;
    }
    for (size_t a = 0; a < sizeof actions / sizeof actions[0]; a++) {
        if (strcmp(text, wl_config_action_name(actions[a])) == 0) {
            *ret = actions[a];
            return WL_OK;
        }
    }
    return wl_fault(fault, WL_ERR_BAD_REQUEST, "action",
                    "action: must be widen, pause, resume, promote or abort, got %s", text);
}

wl_err_t wl_config_steer_steer(wl_config_actor_t *self, const msgpack_object *args,
                               const char *user, wl_config_asker_t asker, json_t **ret,
                               wl_fault_t *fault) {
    asked_t asked = {.dry_run = false};
    wl_config_wish_t *wish = &asked.wish;
    wl_err_t err = action_read(args, &wish->action, fault);
    if (err == WL_OK) {
        err = asked_read(args, user, &asked, fault);
    }
    if (err == WL_OK) {
        err = required(wl_args_u64(args, "rollout", &wish->rollout_id, fault), "rollout", fault);
    }
    if (err == WL_OK) {
        err = conditions_none(args, wish->action == WL_CONFIG_ACTION_WIDEN, fault);
    }
    if (err == WL_OK && wish->action == WL_CONFIG_ACTION_WIDEN) {
        err = conditions_read(args, &wish->rollout, &wish->set_share, &wish->set_whitelist, fault);
    }
    return err == WL_OK ? wl_config_publish(self, wish, asked.dry_run, asker, ret, fault) : err;
}

/* ---- rolling back ---------------------------------------------------------------------------- */

/* The documents that were live after change `to`, as far as they are others than now. */
static wl_err_t documents_of(wl_config_actor_t *self, uint64_t to, asked_t *into,
                             wl_fault_t *fault) {
    const wl_config_state_t *now = wl_config_sources_state(self->sources);
    wl_config_change_t change;
    wl_err_t err = wl_config_sources_change(self->sources, to, &change, NULL, fault);
    wl_config_change_release(&change);
    for (wl_document_t d = 0; err == WL_OK && d < WL_DOCUMENT_COUNT; d++) {
        if (change.state.head[d].seq == now->head[d].seq) {
            continue;
        }
        wl_document_text_t text = {NULL, 0};
        err = wl_config_sources_document(self->sources, d, change.state.head[d].seq, &text.text,
                                         &text.bytes, fault);
        if (err == WL_OK) {
            into->wish.documents[d] = json_loadb(text.text, text.bytes, 0, NULL);
        }
        wl_free(text.text);
    }
    return err;
}

wl_err_t wl_config_steer_rollback(wl_config_actor_t *self, const msgpack_object *args,
                                  const char *user, wl_config_asker_t asker, json_t **ret,
                                  wl_fault_t *fault) {
    asked_t asked = {.wish = {.action = WL_CONFIG_ACTION_ROLLBACK}};
    uint64_t to = 0;
    wl_err_t err = asked_read(args, user, &asked, fault);
    if (err == WL_OK) {
        err = required(wl_args_u64(args, "to", &to, fault), "to", fault);
    }
    if (err == WL_OK) {
        err = documents_of(self, to, &asked, fault);
    }
    if (err == WL_OK) {
        err = documents_thin(self, &asked, fault);
    }
    if (err == WL_OK) {
        err = wl_config_publish(self, &asked.wish, asked.dry_run, asker, ret, fault);
    }
    asked_release(&asked);
    return err;
}
