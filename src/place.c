#include "place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    wl_actor_kind_t kind;
    uint32_t instance; /* or WL_PLACE_ALL */
    char endpoint[256];
} place_t;

/* "kind.instance" or "kind". */
static bool place_read_name(const char *name, size_t bytes, place_t *ret) {
    const char *dot = memchr(name, '.', bytes);
    size_t kind_bytes = dot == NULL ? bytes : (size_t)(dot - name);
    wl_actor_kind_t kind = 0;
    while (kind < WL_ACTOR_KINDS && (strlen(wl_actor_kind_name(kind)) != kind_bytes ||
                                     strncmp(wl_actor_kind_name(kind), name, kind_bytes) != 0)) {
        kind++;
    }
    ret->kind = kind;
    ret->instance = WL_PLACE_ALL;
    if (dot != NULL) {
        char *end = NULL;
        size_t digits = strspn(dot + 1, "0123456789");
        unsigned long number = strtoul(dot + 1, &end, 10);
        if (digits == 0 || digits > 4 || end != name + bytes) {
            return false;
        }
        ret->instance = (uint32_t)number;
    }
    return kind < WL_ACTOR_KINDS;
}

/* Takes the next entry off *list. false: the end, or an entry that is none, then *ret_bad. */
static bool place_next(const char **list, place_t *ret, const char **ret_bad, size_t *ret_bytes) {
    const char *entry = *list + strspn(*list, ", \t");
    size_t bytes = strcspn(entry, ", \t");
    *list = entry + bytes;
    *ret_bad = NULL;
    if (bytes == 0) {
        return false;
    }
    const char *equals = memchr(entry, '=', bytes);
    size_t endpoint = equals == NULL ? 0 : (size_t)(entry + bytes - (equals + 1));
    if (equals == NULL || endpoint == 0 || endpoint >= sizeof ret->endpoint ||
        !place_read_name(entry, (size_t)(equals - entry), ret)) {
        *ret_bad = entry;
        *ret_bytes = bytes;
        return false;
    }
    (void)snprintf(ret->endpoint, sizeof ret->endpoint, "%.*s", (int)endpoint, equals + 1);
    return true;
}

bool wl_place_find(const char *list, wl_actor_kind_t kind, uint32_t instance, char *ret_endpoint,
                   size_t bytes) {
    place_t place;
    const char *bad = NULL;
    size_t bad_bytes = 0;
    while (place_next(&list, &place, &bad, &bad_bytes)) {
        if (place.kind == kind && (place.instance == instance || place.instance == WL_PLACE_ALL)) {
            uint32_t more = place.instance == WL_PLACE_ALL ? instance : 0;
            return wl_topology_port_add(place.endpoint, more, ret_endpoint, bytes) == WL_OK;
        }
    }
    return false;
}

bool wl_place_names(const char *list, wl_actor_kind_t kind) {
    place_t place;
    const char *bad = NULL;
    size_t bad_bytes = 0;
    while (place_next(&list, &place, &bad, &bad_bytes)) {
        if (place.kind == kind) {
            return true;
        }
    }
    return false;
}

wl_err_t wl_place_each(const char *list, const char *where,
                       wl_err_t (*each)(void *arg, wl_actor_kind_t kind, uint32_t instance,
                                        const char *endpoint),
                       void *arg, wl_fault_t *fault) {
    place_t place;
    const char *bad = NULL;
    size_t bad_bytes = 0;
    wl_err_t err = WL_OK;
    while (err == WL_OK && place_next(&list, &place, &bad, &bad_bytes)) {
        err = each(arg, place.kind, place.instance, place.endpoint);
    }
    if (err == WL_OK && bad != NULL) {
        return wl_fault(fault, WL_ERR_SETTINGS, where,
                        "\"%.*s\" is not an actor and its endpoint, such as "
                        "shard.1=tcp://10.0.0.2:7706",
                        (int)(bad_bytes > 60 ? 60 : bad_bytes), bad);
    }
    return err;
}
