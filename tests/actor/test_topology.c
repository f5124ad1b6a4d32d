#include "topology.h"

#include <criterion/criterion.h>
#include <string.h>

static wl_err_t checked(const char *assignment, wl_fault_t *fault) {
    wl_settings_t settings;
    wl_settings_defaults(&settings);
    cr_assert_eq(wl_settings_assign(&settings, assignment, NULL), WL_OK);
    return wl_topology_check(&settings, fault);
}

Test(topology, the_defaults_are_valid) {
    wl_settings_t settings;
    wl_settings_defaults(&settings);
    cr_expect_eq(wl_topology_check(&settings, NULL), WL_OK);
}

Test(topology, plaintext_beyond_loopback_needs_permission) {
    wl_fault_t fault = {0};
    cr_expect_eq(checked("frontend.endpoint=tcp://0.0.0.0:7700", &fault), WL_ERR_SETTINGS);
    cr_expect(strstr(fault.message, "allow_plaintext") != NULL);
    cr_expect_eq(checked("frontend.endpoint=tcp://*:7700", NULL), WL_ERR_SETTINGS);
    cr_expect_eq(checked("frontend.endpoint=tcp://127.example:7700", NULL), WL_ERR_SETTINGS);
    cr_expect_eq(checked("frontend.endpoint=tcp://127.0.0.1.example:7700", NULL), WL_ERR_SETTINGS);
    cr_expect_eq(checked("frontend.endpoint=tcp://localhost:7700", NULL), WL_OK);
    cr_expect_eq(checked("frontend.endpoint=tcp://127.0.0.2:7700", NULL), WL_OK);
    wl_settings_t settings;
    wl_settings_defaults(&settings);
    cr_assert_eq(wl_settings_assign(&settings, "frontend.endpoint=tcp://0.0.0.0:7700", NULL),
                 WL_OK);
    cr_assert_eq(wl_settings_assign(&settings, "server.allow_plaintext=yes", NULL), WL_OK);
    cr_expect_eq(wl_topology_check(&settings, NULL), WL_OK);
}

Test(topology, an_endpoint_used_twice_is_refused) {
    cr_expect_eq(checked("frontend.endpoint=tcp://127.0.0.1:1,tcp://127.0.0.1:1", NULL),
                 WL_ERR_SETTINGS);
    cr_expect_eq(checked("frontend.endpoint=tcp://127.0.0.1:7701", NULL), WL_ERR_SETTINGS);
    cr_expect_eq(checked("intake.subscribe=tcp://127.0.0.1:7701", NULL), WL_ERR_SETTINGS);
    cr_expect_eq(checked("frontend.endpoint=127.0.0.1:7700", NULL), WL_ERR_SETTINGS);
    cr_expect_eq(checked("frontend.endpoint=,", NULL), WL_ERR_SETTINGS);
}

Test(topology, a_port_that_libzmq_would_wrap_is_refused) {
    static const char *const bad[] = {
        "tcp://127.0.0.1:99999", "tcp://127.0.0.1:65536", "tcp://127.0.0.1:0",
        "tcp://127.0.0.1",       "tcp://127.0.0.1:",      "tcp://127.0.0.1:77x",
        "tcp://127.0.0.1:-1",    "tcp://[::1]",           "tcp://127.0.0.1:99999999999999999999",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char assignment[96];
        (void)snprintf(assignment, sizeof assignment, "frontend.endpoint=%s", bad[i]);
        cr_expect_eq(checked(assignment, NULL), WL_ERR_SETTINGS, "%s", bad[i]);
    }
    cr_expect_eq(checked("frontend.endpoint=tcp://127.0.0.1:65535", NULL), WL_OK);
    cr_expect_eq(checked("frontend.endpoint=tcp://[::1]:7700", NULL), WL_OK);
}

Test(topology, each_endpoint_of_a_list_is_an_instance) {
    wl_settings_t settings;
    wl_settings_defaults(&settings);
    cr_assert_eq(wl_settings_assign(&settings,
                                    "frontend.endpoint=tcp://127.0.0.1:1, tcp://127.0.0.1:2", NULL),
                 WL_OK);
    cr_expect_eq(wl_topology_instances(&settings, WL_ACTOR_FRONTEND), 2u);
    cr_expect_eq(wl_topology_instances(&settings, WL_ACTOR_DISPATCHER), 1u);
}

Test(topology, a_mailbox_that_is_taken_is_an_error) {
    zsys_handler_set(NULL);
    zsock_t *first = NULL;
    zsock_t *second = NULL;
    wl_fault_t fault = {0};
    cr_assert_eq(wl_topology_inbox(WL_ACTOR_CACHE, 3, &first, &fault), WL_OK);
    cr_expect_eq(wl_topology_inbox(WL_ACTOR_CACHE, 3, &second, &fault), WL_ERR_BIND);
    cr_expect_null(second);
    zsock_destroy(&first);
}

