#include "actors/config_nodes.h"

#include "actors/config_args.h"
#include "base/alloc.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    NAME_MAX_BYTES = 60,
    HOST_BYTES = 65,
    TTL_S = WL_NODE_GONE_MS / 1000,
    FOREIGN_GONE_MS = 60000,
};

struct wl_config_nodes {
    char name[NAME_MAX_BYTES + 1];
    char note[NAME_MAX_BYTES + 8]; /* nodes/<name>, in letters that a note's name may have */
    char host[HOST_BYTES];
    char *told;      /* owned: what was written last, without its moment */
    int64_t told_at; /* monotonic ms */
};

wl_config_nodes_t *wl_config_nodes_new(const char *name) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    wl_config_nodes_t *self = wl_alloc_zero(1, sizeof *self);
    (void)snprintf(self->name, sizeof self->name, "%s", name);
    (void)snprintf(self->note, sizeof self->note, "nodes/%s", name);
    for (char *at = self->note + strlen("nodes/"); *at != '\0'; at++) {
        *at = strchr(letters, *at) == NULL ? '_' : *at;
    }
    if (gethostname(self->host, sizeof self->host - 1) != 0) {
        self->host[0] = '\0';
    }
    return self;
}

void wl_config_nodes_destroy(wl_config_nodes_t **self) {
    if (self != NULL && *self != NULL) {
        free((*self)->told);
        wl_free(*self);
        *self = NULL;
    }
}

/* ---- telling --------------------------------------------------------------------------------- */

wl_err_t wl_config_nodes_tell(wl_config_nodes_t *self, wl_config_log_t *log,
                              const wl_config_node_t *node) {
    int64_t now = wl_mono_now().ms;
    json_t *note = json_pack("{s:s, s:s, s:i, s:I, s:s, s:s, s:o, s:{s:s, s:b, s:o}}", "node",
                             self->name, "host", self->host, "pid", (int)getpid(), "seq",
                             (json_int_t)node->seq, "version", node->version, "source",
                             node->source, "problem", wl_config_text_json(node->problem), "verdict",
                             "digest", node->verdict->digest, "accepted", node->verdict->accepted,
                             "why", wl_config_text_json(node->verdict->why));
    char *text = note == NULL ? NULL : json_dumps(note, JSON_COMPACT);
    if (text == NULL) { /* a text that is not UTF-8 */
        json_decref(note);
        return WL_ERR_MALFORMED;
    }
    bool same = self->told != NULL && strcmp(text, self->told) == 0;
    if (same && now - self->told_at < WL_NODE_BEAT_MS) {
        json_decref(note);
        free(text);
        return WL_OK;
    }
    (void)json_object_set_new(note, "at", json_integer((json_int_t)wl_wall_now().ms));
    char *whole = json_dumps(note, JSON_COMPACT);
    json_decref(note);
    wl_err_t err = wl_config_log_note_put(log, self->note, whole, strlen(whole), TTL_S);
    free(whole);
    free(self->told);
    self->told = text;
    self->told_at = now;
    if (err != WL_OK) { /* the next time it is new */
        free(self->told);
        self->told = NULL;
    }
    return err;
}

void wl_config_nodes_leave(wl_config_nodes_t *self, wl_config_log_t *log) {
    (void)!wl_config_log_note_put(log, self->note, NULL, 0, 0);
}

/* ---- listening ------------------------------------------------------------------------------- */

typedef struct {
    const wl_config_nodes_t *self;
    int64_t now; /* wall ms */
    json_t *list;
} listing_t;

static const char *text_of(const json_t *note, const char *key) {
    const char *text = json_string_value(json_object_get(note, key));
    return text == NULL ? "" : text;
}

/* A process that was killed on this host is known to be gone at once; clocks of other hosts may be
 * off, and where it matters the store forgets their notes by itself. */
static bool is_there(const listing_t *listing, const json_t *note) {
    json_int_t at = json_integer_value(json_object_get(note, "at"));
    json_int_t pid = json_integer_value(json_object_get(note, "pid"));
    bool here = strcmp(text_of(note, "host"), listing->self->host) == 0;
    if (listing->now - at > (here ? WL_NODE_GONE_MS : FOREIGN_GONE_MS)) {
        return false;
    }
    return !here || pid <= 0 || kill((pid_t)pid, 0) == 0 || errno == EPERM;
}

static bool on_note(const char *name, const char *text, size_t bytes, void *arg) {
    listing_t *listing = arg;
    (void)name;
    json_t *note = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(note) && text_of(note, "node")[0] != '\0' && is_there(listing, note)) {
        (void)json_array_append(listing->list, note);
    }
    json_decref(note);
    return true;
}

static wl_err_t notes_read(wl_config_nodes_t *self, wl_config_log_t *log, json_t **ret) {
    listing_t listing = {.self = self, .now = wl_wall_now().ms, .list = json_array()};
    wl_err_t err = wl_config_log_notes(log, "nodes/", on_note, &listing);
    if (err != WL_OK) {
        json_decref(listing.list);
        return err;
    }
    *ret = listing.list;
    return WL_OK;
}

wl_err_t wl_config_nodes_list(wl_config_nodes_t *self, wl_config_log_t *log, json_t **ret) {
    json_t *list = NULL;
    wl_err_t err = notes_read(self, log, &list);
    for (size_t i = 0; err == WL_OK && i < json_array_size(list); i++) {
        (void)json_object_del(json_array_get(list, i), "verdict");
    }
    *ret = list;
    return err;
}

wl_err_t wl_config_nodes_votes(wl_config_nodes_t *self, wl_config_log_t *log, const char *digest,
                               wl_config_votes_t *ret) {
    json_t *list = NULL;
    memset(ret, 0, sizeof *ret);
    wl_err_t err = notes_read(self, log, &list);
    for (size_t i = 0; err == WL_OK && i < json_array_size(list); i++) {
        const json_t *note = json_array_get(list, i);
        const json_t *verdict = json_object_get(note, "verdict");
        const char *node = text_of(note, "node");
        if (strcmp(node, self->name) == 0) {
            continue;
        }
        ret->others++;
        if (strcmp(text_of(verdict, "digest"), digest) != 0) {
            (void)snprintf(ret->waiting, sizeof ret->waiting, "%s", node);
        } else if (json_is_true(json_object_get(verdict, "accepted"))) {
            ret->accepted++;
        } else {
            (void)snprintf(ret->refused, sizeof ret->refused, "%s", node);
            (void)snprintf(ret->why, sizeof ret->why, "%s", text_of(verdict, "why"));
        }
    }
    json_decref(list);
    return err;
}
