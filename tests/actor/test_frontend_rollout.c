/* Who is shown the candidate: decided by the frontend, told to presence and details, counted. */
#include "actors/frontend.h"
#include "domain/presence_set.h"

#include "read_path.h"
#include "store/blob_file.h"

enum { USERS = 400 };

#define DIGEST "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

typedef struct {
    stage_t stage;
    neighbour_t presence;
    neighbour_t details;
    neighbour_t config;
    client_t *client;
} rollout_stage_t;

static rollout_stage_t self;

static void rollout_stage_open(void) {
    stage_open(&self.stage);
    self.presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    self.details = neighbour_open(WL_ACTOR_DETAILS, 0);
    self.config = neighbour_open(WL_ACTOR_CONFIG, 0);
    stage_start(&self.stage, WL_ACTOR_FRONTEND, wl_frontend_run);
    self.client = client_open(self.stage.endpoint);
}

static void rollout_stage_close(void) {
    self.stage.settings.server_drain_ms = 0;
    (void)stage_stop(&self.stage);
    client_close(self.client);
    neighbour_close(&self.presence);
    neighbour_close(&self.details);
    neighbour_close(&self.config);
    stage_close(&self.stage);
}

/* Until sys.info says so. */
static void await_rollout(uint64_t id) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    do {
        client_send(self.client, 1, "sys.info", NULL);
        client_expect_result(self.client, 1);
        cr_assert_lt(wl_mono_now().ms, until, "rollout %d", (int)id);
    } while (!body_has(self.client->result, "ready") ||
             body_number(self.client->result, "rollout") != (int64_t)id);
}

static void try_it(const char *rollout, uint64_t id) {
    stage_try(&self.stage, rollout);
    await_rollout(id);
}

/* {uid, scene?, app_version?, line?} */
static void ask(uint64_t msgid, const char *method, uint64_t uid, const char *scene,
                const char *app_version, const char *line) {
    const char *const keys[] = {"scene", "app_version", "line"};
    const char *const values[] = {scene, app_version, line};
    msgpack_sbuffer args;
    msgpack_packer packer;
    msgpack_sbuffer_init(&args);
    msgpack_packer_init(&packer, &args, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 1u + (scene != NULL) + (app_version != NULL) + (line != NULL));
    args_key(&packer, "uid");
    msgpack_pack_uint64(&packer, uid);
    for (int i = 0; i < 3; i++) {
        if (values[i] != NULL) {
            args_key(&packer, keys[i]);
            args_key(&packer, values[i]);
        }
    }
    client_send(self.client, msgid, method, &args);
    msgpack_sbuffer_destroy(&args);
}

