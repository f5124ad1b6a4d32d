/* The configuration is read as walletd reads it, the line asked as the puller asks it, the answer
 * judged by the reader of answers: only the words are this file's own. */
#include "tools/walletctl/line_test.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/settings.h"
#include "lines/explain.h"
#include "lines/page.h"
#include "lines/sample.h"
#include "lines/secrets.h"
#include "store/blob_file.h"
#include "store/config_dir.h"
#include "tools/walletctl/line_ask.h"
#include "tools/walletctl/line_show.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 1024, TEXT_ROOM = 768 };

typedef struct {
    const ctl_options_t *options; /* borrowed */
    const wl_config_t *config;    /* borrowed */
    const wl_line_t *line;        /* borrowed, of it */
    json_t *answers;              /* owned */
    json_t *pages;                /* owned */
    ctl_exit_t code;              /* the worst so far */
} test_t;

/* ---- the configuration ---------------------------------------------------------------------- */

static ctl_exit_t config_complain(const char *path, const wl_fault_t *fault) {
    return ctl_complain(CTL_EXIT_CHECK_FAILED,
                        "%s:%u:%u: %s: %s; walletd would keep the version before", path,
                        fault->line, fault->column, fault->where, fault->message);
}

static ctl_exit_t config_compile(const wl_config_file_t *integration,
                                 const wl_config_file_t *presentation, wl_config_t **ret) {
    wl_fault_t fault = {0};
    wl_err_t err = wl_config_compile(integration->text, integration->bytes, presentation->text,
                                     presentation->bytes, ret, &fault);
    if (err == WL_OK) {
        return CTL_EXIT_OK;
    }
    bool second = strncmp(fault.where, "presentation", strlen("presentation")) == 0;
    return config_complain(second ? presentation->path : integration->path, &fault);
}

static ctl_exit_t document_read(const char *dir, const char *name, wl_config_file_t *ret) {
    wl_fault_t fault = {0};
    wl_err_t err = wl_config_dir_read(dir, name, 0, ret, &fault);
    if (err == WL_OK) {
        return CTL_EXIT_OK;
    }
    return ctl_complain(err == WL_ERR_NOT_FOUND ? CTL_EXIT_NOT_FOUND : CTL_EXIT_CHECK_FAILED,
                        "%s: %s", fault.where, fault.message);
}

/* The newest documents of the folder. */
static ctl_exit_t config_load(const char *dir, wl_config_t **ret) {
    wl_config_file_t integration = {0};
    wl_config_file_t presentation = {0};
    ctl_exit_t code = document_read(dir, "integration", &integration);
    if (code == CTL_EXIT_OK) {
        code = document_read(dir, "presentation", &presentation);
    }
    if (code == CTL_EXIT_OK) {
        code = config_compile(&integration, &presentation, ret);
    }
    wl_config_file_release(&integration);
    wl_config_file_release(&presentation);
    return code;
}

static ctl_exit_t line_find(const wl_config_t *config, const char *id, const wl_line_t **ret) {
    const char *names[WL_LINES_MAX];
    *ret = wl_config_line(config, id);
    if (*ret != NULL && (*ret)->adapter == WL_ADAPTER_NONE) {
        return ctl_complain(CTL_EXIT_USAGE, "%s is a link: walletd never asks it", id);
    }
    if (*ret != NULL) {
        return CTL_EXIT_OK;
    }
    for (uint32_t i = 0; i < config->line_count; i++) {
        names[i] = config->lines[i].id;
    }
    const char *nearest = wl_nearest(id, names, config->line_count);
    return ctl_complain(CTL_EXIT_NOT_FOUND, "there is no line \"%s\" in configuration %s%s%s%s", id,
                        config->version, nearest == NULL ? "" : "; did you mean \"",
                        nearest == NULL ? "" : nearest, nearest == NULL ? "" : "\"?");
}

/* ---- answers -------------------------------------------------------------------------------- */

/* Something of the test went wrong: keeps the worst code, says why. */
static void test_fail(test_t *self, ctl_exit_t code, const char *source, const char *reason) {
    self->code = code > self->code ? code : self->code;
    (void)ctl_complain(code, "%s: %s", source, reason);
}

