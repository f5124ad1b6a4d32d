#include "details_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static json_t *amount_json(int64_t amount, sim_fault_t fault) {
    if (fault == SIM_FAULT_LIE_FLOAT) {
        return json_real((double)amount + 0.5);
    }
    if (fault == SIM_FAULT_LIE_BIG) {
        return json_string("99999999999999999999");
    }
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, amount);
    return json_string(text);
}

static json_t *item_json(const sim_call_t *call, const detail_t *item) {
    json_t *object = json_object();
    int64_t skew_ms = call->fault == SIM_FAULT_CLOCK_SKEW ? call->ms : 0;
    (void)json_object_set_new(object, "id", json_string(item->id));
    (void)json_object_set_new(object, "time", json_integer(item->time_ms + skew_ms));
    (void)json_object_set_new(object, "title", json_string(item->title));
    (void)json_object_set_new(object, "amount", amount_json(item->amount, call->fault));
    (void)json_object_set_new(object, "unit", json_string(call->line->unit));
    (void)json_object_set_new(object, "scale", json_integer(call->line->scale));
    if (item->kind[0] != '\0') {
        (void)json_object_set_new(object, "kind", json_string(item->kind));
    }
    return object;
}

static json_t *page_json(const sim_call_t *call, const details_page_t *page) {
    json_t *items = json_array();
    for (uint32_t i = 0; i < page->count; i++) {
        (void)json_array_append_new(items, item_json(call, &page->items[i]));
    }
    json_t *document = json_object();
    (void)json_object_set_new(document, "items", items);
    (void)json_object_set_new(document, "next",
                              page->next[0] == '\0' ? json_null() : json_string(page->next));
    return document;
}

static json_t *sums_json(const sim_call_t *call, const details_sums_t *sums) {
    json_t *document = json_object();
    (void)json_object_set_new(document, "in", amount_json(sums->in, call->fault));
    (void)json_object_set_new(document, "out", amount_json(sums->out, call->fault));
    (void)json_object_set_new(document, "count", json_integer((json_int_t)sums->count));
    (void)json_object_set_new(document, "unit", json_string(call->line->unit));
    (void)json_object_set_new(document, "scale", json_integer(call->line->scale));
    return document;
}

wl_err_t details_answer(sim_t *sim, const sim_call_t *call, const question_t *question,
                        json_t **ret) {
    const sim_line_t *line = call->line;
    bool sums_asked = question->what == SIM_SUMMARY;
    if (sums_asked ? !line->summary : !line->details) {
        return WL_ERR_NOT_FOUND;
    }
    bool known = question->uid - sim->first_uid < sim->users && call->fault != SIM_FAULT_EMPTY;
    uint32_t limit = question->limit == 0 ? QUESTION_LIMIT : question->limit;
    limit = limit > DETAILS_PAGE_MAX ? DETAILS_PAGE_MAX : limit;
    details_page_t page;
    details_sums_t sums;
    (void)pthread_mutex_lock(&sim->lock);
    const details_t *bookings = sim->lines[line->truth].bookings;
    wl_err_t err = sums_asked ? details_sums(bookings, question->uid, question->month, &sums)
                              : details_page(bookings, question->uid, question->month,
                                             question->cursor, limit, &page);
    (void)pthread_mutex_unlock(&sim->lock);
    if (err == WL_OK && sums_asked) {
        sums = known ? sums : (details_sums_t){.count = 0};
        *ret = sums_json(call, &sums);
    } else if (err == WL_OK) {
        page.count = known ? page.count : 0;
        page.next[0] = known ? page.next[0] : '\0';
        *ret = page_json(call, &page);
    }
    return err;
}

static void pack_bytes(msgpack_packer *pack, const char *text, size_t bytes) {
    msgpack_pack_str(pack, bytes);
    msgpack_pack_str_body(pack, text, bytes);
}

void details_pack(msgpack_packer *pack, const json_t *value) {
    const char *key = NULL;
    json_t *inner = NULL;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        msgpack_pack_map(pack, json_object_size(value));
        json_object_foreach((json_t *)value, key, inner) {
            pack_bytes(pack, key, strlen(key));
            details_pack(pack, inner); /* three levels at most */
        }
        break;
    case JSON_ARRAY:
        msgpack_pack_array(pack, json_array_size(value));
        for (size_t i = 0; i < json_array_size(value); i++) {
            details_pack(pack, json_array_get(value, i));
        }
        break;
    case JSON_STRING: pack_bytes(pack, json_string_value(value), json_string_length(value)); break;
    case JSON_INTEGER: msgpack_pack_int64(pack, json_integer_value(value)); break;
    case JSON_REAL: msgpack_pack_double(pack, json_real_value(value)); break;
    case JSON_TRUE: msgpack_pack_true(pack); break;
    case JSON_FALSE: msgpack_pack_false(pack); break;
    case JSON_NULL: msgpack_pack_nil(pack); break;
    }
}