static void tell_reply(const wl_read_item_t *read, wl_err_t error, bool absent) {
    wl_reply_item_t item = {
        .ticket = read->ticket, .uid = read->uid, .error = (uint32_t)error, .absent = absent};
    if (error == WL_OK && !absent) {
        item.body = (wl_bytes_t){(const uint8_t *)"\x80", 1};
    }
    wl_reply_begin(self.stage.encoder, NULL);
    wl_reply_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static wl_read_item_t expect_read(void) {
    return neighbour_expect(&self.presence, WL_MSG_READ, 1).items.read[0];
}

/* Which rollout the read of this asker is for; answered. */
static uint64_t chosen(uint64_t uid, const char *scene, const char *app_version) {
    ask(uid, "wallet.home", uid, scene, app_version, NULL);
    wl_read_item_t read = expect_read();
    cr_expect_eq(read.uid, uid);
    tell_reply(&read, WL_OK, false);
    client_expect_result(self.client, uid);
    return read.rollout;
}

static bool shown(uint64_t uid) {
    return chosen(uid, NULL, NULL) != 0;
}

Test(frontend_rollout, takes_its_share_and_the_same_users_each_time) {
    static bool first[USERS + 1];
    rollout_stage_open();
    stage_configure(&self.stage);
    await_rollout(0);
    cr_expect_not(shown(1), "there is none");
    try_it("{\"id\":9,\"percent\":50}", 9);
    wl_rollout_t rollout = {.id = 9, .share = 5000};
    uint32_t count = 0;
    for (uint64_t uid = 1; uid <= USERS; uid++) {
        uint64_t id = chosen(uid, NULL, NULL);
        first[uid] = id != 0;
        count += first[uid];
        cr_expect(id == 0 || id == 9);
        cr_expect_eq(first[uid],
                     wl_rollout_takes(&rollout, NULL, &(wl_rollout_asker_t){uid, "", ""}));
    }
    cr_expect(count > USERS / 3 && count < USERS * 2 / 3, "%u", count);
    try_it("{\"id\":9,\"percent\":75}", 9);
    for (uint64_t uid = 1; uid <= USERS; uid++) {
        cr_expect(!first[uid] || shown(uid), "%d flipped", (int)uid);
    }
    try_it("{\"id\":9,\"percent\":75,\"paused\":true}", 9);
    for (uint64_t uid = 1; uid <= 20; uid++) {
        cr_expect_not(shown(uid));
    }
    rollout_stage_close();
}

Test(frontend_rollout, looks_at_scene_and_app_version) {
    rollout_stage_open();
    try_it("{\"id\":9,\"scenes\":[\"pay\",\"home\"],\"app_min\":\"13.4\",\"app_max\":\"14\"}", 9);
    cr_expect_eq(chosen(1, "pay", "13.4.0"), 9u);
    cr_expect_eq(chosen(2, "home", "14"), 9u);
    cr_expect_eq(chosen(3, "map", "13.5"), 0u);
    cr_expect_eq(chosen(4, "pay", "13.3.9"), 0u);
    cr_expect_eq(chosen(5, "pay", "14.0.1"), 0u);
    cr_expect_eq(chosen(6, "pay", NULL), 0u);
    cr_expect_eq(chosen(7, NULL, "13.5"), 0u);
    rollout_stage_close();
}

/* Without a rollout, too: what is refused must not depend on what is tried out. */
Test(frontend_rollout, refuses_a_scene_or_version_out_of_bounds) {
    static const char *const methods[] = {"wallet.home",    "wallet.golden",  "wallet.assets",
                                          "wallet.balance", "wallet.details", "wallet.summary",
                                          "wallet.consent"};
    rollout_stage_open();
    stage_configure(&self.stage);
    await_rollout(0);
    for (int pass = 0; pass < 2; pass++) {
        for (uint64_t i = 0; i < WL_COUNT_OF(methods); i++) {
            ask(i, methods[i], 1, "a scene of more than 32 characters", NULL, "cash");
            client_expect_error(self.client, i, "bad_request");
            cr_expect(strstr(self.client->message, "scene") != NULL, "%s", self.client->message);
            ask(i, methods[i], 1, "pay", "13.x", "cash");
            client_expect_error(self.client, i, "bad_request");
            cr_expect(strstr(self.client->message, "app_version") != NULL, "%s",
                      self.client->message);
        }
        try_it("{\"id\":9}", 9);
    }
    rollout_stage_close();
}

/* A line that only the candidate has is there for its users alone. */
Test(frontend_rollout, reads_the_request_by_the_variant_that_answers_it) {
    rollout_stage_open();
    try_it("{\"id\":9,\"scenes\":[\"new\"]}", 9);
    ask(1, "wallet.balance", 1, "new", NULL, "bonus");
    wl_read_item_t read = expect_read();
    cr_expect_eq(read.rollout, 9u);
    cr_expect_eq(read.filter.count, 6u);
    ask(2, "wallet.balance", 1, "old", NULL, "bonus");
    client_expect_error(self.client, 2, "not_found");
    ask(3, "wallet.details", 1, "new", NULL, NULL);
    wl_msg_t msg = neighbour_expect(&self.details, WL_MSG_STATEMENT, 1);
    cr_expect_eq(msg.items.statement[0].rollout, 9u);
    ask(4, "wallet.details", 1, "old", NULL, NULL);
    msg = neighbour_expect(&self.details, WL_MSG_STATEMENT, 1);
    cr_expect_eq(msg.items.statement[0].rollout, 0u);
    rollout_stage_close();
}

/* Writes what an absent user sees. */
static void expect_absent(const char *scene, bool candidate) {
    ask(1, "wallet.home", 42, scene, NULL, NULL);
    wl_read_item_t read = expect_read();
    tell_reply(&read, WL_OK, true);
    client_expect_result(self.client, 1);
    cr_expect_eq(body_has(self.client->result, VARIANT_TEXT), candidate);
    cr_expect_eq(body_has(self.client->result, CANDIDATE_VERSION_TEXT), candidate);
    cr_expect_eq(body_has(self.client->result, BASE_VERSION_TEXT), !candidate);
    cr_expect_eq(body_has(self.client->result, "Tried"), candidate);
}

Test(frontend_rollout, writes_the_page_of_an_absent_user_from_the_same_variant) {
    rollout_stage_open();
    try_it("{\"id\":9,\"scenes\":[\"new\"]}", 9);
    expect_absent("new", true);
    expect_absent("old", false);
    rollout_stage_close();
}

/* It ends, or another one begins, while the request is on its way. */
Test(frontend_rollout, answers_from_the_base_what_outlives_its_candidate) {
    rollout_stage_open();
    for (int i = 0; i < 2; i++) {
        try_it("{\"id\":9}", 9);
        ask(1, "wallet.home", 42, NULL, NULL, NULL);
        wl_read_item_t read = expect_read();
        cr_expect_eq(read.rollout, 9u);
        if (i == 0) {
            stage_configure(&self.stage);
            await_rollout(0);
        } else {
            try_it("{\"id\":10}", 10);
        }
        tell_reply(&read, WL_OK, true);
        client_expect_result(self.client, 1);
        cr_expect(body_has(self.client->result, BASE_VERSION_TEXT));
        cr_expect_not(body_has(self.client->result, "variant"));
    }
    rollout_stage_close();
}

Test(frontend_rollout, goes_on_with_the_base_when_the_candidate_is_refused) {
    rollout_stage_open();
    try_it("{\"id\":9}", 9);
    cr_expect(shown(1));
    stage_configure_rollout(&self.stage, "{\"id\":10}", "{\"version\":4,\"lines\":7}",
                            candidate_presentation);
    await_rollout(0);
    cr_expect_not(shown(1));
    stage_expect_counter(&self.stage, config_refused, 1);
    try_it("{\"id\":11}", 11);
    stage_configure_rollout(&self.stage, "[]", candidate_integration, candidate_presentation);
    await_rollout(0);
    cr_expect_not(shown(1));
    stage_expect_counter(&self.stage, msg_malformed, 1);
    rollout_stage_close();
}

/* ---- the set of users ------------------------------------------------------------------------ */

static void set_write(uint64_t first, uint64_t count) {
    char path[192];
    void *blob = NULL;
    size_t bytes = 0;
    wl_presence_set_t *set = wl_presence_set_new(WL_PRESENCE_EXACT, 0);
    for (uint64_t i = 0; i < count; i++) {
        wl_presence_set_mark(set, first + i);
    }
    wl_presence_set_save(set, NULL, 0, &blob, &bytes);
    (void)snprintf(path, sizeof path, "%s/config", self.stage.dir);
    cr_assert_eq(zsys_dir_create("%s/blobs", path), 0);
    (void)snprintf(path, sizeof path, "%s/config/blobs/" DIGEST, self.stage.dir);
    cr_assert_eq(wl_blob_file_write(path, blob, bytes), WL_OK);
    wl_free(blob);
    wl_presence_set_destroy(&set);
}

Test(frontend_rollout, knows_its_set_of_users_before_it_serves_anybody) {
    rollout_stage_open();
    set_write(10, 5);
    try_it("{\"id\":9,\"whitelist\":\"" DIGEST "\"}", 9);
    cr_expect(shown(10) && shown(14));
    cr_expect_not(shown(15));
    rollout_stage_close();
}

Test(frontend_rollout, has_nobody_in_a_set_that_is_not_there_until_it_comes) {
    rollout_stage_open();
    stage_configure(&self.stage);
    await_rollout(0);
    try_it("{\"id\":9,\"whitelist\":\"" DIGEST "\"}", 9);
    cr_expect_not(shown(10));
    cr_expect_geq(stage_counter(&self.stage, WL_COUNTER_rollout_unreadable, 1), 1u);
    set_write(10, 5);
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (!shown(10) && wl_mono_now().ms < until) {
    }
    cr_expect(shown(10));
    cr_expect_not(shown(15));
    rollout_stage_close();
}

/* ---- the trial ------------------------------------------------------------------------------- */

/* The next report that says so many replies; its rollout is `id`. */
static wl_trial_item_t expect_trial(uint64_t id, uint64_t replies) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    wl_trial_item_t trial = {.base = 0};
    while (wl_mono_now().ms < until) {
        wl_msg_t msg;
        if (neighbour_next(&self.config, &msg, 100) && msg.id == WL_MSG_TRIAL &&
            msg.head.trial.rollout == id) {
            cr_expect_eq(msg.head.trial.frontend, 0u);
            trial = msg.items.trial[msg.count - 1];
            if (trial.base + trial.candidate >= replies) {
                return trial;
            }
        }
    }
    cr_assert_fail("%d of %d replies", (int)(trial.base + trial.candidate), (int)replies);
    return trial;
}

