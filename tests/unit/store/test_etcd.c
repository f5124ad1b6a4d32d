#include "store/etcd.h"

#include "../../stores.h"
#include "etcd_world.h"

TestSuite(etcd, .init = folder_make, .fini = folder_remove, .timeout = 60);

static wl_etcd_t *etcd_open(const char *endpoints, uint32_t timeout_ms) {
    wl_etcd_t *etcd = NULL;
    wl_fault_t fault = {.line = 0};
    wl_err_t err = wl_etcd_new(endpoints, timeout_ms, &etcd, &fault);
    cr_assert_eq(err, WL_OK, "%s", fault.message);
    return etcd;
}

static wl_err_t put(wl_etcd_t *etcd, const char *key, wl_etcd_how_t how) {
    json_t *answer = NULL;
    wl_err_t err = wl_etcd_ask(etcd, "kv/put",
                               json_pack("{s:o, s:o}", "key", wl_etcd_bytes(key, strlen(key)),
                                         "value", wl_etcd_bytes("v", 1)),
                               how, &answer);
    json_decref(answer);
    return err;
}

static uint64_t count_of(wl_etcd_t *etcd, const char *key) {
    json_t *answer = NULL;
    uint64_t count = 99;
    wl_err_t err =
        wl_etcd_ask(etcd, "kv/range", json_pack("{s:o}", "key", wl_etcd_bytes(key, strlen(key))),
                    WL_ETCD_AGAIN, &answer);
    cr_assert_eq(err, WL_OK, "%s", wl_etcd_problem(etcd));
    cr_assert(wl_etcd_number_read(json_object_get(answer, "count"), &count));
    json_decref(answer);
    return count;
}

Test(etcd, asks_and_is_answered) {
    char key[40];
    wl_etcd_t *etcd = etcd_open(stores_etcd(), 5000);
    (void)stores_name("etcd", key, sizeof key);
    cr_assert_eq(count_of(etcd, key), 0);
    cr_assert_eq(put(etcd, key, WL_ETCD_AGAIN), WL_OK, "%s", wl_etcd_problem(etcd));
    cr_assert_eq(put(etcd, key, WL_ETCD_ONCE), WL_OK);
    cr_assert_eq(count_of(etcd, key), 1);
    cr_assert_eq(put(etcd, "", WL_ETCD_AGAIN), WL_ERR_IO);
    cr_assert_not_null(strstr(wl_etcd_problem(etcd), "key is not provided"), "%s",
                       wl_etcd_problem(etcd));
    json_t *answer = NULL;
    cr_assert_neq(wl_etcd_ask(etcd, "no/such", json_object(), WL_ETCD_AGAIN, &answer), WL_OK);
    cr_assert_null(answer);
    wl_etcd_destroy(&etcd);
    wl_etcd_destroy(&etcd);
}

Test(etcd, goes_on_to_the_next_endpoint_and_remembers_it) {
    char endpoints[200];
    char silent[40];
    uint16_t port = 0;
    int listener = listen_anywhere(&port); /* takes connections and says nothing */
    (void)snprintf(silent, sizeof silent, "http://127.0.0.1:%u", (unsigned)port);
    (void)snprintf(endpoints, sizeof endpoints, "http://127.0.0.1:1, %s/, %s", silent,
                   stores_etcd());
    wl_etcd_t *etcd = etcd_open(endpoints, 1500);
    cr_assert_eq(count_of(etcd, "x"), 0);
    int64_t start = wl_mono_now().ms;
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(count_of(etcd, "x"), 0);
    }
    cr_assert_lt(wl_mono_now().ms - start, 3 * 1500, "it waits for the silent one again");
    wl_etcd_destroy(&etcd);
    /* What may have taken effect is not asked elsewhere, what was never heard is. */
    (void)snprintf(endpoints, sizeof endpoints, "http://127.0.0.1:1,%s", stores_etcd());
    etcd = etcd_open(endpoints, 5000);
    cr_assert_eq(put(etcd, "once", WL_ETCD_ONCE), WL_OK, "%s", wl_etcd_problem(etcd));
    wl_etcd_destroy(&etcd);
    (void)snprintf(endpoints, sizeof endpoints, "%s,%s", silent, stores_etcd());
    etcd = etcd_open(endpoints, 200);
    cr_assert_eq(put(etcd, "once", WL_ETCD_ONCE), WL_ERR_DEADLINE);
    cr_assert_not_null(strstr(wl_etcd_problem(etcd), silent));
    wl_etcd_destroy(&etcd);
    (void)close(listener);
}

