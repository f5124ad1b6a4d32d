#include "domain/config_state.h"

#include "base/alloc.h"
#include "base/slot.h"

#include <criterion/criterion.h>
#include <string.h>

static const wl_wall_ms_t NOW = {1764000000000};

static json_t *document(int version, const char *note) {
    return json_pack("{s:i, s:s}", "version", version, "note", note);
}

/* A log of records in memory, as a store keeps it. */
typedef struct {
    wl_config_state_t state;
    char tip[WL_DIGEST_HEX + 1];
    char *records[64];
} log_t;

static wl_err_t log_do(log_t *self, const wl_config_wish_t *wish, wl_fault_t *fault) {
    char *text = NULL;
    size_t bytes = 0;
    wl_config_state_t next;
    wl_err_t err =
        wl_config_change_make(&self->state, self->tip, wish, NOW, &text, &bytes, &next, fault);
    if (err != WL_OK) {
        return err;
    }
    wl_config_change_t back;
    cr_assert_eq(wl_config_change_read(text, bytes, &back, fault), WL_OK, "%s", text);
    cr_expect_eq(memcmp(&back.state, &next, sizeof next), 0, "the state comes back: %s", text);
    cr_expect_str_eq(back.prev, self->tip);
    cr_expect_str_eq(back.author, wish->author);
    cr_expect_eq(back.action, wish->action);
    wl_config_change_release(&back);
    wl_config_digest(text, bytes, self->tip);
    self->state = next;
    self->records[next.seq] = text;
    return WL_OK;
}

static void log_close(log_t *self) {
    for (size_t i = 0; i < sizeof self->records / sizeof *self->records; i++) {
        wl_free(self->records[i]);
    }
}

static wl_config_wish_t wish_of(const log_t *self, wl_config_action_t action) {
    return (wl_config_wish_t){.action = action,
                              .base = self->state.seq,
                              .author = "ann",
                              .reason = "because",
                              .from = "ops/1",
                              .rollout_id = self->state.rollout.id,
                              .rollout = {.share = 1000}};
}

static wl_err_t log_documents(log_t *self, wl_config_action_t action, bool integration,
                              bool presentation, wl_fault_t *fault) {
    wl_config_wish_t wish = wish_of(self, action);
    wish.documents[0] = integration ? document(3, "lines") : NULL;
    wish.documents[1] = presentation ? document(7, "pages") : NULL;
    wl_err_t err = log_do(self, &wish, fault);
    json_decref(wish.documents[0]);
    json_decref(wish.documents[1]);
    return err;
}

static wl_err_t log_steer(log_t *self, wl_config_action_t action, wl_fault_t *fault) {
    wl_config_wish_t wish = wish_of(self, action);
    return log_do(self, &wish, fault);
}

static void expect_head(const log_t *self, uint64_t integration, uint64_t presentation) {
    cr_expect_eq(self->state.head[0].version, integration);
    cr_expect_eq(self->state.head[1].version, presentation);
}

Test(config_state, numbers_documents_upwards_from_the_imported_ones) {
    log_t log = {0};
    wl_fault_t fault;
    cr_assert_eq(log_documents(&log, WL_CONFIG_ACTION_IMPORT, true, true, &fault), WL_OK);
    expect_head(&log, 3, 7);
    cr_assert_eq(log_documents(&log, WL_CONFIG_ACTION_PUBLISH, false, true, &fault), WL_OK);
    expect_head(&log, 3, 8);
    cr_expect_eq(log.state.head[0].seq, 1u);
    cr_expect_eq(log.state.head[1].seq, 2u);
    cr_assert_eq(log_documents(&log, WL_CONFIG_ACTION_ROLLBACK, true, true, &fault), WL_OK);
    expect_head(&log, 4, 9);
    log_close(&log);
}

Test(config_state, a_rollout_has_a_candidate_beside_the_head_until_it_ends) {
    log_t log = {0};
    wl_fault_t fault;
    cr_assert_eq(log_documents(&log, WL_CONFIG_ACTION_IMPORT, true, true, &fault), WL_OK);
    cr_assert_eq(log_documents(&log, WL_CONFIG_ACTION_ROLLOUT, true, false, &fault), WL_OK);
    expect_head(&log, 3, 7);
    cr_expect_eq(log.state.rollout.id, 2u);
    cr_expect_eq(log.state.candidate[0].version, 4u);
    cr_expect_eq(log.state.candidate[1].version, 7u);
    cr_assert_eq(log_steer(&log, WL_CONFIG_ACTION_PAUSE, &fault), WL_OK);
    cr_expect(log.state.rollout.paused);
    cr_assert_eq(log_steer(&log, WL_CONFIG_ACTION_RESUME, &fault), WL_OK);
    wl_config_wish_t wish = wish_of(&log, WL_CONFIG_ACTION_WIDEN);
    wish.set_share = true;
    wish.rollout.share = 2000;
    cr_assert_eq(log_do(&log, &wish, &fault), WL_OK);
    cr_expect_eq(log.state.rollout.share, 2000u);
    cr_expect_eq(log.state.rollout.id, 2u, "the salt stays: nobody leaves");
    cr_assert_eq(log_steer(&log, WL_CONFIG_ACTION_PROMOTE, &fault), WL_OK);
    expect_head(&log, 4, 7);
    cr_expect_eq(log.state.rollout.id, 0u);
    cr_assert_eq(log_documents(&log, WL_CONFIG_ACTION_ROLLOUT, true, false, &fault), WL_OK);
    cr_assert_eq(log_steer(&log, WL_CONFIG_ACTION_ABORT, &fault), WL_OK);
    expect_head(&log, 4, 7);
    cr_assert_eq(log_documents(&log, WL_CONFIG_ACTION_PUBLISH, true, false, &fault), WL_OK);
    expect_head(&log, 6, 7);
    log_close(&log);
}