static void test_explain(test_t *self, const char *source, const void *bytes, size_t count) {
    const ctl_options_t *options = self->options;
    json_t *answer =
        wl_explain(self->line, options->uids, options->uid_count, wl_wall_now(), bytes, count);
    (void)json_object_set_new(answer, "source", json_string(source));
    (void)json_array_append_new(self->answers, answer);
    const char *reason = json_string_value(json_object_get(answer, "reason"));
    json_int_t refused = json_integer_value(json_object_get(answer, "refused"));
    if (reason[0] != '\0') {
        test_fail(self, CTL_EXIT_CHECK_FAILED, source, reason);
    } else if (refused > 0) {
        char words[TEXT_ROOM];
        (void)snprintf(words, sizeof words, "%" JSON_INTEGER_FORMAT " records are refused",
                       refused);
        test_fail(self, CTL_EXIT_CHECK_FAILED, source,
                  refused == 1 ? "1 record is refused" : words);
    }
}

static void test_sample(test_t *self, const char *path) {
    void *bytes = NULL;
    size_t count = 0;
    wl_err_t err = wl_blob_file_read(path, self->line->response_bytes_max, &bytes, &count);
    if (err == WL_ERR_TOO_BIG) {
        test_fail(self, CTL_EXIT_CHECK_FAILED, path, "is longer than response_bytes_max");
    } else if (err != WL_OK) {
        test_fail(self, CTL_EXIT_NOT_FOUND, path, "there is no such sample, or it cannot be read");
    } else {
        test_explain(self, path, bytes, count);
    }
    wl_free(bytes);
}

/* ---- live ----------------------------------------------------------------------------------- */

/* What to do about an answer that is none. */
static const char *advice(const wl_line_t *line, const ctl_line_answer_t *answer) {
    bool signature = answer->http_status == 401 || answer->http_status == 403 ||
                     strcmp(answer->reason, "error unauthorized") == 0 ||
                     strcmp(answer->reason, "error forbidden") == 0;
    if (signature && line->secret[0] == '\0') {
        return "; it wants a signature: name the key with \"secret\"";
    }
    if (signature) {
        return "; it does not accept our signature: do both sides hold the same key, and is its "
               "clock right?";
    }
    if (answer->http_status == 404 || answer->http_status == 405) {
        return "; is the path right?";
    }
    if (answer->retry_after_ms > 0) {
        return "; it asks to come again later, and walletd would";
    }
    return answer->outcome == CTL_LINE_AWAY ? "; is it running?" : "";
}

static void live_fail(test_t *self, const char *source, const ctl_line_answer_t *answer,
                      json_t *into) {
    char reason[TEXT_ROOM];
    (void)snprintf(reason, sizeof reason, "%s%s", answer->reason, advice(self->line, answer));
    json_t *failed = json_pack("{s:s, s:s}", "source", source, "reason", reason);
    (void)json_array_append_new(into, failed);
    test_fail(self, answer->outcome == CTL_LINE_AWAY ? CTL_EXIT_UNREACHABLE : CTL_EXIT_CHECK_FAILED,
              source, reason);
}

static void record_write(test_t *self, const ctl_line_answer_t *answer) {
    const char *path = self->options->record;
    if (path == NULL || answer->body == NULL) {
        return;
    }
    if (wl_blob_file_write(path, answer->body, answer->body_bytes) != WL_OK) {
        test_fail(self, CTL_EXIT_REFUSED, path, "the sample cannot be written");
    } else {
        (void)ctl_complain(CTL_EXIT_OK, "%s holds the answer, of real users: keep it safe", path);
    }
}

static void test_live(test_t *self, uint32_t url_index) {
    const wl_line_t *line = self->line;
    const ctl_options_t *options = self->options;
    ctl_line_answer_t answer;
    char source[TEXT_ROOM];
    (void)snprintf(source, sizeof source, "%s", line->urls[url_index]);
    wl_err_t err =
        ctl_line_ask(line, options->secrets, options->uids, options->uid_count, url_index, &answer);
    if (err != WL_OK) {
        test_fail(self, CTL_EXIT_CHECK_FAILED, source, "this url cannot be asked");
        return;
    }
    if (answer.body != NULL) {
        (void)snprintf(source, sizeof source, "%s, %" PRId64 " of %" PRIu32 " ms",
                       line->urls[url_index], answer.elapsed_ms, line->timeout_ms);
        if (url_index == 0) {
            record_write(self, &answer);
        }
        test_explain(self, source, answer.body, answer.body_bytes);
    } else {
        live_fail(self, source, &answer, self->answers);
    }
    ctl_line_answer_release(&answer);
}