Test(topology, a_full_mailbox_is_an_error_at_the_sender) {
    zsys_handler_set(NULL);
    zsock_t *inbox = NULL;
    zsock_t *outbox = NULL;
    cr_assert_eq(wl_topology_inbox(WL_ACTOR_QUERY, 0, &inbox, NULL), WL_OK);
    cr_assert_eq(wl_topology_outbox(WL_ACTOR_QUERY, 0, &outbox), WL_OK);
    int sent = 0;
    while (sent < 100000 && zstr_send(outbox, "x") == 0) {
        sent++;
    }
    cr_expect_eq(sent, 20000, "both sides of the pipe hold WL_MAILBOX_HWM: %d", sent);
    zsock_destroy(&outbox);
    zsock_destroy(&inbox);
}

static wl_settings_t settings_with(const char *const *assignments, size_t count) {
    wl_settings_t settings;
    wl_settings_defaults(&settings);
    for (size_t i = 0; i < count; i++) {
        wl_fault_t fault = {0};
        cr_assert_eq(wl_settings_assign(&settings, assignments[i], &fault), WL_OK, "%s: %s",
                     assignments[i], fault.message);
    }
    return settings;
}

static const char *const reader[] = {"server.role=reader", "shard.store=mysql",
                                     "shard.at=127.0.0.1:3306/a,127.0.0.1:3307/b",
                                     "tier.writers=tcp://127.0.0.1:7703"};

Test(topology, a_reader_runs_what_answers_and_nothing_that_writes) {
    wl_settings_t settings = settings_with(reader, 4);
    cr_expect_eq(wl_topology_check(&settings, NULL), WL_OK);
    static const wl_actor_kind_t absent[] = {WL_ACTOR_SHARD, WL_ACTOR_PULLER, WL_ACTOR_DISPATCHER,
                                             WL_ACTOR_INTAKE};
    static const wl_actor_kind_t present[] = {WL_ACTOR_CONSOLE,  WL_ACTOR_CACHE,
                                              WL_ACTOR_PRESENCE, WL_ACTOR_QUERY,
                                              WL_ACTOR_FRONTEND, WL_ACTOR_CONFIG};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        cr_expect_eq(wl_topology_instances(&settings, absent[i]), 0u, "%s",
                     wl_actor_kind_name(absent[i]));
    }
    for (size_t i = 0; i < sizeof present / sizeof *present; i++) {
        cr_expect_eq(wl_topology_instances(&settings, present[i]), 1u, "%s",
                     wl_actor_kind_name(present[i]));
    }
}

Test(topology, a_writer_runs_no_frontend_and_may_be_alone_with_its_files) {
    wl_settings_t settings = settings_with((const char *const[]){"server.role=writer"}, 1);
    cr_expect_eq(wl_topology_check(&settings, NULL), WL_OK);
    cr_expect_eq(wl_topology_instances(&settings, WL_ACTOR_FRONTEND), 0u);
    cr_expect_eq(wl_topology_instances(&settings, WL_ACTOR_QUERY), 0u);
    cr_expect_eq(wl_topology_instances(&settings, WL_ACTOR_SHARD), 2u);
    cr_expect_eq(wl_topology_instances(&settings, WL_ACTOR_INTAKE), 1u);
}

static void expect_refused(const char *const *base, size_t base_count, const char *last,
                           const char *where) {
    const char *assignments[8];
    for (size_t i = 0; i < base_count; i++) {
        assignments[i] = base[i];
    }
    assignments[base_count] = last;
    wl_settings_t settings = settings_with(assignments, base_count + 1);
    wl_fault_t fault = {0};
    cr_expect_eq(wl_topology_check(&settings, &fault), WL_ERR_SETTINGS, "%s", last);
    cr_expect_str_eq(fault.where, where, "%s: %s", last, fault.message);
}

