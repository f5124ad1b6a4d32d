/* admin.config.draft: documents that somebody is still at work on, kept in the store's notes so
 * that others can see them and go on. A draft may be anything: it is judged when it is validated
 * or published. */
#include "actors/config_args.h"
#include "actors/config_self.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/text.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOLDER "drafts/"

enum {
    DRAFT_NAME_MAX = 64,
    DRAFTS_MAX = 64,
    ACTION_MAX = 16,
    ESCAPED_MAX = 6, /* bytes of one in JSON, "\\u0001" */
};

typedef struct {
    wl_config_log_t *store;
    const char *user;
    char name[DRAFT_NAME_MAX + 1];
    char note[sizeof FOLDER + DRAFT_NAME_MAX];
} draft_t;

/* ---- names ----------------------------------------------------------------------------------- */

static bool name_valid(const char *name) {
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t bytes = strlen(name);
    return bytes > 0 && bytes <= DRAFT_NAME_MAX && name[0] != '.' && strspn(name, letters) == bytes;
}

static wl_err_t name_read(const msgpack_object *args, draft_t *draft, wl_fault_t *fault) {
    wl_err_t err = wl_args_text(args, "name", draft->name, DRAFT_NAME_MAX, fault);
    err = wl_config_arg_needed(err, "name", fault);
    if (err == WL_OK && !name_valid(draft->name)) {
        err = wl_fault(fault, WL_ERR_BAD_REQUEST, "name",
                       "name: must be letters, digits, \"_\", \".\" and \"-\", and not begin with "
                       "\".\"");
    }
    (void)snprintf(draft->note, sizeof draft->note, FOLDER "%s", draft->name);
    return err;
}

static wl_err_t store_failed(const draft_t *draft, wl_err_t err, wl_fault_t *fault) {
    return wl_fault(fault, err == WL_ERR_DEADLINE ? WL_ERR_UNAVAILABLE : err, "config.store", "%s",
                    wl_config_log_problem(draft->store));
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A note as it was kept; NULL: anything else, notes are not to be trusted. */
static json_t *draft_parse(const char *text, size_t bytes) {
    json_t *note = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    json_t *draft = NULL;
    const char *document = NULL;
    const char *author = NULL;
    json_t *kept = NULL;
    json_int_t base = 0;
    json_int_t at = 0;
    if (json_unpack(note, "{s:s, s:o, s:I, s:s, s:I}", "document", &document, "text", &kept, "base",
                    &base, "author", &author, "at", &at) == 0 &&
        json_is_string(kept)) {
        draft = json_pack("{s:s, s:O, s:I, s:s, s:I}", "document", document, "text", kept, "base",
                          base, "author", author, "at", at);
    }
    json_decref(note);
    return draft;
}

typedef struct {
    json_t *list; /* of [{"name", ...}], without their texts */
    uint32_t count;
} listing_t;

static bool listing_add(const char *name, const char *text, size_t bytes, void *arg) {
    listing_t *self = arg;
    json_t *draft = draft_parse(text, bytes);
    self->count++;
    if (draft == NULL) {
        draft = json_pack("{s:s}", "problem", "is damaged: save it anew, or drop it");
    } else {
        size_t text_bytes = json_string_length(json_object_get(draft, "text"));
        (void)json_object_set_new(draft, "bytes", json_integer((json_int_t)text_bytes));
        (void)json_object_del(draft, "text");
    }
    (void)json_object_set_new(draft, "name", json_string(name + strlen(FOLDER)));
    (void)json_array_append_new(self->list, draft);
    return self->count < DRAFTS_MAX;
}

static wl_err_t drafts_list(draft_t *draft, listing_t *ret, wl_fault_t *fault) {
    *ret = (listing_t){.list = json_array()};
    wl_err_t err = wl_config_log_notes(draft->store, FOLDER, listing_add, ret);
    if (err != WL_OK) {
        json_decref(ret->list);
        ret->list = NULL;
        return store_failed(draft, err, fault);
    }
    return WL_OK;
}

/* Names those that there are. */
static wl_err_t draft_unknown(draft_t *draft, wl_fault_t *fault) {
    char names[100] = "";
    size_t used = 0;
    size_t index = 0;
    const json_t *each = NULL;
    listing_t listing;
    wl_err_t err = drafts_list(draft, &listing, fault);
    if (err != WL_OK) {
        return err;
    }
    json_array_foreach(listing.list, index, each) {
        const char *name = json_string_value(json_object_get(each, "name"));
        if (used + strlen(name) + 3 >= sizeof names) {
            break; /* the list says the rest */
        }
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used == 0 ? "" : ", ",
                                 name);
    }
    json_decref(listing.list);
    return wl_fault(fault, WL_ERR_NOT_FOUND, "name", "name: there is no draft \"%s\"%s%s",
                    draft->name, used == 0 ? ", nor any other" : ": there are ", names);
}