Test(etcd, waits_about_two_timeouts_at_most) {
    enum { SILENT = 5 };
    char endpoints[300] = "";
    int listeners[SILENT];
    for (int i = 0; i < SILENT; i++) {
        uint16_t port = 0;
        listeners[i] = listen_anywhere(&port);
        size_t at = strlen(endpoints);
        (void)snprintf(endpoints + at, sizeof endpoints - at, "%shttp://127.0.0.1:%u",
                       i == 0 ? "" : ",", (unsigned)port);
    }
    wl_etcd_t *etcd = etcd_open(endpoints, 600);
    int64_t start = wl_mono_now().ms;
    cr_assert_eq(put(etcd, "x", WL_ETCD_AGAIN), WL_ERR_DEADLINE);
    cr_assert_geq(wl_mono_now().ms - start, 1000);
    cr_assert_lt(wl_mono_now().ms - start, 5 * 600);
    wl_etcd_destroy(&etcd);
    for (int i = 0; i < SILENT; i++) {
        (void)close(listeners[i]);
    }
}

Test(etcd, survives_whatever_a_server_says) {
    static const struct {
        const char *answer;
        wl_err_t err;
    } rows[] = {
        {"", WL_ERR_UNAVAILABLE},
        {"garbage\r\n\r\n", WL_ERR_UNAVAILABLE},
        {"HTTP/1.1 200 OK\r\n\r\n", WL_ERR_DAMAGED},
        {"HTTP/1.1 200 OK\r\n\r\n{\"header\"", WL_ERR_DAMAGED},
        {"HTTP/1.1 200 OK\r\n\r\n[]", WL_ERR_DAMAGED},
        {"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}", WL_ERR_UNAVAILABLE},
        {"HTTP/1.1 200 OK\r\n\r\n{}", WL_OK},
        {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n", WL_ERR_UNAVAILABLE},
        {"HTTP/1.1 404 Not Found\r\n\r\nNot Found", WL_ERR_UNAVAILABLE},
        {"HTTP/1.1 429 X\r\n\r\n{\"error\": \"mvcc: database space exceeded\", \"code\": 8}",
         WL_ERR_NO_SPACE},
        {"HTTP/1.1 503 X\r\n\r\n{\"error\": \"etcdserver: no leader\", \"code\": 14}",
         WL_ERR_UNAVAILABLE},
        {"HTTP/1.1 400 X\r\n\r\n{\"error\": \"bad\", \"code\": 3}", WL_ERR_IO},
        {"HTTP/1.1 500 X\r\n\r\n{\"error\": 7, \"code\": \"x\"}", WL_ERR_UNAVAILABLE},
    };
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        char url[40];
        pid_t parrot = parrot_start(rows[i].answer, strlen(rows[i].answer), url);
        wl_etcd_t *etcd = etcd_open(url, 5000);
        cr_assert_eq(put(etcd, "x", WL_ETCD_AGAIN), rows[i].err, "%zu: %s", i,
                     wl_etcd_problem(etcd));
        cr_assert(rows[i].err == WL_OK || strstr(wl_etcd_problem(etcd), url) != NULL);
        wl_etcd_destroy(&etcd);
        parrot_stop(parrot);
    }
}

