#include "domain/config_parts.h"

#include "base/alloc.h"
#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool text_starts(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* Behind a host: a name, an IPv4 address, or [an IPv6 address]; NULL when there is none. Never
 * credentials (they would end up in logs), never a wildcard (we connect, we do not bind). */
static const char *host_end(const char *at) {
    if (*at != '[') {
        size_t bytes = strspn(at, DIGITS LETTERS "._-");
        return bytes == 0 ? NULL : at + bytes;
    }
    size_t address = strspn(at + 1, DIGITS "abcdefABCDEF:.");
    const char *end = at + 1 + address;
    if (*end == '%') { /* its zone */
        size_t zone = strspn(end + 1, DIGITS LETTERS "._-");
        end += zone == 0 ? 0 : 1 + zone;
    }
    return address == 0 || *end != ']' ? NULL : end + 1;
}

/* Behind ":8104": decimal, 1..65535; NULL when it is none. */
static const char *port_end(const char *colon) {
    size_t digits = strspn(colon + 1, DIGITS);
    bool number = *colon == ':' && digits >= 1 && digits <= 5 && colon[1] != '0';
    return number && strtol(colon + 1, NULL, 10) <= 65535 ? colon + 1 + digits : NULL;
}

/* "http://host[:port][/?#anything]"; config_json_schema.c says the same as a pattern. */
static bool http_url_valid(const char *url) {
    const char *at = host_end(strstr(url, "://") + 3);
    if (at != NULL && *at == ':') {
        at = port_end(at);
    }
    return at != NULL && (*at == '\0' || *at == '/' || *at == '?' || *at == '#');
}

/* "tcp://host:port" */
static bool zmq_url_valid(const char *url) {
    const char *at = host_end(strstr(url, "://") + 3);
    at = at == NULL ? NULL : port_end(at);
    return at != NULL && *at == '\0';
}

static wl_err_t line_check_link(wl_config_reader_t *reader, const wl_line_t *line) {
    if (line->adapter != WL_ADAPTER_NONE) {
        return wl_config_reader_fault(reader, "adapter", "a link is never asked: leave it out");
    }
    if (line->url[0] != '\0' && (strstr(line->url, "://") == NULL || line->url[0] == ':')) {
        return wl_config_reader_fault(reader, "url", "must be scheme://... where the link leads");
    }
    return WL_OK;
}

/* Fills urls: one "url", or a list "urls", whose first one is then url. */
static wl_err_t line_read_urls(wl_config_reader_t *reader, const json_t *value, wl_line_t *line) {
    const json_t *given = json_object_get(value, "urls");
    if (given == NULL) {
        line->url_count = 1;
        memcpy(line->urls[0], line->url, sizeof line->url);
        return WL_OK;
    }
    if (line->url[0] != '\0' || line->mode == WL_MODE_LINK) {
        return wl_config_reader_fault(reader, "urls",
                                      line->url[0] != '\0' ? "give url or urls, not both"
                                                           : "a link has one target: url");
    }
    size_t index = 0;
    const json_t *element = NULL;
    json_array_foreach(given, index, element) {
        const char *text = json_string_value(element);
        memcpy(line->urls[index], text, strlen(text) + 1);
    }
    line->url_count = (uint32_t)index;
    if (index == 0) {
        return wl_config_reader_fault(reader, "urls", "must not be empty");
    }
    memcpy(line->url, line->urls[0], sizeof line->url);
    return WL_OK;
}

/* Every url fits the adapter, which the scheme of the first one picks unless it was given. */
static wl_err_t line_check_url(wl_config_reader_t *reader, const wl_line_t *line, const char *url) {
    const char *key = line->url_count > 1 ? "urls" : "url";
    bool http = text_starts(url, "http://") || text_starts(url, "https://");
    bool tcp = text_starts(url, "tcp://");
    if (line->adapter == WL_ADAPTER_HTTP && (!http || !http_url_valid(url))) {
        return wl_config_reader_fault(reader, key,
                                      http || tcp || strstr(url, "://") != NULL
                                          ? "adapter http needs http://host[:port] or https://"
                                          : "must start with http://, https:// or tcp://");
    }
    if (line->adapter == WL_ADAPTER_ZMQ && (!tcp || !zmq_url_valid(url))) {
        return wl_config_reader_fault(reader, key, "adapter zmq needs tcp://host:port");
    }
    return WL_OK;
}

