/* Requests that look at documents: as they are, whether they could be published, what would change,
 * what they may contain. */
#include "actors/config_args.h"
#include "actors/config_judge.h"
#include "base/alloc.h"
#include "domain/config_diff.h"
#include "domain/config_json_schema.h"

#include <inttypes.h>
#include <string.h>

/* What changes begin from: what is published, whether or not an emergency file stands before it. */
static const wl_config_live_t *published(const wl_config_actor_t *self) {
    return self->below != NULL ? self->below : self->live;
}

/* ---- one document ---------------------------------------------------------------------------- */

/* A document as it was after a change. */
typedef struct {
    char *text; /* owned */
    size_t bytes;
    wl_document_at_t place; /* its number, and the change that brought it; seq 0: the directory */
} document_t;

static uint64_t number_of(const wl_document_text_t *text) {
    json_t *document = json_loadb(text->text, text->bytes, 0, NULL);
    json_int_t number = json_integer_value(json_object_get(document, "version"));
    json_decref(document);
    return number > 0 ? (uint64_t)number : 0;
}

/* A seq that there is none of; key: the argument that names it. */
static wl_err_t seq_unknown(const wl_config_state_t *state, const char *key, uint64_t seq,
                            wl_fault_t *fault) {
    if (state->seq == 0) {
        return wl_fault(fault, WL_ERR_NOT_FOUND, key,
                        "%s: there is no change %" PRIu64
                        ": nothing was published yet, only 0 is known, the files of the directory",
                        key, seq);
    }
    return wl_fault(fault, WL_ERR_NOT_FOUND, key,
                    "%s: there is no change %" PRIu64 ": there are 1 to %" PRIu64, key, seq,
                    state->seq);
}

/* Before anything was published: files of the directory, copied. */
static void of_directory(const wl_config_actor_t *self, wl_document_t document, document_t *ret) {
    const wl_document_text_t *base = &published(self)->base[document];
    ret->bytes = base->bytes;
    ret->text = wl_alloc(base->bytes + 1);
    memcpy(ret->text, base->text, base->bytes);
    ret->text[base->bytes] = '\0';
    ret->place = (wl_document_at_t){.version = number_of(base), .seq = 0};
}

/* Which state change `seq` left behind. */
static wl_err_t state_after(wl_config_actor_t *self, uint64_t seq, const char *key,
                            wl_config_state_t *ret, wl_fault_t *fault) {
    const wl_config_state_t *state = wl_config_sources_state(self->sources);
    if (seq == state->seq) {
        *ret = *state;
        return WL_OK;
    }
    if (seq == 0 || seq > state->seq) {
        return seq_unknown(state, key, seq, fault);
    }
    wl_config_change_t change;
    wl_err_t err = wl_config_sources_change(self->sources, seq, &change, NULL, fault);
    if (err == WL_OK) {
        *ret = change.state;
    }
    wl_config_change_release(&change);
    return err;
}

/* What everybody saw after change `seq`, or what those saw whom the candidate was shown to. */
static wl_err_t document_after(wl_config_actor_t *self, wl_document_t document, uint64_t seq,
                               bool candidate, const char *key, document_t *ret,
                               wl_fault_t *fault) {
    wl_config_state_t state = {.seq = 0};
    memset(ret, 0, sizeof *ret);
    wl_err_t err = state_after(self, seq, key, &state, fault);
    if (err == WL_OK && candidate && state.rollout.id == 0) {
        err = wl_fault(fault, WL_ERR_NOT_FOUND, "candidate",
                       "candidate: no rollout was under way after change %" PRIu64
                       ", there is only what everybody sees",
                       seq);
    }
    if (err != WL_OK) {
        return err;
    }
    if (seq == 0) {
        of_directory(self, document, ret);
        return WL_OK;
    }
    ret->place = candidate ? state.candidate[document] : state.head[document];
    return wl_config_sources_document(self->sources, document, ret->place.seq, &ret->text,
                                      &ret->bytes, fault);
}

/* A seq among the arguments; the newest when it is left out. */
static wl_err_t seq_read(wl_config_actor_t *self, const msgpack_object *args, const char *key,
                         uint64_t *ret, wl_fault_t *fault) {
    *ret = wl_config_sources_state(self->sources)->seq;
    return wl_config_arg_optional(wl_args_u64(args, key, ret, fault));
}