/* ---- details and sums ----------------------------------------------------------------------- */

static json_t *amount_json(int64_t amount) {
    return json_sprintf("%" PRId64, amount);
}

static json_t *item_json(const wl_page_item_t *item) {
    char when[32] = "";
    time_t seconds = (time_t)(item->time / 1000);
    struct tm utc;
    if (gmtime_r(&seconds, &utc) != NULL) {
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%SZ", &utc);
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:i}", "id", item->id, "time", when, "title",
                     item->title, "amount", amount_json(item->amount), "unit", item->unit, "scale",
                     (int)item->scale);
}

static void page_add(json_t *into, wl_page_reader_t *reader, const ctl_line_answer_t *answer) {
    wl_page_t *page = wl_alloc(sizeof *page);
    json_t *items = json_array();
    if (wl_page_decode(reader, answer->page, answer->page_bytes, page) == WL_OK) {
        for (uint32_t i = 0; i < page->count; i++) {
            (void)json_array_append_new(items, item_json(&page->items[i]));
        }
        (void)json_object_set_new(into, "more", json_boolean(page->next_bytes > 0));
    }
    (void)json_object_set_new(into, "items", items);
    wl_free(page);
}

static void sums_add(json_t *into, wl_page_reader_t *reader, const ctl_line_answer_t *answer) {
    wl_sums_t sums;
    if (wl_sums_decode(reader, answer->page, answer->page_bytes, &sums) == WL_OK) {
        (void)json_object_set_new(into, "in", amount_json(sums.in));
        (void)json_object_set_new(into, "out", amount_json(sums.out));
        (void)json_object_set_new(into, "count", json_sprintf("%" PRIu64, sums.count));
        (void)json_object_set_new(into, "unit", json_string(sums.unit));
        (void)json_object_set_new(into, "scale", json_integer(sums.scale));
    }
}

/* The first page, or the sums, of the first user. */
static void test_page(test_t *self, wl_page_kind_t kind) {
    ctl_line_answer_t answer;
    char source[TEXT_ROOM];
    (void)snprintf(source, sizeof source, "%s of user %" PRIu64,
                   kind == WL_PAGE_DETAILS ? "details" : "summary", self->options->uids[0]);
    wl_err_t err =
        ctl_line_page(self->line, self->options->secrets, kind, self->options->uids[0], &answer);
    if (err != WL_OK) {
        test_fail(self, CTL_EXIT_CHECK_FAILED, source, "this url cannot be asked");
        return;
    }
    if (answer.page == NULL) {
        live_fail(self, source, &answer, self->pages);
    } else {
        wl_page_reader_t *reader = wl_page_reader_new();
        json_t *page = json_pack("{s:s, s:s}", "source", source, "reason", "");
        if (kind == WL_PAGE_DETAILS) {
            page_add(page, reader, &answer);
        } else {
            sums_add(page, reader, &answer);
        }
        (void)json_array_append_new(self->pages, page);
        wl_page_reader_destroy(&reader);
    }
    ctl_line_answer_release(&answer);
}

/* ---- the verb ------------------------------------------------------------------------------- */

/* The key that the line wants is there. */
static ctl_exit_t key_check(const wl_line_t *line, const char *folder) {
    const void *key = NULL;
    size_t bytes = 0;
    if (line->secret[0] == '\0') {
        return CTL_EXIT_OK;
    }
    if (folder == NULL) {
        return ctl_complain(CTL_EXIT_USAGE,
                            "requests to %s are signed with the key \"%s\": say where it is with "
                            "--secrets FOLDER",
                            line->id, line->secret);
    }
    wl_secrets_t *secrets = wl_secrets_new(folder);
    wl_err_t err = wl_secrets_key(secrets, line->secret, wl_mono_now(), &key, &bytes);
    wl_secrets_destroy(&secrets);
    return err == WL_OK ? CTL_EXIT_OK
                        : ctl_complain(CTL_EXIT_NOT_FOUND,
                                       "%s/%s: there is no such key, or it is empty or too long",
                                       folder, line->secret);
}