Test(config_state, refuses_what_does_not_fit_and_says_what_to_do) {
    log_t log = {0};
    wl_fault_t fault;
    cr_assert_eq(log_documents(&log, WL_CONFIG_ACTION_IMPORT, true, true, &fault), WL_OK);
    wl_config_wish_t late = wish_of(&log, WL_CONFIG_ACTION_PUBLISH);
    late.documents[0] = document(3, "x");
    late.base = 0;
    cr_expect_eq(log_do(&log, &late, &fault), WL_ERR_CONFLICT);
    cr_expect_str_eq(fault.where, "base");
    late.base = 1;
    late.author = "";
    cr_expect_eq(log_do(&log, &late, &fault), WL_ERR_BAD_REQUEST);
    cr_expect_str_eq(fault.where, "author");
    late.author = "a\nb";
    cr_expect_eq(log_do(&log, &late, &fault), WL_ERR_BAD_REQUEST);
    late.author = "\xff";
    cr_expect_eq(log_do(&log, &late, &fault), WL_ERR_BAD_REQUEST, "not UTF-8");
    json_decref(late.documents[0]);
    cr_expect_eq(log_steer(&log, WL_CONFIG_ACTION_PROMOTE, &fault), WL_ERR_CONFLICT);
    cr_assert_eq(log_documents(&log, WL_CONFIG_ACTION_ROLLOUT, true, false, &fault), WL_OK);
    cr_expect_eq(log_documents(&log, WL_CONFIG_ACTION_PUBLISH, false, true, &fault),
                 WL_ERR_CONFLICT, "a rollout pins its base");
    cr_expect_eq(log_documents(&log, WL_CONFIG_ACTION_ROLLOUT, false, true, &fault),
                 WL_ERR_CONFLICT);
    cr_expect_eq(log_steer(&log, WL_CONFIG_ACTION_RESUME, &fault), WL_ERR_CONFLICT);
    cr_expect_eq(log_steer(&log, WL_CONFIG_ACTION_WIDEN, &fault), WL_ERR_BAD_REQUEST);
    wl_config_wish_t other = wish_of(&log, WL_CONFIG_ACTION_ABORT);
    other.rollout_id = 99;
    cr_expect_eq(log_do(&log, &other, &fault), WL_ERR_CONFLICT);
    expect_head(&log, 3, 7);
    log_close(&log);
}

/* Whatever is damaged in a record, it is refused or reads as the same state. */
Test(config_state, damaged_records_are_refused) {
    log_t log = {0};
    wl_fault_t fault;
    cr_assert_eq(log_documents(&log, WL_CONFIG_ACTION_IMPORT, true, true, &fault), WL_OK);
    cr_assert_eq(log_documents(&log, WL_CONFIG_ACTION_ROLLOUT, true, true, &fault), WL_OK);
    const char *text = log.records[2];
    size_t bytes = strlen(text);
    wl_config_change_t change;
    for (size_t cut = 0; cut < bytes; cut++) {
        cr_assert_eq(wl_config_change_read(text, cut, &change, NULL), WL_ERR_DAMAGED);
        wl_config_change_release(&change);
    }
    char *copy = wl_alloc(bytes + 1);
    for (uint64_t i = 0; i < 20000; i++) {
        memcpy(copy, text, bytes + 1);
        copy[wl_mix64(i) % bytes] = (char)(wl_mix64(i ^ 77) & 0xff);
        if (wl_config_change_read(copy, bytes, &change, NULL) == WL_OK) {
            cr_assert(change.seq > 0 && change.state.head[0].version > 0 &&
                      change.state.rollout.share <= WL_ROLLOUT_WHOLE);
        }
        wl_config_change_release(&change);
    }
    wl_free(copy);
    log_close(&log);
}

/* Random wishes: numbers are never given twice, the head moves only by what moves it. */
Test(config_state, random_lives_give_no_number_twice) {
    for (uint64_t seed = 0; seed < 200; seed++) {
        log_t log = {0};
        wl_fault_t fault;
        uint64_t seen[2][64] = {{0}};
        cr_assert_eq(log_documents(&log, WL_CONFIG_ACTION_IMPORT, true, true, &fault), WL_OK);
        for (uint64_t i = 0; i < 40; i++) {
            uint64_t random = wl_mix64(seed << 16 | i);
            wl_config_action_t action =
                (wl_config_action_t)(1 + random % (WL_CONFIG_ACTION_COUNT - 1));
            wl_config_state_t before = log.state;
            bool brings = action <= WL_CONFIG_ACTION_ROLLOUT;
            wl_err_t err = brings ? log_documents(&log, action, true, random >> 20 & 1, &fault)
                                  : log_steer(&log, action, &fault);
            if (err != WL_OK) {
                cr_assert_eq(memcmp(&before, &log.state, sizeof before), 0);
                continue;
            }
            cr_assert_eq(log.state.seq, before.seq + 1);
            for (int d = 0; brings && d < 2; d++) {
                if (log.state.newest[d] != before.newest[d]) {
                    cr_assert_eq(log.state.newest[d], before.newest[d] + 1);
                    cr_assert_eq(seen[d][log.state.newest[d]]++, 0u);
                }
            }
            bool moves = action == WL_CONFIG_ACTION_PUBLISH ||
                         action == WL_CONFIG_ACTION_ROLLBACK || action == WL_CONFIG_ACTION_PROMOTE;
            cr_assert(moves || memcmp(before.head, log.state.head, sizeof before.head) == 0);
        }
        log_close(&log);
    }
}
