/* One walk over the three documents notes where they differ and makes the merged one on the way:
 * what is not in conflict has one outcome, what is gets theirs, in a document that nobody sees. */
#include "domain/config_diff.h"

#include "base/alloc.h"
#include "base/check.h"
#include "domain/sequence_merge.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wl_config_diff {
    wl_config_difference_t *all; /* owned, with their paths */
    size_t count;
    size_t room;
    size_t conflicts;
    json_t *made; /* owned: arrays of names that differences show */
};

/* The same place in the three; NULL where there is none. */
typedef struct {
    const json_t *base;
    const json_t *mine;
    const json_t *theirs;
} triple_t;

/* Where the walk is. */
typedef struct {
    wl_config_diff_t *diff;
    const char *path;
    const char *key; /* its last token, as it stands */
    bool root;
} place_t;

static json_t *node_walk(const place_t *at, triple_t three);

static bool same(const json_t *left, const json_t *right) {
    if (left == NULL || right == NULL) {
        return left == right;
    }
    return json_equal(left, right) == 1;
}

static json_t *taken(const json_t *value) {
    return json_incref((json_t *)(uintptr_t)value); /* NULL stays NULL */
}

/* "path/key", escaped; wl_free()d by the caller. */
static char *path_join(const char *path, const char *key) {
    size_t used = strlen(path);
    char *joined = wl_alloc(used + 2 + 2 * strlen(key));
    memcpy(joined, path, used);
    joined[used++] = '/';
    for (; *key != '\0'; key++) {
        if (*key == '~' || *key == '/') {
            joined[used++] = '~';
            joined[used++] = *key == '~' ? '0' : '1';
        } else {
            joined[used++] = *key;
        }
    }
    joined[used] = '\0';
    return joined;
}

static void difference_add(const place_t *at, triple_t three, bool conflict, bool order) {
    wl_config_diff_t *self = at->diff;
    if (self->count == self->room) {
        self->room = self->room == 0 ? 16 : self->room * 2;
        self->all = wl_realloc_array(self->all, self->room, sizeof *self->all);
    }
    self->all[self->count++] = (wl_config_difference_t){
        .path = wl_strdup(at->path),
        .base = three.base,
        .mine = three.mine,
        .theirs = three.theirs,
        .conflict = conflict,
        .order = order,
    };
    self->conflicts += conflict ? 1 : 0;
}

/* A value that is not looked into. */
static json_t *leaf_walk(const place_t *at, triple_t three) {
    bool mine = !same(three.mine, three.base);
    bool theirs = !same(three.theirs, three.base);
    difference_add(at, three, mine && theirs && !same(three.mine, three.theirs), false);
    return taken(mine && !theirs ? three.mine : three.theirs);
}

static json_t *child_walk(const place_t *at, const char *key, triple_t three) {
    WL_AUTO_FREE char *path = path_join(at->path, key);
    const place_t below = {at->diff, path, key, false};
    return node_walk(&below, three);
}

/* ---- objects --------------------------------------------------------------------------------- */

static int by_text(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static void keys_add(json_t *into, const json_t *object) {
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        (void)json_object_set_new(into, key, json_null());
    }
}

/* Moves a key's outcome into the merged object. */
static void outcome_move(json_t *into, json_t *outcomes, const char *key) {
    json_t *value = json_object_get(outcomes, key);
    if (value != NULL) {
        (void)json_object_set(into, key, value);
    }
}

