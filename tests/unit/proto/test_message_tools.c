#include "random_message.h"

Test(message_tools, equality_sees_a_difference_in_any_field) {
    WL_AUTO(wl_encoder) encoder = wl_encoder_new();
    WL_AUTO(wl_decoder) decoder = wl_decoder_new();
    rng.state = 15;
    for (unsigned round = 0; round < 400; round++) {
        wl_msg_t a;
        wl_msg_t b;
        wl_msg_id_t id = ids[round % WL_COUNT_OF(ids)];
        fill_message(&a, id, 2);
        fill_message(&b, id, 2);
        wl_msg_encode(encoder, &a);
        wl_bytes_t bytes = wl_encoder_finish(encoder);
        uint8_t *first = keep(bytes.count);
        size_t first_bytes = bytes.count;
        memcpy(first, bytes.at, bytes.count);
        wl_msg_encode(encoder, &b);
        bytes = wl_encoder_finish(encoder);
        bool identical = bytes.count == first_bytes && memcmp(bytes.at, first, first_bytes) == 0;
        cr_assert_eq(wl_msg_equal(&a, &b), identical, "%s", wl_msg_name(id));
        drop_all();
    }
}

Test(message_tools, names_and_prints_every_message) {
    cr_assert_str_eq(wl_msg_name(WL_MSG_READ), "READ");
    cr_assert_str_eq(wl_msg_name((wl_msg_id_t)99), "?");
    rng.state = 17;
    for (size_t i = 0; i < WL_COUNT_OF(ids); i++) {
        char *text = NULL;
        size_t bytes = 0;
        FILE *out = open_memstream(&text, &bytes);
        wl_msg_t msg;
        fill_message(&msg, ids[i], 2);
        wl_msg_print(&msg, out);
        (void)fclose(out);
        cr_assert_eq(strncmp(text, wl_msg_name(ids[i]), strlen(wl_msg_name(ids[i]))), 0);
        unsigned lines = 0;
        for (size_t at = 0; at < bytes; at++) {
            lines += text[at] == '\n';
            cr_assert(text[at] == '\n' || (text[at] >= ' ' && text[at] <= '~'));
        }
        cr_assert_eq(lines, 3);
        free(text);
        drop_all();
    }
}
