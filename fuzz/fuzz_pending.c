/* fuzz_pending.c: the bytes choose the calls to a wl_pending_t; a naive model checks each answer
 * and that no queue entry is released early, twice or never. */
#include "../tests/unit/domain/pending_model.h"

#include "base/alloc.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

typedef struct {
    const uint8_t *at;
    size_t left;
} bytes_t;

static uint64_t next_byte(void *source) {
    bytes_t *bytes = source;
    if (bytes->left == 0) {
        return 0;
    }
    bytes->left--;
    return *bytes->at++;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count) {
    bytes_t source = {.at = bytes, .left = count < 20000 ? count : 20000};
    model_t *model = wl_alloc_zero(1, sizeof *model);
    model->draw = next_byte;
    model->source = &source;
    model->keys_max = next_byte(&source) % 2 == 0 ? PAIRS : 4;
    model->real = wl_pending_new(model->keys_max);
    model->now_ms = 1000;
    while (source.left > 0) {
        model_step(model);
    }
    model_drain(model);
    wl_pending_destroy(&model->real);
    wl_free(model);
    return 0;
}
