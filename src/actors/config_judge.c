#include "actors/config_judge.h"

#include "actors/config_args.h"
#include "base/clock.h"
#include "domain/json_locate.h"
#include "lines/sample.h"

/* Where the sample stands in the text: a fault of it knows no line. */
static void sample_place(const wl_document_text_t *text, const char *line, wl_fault_t *fault) {
    wl_json_step_t steps[] = {{.key = "lines"}, {.key = line}, {.key = "sample"}};
    wl_json_place_t place =
        wl_json_locate(text->text, text->bytes, steps, sizeof steps / sizeof steps[0]);
    fault->line = place.line;
    fault->column = place.column;
}

wl_err_t wl_config_judge_each(const wl_document_text_t documents[WL_DOCUMENT_COUNT],
                              json_t *samples, wl_config_t **ret, wl_fault_t *fault) {
    const wl_document_text_t *integration = &documents[WL_DOCUMENT_INTEGRATION];
    const wl_document_text_t *presentation = &documents[WL_DOCUMENT_PRESENTATION];
    wl_config_t *config = NULL;
    wl_err_t err = wl_config_compile(integration->text, integration->bytes, presentation->text,
                                     presentation->bytes, &config, fault);
    wl_wall_ms_t now = wl_wall_now();
    for (uint32_t i = 0; config != NULL && i < config->line_count; i++) {
        const wl_line_t *line = &config->lines[i];
        size_t bytes = 0;
        const char *sample = wl_config_sample(config, line, &bytes);
        wl_fault_t why = {.line = 0};
        if (sample == NULL) {
            continue;
        }
        wl_err_t judged = wl_sample_check(line, sample, bytes, now, NULL, &why);
        (void)json_array_append_new(samples, json_pack("{s:s, s:b, s:o}", "line", line->id, "ok",
                                                       judged == WL_OK, "message",
                                                       wl_config_text_json(why.message)));
        if (judged != WL_OK && err == WL_OK) {
            err = judged;
            sample_place(integration, line->id, &why);
            if (fault != NULL) {
                *fault = why;
            }
        }
    }
    if (err != WL_OK) {
        wl_config_destroy(&config);
        return err == WL_ERR_SETTINGS ? WL_ERR_BAD_REQUEST : err;
    }
    *ret = config;
    return WL_OK;
}

wl_err_t wl_config_judge(const wl_document_text_t documents[WL_DOCUMENT_COUNT], wl_config_t **ret,
                         wl_fault_t *fault) {
    json_t *samples = json_array();
    wl_err_t err = wl_config_judge_each(documents, samples, ret, fault);
    json_decref(samples);
    return err;
}
