#include "domain/sequence_merge.h"

#include <stdint.h>

/* Name -> its index. The caller owns it. */
static json_t *places_of(const json_t *names) {
    json_t *places = json_object();
    size_t index = 0;
    json_t *name = NULL;
    json_array_foreach(names, index, name) {
        (void)json_object_set_new(places, json_string_value(name), json_integer((json_int_t)index));
    }
    return places;
}

static bool has(const json_t *places, const json_t *name) {
    return json_object_get(places, json_string_value(name)) != NULL;
}

bool wl_sequence_moved(const json_t *base, const json_t *changed) {
    json_t *places = places_of(base);
    json_int_t last = -1;
    bool moved = false;
    size_t index = 0;
    json_t *name = NULL;
    json_array_foreach(changed, index, name) {
        const json_t *place = json_object_get(places, json_string_value(name));
        if (place != NULL) {
            moved = moved || json_integer_value(place) < last;
            last = json_integer_value(place);
        }
    }
    json_decref(places);
    return moved;
}

/* Names of `other` that are new, by the name that they stand behind ("" = in front): a list each,
 * in order. A name that is not kept is passed over. */
static json_t *additions_of(const json_t *other, const json_t *in_base, const json_t *in_lead) {
    json_t *behind = json_object();
    const char *before = "";
    size_t index = 0;
    json_t *name = NULL;
    json_array_foreach(other, index, name) {
        if (has(in_lead, name)) {
            before = json_string_value(name);
        } else if (!has(in_base, name)) {
            json_t *list = json_object_get(behind, before);
            if (list == NULL) {
                list = json_array();
                (void)json_object_set_new(behind, before, list);
            }
            (void)json_array_append(list, name);
        }
    }
    return behind;
}

/* The order of lead, with what other added to base and without what it removed. */
static json_t *combine(const json_t *base, const json_t *lead, const json_t *other) {
    json_t *in_base = places_of(base);
    json_t *in_lead = places_of(lead);
    json_t *in_other = places_of(other);
    json_t *behind = additions_of(other, in_base, in_lead);
    json_t *merged = json_array();
    (void)json_array_extend(merged, json_object_get(behind, ""));
    size_t index = 0;
    json_t *name = NULL;
    json_array_foreach(lead, index, name) {
        if (has(in_other, name) || !has(in_base, name)) {
            (void)json_array_append(merged, name);
        }
        const json_t *list = json_object_get(behind, json_string_value(name));
        if (json_string_length(name) > 0 && list != NULL) {
            (void)json_array_extend(merged, (json_t *)(uintptr_t)list);
        }
    }
    json_decref(behind);
    json_decref(in_base);
    json_decref(in_lead);
    json_decref(in_other);
    return merged;
}

bool wl_sequence_merge(const json_t *base, const json_t *mine, const json_t *theirs, json_t **ret) {
    if (json_equal(theirs, base) || json_equal(mine, theirs)) {
        *ret = json_deep_copy(mine);
        return true;
    }
    if (json_equal(mine, base)) {
        *ret = json_deep_copy(theirs);
        return true;
    }
    bool mine_moved = wl_sequence_moved(base, mine);
    bool theirs_moved = wl_sequence_moved(base, theirs);
    if (mine_moved && theirs_moved && wl_sequence_moved(mine, theirs)) {
        return false;
    }
    *ret = mine_moved && !theirs_moved ? combine(base, mine, theirs) : combine(base, theirs, mine);
    return true;
}