Test(topology, a_role_without_what_it_needs_is_refused) {
    expect_refused(reader, 4, "shard.store=sqlite", "shard.store");
    expect_refused(reader, 4, "tier.writers=", "tier.writers");
    expect_refused(reader, 4, "tier.writers=7703", "tier.writers");
    expect_refused(reader, 4, "tier.writers=tcp://10.0.0.1:7703", "tier.writers");
    expect_refused(reader, 4, "frontend.endpoint=,", "frontend.endpoint");
    expect_refused(NULL, 0, "intake.endpoint=,", "intake.endpoint");
    expect_refused(NULL, 0, "queue.partitions=2", "queue.partitions");
    expect_refused(reader, 4, "shard.at=127.0.0.1:3306/a", "shard.at");
    expect_refused((const char *const[]){"shard.readers=2"}, 1, "shard.instances=33",
                   "shard.readers");
    expect_refused(NULL, 0, "shard.map=0-4094:0", "shard.map");
    expect_refused(NULL, 0, "shard.map=0-2047:0 2048-4095:2", "shard.map");
    expect_refused(NULL, 0, "tier.endpoint=tcp://127.0.0.1:7701", "tier.endpoint");
    expect_refused(NULL, 0, "tier.endpoint=tcp://127.0.0.1:7703,tcp://127.0.0.1:7704",
                   "tier.endpoint");
    expect_refused((const char *const[]){"presence.instances=2"}, 1,
                   "tier.endpoint=tcp://127.0.0.1:65535", "tier.endpoint");
}

Test(topology, stores_beyond_loopback_need_permission_when_they_are_used) {
    static const char *const used[][3] = {
        {"cache.store=redis", "cache.redis=10.0.0.1:6379", "cache.redis"},
        {"queue.store=redis", "queue.redis=127.0.0.1:6379, redis.example:6379", "queue.redis"},
        {"shard.store=mysql", "shard.at=127.0.0.1:1/a,[2001:db8::1]:2/b", "shard.at"},
    };
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
        expect_refused(used[i], 1, used[i][1], used[i][2]);
        wl_settings_t settings = settings_with(
            (const char *const[]){used[i][0], used[i][1], "server.allow_plaintext_stores=yes"}, 3);
        cr_expect_eq(wl_topology_check(&settings, NULL), WL_OK, "%s", used[i][1]);
        settings = settings_with((const char *const[]){used[i][1]}, 1);
        cr_expect_eq(wl_topology_check(&settings, NULL), WL_OK, "%s is not used", used[i][1]);
    }
}

Test(topology, what_a_role_does_not_open_is_not_looked_at) {
    wl_settings_t settings = settings_with(
        (const char *const[]){"server.role=writer", "frontend.endpoint=tcp://127.0.0.1:7701"}, 2);
    cr_expect_eq(wl_topology_check(&settings, NULL), WL_OK, "no frontend, no clash");
}

Test(topology, actors_that_follow_each_other_count_their_ports) {
    char endpoint[64];
    cr_assert_eq(wl_topology_port_add("tcp://10.0.0.1:7703", 2, endpoint, sizeof endpoint), WL_OK);
    cr_expect_str_eq(endpoint, "tcp://10.0.0.1:7705");
    cr_assert_eq(wl_topology_port_add("tcp://[::1]:65534", 1, endpoint, sizeof endpoint), WL_OK);
    cr_expect_str_eq(endpoint, "tcp://[::1]:65535");
    cr_expect_eq(wl_topology_port_add("tcp://[::1]:65535", 1, endpoint, sizeof endpoint),
                 WL_ERR_SETTINGS);
    cr_expect_eq(wl_topology_port_add("tcp://10.0.0.1", 0, endpoint, sizeof endpoint),
                 WL_ERR_SETTINGS);
    cr_assert_eq(wl_topology_port_add("ipc:///run/feed", 0, endpoint, sizeof endpoint), WL_OK);
    cr_expect_str_eq(endpoint, "ipc:///run/feed");
    cr_assert_eq(wl_topology_port_add("ipc:///run/feed", 1, endpoint, sizeof endpoint), WL_OK);
    cr_expect_str_eq(endpoint, "ipc:///run/feed.1");
}

Test(topology, an_actor_of_another_host_exists_but_does_not_run_here) {
    wl_settings_t settings = settings_with(
        (const char *const[]){"topology.remote=shard.1=tcp://127.0.0.1:7801, query=ipc:///q"}, 1);
    cr_expect_eq(wl_topology_check(&settings, NULL), WL_OK);
    cr_expect_eq(wl_topology_instances(&settings, WL_ACTOR_SHARD), 2u);
    cr_expect(wl_topology_here(&settings, WL_ACTOR_SHARD, 0));
    cr_expect_not(wl_topology_here(&settings, WL_ACTOR_SHARD, 1));
    cr_expect_not(wl_topology_here(&settings, WL_ACTOR_QUERY, 0));
    cr_expect(wl_topology_here(&settings, WL_ACTOR_CACHE, 0));
}

