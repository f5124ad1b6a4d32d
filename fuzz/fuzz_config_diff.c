/* Three documents split at NULs. Merging with what nobody changed gives the change, a merge that
 * works has no conflicts, and what base and candidate have together compiles when both do. */
#include "base/alloc.h"
#include "base/check.h"
#include "domain/config.h"
#include "domain/config_diff.h"
#include "domain/config_json_schema.h"
#include "domain/config_union.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

typedef struct {
    const char *text;
    size_t bytes;
} part_t;

static bool equal_but_version(const json_t *left, const json_t *right) {
    json_t *one = json_copy((json_t *)(uintptr_t)left);
    json_t *other = json_copy((json_t *)(uintptr_t)right);
    (void)json_object_del(one, "version");
    (void)json_object_del(other, "version");
    bool equal = json_equal(one, other) == 1;
    json_decref(one);
    json_decref(other);
    return equal;
}

static void check_merge(const json_t *base, const json_t *mine, const json_t *theirs,
                        const json_t *wanted) {
    json_t *merged = NULL;
    wl_err_t err = wl_config_merge(base, mine, theirs, &merged);
    WL_ASSERT(err == WL_OK);
    WL_ASSERT(equal_but_version(merged, wanted));
    json_decref(merged);
}

static void check_diff(json_t *const documents[3]) {
    json_t *merged = NULL;
    check_merge(documents[0], documents[1], documents[0], documents[1]);
    check_merge(documents[0], documents[0], documents[2], documents[2]);
    WL_AUTO(wl_config_diff) diff = wl_config_diff(documents[0], documents[1], documents[2]);
    wl_err_t err = wl_config_merge(documents[0], documents[1], documents[2], &merged);
    WL_ASSERT((err == WL_OK) == (wl_config_diff_conflicts(diff) == 0));
    json_decref(wl_config_diff_json(diff));
    json_decref(merged);
}

static bool compiles(const char *text, size_t bytes) {
    static const char page[] = "{\"version\":1}";
    WL_AUTO(wl_config) config = NULL;
    bool good = wl_config_compile(text, bytes, page, sizeof page - 1, &config, NULL) == WL_OK;
    wl_err_t alone = wl_config_check_schema(WL_DOCUMENT_INTEGRATION, text, bytes, NULL);
    WL_ASSERT(!good || alone == WL_OK);
    return good;
}

static void check_union(const part_t *base, const part_t *candidate) {
    char *text = NULL;
    size_t bytes = 0;
    wl_fault_t fault = {0};
    wl_err_t err = wl_config_union(base->text, base->bytes, candidate->text, candidate->bytes,
                                   &text, &bytes, &fault);
    if (err != WL_OK) {
        WL_ASSERT(text == NULL && fault.message[0] != '\0');
        return;
    }
    bool both = compiles(base->text, base->bytes) && compiles(candidate->text, candidate->bytes);
    WL_ASSERT(!both || compiles(text, bytes));
    wl_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    part_t parts[3] = {{"", 0}, {"", 0}, {"", 0}};
    json_t *documents[3] = {NULL, NULL, NULL};
    const char *at = (const char *)bytes;
    for (size_t i = 0; i < 3 && count > 0; i++) {
        const char *nul = i == 2 ? NULL : memchr(at, '\0', count);
        parts[i] = (part_t){at, nul == NULL ? count : (size_t)(nul - at)};
        size_t step = parts[i].bytes + (nul == NULL ? 0 : 1);
        at += step;
        count -= step;
    }
    for (size_t i = 0; i < 3; i++) {
        documents[i] = json_loadb(parts[i].text, parts[i].bytes, JSON_REJECT_DUPLICATES, NULL);
    }
    if (json_is_object(documents[0]) && json_is_object(documents[1]) &&
        json_is_object(documents[2])) {
        check_diff(documents);
    }
    check_union(&parts[0], &parts[1]);
    for (size_t i = 0; i < 3; i++) {
        json_decref(documents[i]);
    }
    return 0;
}