static void answer_with(const char *scene, wl_err_t error) {
    ask(1, "wallet.home", 42, scene, NULL, NULL);
    wl_read_item_t read = expect_read();
    tell_reply(&read, error, false);
    cr_assert(client_take(self.client, PATIENCE_MS));
}

Test(frontend_rollout, tells_how_base_and_candidate_fare) {
    rollout_stage_open();
    try_it("{\"id\":9,\"scenes\":[\"new\"]}", 9);
    answer_with("new", WL_OK);
    answer_with("new", WL_ERR_UNAVAILABLE);
    answer_with("new", WL_ERR_INTERNAL);
    answer_with("new", WL_ERR_BUSY); /* says nothing about the candidate */
    answer_with("new", WL_ERR_UNAUTHORIZED);
    answer_with("old", WL_OK);
    answer_with("old", WL_ERR_DEADLINE);
    ask(2, "wallet.home", 42, "new", "13.x", NULL); /* refused: nobody's fault here */
    client_expect_error(self.client, 2, "bad_request");
    wl_trial_item_t trial = expect_trial(9, 7);
    cr_expect_eq(trial.candidate, 5u);
    cr_expect_eq(trial.candidate_errors, 2u);
    cr_expect_eq(trial.base, 2u);
    cr_expect_eq(trial.base_errors, 1u);
    cr_expect_eq(stage_counter(&self.stage, WL_COUNTER_rollout_candidate, 5), 5u);
    try_it("{\"id\":9,\"percent\":80,\"scenes\":[\"new\"]}", 9);
    answer_with("old", WL_OK);
    cr_expect_eq(expect_trial(9, 8).base, 3u, "a wider one is the same one");
    try_it("{\"id\":10,\"scenes\":[\"new\"]}", 10);
    answer_with("old", WL_OK);
    trial = expect_trial(10, 1);
    cr_expect(trial.base == 1 && trial.candidate == 0 && trial.candidate_errors == 0);
    rollout_stage_close();
}