static ctl_exit_t live_run(test_t *self) {
    const wl_line_t *line = self->line;
    const ctl_options_t *options = self->options;
    if (options->uid_count > line->batch_max) {
        return ctl_complain(CTL_EXIT_USAGE,
                            "walletd asks this line for %" PRIu32 " users at once (batch_max)",
                            line->batch_max);
    }
    ctl_exit_t code = key_check(line, options->secrets);
    if (code != CTL_EXIT_OK) {
        return code;
    }
    for (uint32_t i = 0; i < line->url_count; i++) {
        test_live(self, i);
    }
    bool answered = self->code != CTL_EXIT_UNREACHABLE;
    if (answered && line->details) {
        test_page(self, WL_PAGE_DETAILS);
    }
    if (answered && line->summary) {
        test_page(self, WL_PAGE_SUMMARY);
    }
    return self->code;
}

/* The sample in the configuration. */
static void test_own_sample(test_t *self, const char *text, size_t bytes) {
    char source[TEXT_ROOM];
    wl_fault_t fault = {0};
    json_t *answer = NULL;
    (void)snprintf(source, sizeof source, "sample of %s in configuration %s", self->line->id,
                   self->config->version);
    if (wl_sample_check(self->line, text, bytes, wl_wall_now(), &answer, &fault) != WL_OK) {
        test_fail(self, CTL_EXIT_CHECK_FAILED, source, fault.message);
    }
    (void)json_object_set_new(answer, "source", json_string(source));
    (void)json_array_append_new(self->answers, answer);
}

/* A file wins; users without a file mean live; else the sample beside the configuration, else the
 * one in it. */
static ctl_exit_t test_run(test_t *self) {
    const ctl_options_t *options = self->options;
    if (options->sample != NULL) {
        test_sample(self, options->sample);
        return self->code;
    }
    if (options->uid_count > 0) {
        return live_run(self);
    }
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/samples/%s.%s", options->config, self->line->id,
                   self->line->adapter == WL_ADAPTER_ZMQ ? "msgpack" : "json");
    size_t bytes = 0;
    const char *own = wl_config_sample(self->config, self->line, &bytes);
    if (access(path, F_OK) != 0 && own != NULL) {
        test_own_sample(self, own, bytes);
        return self->code;
    }
    if (access(path, F_OK) != 0) {
        return ctl_complain(CTL_EXIT_USAGE,
                            "there is no %s: name a recorded answer with --sample FILE, or ask the "
                            "line with --uid UID",
                            path);
    }
    test_sample(self, path);
    return self->code;
}

static void test_print(const test_t *self, const wl_config_t *config) {
    json_t *json = json_object();
    (void)json_object_set_new(json, "line", json_string(self->line->id));
    (void)json_object_set_new(json, "config", json_string(config->version));
    (void)json_object_set_new(
        json, "shape",
        json_string(self->line->mapping.used ? "read by its mapping" : "the standard contract"));
    (void)json_object_set_new(json, "passed", json_boolean(self->code == CTL_EXIT_OK));
    (void)json_object_set(json, "answers", self->answers);
    (void)json_object_set(json, "pages", self->pages);
    if (self->options->json) {
        ctl_print_json(json);
    } else {
        ctl_show_line_test(json, self->options->color, stdout);
    }
    json_decref(json);
}

ctl_exit_t ctl_line_test(const ctl_options_t *options, int count, char **words) {
    WL_ASSERT(count == 1);
    wl_config_t *config = NULL;
    const wl_line_t *line = NULL;
    if (options->config == NULL) {
        return ctl_complain(CTL_EXIT_USAGE,
                            "say where integration-N.json and presentation-N.json are: --config "
                            "FOLDER");
    }
    if (options->sample != NULL && options->record != NULL) {
        return ctl_complain(CTL_EXIT_USAGE, "--record keeps what a line answers, not a --sample");
    }
    ctl_exit_t code = config_load(options->config, &config);
    if (code == CTL_EXIT_OK) {
        code = line_find(config, words[0], &line);
    }
    if (code == CTL_EXIT_OK) {
        test_t test = {options, config, line, json_array(), json_array(), CTL_EXIT_OK};
        code = test_run(&test);
        if (json_array_size(test.answers) > 0) {
            test_print(&test, config);
        }
        json_decref(test.answers);
        json_decref(test.pages);
    }
    wl_config_destroy(&config);
    return code;
}
