/* Documents that somebody is still at work on. */
#include "config_stage.h"

TestSuite(config_drafts, .init = stage_open, .fini = stage_close);

#define SAVE(name, author, text)                                                           \
    "{\"action\":\"save\",\"name\":\"" name "\",\"document\":\"presentation\",\"author\":" \
    "\"" author "\",\"text\":\"" text "\"}"

Test(config_drafts, are_saved_shown_listed_and_dropped) {
    json_t *said = stage_ask(wl_config_view_draft, SAVE("eleven", "ann", "{ not yet"));
    cr_expect_str_eq(text_at(said, "name"), "eleven");
    cr_expect_null(at(said, "replaced"));
    cr_expect_null(at(said, "text"));
    json_decref(said);
    said = stage_ask(wl_config_view_draft, SAVE("a.b-c_2", "bob", ""));
    json_decref(said);
    said = stage_ask(wl_config_view_draft, "{\"action\":\"show\",\"name\":\"eleven\"}");
    cr_expect_str_eq(text_at(said, "text"), "{ not yet");
    cr_expect_str_eq(text_at(said, "document"), "presentation");
    cr_expect_str_eq(text_at(said, "author"), "ann");
    cr_expect_eq(number_at(said, "base"), 0);
    cr_expect_gt(number_at(said, "at"), 1600000000000);
    json_decref(said);
    said = stage_ask(wl_config_view_draft, "{\"action\":\"list\"}");
    cr_assert_eq(json_array_size(at(said, "drafts")), 2);
    cr_expect_str_eq(text_at(said, "drafts.0.name"), "a.b-c_2");
    cr_expect_str_eq(text_at(said, "drafts.1.name"), "eleven");
    cr_expect_eq(number_at(said, "drafts.1.bytes"), 9);
    cr_expect_null(at(said, "drafts.1.text"));
    json_decref(said);
    json_decref(stage_ask(wl_config_view_draft, "{\"action\":\"drop\",\"name\":\"eleven\"}"));
    REFUSED(wl_config_view_draft, "{\"action\":\"show\",\"name\":\"eleven\"}", WL_ERR_NOT_FOUND,
            "there is no draft \"eleven\": there are a.b-c_2");
    REFUSED(wl_config_view_draft, "{\"action\":\"drop\",\"name\":\"eleven\"}", WL_ERR_NOT_FOUND,
            "a.b-c_2");
    json_decref(stage_ask(wl_config_view_draft, "{\"action\":\"drop\",\"name\":\"a.b-c_2\"}"));
    REFUSED(wl_config_view_draft, "{\"action\":\"show\",\"name\":\"x\"}", WL_ERR_NOT_FOUND,
            "nor any other");
}

Test(config_drafts, saving_says_whose_draft_it_replaced_and_what_it_began_with) {
    stage_import();
    json_decref(stage_ask(wl_config_view_draft, SAVE("d", "ann", "1")));
    json_t *said = stage_ask(wl_config_view_draft, SAVE("d", "bob", "2"));
    cr_expect_str_eq(text_at(said, "replaced.author"), "ann");
    cr_expect_eq(number_at(said, "base"), 1);
    json_decref(said);
    said = stage_ask(wl_config_view_draft,
                     "{\"action\":\"save\",\"name\":\"d\",\"document\":\"integration\","
                     "\"text\":\"3\",\"base\":0}");
    cr_expect_str_eq(text_at(said, "author"), "ops/1", "who asked");
    cr_expect_eq(number_at(said, "base"), 0);
    json_decref(said);
}