/* Nobody is told about their good answers, so their late ones must not count either. */
Test(frontend_rollout, leaves_out_of_the_trial_what_it_does_not_choose_for) {
    rollout_stage_open();
    try_it("{\"id\":9,\"scenes\":[\"new\"]}", 9);
    msgpack_sbuffer args;
    msgpack_packer packer;
    msgpack_sbuffer_init(&args);
    msgpack_packer_init(&packer, &args, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 2);
    args_key(&packer, "uids");
    msgpack_pack_array(&packer, 1);
    msgpack_pack_uint64(&packer, 42);
    args_key(&packer, "deadline_ms");
    msgpack_pack_uint64(&packer, 1);
    client_send(self.client, 3, "wallet.has_assets", &args);
    msgpack_sbuffer_destroy(&args);
    client_expect_error(self.client, 3, "deadline");
    client_ask(self.client, 4, "wallet.home", 42, 1);
    client_expect_error(self.client, 4, "deadline");
    wl_trial_item_t trial = expect_trial(9, 1);
    cr_expect_eq(trial.base, 1u);
    cr_expect_eq(trial.base_errors, 1u);
    rollout_stage_close();
}

/* Its candidate is not the one that is tried now, nor was it shown the base. */
Test(frontend_rollout, leaves_answers_for_an_earlier_one_out_of_the_trial) {
    rollout_stage_open();
    try_it("{\"id\":9}", 9);
    ask(1, "wallet.home", 42, NULL, NULL, NULL);
    wl_read_item_t read = expect_read();
    try_it("{\"id\":10,\"scenes\":[\"new\"]}", 10);
    tell_reply(&read, WL_ERR_INTERNAL, false);
    client_expect_error(self.client, 1, "internal");
    answer_with("old", WL_OK);
    wl_trial_item_t trial = expect_trial(10, 1);
    cr_expect_eq(trial.base, 1u);
    cr_expect_eq(trial.base_errors + trial.candidate + trial.candidate_errors, 0u);
    rollout_stage_close();
}