static wl_err_t line_check_urls(wl_config_reader_t *reader, wl_line_t *line) {
    if (line->url[0] == '\0') {
        return wl_config_reader_fault(reader, NULL, "\"url\" is required unless the mode is link");
    }
    if (line->adapter == WL_ADAPTER_NONE) {
        line->adapter = text_starts(line->url, "tcp://") ? WL_ADAPTER_ZMQ : WL_ADAPTER_HTTP;
    }
    wl_err_t err = WL_OK;
    for (uint32_t i = 0; err == WL_OK && i < line->url_count; i++) {
        err = line_check_url(reader, line, line->urls[i]);
    }
    return err;
}

static wl_err_t line_check(wl_config_reader_t *reader, wl_line_t *line) {
    if ((line->mode == WL_MODE_LINK) != (line->kind == WL_KIND_LINK)) {
        return wl_config_reader_fault(reader, "mode", "mode link and kind link go together");
    }
    if (!reader->alone && line->retry_max_ms < line->retry_base_ms) {
        return wl_config_reader_fault(reader, "retry_max_ms",
                                      "must not be less than retry_base_ms (%" PRIu32 ")",
                                      line->retry_base_ms);
    }
    if (line->mode == WL_MODE_LINK) {
        return line_check_link(reader, line);
    }
    if (line->unit[0] == '\0' && line->kind != WL_KIND_COUPON) {
        return wl_config_reader_fault(reader, NULL, "\"unit\" is required for kind %s",
                                      wl_kind_name(line->kind));
    }
    return line_check_urls(reader, line);
}

static wl_err_t line_read_sanity(wl_config_reader_t *reader, const json_t *value, wl_line_t *line) {
    wl_sanity_t *sanity = &line->sanity;
    const json_t *given = json_object_get(value, "sanity");
    json_t *empty = given == NULL ? json_object() : NULL; /* all defaults */
    wl_config_reader_enter(reader, "sanity");
    wl_err_t err =
        wl_config_reader_object(reader, given != NULL ? given : empty, WL_CONFIG_SANITY, sanity);
    json_decref(empty);
    if (err == WL_OK && !reader->alone && sanity->amount_min > sanity->amount_max) {
        err = wl_config_reader_fault(reader, "amount_min", "must not be above amount_max");
    }
    if (err == WL_OK && sanity->version_ahead_max > 0 && !line->versions) {
        err = wl_config_reader_fault(reader, "version_ahead_max",
                                     "means nothing for a line without versions");
    }
    wl_config_reader_leave(reader);
    return err;
}

static wl_err_t line_read_mapping(wl_config_reader_t *reader, const json_t *value,
                                  wl_line_t *line) {
    wl_mapping_t *mapping = &line->mapping;
    const json_t *given = json_object_get(value, "mapping");
    if (given == NULL) {
        return WL_OK;
    }
    wl_config_reader_enter(reader, "mapping");
    wl_err_t err = wl_config_reader_object(reader, given, WL_CONFIG_MAPPING, mapping);
    if (err == WL_OK && mapping->amount[0] == '\0' && mapping->count[0] == '\0') {
        err = wl_config_reader_fault(reader, NULL, "\"amount\" or \"count\" is required");
    }
    if (err == WL_OK && line->versions && mapping->version[0] == '\0') {
        err = wl_config_reader_fault(
            reader, NULL, "\"version\" is required, or set versions of the line to false");
    }
    mapping->used = true;
    wl_config_reader_leave(reader);
    return err;
}

/* Shapes of pages: of a line that is asked for them over HTTP. */
static wl_err_t line_read_page_mapping(wl_config_reader_t *reader, const json_t *value,
                                       const char *key, bool asked, wl_adapter_t adapter,
                                       wl_config_object_t object, void *into, bool *used) {
    const json_t *given = json_object_get(value, key);
    if (given == NULL) {
        return WL_OK;
    }
    if (!asked || adapter != WL_ADAPTER_HTTP) {
        return wl_config_reader_fault(reader, key,
                                      asked ? "means nothing for adapter zmq"
                                            : "means nothing for a line that is not asked for it");
    }
    wl_config_reader_enter(reader, key);
    wl_err_t err = wl_config_reader_object(reader, given, object, into);
    wl_config_reader_leave(reader);
    *used = err == WL_OK;
    return err;
}

