#include "store/etcd.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/settings.h"

#include <curl/curl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ENDPOINTS_MAX = 8,
    ENDPOINT_BYTES = 300,
    ANSWER_BYTES_MAX = 8 << 20,
    ANSWER_BYTES_MIN = 4096, /* of the buffer */
    CONNECTIONS = 2,         /* kept between requests */
};

struct wl_etcd {
    CURL *easy;                 /* owned */
    struct curl_slist *headers; /* owned */
    char endpoints[ENDPOINTS_MAX][ENDPOINT_BYTES];
    uint32_t endpoint_count;
    uint32_t good; /* answered last */
    uint32_t timeout_ms;
    char *answer; /* owned */
    size_t answer_bytes;
    size_t answer_capacity;
    bool too_big;
    char error[CURL_ERROR_SIZE];
    char problem[400];
};

static wl_err_t etcd_fail(wl_etcd_t *self, wl_err_t err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static wl_err_t etcd_fail(wl_etcd_t *self, wl_err_t err, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(self->problem, sizeof self->problem, format, arguments);
    va_end(arguments);
    return err;
}

const char *wl_etcd_problem(const wl_etcd_t *self) {
    return self->problem;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* "http://host:port", https likewise, nothing behind. */
static bool endpoint_valid(const char *text) {
    size_t scheme = strncmp(text, "http://", 7) == 0    ? 7
                    : strncmp(text, "https://", 8) == 0 ? 8
                                                        : 0;
    const char *host = text + scheme;
    const char *colon = strrchr(host, ':');
    if (scheme == 0 || colon == NULL || colon == host || strlen(text) >= ENDPOINT_BYTES) {
        return false;
    }
    size_t digits = strspn(colon + 1, "0123456789");
    return digits >= 1 && digits <= 5 && colon[1 + digits] == '\0' &&
           strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:[]") ==
               strlen(host);
}

static wl_err_t endpoints_read(wl_etcd_t *self, const char *list, wl_fault_t *fault) {
    char item[ENDPOINT_BYTES + 200];
    for (uint32_t i = 0; wl_settings_list_item(list, i, item, sizeof item); i++) {
        if (i == ENDPOINTS_MAX) {
            return wl_fault(fault, WL_ERR_SETTINGS, "endpoints", "more than %d", ENDPOINTS_MAX);
        }
        size_t bytes = strlen(item);
        if (bytes > 0 && item[bytes - 1] == '/') {
            item[--bytes] = '\0';
        }
        if (!endpoint_valid(item)) {
            return wl_fault(fault, WL_ERR_SETTINGS, "endpoints",
                            "\"%.100s\" is not http://host:port", item);
        }
        memcpy(self->endpoints[self->endpoint_count++], item, bytes + 1);
    }
    return self->endpoint_count > 0
               ? WL_OK
               : wl_fault(fault, WL_ERR_SETTINGS, "endpoints", "there is none");
}

static size_t on_body(char *bytes, size_t size, size_t count, void *arg) {
    wl_etcd_t *self = arg;
    size_t fresh = size * count;
    if (fresh > ANSWER_BYTES_MAX - self->answer_bytes) {
        self->too_big = true;
        return 0;
    }
    if (self->answer_bytes + fresh > self->answer_capacity) {
        size_t capacity = self->answer_capacity == 0 ? ANSWER_BYTES_MIN : self->answer_capacity;
        while (capacity < self->answer_bytes + fresh) {
            capacity *= 2;
        }
        self->answer = wl_realloc(self->answer, capacity);
        self->answer_capacity = capacity;
    }
    memcpy(self->answer + self->answer_bytes, bytes, fresh);
    self->answer_bytes += fresh;
    return fresh;
}

static void easy_set_up(wl_etcd_t *self) {
    (void)curl_easy_setopt(self->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(self->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(self->easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(self->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(self->easy, CURLOPT_PROXY, ""); /* whatever the environment says */
    (void)curl_easy_setopt(self->easy, CURLOPT_MAXCONNECTS, (long)CONNECTIONS);
    (void)curl_easy_setopt(self->easy, CURLOPT_ERRORBUFFER, self->error);
    (void)curl_easy_setopt(self->easy, CURLOPT_HTTPHEADER, self->headers);
    (void)curl_easy_setopt(self->easy, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(self->easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(self->easy, CURLOPT_WRITEDATA, self);
}

void wl_etcd_destroy(wl_etcd_t **pointer) {
    wl_etcd_t *self = pointer == NULL ? NULL : *pointer;
    if (self != NULL) {
        curl_easy_cleanup(self->easy);
        curl_slist_free_all(self->headers);
        wl_free(self->answer);
        wl_free(self);
        *pointer = NULL;
    }
}

wl_err_t wl_etcd_new(const char *endpoints, uint32_t timeout_ms, wl_etcd_t **ret,
                     wl_fault_t *fault) {
    WL_AUTO(wl_etcd) self = wl_alloc_zero(1, sizeof *self);
    wl_err_t err = endpoints_read(self, endpoints, fault);
    if (err != WL_OK) {
        return err;
    }
    self->timeout_ms = timeout_ms;
    self->easy = curl_easy_init();
    self->headers = curl_slist_append(NULL, "Content-Type: application/json");
    WL_ASSERT(self->easy != NULL && self->headers != NULL); /* out of memory */
    /* else a large body waits for a word that it may come */
    struct curl_slist *headers = curl_slist_append(self->headers, "Expect:");
    WL_ASSERT(headers != NULL);
    easy_set_up(self);
    *ret = self;
    self = NULL;
    return WL_OK;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* One request under way. */
typedef struct {
    const char *method;
    const char *body;
    wl_etcd_how_t how;
    int64_t until;  /* monotonic ms */
    bool elsewhere; /* the last failure may be asked at the next endpoint */
    json_t *answer; /* owned until it is handed out */
} request_t;

/* An answer that is an error: {"error": text, "code": of gRPC, ...}. */
static wl_err_t refusal(wl_etcd_t *self, const char *endpoint, long status, const json_t *answer) {
    enum { RESOURCE_EXHAUSTED = 8, INVALID_ARGUMENT = 3, OUT_OF_RANGE = 11 };
    const char *text = json_string_value(json_object_get(answer, "error"));
    json_int_t code = json_integer_value(json_object_get(answer, "code"));
    if (text == NULL) {
        text = json_string_value(json_object_get(answer, "message"));
    }
    wl_err_t err = code == RESOURCE_EXHAUSTED                         ? WL_ERR_NO_SPACE
                   : code == INVALID_ARGUMENT || code == OUT_OF_RANGE ? WL_ERR_IO
                                                                      : WL_ERR_UNAVAILABLE;
    return etcd_fail(self, err, "%s: HTTP %ld: %.200s", endpoint, status, text == NULL ? "" : text);
}

static wl_err_t answer_take(wl_etcd_t *self, const char *endpoint, request_t *request) {
    long status = 0;
    json_error_t error;
    (void)curl_easy_getinfo(self->easy, CURLINFO_RESPONSE_CODE, &status);
    json_t *answer = json_loadb(self->answer == NULL ? "" : self->answer, self->answer_bytes,
                                JSON_REJECT_DUPLICATES, &error);
    if (status == 200 && json_is_object(answer)) {
        request->answer = answer;
        return WL_OK;
    }
    wl_err_t err = WL_ERR_DAMAGED;
    if (status == 200) {
        (void)etcd_fail(self, err, "%s: the answer is not a JSON object", endpoint);
    } else {
        err = refusal(self, endpoint, status, answer);
    }
    json_decref(answer);
    request->elsewhere = request->how == WL_ETCD_AGAIN && err == WL_ERR_UNAVAILABLE;
    return err;
}

static wl_err_t transfer_failed(wl_etcd_t *self, const char *endpoint, CURLcode code,
                                request_t *request) {
    bool unheard = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
                   code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION;
    request->elsewhere = !self->too_big && (unheard || request->how == WL_ETCD_AGAIN);
    if (self->too_big) {
        return etcd_fail(self, WL_ERR_DAMAGED, "%s: the answer is too long", endpoint);
    }
    return etcd_fail(self, code == CURLE_OPERATION_TIMEDOUT ? WL_ERR_DEADLINE : WL_ERR_UNAVAILABLE,
                     "%s: %.200s", endpoint,
                     self->error[0] == '\0' ? curl_easy_strerror(code) : self->error);
}

static wl_err_t ask_one(wl_etcd_t *self, const char *endpoint, request_t *request) {
    char url[ENDPOINT_BYTES + 64];
    int64_t left = request->until - wl_mono_now().ms;
    long wait = left < (int64_t)self->timeout_ms ? (long)left : (long)self->timeout_ms;
    (void)snprintf(url, sizeof url, "%s/v3/%s", endpoint, request->method);
    self->answer_bytes = 0;
    self->too_big = false;
    self->error[0] = '\0';
    (void)curl_easy_setopt(self->easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(self->easy, CURLOPT_TIMEOUT_MS, wait > 0 ? wait : 1L);
    (void)curl_easy_setopt(self->easy, CURLOPT_CONNECTTIMEOUT_MS, wait > 1 ? wait / 2 : 1L);
    (void)curl_easy_setopt(self->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                           (curl_off_t)strlen(request->body));
    (void)curl_easy_setopt(self->easy, CURLOPT_POSTFIELDS, request->body);
    /* curl sends again by itself what it lost on a connection that it has used before */
    (void)curl_easy_setopt(self->easy, CURLOPT_FRESH_CONNECT,
                           request->how == WL_ETCD_ONCE ? 1L : 0L);
    CURLcode code = curl_easy_perform(self->easy);
    request->elsewhere = false;
    return code == CURLE_OK ? answer_take(self, endpoint, request)
                            : transfer_failed(self, endpoint, code, request);
}

wl_err_t wl_etcd_ask(wl_etcd_t *self, const char *method, json_t *body, wl_etcd_how_t how,
                     json_t **ret_answer) {
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    WL_ASSERT(text != NULL);
    request_t request = {.method = method,
                         .body = text,
                         .how = how,
                         .until = wl_mono_now().ms + 2 * (int64_t)self->timeout_ms};
    wl_err_t err = WL_ERR_UNAVAILABLE;
    uint32_t first = self->good;
    for (uint32_t i = 0; i < self->endpoint_count; i++) {
        uint32_t endpoint = (first + i) % self->endpoint_count;
        err = ask_one(self, self->endpoints[endpoint], &request);
        if (err == WL_OK) {
            self->good = endpoint;
            *ret_answer = request.answer;
            break;
        }
        if (!request.elsewhere || wl_mono_now().ms >= request.until) {
            self->good = err == WL_ERR_UNAVAILABLE || err == WL_ERR_DEADLINE
                             ? (endpoint + 1) % self->endpoint_count
                             : endpoint;
            break;
        }
    }
    free(text); /* of jansson */
    return err;
}

/* ---- bytes and numbers ----------------------------------------------------------------------- */

json_t *wl_etcd_bytes(const void *bytes, size_t count) {
    size_t room = sodium_base64_ENCODED_LEN(count, sodium_base64_VARIANT_ORIGINAL);
    char *text = wl_alloc(room);
    (void)sodium_bin2base64(text, room, bytes, count, sodium_base64_VARIANT_ORIGINAL);
    json_t *value = json_stringn_nocheck(text, room - 1);
    wl_free(text);
    WL_ASSERT(value != NULL);
    return value;
}

bool wl_etcd_bytes_read(const json_t *text, char **ret, size_t *ret_count) {
    bool none = text == NULL || json_is_null(text);
    if (!none && !json_is_string(text)) {
        return false;
    }
    const char *from = none ? "" : json_string_value(text);
    size_t from_bytes = none ? 0 : json_string_length(text);
    size_t room = from_bytes / 4 * 3 + 1;
    size_t count = 0;
    const char *end = NULL;
    char *bytes = wl_alloc(room);
    if (sodium_base642bin((unsigned char *)bytes, room - 1, from, from_bytes, NULL, &count, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != from + from_bytes) {
        wl_free(bytes);
        return false;
    }
    bytes[count] = '\0';
    *ret = bytes;
    *ret_count = count;
    return true;
}

bool wl_etcd_number_read(const json_t *text, uint64_t *ret) {
    if (text == NULL) {
        *ret = 0;
        return true;
    }
    const char *digits = json_string_value(text);
    if (digits == NULL || digits[0] == '\0' || strlen(digits) > 19 ||
        strspn(digits, "0123456789") != strlen(digits)) {
        return false;
    }
    *ret = strtoull(digits, NULL, 10);
    return true;
}