/* NOT_FOUND without a fault. WL_OK with NULL: it is damaged. */
static wl_err_t draft_fetch(draft_t *draft, json_t **ret, wl_fault_t *fault) {
    char *text = NULL;
    size_t bytes = 0;
    wl_err_t err = wl_config_log_note_get(draft->store, draft->note, &text, &bytes);
    if (err == WL_OK) {
        *ret = draft_parse(text, bytes);
        wl_free(text);
        return WL_OK;
    }
    return err == WL_ERR_NOT_FOUND ? err : store_failed(draft, err, fault);
}

static wl_err_t draft_show(wl_config_actor_t *self, draft_t *draft, const msgpack_object *args,
                           json_t **ret, wl_fault_t *fault) {
    json_t *found = NULL;
    (void)self;
    wl_err_t err = name_read(args, draft, fault);
    if (err == WL_OK) {
        err = draft_fetch(draft, &found, fault);
        err = err == WL_ERR_NOT_FOUND ? draft_unknown(draft, fault) : err;
    }
    if (err == WL_OK && found == NULL) {
        err = wl_fault(fault, WL_ERR_DAMAGED, "name",
                       "name: draft \"%s\" is damaged: save it anew, or drop it", draft->name);
    }
    if (err == WL_OK) {
        (void)json_object_set_new(found, "name", json_string(draft->name));
        *ret = found;
    }
    return err;
}

static wl_err_t draft_list(wl_config_actor_t *self, draft_t *draft, const msgpack_object *args,
                           json_t **ret, wl_fault_t *fault) {
    listing_t listing;
    (void)self, (void)args;
    wl_err_t err = drafts_list(draft, &listing, fault);
    if (err == WL_OK) {
        *ret = json_pack("{s:o}", "drafts", listing.list);
    }
    return err;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Who saves it: what is said, else who asks. */
static wl_err_t author_read(const msgpack_object *args, const draft_t *draft,
                            char ret[WL_AUTHOR_MAX + 2], wl_fault_t *fault) {
    wl_err_t err = wl_args_text(args, "author", ret, WL_AUTHOR_MAX, fault);
    if (err == WL_ERR_NOT_FOUND && draft->user[0] != '\0') {
        (void)snprintf(ret, WL_AUTHOR_MAX + 2, "%s", draft->user);
        return WL_OK;
    }
    err = wl_config_arg_needed(err, "author", fault);
    if (err == WL_OK && (ret[0] == '\0' || !wl_text_valid(ret, WL_AUTHOR_MAX + 1))) {
        err = wl_fault(fault, WL_ERR_BAD_REQUEST, "author",
                       "author: must be UTF-8 without control characters, and not empty");
    }
    return err;
}

/* The draft as JSON, as it is kept. */
static wl_err_t draft_read(wl_config_actor_t *self, const msgpack_object *args,
                           const draft_t *draft, json_t **ret, wl_fault_t *fault) {
    wl_document_t document = WL_DOCUMENT_COUNT;
    char author[WL_AUTHOR_MAX + 2];
    const char *text = NULL;
    size_t bytes = 0;
    uint64_t base = wl_config_sources_state(self->sources)->seq;
    wl_err_t err = wl_config_arg_document(args, &document, fault);
    if (err == WL_OK) {
        err = wl_config_arg_bytes(args, "text", "the text of a document", &text, &bytes, fault);
        err = wl_config_arg_needed(err, "text", fault);
    }
    if (err == WL_OK) {
        err = wl_config_arg_optional(wl_args_u64(args, "base", &base, fault));
    }
    if (err == WL_OK) {
        err = author_read(args, draft, author, fault);
    }
    if (err != WL_OK) {
        return err;
    }
    if (base > WL_CONFIG_SEQ_MAX) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "base", "base: must be the number of a change");
    }
    if (bytes > WL_DOCUMENT_BYTES_MAX) {
        return wl_fault(fault, WL_ERR_TOO_BIG, "text", "text: a document has at most %d bytes",
                        WL_DOCUMENT_BYTES_MAX);
    }
    json_t *kept = json_stringn(text, bytes);
    if (kept == NULL) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "text", "text: must be UTF-8");
    }
    *ret =
        json_pack("{s:s, s:o, s:I, s:s, s:I}", "document", wl_document_name(document), "text", kept,
                  "base", (json_int_t)base, "author", author, "at", (json_int_t)wl_wall_now().ms);
    return WL_OK;
}