static json_t *object_walk(const place_t *at, triple_t three) {
    json_t *keys = json_object();
    keys_add(keys, three.theirs);
    keys_add(keys, three.mine);
    keys_add(keys, three.base);
    size_t count = json_object_size(keys);
    const char **sorted = wl_alloc((count + 1) * sizeof *sorted);
    const char *key = NULL;
    json_t *value = NULL;
    size_t index = 0;
    json_object_foreach(keys, key, value) {
        sorted[index++] = key;
    }
    qsort(sorted, count, sizeof *sorted, by_text);
    json_t *outcomes = json_object();
    for (size_t i = 0; i < count; i++) {
        triple_t below = {json_object_get(three.base, sorted[i]),
                          json_object_get(three.mine, sorted[i]),
                          json_object_get(three.theirs, sorted[i])};
        json_t *outcome = at->root && strcmp(sorted[i], "version") == 0
                              ? taken(below.theirs)
                              : child_walk(at, sorted[i], below);
        if (outcome != NULL) {
            (void)json_object_set_new(outcomes, sorted[i], outcome);
        }
    }
    json_t *merged = json_object(); /* in the order of theirs, then mine */
    json_object_foreach(keys, key, value) {
        outcome_move(merged, outcomes, key);
    }
    wl_free(sorted);
    json_decref(outcomes);
    json_decref(keys);
    return merged;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static json_t *index_walk(const place_t *at, size_t index, triple_t three) {
    char key[24];
    (void)snprintf(key, sizeof key, "%zu", index);
    return child_walk(at, key, three);
}

/* Elements that are about another line are other elements. */
static bool lines_differ(const json_t *left, const json_t *right) {
    return json_is_object(left) && json_is_object(right) &&
           !same(json_object_get(left, "line"), json_object_get(right, "line"));
}

static json_t *position_walk(const place_t *at, size_t index, triple_t three) {
    if (lines_differ(three.base, three.mine) || lines_differ(three.base, three.theirs) ||
        lines_differ(three.mine, three.theirs)) {
        char key[24];
        (void)snprintf(key, sizeof key, "%zu", index);
        WL_AUTO_FREE char *path = path_join(at->path, key);
        const place_t below = {at->diff, path, "", false};
        return leaf_walk(&below, three);
    }
    return index_walk(at, index, three);
}

static json_t *positions_walk(const place_t *at, triple_t three) {
    size_t base = json_array_size(three.base);
    size_t mine = json_array_size(three.mine);
    size_t theirs = json_array_size(three.theirs);
    if (mine != base && theirs != base && mine != theirs) {
        return leaf_walk(at, three);
    }
    size_t most = base > mine ? base : mine;
    most = theirs > most ? theirs : most;
    json_t *merged = json_array();
    for (size_t i = 0; i < most; i++) {
        json_t *outcome =
            position_walk(at, i,
                          (triple_t){json_array_get(three.base, i), json_array_get(three.mine, i),
                                     json_array_get(three.theirs, i)});
        if (outcome != NULL) {
            (void)json_array_append_new(merged, outcome);
        }
    }
    return merged;
}

/* Name of each element, in order: the text under `key`, or the element itself for NULL. NULL when
 * one has none or two have the same. The caller owns it. */
static json_t *names_of(const json_t *list, const char *key) {
    json_t *names = json_array();
    json_t *seen = json_object();
    size_t index = 0;
    json_t *element = NULL;
    json_array_foreach(list, index, element) {
        json_t *name = key == NULL ? element : json_object_get(element, key);
        const char *text = json_string_value(name);
        bool good = text != NULL && strlen(text) == json_string_length(name) &&
                    json_object_get(seen, text) == NULL;
        if (!good) {
            json_decref(names);
            names = NULL;
            break;
        }
        (void)json_object_set_new(seen, text, json_null());
        (void)json_array_append(names, name);
    }
    json_decref(seen);
    return names;
}

/* Names of the three lists by one key; false when one of them has none. */
typedef struct {
    json_t *base; /* owned, as the others */
    json_t *mine;
    json_t *theirs;
} names_t;

static void names_release(names_t *self) {
    json_decref(self->base);
    json_decref(self->mine);
    json_decref(self->theirs);
}

static bool names_find(triple_t three, const char *key, names_t *ret) {
    names_t found = {names_of(three.base, key), names_of(three.mine, key),
                     names_of(three.theirs, key)};
    if (found.base == NULL || found.mine == NULL || found.theirs == NULL) {
        names_release(&found);
        return false;
    }
    *ret = found;
    return true;
}

static json_t *texts_walk(const place_t *at, triple_t three) {
    json_t *merged = NULL;
    bool good = wl_sequence_merge(three.base, three.mine, three.theirs, &merged);
    difference_add(at, three, !good, false);
    return good ? merged : taken(three.theirs);
}

/* The element of that name and its index, NULL when there is none. */
static const json_t *named(const json_t *list, const json_t *names, const char *name,
                           size_t *ret_index) {
    size_t index = 0;
    json_t *each = NULL;
    json_array_foreach(names, index, each) {
        if (strcmp(json_string_value(each), name) == 0) {
            *ret_index = index;
            return json_array_get(list, index);
        }
    }
    return NULL;
}

/* Walks the elements that `from` names and `outcomes` does not have yet. */
static void named_walk(const place_t *at, triple_t three, const names_t *names, const json_t *from,
                       json_t *done, json_t *outcomes) {
    size_t at_name = 0;
    json_t *each = NULL;
    json_array_foreach(from, at_name, each) {
        const char *name = json_string_value(each);
        size_t index = 0; /* in mine, else theirs, else base: the last one found */
        if (json_object_get(done, name) != NULL) {
            continue;
        }
        (void)json_object_set_new(done, name, json_null());
        triple_t below = {.base = named(three.base, names->base, name, &index)};
        below.theirs = named(three.theirs, names->theirs, name, &index);
        below.mine = named(three.mine, names->mine, name, &index);
        json_t *outcome = index_walk(at, index, below);
        if (outcome != NULL) {
            (void)json_object_set_new(outcomes, name, outcome);
        }
    }
}

static json_t *kept(const wl_config_diff_t *diff, json_t *names) {
    (void)json_array_append(diff->made, names);
    return names;
}

static json_t *elements_walk(const place_t *at, triple_t three, const names_t *names) {
    json_t *order = NULL;
    bool good = wl_sequence_merge(names->base, names->mine, names->theirs, &order);
    if (!good || wl_sequence_moved(names->base, names->mine) ||
        wl_sequence_moved(names->base, names->theirs)) {
        const triple_t orders = {kept(at->diff, names->base), kept(at->diff, names->mine),
                                 kept(at->diff, names->theirs)};
        difference_add(at, orders, !good, true);
    }
    json_t *done = json_object();
    json_t *outcomes = json_object();
    named_walk(at, three, names, names->mine, done, outcomes);
    named_walk(at, three, names, names->theirs, done, outcomes);
    named_walk(at, three, names, names->base, done, outcomes);
    json_t *merged = json_array();
    size_t index = 0;
    json_t *name = NULL;
    json_array_foreach(good ? order : names->theirs, index, name) {
        json_t *outcome = json_object_get(outcomes, json_string_value(name));
        if (outcome != NULL) {
            (void)json_array_append(merged, outcome);
        }
    }
    json_decref(order);
    json_decref(outcomes);
    json_decref(done);
    return merged;
}

static json_t *list_walk(const place_t *at, triple_t three) {
    static const char *const keys[] = {"id", "line", "kind"};
    if (strcmp(at->key, "golden") == 0) {
        return positions_walk(at, three);
    }
    names_t names;
    if (names_find(three, NULL, &names)) {
        names_release(&names);
        return texts_walk(at, three);
    }
    for (size_t i = 0; i < WL_COUNT_OF(keys); i++) {
        if (names_find(three, keys[i], &names)) {
            json_t *merged = elements_walk(at, three, &names);
            names_release(&names);
            return merged;
        }
    }
    return leaf_walk(at, three);
}

/* ---- the walk -------------------------------------------------------------------------------- */

/* What both changes make of it: owned by the caller, NULL = there is none. */
static json_t *node_walk(const place_t *at, triple_t three) {
    if (same(three.base, three.mine) && same(three.base, three.theirs)) {
        return taken(three.theirs);
    }
    if (json_is_object(three.base) && json_is_object(three.mine) && json_is_object(three.theirs)) {
        return object_walk(at, three);
    }
    if (json_is_array(three.base) && json_is_array(three.mine) && json_is_array(three.theirs)) {
        return list_walk(at, three);
    }
    return leaf_walk(at, three);
}

static wl_config_diff_t *diff_make(triple_t three, json_t **ret_merged) {
    WL_ASSERT(three.base != NULL && three.mine != NULL && three.theirs != NULL);
    wl_config_diff_t *self = wl_alloc_zero(1, sizeof *self);
    self->made = json_array();
    const place_t root = {self, "", "", true};
    *ret_merged = node_walk(&root, three);
    return self;
}

wl_config_diff_t *wl_config_diff(const json_t *base, const json_t *mine, const json_t *theirs) {
    json_t *merged = NULL;
    wl_config_diff_t *self = diff_make((triple_t){base, mine, theirs}, &merged);
    json_decref(merged);
    return self;
}

size_t wl_config_diff_count(const wl_config_diff_t *self) {
    return self->count;
}

size_t wl_config_diff_conflicts(const wl_config_diff_t *self) {
    return self->conflicts;
}

const wl_config_difference_t *wl_config_diff_at(const wl_config_diff_t *self, size_t index) {
    WL_ASSERT(index < self->count);
    return &self->all[index];
}

static void side_add(json_t *into, const char *side, const json_t *value) {
    if (value != NULL) {
        (void)json_object_set_new(into, side, taken(value));
    }
}

json_t *wl_config_diff_json(const wl_config_diff_t *self) {
    json_t *list = json_array();
    for (size_t i = 0; i < self->count; i++) {
        const wl_config_difference_t *one = &self->all[i];
        json_t *json = json_pack("{s:s}", "path", one->path);
        side_add(json, "base", one->base);
        side_add(json, "mine", one->mine);
        side_add(json, "theirs", one->theirs);
        (void)json_object_set_new(json, "conflict", json_boolean(one->conflict));
        if (one->order) {
            (void)json_object_set_new(json, "order", json_true());
        }
        (void)json_array_append_new(list, json);
    }
    return list;
}

void wl_config_diff_destroy(wl_config_diff_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    for (size_t i = 0; i < (*self)->count; i++) {
        wl_free((*self)->all[i].path);
    }
    wl_free((*self)->all);
    json_decref((*self)->made);
    wl_free(*self);
    *self = NULL;
}

wl_err_t wl_config_merge(const json_t *base, const json_t *mine, const json_t *theirs,
                         json_t **ret) {
    json_t *merged = NULL;
    WL_AUTO(wl_config_diff) diff = diff_make((triple_t){base, mine, theirs}, &merged);
    if (diff->conflicts > 0) {
        json_decref(merged);
        return WL_ERR_CONFLICT;
    }
    *ret = json_deep_copy(merged); /* the parts of it are those of the three documents */
    json_decref(merged);
    return WL_OK;
}
