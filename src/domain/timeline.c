#include "domain/timeline.h"

#include <string.h>

int wl_timeline_compare(const wl_timeline_key_t *a, const wl_timeline_key_t *b) {
    if (a->time != b->time) {
        return a->time > b->time ? -1 : 1;
    }
    return -strcmp(a->id, b->id);
}

bool wl_timeline_behind(const wl_timeline_place_t *place, const wl_timeline_key_t *key) {
    return (!place->begun || wl_timeline_compare(&place->last, key) < 0) &&
           (!place->reached || key->time <= place->reach);
}

int wl_timeline_next(const wl_timeline_source_t *sources, uint32_t count) {
    int next = WL_TIMELINE_END;
    for (uint32_t i = 0; i < count; i++) {
        if (sources[i].head == NULL) {
            if (sources[i].more) {
                return WL_TIMELINE_WAIT;
            }
        } else if (next < 0 || sources[i].head->time > sources[next].head->time) {
            next = (int)i;
        }
    }
    return next;
}

void wl_timeline_reached(wl_timeline_place_t *place, int64_t time) {
    if (!place->reached || time < place->reach) {
        place->reach = time;
        place->reached = true;
    }
}

void wl_timeline_shown(wl_timeline_place_t *place, const wl_timeline_key_t *key) {
    place->last = *key;
    place->begun = true;
    wl_timeline_reached(place, key->time);
}