wl_err_t wl_config_view_get(wl_config_actor_t *self, const msgpack_object *args, const char *user,
                            json_t **ret, wl_fault_t *fault) {
    wl_document_t document = WL_DOCUMENT_COUNT;
    uint64_t seq = 0;
    bool candidate = false;
    document_t found = {.text = NULL};
    (void)user;
    wl_err_t err = wl_config_arg_document(args, &document, fault);
    if (err == WL_OK) {
        err = seq_read(self, args, "seq", &seq, fault);
    }
    if (err == WL_OK) {
        err = wl_config_arg_optional(wl_args_bool(args, "candidate", &candidate, fault));
    }
    if (err == WL_OK) {
        err = document_after(self, document, seq, candidate, "seq", &found, fault);
    }
    if (err == WL_OK) {
        *ret = json_pack("{s:s, s:I, s:I, s:I, s:b, s:o}", "document", wl_document_name(document),
                         "version", (json_int_t)found.place.version, "seq", (json_int_t)seq,
                         "brought_by", (json_int_t)found.place.seq, "candidate", candidate, "text",
                         json_stringn(found.text, found.bytes));
    }
    wl_free(found.text);
    return err;
}

/* ---- could it be published? ------------------------------------------------------------------ */

wl_err_t wl_config_view_validate(wl_config_actor_t *self, const msgpack_object *args,
                                 const char *user, json_t **ret, wl_fault_t *fault) {
    wl_document_text_t whole[WL_DOCUMENT_COUNT];
    (void)user;
    for (wl_document_t d = 0; d < WL_DOCUMENT_COUNT; d++) {
        const char *text = NULL;
        whole[d] = published(self)->base[d];
        wl_err_t err = wl_config_arg_bytes(args, wl_document_name(d), "the text of a document",
                                           &text, &whole[d].bytes, fault);
        if (err == WL_OK) {
            whole[d].text = (char *)(uintptr_t)text; /* only read */
        } else if (err != WL_ERR_NOT_FOUND) {
            return err;
        }
    }
    json_t *samples = json_array();
    wl_config_t *config = NULL;
    wl_fault_t why = {.line = 0};
    bool valid = wl_config_judge_each(whole, samples, &config, &why) == WL_OK;
    *ret =
        json_pack("{s:b, s:o, s:i, s:i, s:o, s:o}", "valid", valid, "where",
                  wl_config_text_json(why.where), "line", (int)why.line, "column", (int)why.column,
                  "message", wl_config_text_json(why.message), "samples", samples);
    wl_config_destroy(&config);
    return WL_OK;
}

/* ---- what would change ----------------------------------------------------------------------- */

typedef struct {
    wl_document_t document;
    uint64_t base; /* the change that base is of, and the one that theirs is of */
    uint64_t seq;
    json_t *of_base; /* owned */
    json_t *mine;    /* owned */
    json_t *theirs;  /* owned */
} three_t;

static wl_err_t document_load(wl_config_actor_t *self, wl_document_t document, uint64_t seq,
                              const char *key, json_t **ret, wl_fault_t *fault) {
    document_t found;
    wl_err_t err = document_after(self, document, seq, false, key, &found, fault);
    if (err == WL_OK) {
        *ret = json_loadb(found.text, found.bytes, 0, NULL);
    }
    wl_free(found.text);
    return err == WL_OK && *ret == NULL
               ? wl_fault(fault, WL_ERR_DAMAGED, key, "%s: change %" PRIu64 " is damaged", key, seq)
               : err;
}

/* What somebody wrote, from what they began with, beside what is live now. */
static wl_err_t three_of_text(wl_config_actor_t *self, const msgpack_object *args, const char *text,
                              size_t bytes, three_t *ret, wl_fault_t *fault) {
    ret->seq = wl_config_sources_state(self->sources)->seq;
    wl_err_t err = seq_read(self, args, "base", &ret->base, fault);
    if (err == WL_OK) {
        err = wl_config_check_schema(ret->document, text, bytes, fault);
        err = err == WL_ERR_SETTINGS ? WL_ERR_BAD_REQUEST : err;
    }
    if (err == WL_OK) {
        ret->mine = json_loadb(text, bytes, 0, NULL);
        /* Files of the directory became change 1. */
        uint64_t base = ret->base == 0 && ret->seq > 0 ? 1 : ret->base;
        err = document_load(self, ret->document, base, "base", &ret->of_base, fault);
    }
    return err == WL_OK ? document_load(self, ret->document, ret->seq, "base", &ret->theirs, fault)
                        : err;
}