Test(config_drafts, what_makes_no_sense_is_refused) {
    wl_config_view_fn *draft = wl_config_view_draft;
    REFUSED(draft, "{}", WL_ERR_BAD_REQUEST, "action: is missing");
    REFUSED(draft, "{\"action\":\"keep\"}", WL_ERR_BAD_REQUEST,
            "action: must be save, show, list or drop");
    REFUSED(draft, "{\"action\":\"show\"}", WL_ERR_BAD_REQUEST, "name: is missing");
    REFUSED(draft, SAVE("../up", "a", "t"), WL_ERR_BAD_REQUEST, "name: must be letters");
    REFUSED(draft, SAVE("a/b", "a", "t"), WL_ERR_BAD_REQUEST, "name: must be letters");
    REFUSED(draft, SAVE("a+b", "a", "t"), WL_ERR_BAD_REQUEST, "name: must be letters");
    REFUSED(draft, SAVE(".a", "a", "t"), WL_ERR_BAD_REQUEST, "name: must be letters");
    REFUSED(draft, SAVE("", "a", "t"), WL_ERR_BAD_REQUEST, "name: must be letters");
    REFUSED(draft, SAVE("a", "", "t"), WL_ERR_BAD_REQUEST, "author: must be");
    REFUSED(draft, SAVE("a", "a\\nb", "t"), WL_ERR_BAD_REQUEST, "author: must be");
    REFUSED(draft, "{\"action\":\"save\",\"name\":\"a\",\"document\":\"page\"}", WL_ERR_BAD_REQUEST,
            "document: must be");
    REFUSED(draft, "{\"action\":\"save\",\"name\":\"a\",\"document\":\"integration\"}",
            WL_ERR_BAD_REQUEST, "text: is missing");
    REFUSED(draft,
            "{\"action\":\"save\",\"name\":\"a\",\"document\":\"integration\",\"text\":\"\","
            "\"base\":100000000}",
            WL_ERR_BAD_REQUEST, "base");
    static const uint8_t packed[] = "\x85\xa6"
                                    "action\xa4save\xa4name\xa1"
                                    "a\xa8"
                                    "document\xabintegration\xa4text\xc4\x02\xff\xfe\xa6"
                                    "author\xa1"
                                    "a";
    wl_err_t err = WL_OK;
    cr_expect_null(stage_ask_packed(draft, packed, sizeof packed - 1, &err));
    cr_expect_eq(err, WL_ERR_BAD_REQUEST);
    cr_expect_str_eq(stage.fault.message, "text: must be UTF-8");
}

Test(config_drafts, are_bounded) {
    static char text[WL_DOCUMENT_BYTES_MAX + 2];
    memset(text, 'x', sizeof text - 1);
    json_t *args = json_pack("{s:s, s:s, s:s, s:s}", "action", "save", "name", "big", "document",
                             "integration", "text", text);
    stage_refused(wl_config_view_draft, args, WL_ERR_TOO_BIG, "text: a document has at most");
    memset(text, 1, WL_DOCUMENT_BYTES_MAX); /* six bytes each in JSON */
    text[WL_DOCUMENT_BYTES_MAX] = '\0';
    wl_err_t err = WL_OK;
    args = json_pack("{s:s, s:s, s:s, s:s}", "action", "save", "name", "d0", "document",
                     "integration", "text", text);
    json_decref(stage_ask_json(wl_config_view_draft, args, &err));
    cr_expect_eq(err, WL_OK);
    json_t *said = stage_ask(wl_config_view_draft, "{\"action\":\"show\",\"name\":\"d0\"}");
    cr_expect_str_eq(text_at(said, "text"), text);
    json_decref(said);
    for (int i = 0; i < 64; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "d%d", i);
        args = json_pack("{s:s, s:s, s:s, s:s}", "action", "save", "name", name, "document",
                         "integration", "text", "");
        json_decref(stage_ask_json(wl_config_view_draft, args, &err));
        cr_assert_eq(err, WL_OK);
    }
    REFUSED(wl_config_view_draft, SAVE("more", "a", ""), WL_ERR_FULL, "there are 64 drafts");
    json_decref(stage_ask(wl_config_view_draft, SAVE("d7", "a", "")));
}

Test(config_drafts, a_damaged_one_hides_no_others_and_can_be_dropped) {
    json_decref(stage_ask(wl_config_view_draft, SAVE("good", "ann", "1")));
    stage_write("store/notes/drafts+bad", "{\"document\":7}");
    json_t *said = stage_ask(wl_config_view_draft, "{\"action\":\"list\"}");
    cr_assert_eq(json_array_size(at(said, "drafts")), 2);
    cr_expect_str_eq(text_at(said, "drafts.0.name"), "bad");
    cr_expect_neq(text_at(said, "drafts.0.problem")[0], '(');
    cr_expect_str_eq(text_at(said, "drafts.1.author"), "ann");
    json_decref(said);
    REFUSED(wl_config_view_draft, "{\"action\":\"show\",\"name\":\"bad\"}", WL_ERR_DAMAGED,
            "save it anew, or drop it");
    json_decref(stage_ask(wl_config_view_draft, SAVE("bad", "ann", "2")));
    json_decref(stage_ask(wl_config_view_draft, "{\"action\":\"drop\",\"name\":\"bad\"}"));
}