static wl_err_t line_read_pages(wl_config_reader_t *reader, const json_t *value, wl_line_t *line) {
    wl_err_t err = line_read_page_mapping(reader, value, "details_mapping", line->details,
                                          line->adapter, WL_CONFIG_DETAILS_MAPPING,
                                          &line->details_mapping, &line->details_mapping.used);
    return err != WL_OK
               ? err
               : line_read_page_mapping(reader, value, "summary_mapping", line->summary,
                                        line->adapter, WL_CONFIG_SUMMARY_MAPPING,
                                        &line->summary_mapping, &line->summary_mapping.used);
}

/* Keeps the recorded answer behind those of the lines before. */
static wl_err_t line_read_sample(wl_config_reader_t *reader, const json_t *value,
                                 wl_config_t *config, wl_line_t *line) {
    const json_t *given = json_object_get(value, "sample");
    if (given == NULL) {
        return WL_OK;
    }
    if (line->mode == WL_MODE_LINK) {
        return wl_config_reader_fault(reader, "sample", "a link is never asked: leave it out");
    }
    if (reader->alone) {
        return WL_OK;
    }
    size_t bytes = json_dumpb(given, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    if (bytes > WL_SAMPLE_BYTES_MAX) {
        return wl_config_reader_fault(reader, "sample", "must be at most %d bytes of compact JSON",
                                      WL_SAMPLE_BYTES_MAX);
    }
    config->samples = wl_realloc(config->samples, config->samples_bytes + bytes);
    size_t written = json_dumpb(given, config->samples + config->samples_bytes, bytes,
                                JSON_COMPACT | JSON_ENCODE_ANY);
    WL_ASSERT(bytes > 0 && written == bytes);
    line->sample_at = config->samples_bytes;
    line->sample_bytes = (uint32_t)bytes;
    config->samples_bytes += (uint32_t)bytes;
    return WL_OK;
}

static wl_err_t line_read(wl_config_reader_t *reader, const char *id, const json_t *value,
                          wl_config_t *config, wl_line_t *line) {
    if (!wl_line_id_valid(id)) {
        return wl_config_reader_fault(reader, NULL, "a line id must match [a-z0-9_-]{1,32}");
    }
    wl_err_t err = wl_config_reader_object(reader, value, WL_CONFIG_LINE, line);
    if (err != WL_OK) {
        return err;
    }
    memcpy(line->id, id, strlen(id) + 1);
    if (line->burst == 0) { /* not given: the least that can be given is 1 */
        line->burst = line->rate > 0 ? line->rate : 1;
    }
    if (line->priority == WL_PRIORITY_COUNT) { /* not given */
        line->priority = line->kind == WL_KIND_CASH ? WL_PRIORITY_HIGH : WL_PRIORITY_NORMAL;
    }
    err = line_read_urls(reader, value, line);
    if (err == WL_OK) {
        err = line_check(reader, line);
    }
    if (err == WL_OK) {
        err = line_read_sanity(reader, value, line);
    }
    if (err == WL_OK) {
        err = line_read_mapping(reader, value, line);
    }
    if (err == WL_OK) {
        err = line_read_pages(reader, value, line);
    }
    return err != WL_OK ? err : line_read_sample(reader, value, config, line);
}

wl_err_t wl_config_lines_read(wl_config_reader_t *reader, wl_config_t *config,
                              uint64_t *ret_version) {
    wl_config_top_t top = {0};
    wl_err_t err = wl_config_reader_object(reader, reader->root, WL_CONFIG_INTEGRATION, &top);
    if (err != WL_OK) {
        return err;
    }
    const char *id = NULL;
    json_t *value = NULL;
    wl_config_reader_enter(reader, "lines");
    json_object_foreach(json_object_get(reader->root, "lines"), id, value) {
        uint32_t index = config->line_count;
        wl_config_reader_enter(reader, id);
        err = line_read(reader, id, value, config, &config->lines[index]);
        wl_config_reader_leave(reader);
        if (err != WL_OK) {
            return err;
        }
        config->line_count++;
        wl_config_index_add(config, index);
    }
    wl_config_reader_leave(reader);
    *ret_version = top.version;
    return WL_OK;
}
