/* A rollout as an actor that answers users sees it: each item is rendered by its own variant. */
#include "actors/cache.h"

#include "read_path.h"

typedef struct {
    stage_t stage;
    neighbour_t query;
    neighbour_t frontend;
    neighbour_t dispatcher;
} world_t;

static world_t self;

static void world_open(void) {
    stage_open(&self.stage);
    self.query = neighbour_open(WL_ACTOR_QUERY, 0);
    self.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self.dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    stage_start(&self.stage, WL_ACTOR_CACHE, wl_cache_run);
}

static void world_close(void) {
    (void)stage_stop(&self.stage);
    neighbour_close(&self.query);
    neighbour_close(&self.frontend);
    neighbour_close(&self.dispatcher);
    stage_close(&self.stage);
}

TestSuite(cache_rollout, .init = world_open, .fini = world_close, .timeout = 60);

static wl_bytes_t bytes_of(const char *text) {
    return (wl_bytes_t){(const uint8_t *)text, strlen(text)};
}

/* The base shows "Old"; the candidate "New", with its lines in another order and one more. */
static const char base_page[] =
    "{\"version\":7,\"golden\":[{\"line\":\"cash\",\"title\":\"Old\"}]}";
static const char candidate_page[] =
    "{\"version\":8,\"golden\":[{\"line\":\"coin\"},{\"line\":\"cash\",\"title\":\"New\"}]}";
static const char candidate_lines[] =
    "{\"version\":4,\"lines\":{"
    "\"aaaa\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\"},"
    "\"coin\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\"},"
    "\"cash\":{\"kind\":\"cash\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"CNY\",\"scale\":2}}}";

static void configure(const char *rollout, const char *lines, const char *page) {
    wl_config_head_t head = {.seq = 5, .version = "3.7", .source = "store"};
    wl_config_item_t item = {.integration = bytes_of(test_integration),
                             .presentation = bytes_of(base_page),
                             .candidate_integration = bytes_of(lines),
                             .candidate_presentation = bytes_of(page)};
    head.rollout = bytes_of(rollout);
    wl_config_begin(self.stage.encoder, &head);
    wl_config_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static void fill(uint64_t uid) {
    wl_asset_t assets[] = {test_asset(uid, "cash", 1250, 3), test_asset(uid, "coin", 7, 4)};
    wl_fill_item_t item = {.uid = uid, .assets = {assets, 2}};
    wl_fill_begin(self.stage.encoder, &(wl_fill_head_t){.commit_seq = 1});
    wl_fill_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

/* The home page as it is shown to a request with that rollout. */
static void want_shown(uint64_t rollout, const char *shown, const char *hidden) {
    wl_read_item_t read = test_read(rollout + 100, 42, WL_METHOD_HOME, 2000);
    read.rollout = rollout;
    stage_read(&self.stage, read);
    wl_msg_t msg = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    const wl_reply_item_t *reply = &msg.items.reply[0];
    cr_assert_eq(reply->error, (uint32_t)WL_OK, "%s", reply->text);
    cr_expect(body_has(reply->body, shown), "rollout %llu does not show %s",
              (unsigned long long)rollout, shown);
    cr_expect_not(body_has(reply->body, hidden), "rollout %llu shows %s",
                  (unsigned long long)rollout, hidden);
}

Test(cache_rollout, each_item_is_rendered_by_its_variant) {
    configure("{\"id\":5,\"percent\":50}", candidate_lines, candidate_page);
    fill(42);
    want_shown(5, "New", "Old");
    want_shown(0, "Old", "New");
    want_shown(4, "Old", "New"); /* of a rollout that is over */
    want_shown(UINT64_MAX, "Old", "New");
    want_shown(5, "New", "Old");
}

Test(cache_rollout, after_its_end_everybody_has_the_base) {
    configure("{\"id\":5,\"percent\":50}", candidate_lines, candidate_page);
    fill(42);
    want_shown(5, "New", "Old");
    configure("", "", "");
    want_shown(5, "Old", "New");
    configure("{\"id\":9,\"percent\":50}", candidate_lines, candidate_page);
    want_shown(5, "Old", "New");
    want_shown(9, "New", "Old");
}

Test(cache_rollout, a_candidate_that_cannot_be_read_is_shown_to_nobody) {
    static const char *const rollouts[] = {"{", "[]", "7", "{\"id\":5,\"unknown\":1}",
                                           "{\"id\":5,\"percent\":101}"};
    configure("{\"id\":5,\"percent\":50}", candidate_lines, candidate_page);
    fill(42);
    for (size_t i = 0; i < sizeof rollouts / sizeof rollouts[0]; i++) {
        configure(rollouts[i], candidate_lines, candidate_page);
        want_shown(5, "Old", "New");
    }
    stage_expect_counter(&self.stage, msg_malformed, sizeof rollouts / sizeof rollouts[0]);
    configure("{\"id\":5,\"percent\":50}", candidate_lines, "{\"golden\":7}");
    want_shown(5, "Old", "New");
    configure("{\"id\":5,\"percent\":50}", "", candidate_page);
    want_shown(5, "Old", "New");
    configure("{\"id\":5,\"percent\":50}", candidate_lines, candidate_page);
    want_shown(5, "New", "Old");
}

Test(cache_rollout, a_sick_line_is_degraded_in_both) {
    configure("{\"id\":5,\"percent\":50}", candidate_lines, candidate_page);
    fill(42);
    wl_line_item_t item = {.sick = true, .line = "cash"};
    wl_line_begin(self.stage.encoder, NULL);
    wl_line_add(self.stage.encoder, &item);
    stage_send(&self.stage);
    want_shown(0,
               "degraded\x91\xa4"
               "cash",
               "New");
    want_shown(5,
               "degraded\x91\xa4"
               "cash",
               "Old");
    item = (wl_line_item_t){.sick = false, .line = "cash"};
    wl_line_begin(self.stage.encoder, NULL);
    wl_line_add(self.stage.encoder, &item);
    item = (wl_line_item_t){.sick = true, .line = "aaaa"}; /* only the candidate has it */
    wl_line_add(self.stage.encoder, &item);
    stage_send(&self.stage);
    want_shown(0, "Old", "degraded\x91");
    want_shown(5, "New", "degraded\x91");
}
