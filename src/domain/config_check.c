/* One document by itself: no line of the other one is looked for. */
#include "domain/config_json_schema.h"
#include "domain/config_parts.h"

#include "base/alloc.h"
#include "base/check.h"

/* Lists of a page, and what their campaigns are. */
typedef struct {
    const char *key;
    wl_config_object_t object;
    wl_config_object_t campaigns;
} page_list_t;

static const page_list_t page_lists[] = {
    {"golden", WL_CONFIG_GOLDEN, WL_CONFIG_GOLDEN_CAMPAIGN},
    {"sections", WL_CONFIG_SECTION, WL_CONFIG_SECTION_CAMPAIGN},
};

/* Room for what is read and not kept. */
typedef union {
    wl_config_top_t top;
    wl_golden_slot_t golden;
    wl_section_t section;
    wl_campaign_t campaign;
} page_room_t;

static wl_err_t campaigns_check(wl_config_reader_t *reader, const json_t *owner,
                                wl_config_object_t object, page_room_t *room) {
    size_t index = 0;
    const json_t *value = NULL;
    wl_err_t err = WL_OK;
    wl_config_reader_enter(reader, "campaigns");
    json_array_foreach(json_object_get(owner, "campaigns"), index, value) {
        wl_config_reader_enter_index(reader, index);
        err = wl_config_reader_object(reader, value, object, room);
        wl_config_reader_leave(reader);
        if (err != WL_OK) {
            break;
        }
    }
    wl_config_reader_leave(reader);
    return err;
}

static wl_err_t list_check(wl_config_reader_t *reader, const page_list_t *list, page_room_t *room) {
    bool nullable = wl_config_row_find(WL_CONFIG_PRESENTATION, list->key)->nullable;
    size_t index = 0;
    const json_t *value = NULL;
    wl_err_t err = WL_OK;
    wl_config_reader_enter(reader, list->key);
    json_array_foreach(json_object_get(reader->root, list->key), index, value) {
        if (nullable && json_is_null(value)) {
            continue;
        }
        wl_config_reader_enter_index(reader, index);
        err = wl_config_reader_object(reader, value, list->object, room);
        if (err == WL_OK) {
            err = campaigns_check(reader, value, list->campaigns, room);
        }
        wl_config_reader_leave(reader);
        if (err != WL_OK) {
            break;
        }
    }
    wl_config_reader_leave(reader);
    return err;
}

static wl_err_t page_check(wl_config_reader_t *reader) {
    page_room_t room;
    wl_err_t err = wl_config_reader_object(reader, reader->root, WL_CONFIG_PRESENTATION, &room.top);
    for (size_t i = 0; err == WL_OK && i < WL_COUNT_OF(page_lists); i++) {
        err = list_check(reader, &page_lists[i], &room);
    }
    return err;
}

static wl_err_t lines_check(wl_config_reader_t *reader) {
    WL_AUTO(wl_config) config = wl_alloc_zero(1, sizeof *config);
    uint64_t version = 0;
    return wl_config_lines_read(reader, config, &version);
}

wl_err_t wl_config_check_schema(wl_document_t document, const char *text, size_t bytes,
                                wl_fault_t *fault) {
    bool lines = document == WL_DOCUMENT_INTEGRATION;
    wl_config_reader_t reader;
    wl_err_t err =
        wl_config_reader_open(&reader, lines ? "integration" : "presentation", text, bytes, fault);
    reader.alone = true;
    if (err == WL_OK) {
        err = lines ? lines_check(&reader) : page_check(&reader);
    }
    wl_config_reader_close(&reader);
    return err;
}