static wl_err_t draft_put(draft_t *draft, const json_t *as_json, wl_fault_t *fault) {
    static_assert(ESCAPED_MAX * WL_DOCUMENT_BYTES_MAX + 4096 <= WL_CONFIG_NOTE_BYTES_MAX,
                  "any document fits a note");
    char *text = json_dumps(as_json, JSON_COMPACT);
    wl_err_t err = wl_config_log_note_put(draft->store, draft->note, text, strlen(text), 0);
    free(text);
    return err == WL_OK ? WL_OK : store_failed(draft, err, fault);
}

/* Room for another one? */
static wl_err_t drafts_bound(draft_t *draft, wl_fault_t *fault) {
    listing_t listing;
    wl_err_t err = drafts_list(draft, &listing, fault);
    if (err != WL_OK) {
        return err;
    }
    json_decref(listing.list);
    return listing.count < DRAFTS_MAX
               ? WL_OK
               : wl_fault(fault, WL_ERR_FULL, "name",
                          "name: there are %d drafts already: drop one first", DRAFTS_MAX);
}

static wl_err_t draft_save(wl_config_actor_t *self, draft_t *draft, const msgpack_object *args,
                           json_t **ret, wl_fault_t *fault) {
    json_t *fresh = NULL;
    json_t *old = NULL;
    wl_err_t err = name_read(args, draft, fault);
    if (err == WL_OK) {
        err = draft_read(self, args, draft, &fresh, fault);
    }
    if (err == WL_OK) {
        err = draft_fetch(draft, &old, fault);
        err = err == WL_ERR_NOT_FOUND ? drafts_bound(draft, fault) : err;
    }
    if (err == WL_OK) {
        err = draft_put(draft, fresh, fault);
    }
    if (err == WL_OK) {
        (void)json_object_del(fresh, "text"); /* the asker has it */
        (void)json_object_set_new(fresh, "name", json_string(draft->name));
        (void)json_object_del(old, "text");
        if (old != NULL) {
            (void)json_object_set(fresh, "replaced", old);
        }
        *ret = json_incref(fresh);
    }
    json_decref(old);
    json_decref(fresh);
    return err;
}

static wl_err_t draft_drop(wl_config_actor_t *self, draft_t *draft, const msgpack_object *args,
                           json_t **ret, wl_fault_t *fault) {
    json_t *old = NULL;
    (void)self;
    wl_err_t err = name_read(args, draft, fault);
    if (err == WL_OK) {
        err = draft_fetch(draft, &old, fault);
        err = err == WL_ERR_NOT_FOUND ? draft_unknown(draft, fault) : err;
    }
    json_decref(old);
    if (err != WL_OK) {
        return err;
    }
    err = wl_config_log_note_put(draft->store, draft->note, NULL, 0, 0);
    if (err != WL_OK) {
        return store_failed(draft, err, fault);
    }
    *ret = json_pack("{s:s, s:b}", "name", draft->name, "dropped", true);
    return WL_OK;
}

/* ---- actions --------------------------------------------------------------------------------- */

wl_err_t wl_config_view_draft(wl_config_actor_t *self, const msgpack_object *args, const char *user,
                              json_t **ret, wl_fault_t *fault) {
    static const struct {
        const char *name;
        wl_err_t (*act)(wl_config_actor_t *self, draft_t *draft, const msgpack_object *args,
                        json_t **ret, wl_fault_t *fault);
    } actions[] = {
        {"save", draft_save}, {"show", draft_show}, {"list", draft_list}, {"drop", draft_drop}};
    char action[ACTION_MAX + 1];
    draft_t draft = {.store = wl_config_sources_store(self->sources), .user = user};
    wl_err_t err = wl_args_text(args, "action", action, ACTION_MAX, fault);
    err = wl_config_arg_needed(err, "action", fault);
    for (size_t i = 0; err == WL_OK && i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(action, actions[i].name) == 0) {
            return actions[i].act(self, &draft, args, ret, fault);
        }
    }
    return err != WL_OK ? err
                        : wl_fault(fault, WL_ERR_BAD_REQUEST, "action",
                                   "action: must be save, show, list or drop");
}