Test(etcd, stops_reading_an_answer_that_is_too_long) {
    enum { BYTES = (8 << 20) + 100 };
    char url[40];
    char *answer = wl_alloc(BYTES);
    memset(answer, ' ', BYTES);
    memcpy(answer, "HTTP/1.1 200 OK\r\n\r\n{", 20);
    answer[BYTES - 1] = '}';
    pid_t parrot = parrot_start(answer, BYTES, url);
    wl_etcd_t *etcd = etcd_open(url, 20000);
    cr_assert_eq(put(etcd, "x", WL_ETCD_AGAIN), WL_ERR_DAMAGED);
    cr_assert_not_null(strstr(wl_etcd_problem(etcd), "too long"));
    wl_etcd_destroy(&etcd);
    parrot_stop(parrot);
    wl_free(answer);
}

Test(etcd, tells_that_its_disk_is_full) {
    etcd_server_t server = {.peer_port = 0};
    etcd_start(&server, "1");
    wl_etcd_t *etcd = etcd_open(server.url, 5000);
    wl_err_t err = WL_OK;
    int64_t until = wl_mono_now().ms + 20000;
    while ((err = put(etcd, "x", WL_ETCD_AGAIN)) != WL_ERR_NO_SPACE && wl_mono_now().ms < until) {
        wait_ms(10);
    }
    cr_assert_eq(err, WL_ERR_NO_SPACE, "%s %s", wl_err_name(err), wl_etcd_problem(etcd));
    wl_etcd_destroy(&etcd);
    server_kill(&server.server);
}

Test(etcd, refuses_what_is_no_endpoint) {
    static const char *const bad[] = {"",
                                      "127.0.0.1:1",
                                      "ftp://a:1",
                                      "http://a",
                                      "http://:1",
                                      "http://a:",
                                      "http://a:1/x",
                                      "http://u@a:1",
                                      "http://a:1?x",
                                      "http://a:123456",
                                      "http://a b:1",
                                      "http://a:1,x",
                                      "http://a:1,http://a:1,http://a:1,http://a:1,http://a:1,"
                                      "http://a:1,http://a:1,http://a:1,http://a:1"};
    wl_etcd_t *etcd = NULL;
    for (size_t i = 0; i < WL_COUNT_OF(bad); i++) {
        wl_fault_t fault = {.line = 0};
        cr_assert_eq(wl_etcd_new(bad[i], 100, &etcd, &fault), WL_ERR_SETTINGS, "%s", bad[i]);
        cr_assert_str_neq(fault.message, "");
    }
    cr_assert_eq(wl_etcd_new("https://[::1]:2379", 100, &etcd, NULL), WL_OK);
    wl_etcd_destroy(&etcd);
}

Test(etcd, reads_bytes_and_numbers_of_any_kind) {
    static const char *const bad[] = {"=", "a", "ab", "abc", "ab=c", "####", "YQ==YQ==", "YQ== "};
    char *bytes = NULL;
    size_t count = 9;
    uint64_t number = 9;
    for (size_t size = 0; size < 40; size++) {
        char from[40];
        memset(from, (int)(size * 37), sizeof from);
        json_t *text = wl_etcd_bytes(from, size);
        cr_assert(wl_etcd_bytes_read(text, &bytes, &count));
        cr_assert(count == size && memcmp(bytes, from, size) == 0 && bytes[count] == '\0');
        wl_free(bytes);
        json_decref(text);
    }
    for (size_t i = 0; i < WL_COUNT_OF(bad); i++) {
        json_t *text = json_string(bad[i]);
        cr_assert_not(wl_etcd_bytes_read(text, &bytes, &count), "%s", bad[i]);
        cr_assert_not(wl_etcd_number_read(text, &number), "%s", bad[i]);
        json_decref(text);
    }
    json_t *integer = json_integer(7);
    cr_assert_not(wl_etcd_bytes_read(integer, &bytes, &count));
    cr_assert_not(wl_etcd_number_read(integer, &number));
    json_decref(integer);
    cr_assert(wl_etcd_bytes_read(NULL, &bytes, &count) && count == 0 && bytes[0] == '\0');
    wl_free(bytes);
    json_t *seven = json_string("7");
    cr_assert(wl_etcd_number_read(seven, &number) && number == 7);
    cr_assert(wl_etcd_number_read(NULL, &number) && number == 0);
    json_decref(seven);
}