Test(topology, a_role_may_use_actors_that_only_other_hosts_run) {
    const char *assignments[5];
    memcpy(assignments, reader, sizeof reader);
    assignments[4] = "topology.remote=shard=tcp://127.0.0.1:7801";
    wl_settings_t settings = settings_with(assignments, 5);
    wl_fault_t fault = {0};
    cr_expect_eq(wl_topology_check(&settings, &fault), WL_OK, "%s", fault.message);
    cr_expect_eq(wl_topology_instances(&settings, WL_ACTOR_SHARD), 2u);
    cr_expect_not(wl_topology_here(&settings, WL_ACTOR_SHARD, 0));
    expect_refused(reader, 4, "topology.remote=shard.0=tcp://127.0.0.1:7801", "topology.remote");
}

Test(topology, a_place_that_cannot_be_is_refused) {
    static const char *const remote[] = {
        "shard.2=tcp://127.0.0.1:7801",  "shard.1",
        "shard.x=tcp://127.0.0.1:7801",  "shard.=tcp://127.0.0.1:7801",
        "chard.1=tcp://127.0.0.1:7801",  "shard.1=",
        "shard.1=tcp://127.0.0.1",       "shard.1=inproc://x",
        "config.0=tcp://127.0.0.1:7801", "console=tcp://127.0.0.1:7801",
        "guard=tcp://127.0.0.1:7801",    "shard.1=tcp://10.0.0.1:7801",
        "shard=tcp://127.0.0.1:65535",
    };
    for (size_t i = 0; i < sizeof remote / sizeof *remote; i++) {
        char assignment[96];
        (void)snprintf(assignment, sizeof assignment, "topology.remote=%s", remote[i]);
        expect_refused(NULL, 0, assignment, "topology.remote");
        (void)snprintf(assignment, sizeof assignment, "topology.listen=%s", remote[i]);
        expect_refused(NULL, 0, assignment, "topology.listen");
    }
    expect_refused(NULL, 0, "topology.listen=shard.1=tcp://127.0.0.1:7701", "topology.listen");
    expect_refused((const char *const[]){"topology.remote=shard.1=tcp://127.0.0.1:7801"}, 1,
                   "topology.listen=shard.1=tcp://127.0.0.1:7802", "topology.listen");
}

Test(topology, another_host_is_sent_to_once_it_is_there_and_never_waited_for) {
    zsys_handler_set(NULL);
    wl_settings_t settings;
    wl_settings_defaults(&settings);
    char path[64];
    (void)snprintf(path, sizeof path, "cache.0=ipc://@wl-topology-%ld", (long)getpid());
    (void)snprintf(settings.topology_listen, sizeof settings.topology_listen, "%s", path);
    (void)snprintf(settings.topology_remote, sizeof settings.topology_remote, "%s", path);
    zsock_t *outbox = NULL;
    zsock_t *inbox = NULL;
    cr_assert_eq(wl_topology_remote(&settings, WL_ACTOR_CACHE, 0, &outbox, NULL), WL_OK);
    cr_expect_eq(zstr_send(outbox, "lost"), -1, "nobody is there");
    cr_assert_eq(wl_topology_listen(&settings, WL_ACTOR_CACHE, 0, &inbox, NULL), WL_OK);
    cr_assert_not_null(inbox);
    int sent = -1;
    for (int i = 0; i < 500 && sent == -1; i++) {
        (void)zmq_poll(NULL, 0, 10);
        sent = zstr_send(outbox, "x");
    }
    cr_expect_eq(sent, 0);
    char *word = zstr_recv(inbox);
    cr_expect_str_eq(word, "x");
    zstr_free(&word);
    zsock_destroy(&outbox);
    zsock_destroy(&inbox);
    cr_assert_eq(wl_topology_listen(&settings, WL_ACTOR_CACHE, 1, &inbox, NULL), WL_OK);
    cr_expect_null(inbox, "nobody listens for another instance");
}

Test(topology, a_time_of_day_has_two_digits_each_and_exists) {
    static const struct {
        const char *assignment;
        wl_err_t err;
    } cases[] = {
        {"presence.rebuild_at=", WL_OK},
        {"presence.rebuild_at=00:00", WL_OK},
        {"presence.rebuild_at=23:59", WL_OK},
        {"presence.rebuild_at=24:00", WL_ERR_SETTINGS},
        {"presence.rebuild_at=12:60", WL_ERR_SETTINGS},
        {"presence.rebuild_at=4:30", WL_ERR_SETTINGS},
        {"presence.rebuild_at=04-30", WL_ERR_SETTINGS},
        {"presence.rebuild_at=aa:bb", WL_ERR_SETTINGS},
        {"reconcile.at=", WL_OK},
        {"reconcile.at=03:10", WL_OK},
        {"reconcile.at=3:10", WL_ERR_SETTINGS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        wl_fault_t fault = {0};
        cr_expect_eq(checked(cases[i].assignment, &fault), cases[i].err, "%s", cases[i].assignment);
    }
}