/* Two of the history. */
static wl_err_t three_of_history(wl_config_actor_t *self, const msgpack_object *args, three_t *ret,
                                 wl_fault_t *fault) {
    wl_err_t err = wl_args_u64(args, "from", &ret->base, fault);
    if (err == WL_ERR_NOT_FOUND) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "text",
                        "text: is missing: give the document's text, or from and to, two changes");
    }
    if (err == WL_OK) {
        err = seq_read(self, args, "to", &ret->seq, fault);
    }
    if (err == WL_OK) {
        err = document_load(self, ret->document, ret->base, "from", &ret->of_base, fault);
    }
    if (err == WL_OK) {
        err = document_load(self, ret->document, ret->seq, "to", &ret->mine, fault);
    }
    return err;
}

/* theirs NULL: there are only two. */
static json_t *three_write(const three_t *self) {
    bool two = self->theirs == NULL;
    wl_config_diff_t *diff =
        wl_config_diff(self->of_base, self->mine, two ? self->of_base : self->theirs);
    json_t *changes = wl_config_diff_json(diff);
    size_t index = 0;
    json_t *each = NULL;
    json_array_foreach(changes, index, each) {
        if (two) {
            (void)json_object_del(each, "theirs");
        }
    }
    json_t *object =
        json_pack("{s:s, s:I, s:I, s:o, s:I}", "document", wl_document_name(self->document), "base",
                  (json_int_t)self->base, "seq", (json_int_t)self->seq, "changes", changes,
                  "conflicts", (json_int_t)wl_config_diff_conflicts(diff));
    json_t *merged = NULL;
    if (!two && wl_config_merge(self->of_base, self->mine, self->theirs, &merged) == WL_OK) {
        size_t bytes = 0;
        char *text = wl_config_document_text(merged, &bytes);
        (void)json_object_set_new(object, "merged", json_stringn(text, bytes));
        wl_free(text);
        json_decref(merged);
    }
    wl_config_diff_destroy(&diff);
    return object;
}

wl_err_t wl_config_view_diff(wl_config_actor_t *self, const msgpack_object *args, const char *user,
                             json_t **ret, wl_fault_t *fault) {
    three_t three = {.document = WL_DOCUMENT_COUNT};
    const msgpack_object *from = NULL;
    const char *text = NULL;
    size_t bytes = 0;
    (void)user;
    wl_err_t err = wl_config_arg_document(args, &three.document, fault);
    if (err != WL_OK) {
        return err;
    }
    err = wl_config_arg_bytes(args, "text", "the text of a document", &text, &bytes, fault);
    if (err == WL_OK &&
        (wl_args_find(args, "from", &from) == WL_OK || wl_args_find(args, "to", &from) == WL_OK)) {
        err = wl_fault(fault, WL_ERR_BAD_REQUEST, "from",
                       "from: cannot be together with text; base says what the text began with");
    } else if (err == WL_OK) {
        err = three_of_text(self, args, text, bytes, &three, fault);
    } else if (err == WL_ERR_NOT_FOUND) {
        err = three_of_history(self, args, &three, fault);
    }
    if (err == WL_OK) {
        *ret = three_write(&three);
    }
    json_decref(three.of_base);
    json_decref(three.mine);
    json_decref(three.theirs);
    return err;
}

/* ---- what may be in it ----------------------------------------------------------------------- */

wl_err_t wl_config_view_schema(wl_config_actor_t *self, const msgpack_object *args,
                               const char *user, json_t **ret, wl_fault_t *fault) {
    wl_document_t document = WL_DOCUMENT_COUNT;
    (void)self, (void)user;
    wl_err_t err = wl_config_arg_document(args, &document, fault);
    if (err == WL_OK) {
        *ret = json_pack("{s:o}", "schema", wl_config_json_schema(document));
    }
    return err;
}
