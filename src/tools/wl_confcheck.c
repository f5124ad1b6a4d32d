/* wl_confcheck: what walletd says of documents that come on its input, for tests that compare it
 * with others.
 *   wl_confcheck INTEGRATION PRESENTATION   the documents that complete one that comes alone
 * Takes "integration 123" or "presentation 123", a line end, and so many bytes, again and again.
 * Prints for each a line of JSON: stage is ok, "schema" (the text, or what the schema says) or
 * "rules" (all else). */
#include "base/alloc.h"
#include "domain/config.h"
#include "domain/config_json_schema.h"
#include "store/blob_file.h"

#include <stdio.h>
#include <string.h>

enum { BYTES_MAX = 16777216, HEAD_MAX = 64 };

typedef struct {
    char *text;
    size_t bytes;
} text_t;

static bool text_load(const char *path, text_t *ret) {
    void *bytes = NULL;
    if (wl_blob_file_read(path, WL_DOCUMENT_BYTES_MAX, &bytes, &ret->bytes) != WL_OK) {
        (void)fprintf(stderr, "wl_confcheck: %s cannot be read\n", path);
        return false;
    }
    ret->text = bytes;
    return true;
}

static void verdict_print(wl_document_t document, const text_t *text, const text_t *others) {
    const text_t *both[WL_DOCUMENT_COUNT] = {&others[0], &others[1]};
    wl_fault_t fault = {0};
    const char *stage = "schema";
    wl_err_t err = wl_config_check_schema(document, text->text, text->bytes, &fault);
    if (err == WL_OK) {
        WL_AUTO(wl_config) config = NULL;
        both[document] = text;
        err = wl_config_compile(both[0]->text, both[0]->bytes, both[1]->text, both[1]->bytes,
                                &config, &fault);
        stage = err == WL_OK ? "ok" : "rules";
    }
    json_t *json = json_pack("{s:s, s:s, s:s}", "stage", stage, "where", fault.where, "message",
                             fault.message);
    (void)json_dumpf(json, stdout, JSON_COMPACT);
    (void)putchar('\n');
    json_decref(json);
}

/* false: the input is at its end, or is none. */
static bool text_next(wl_document_t *ret_document, text_t *ret) {
    char head[HEAD_MAX];
    char name[HEAD_MAX];
    if (fgets(head, sizeof head, stdin) == NULL ||
        sscanf(head, "%63s %zu", name, &ret->bytes) != 2 || ret->bytes > BYTES_MAX) {
        return false;
    }
    *ret_document =
        strcmp(name, "integration") == 0 ? WL_DOCUMENT_INTEGRATION : WL_DOCUMENT_PRESENTATION;
    ret->text = wl_alloc(ret->bytes + 1);
    if (fread(ret->text, 1, ret->bytes, stdin) == ret->bytes) {
        return true;
    }
    wl_free(ret->text);
    return false;
}

int main(int argc, char **argv) {
    text_t others[WL_DOCUMENT_COUNT] = {{NULL, 0}, {NULL, 0}};
    if (argc != 3) {
        (void)fputs("usage: wl_confcheck INTEGRATION PRESENTATION\n", stderr);
        return 2;
    }
    if (text_load(argv[1], &others[0]) && text_load(argv[2], &others[1])) {
        wl_document_t document = WL_DOCUMENT_INTEGRATION;
        text_t text;
        while (text_next(&document, &text)) {
            verdict_print(document, &text, others);
            wl_free(text.text);
        }
    }
    bool done = others[1].text != NULL && fflush(stdout) == 0;
    wl_free(others[0].text);
    wl_free(others[1].text);
    return done ? 0 : 1;
}
