#include "tools/walletbench/notify.h"

#include "base/check.h"
#include "base/clock.h"
#include "tools/walletbench/world.h"

#include <msgpack.h>
#include <string.h>

enum {
    ACK_MS = 10000, /* no acknowledgement for so long ends the benchmark */
    QUIET_MS = 60000,
    ROLE_TICK_MS = 5,
    ROLE_USERS = 50000,
    ROLE_UID = 1000000,
};

typedef struct {
    wallet_t *wallet; /* owned */
} notifier_t;

typedef struct {
    const bench_notify_t *plan;
    notifier_t at[BENCH_NOTIFIERS_MAX];
    msgpack_sbuffer args; /* one batch */
    uint64_t sent;        /* changes */
    uint64_t acked;       /* changes */
    int64_t until;        /* monotonic ms, 0 = none */
} notify_t;

static void batch_pack(notify_t *self) {
    const bench_notify_t *plan = self->plan;
    msgpack_packer packer;
    msgpack_sbuffer_clear(&self->args);
    msgpack_packer_init(&packer, &self->args, msgpack_sbuffer_write);
    (void)msgpack_pack_map(&packer, 2);
    (void)msgpack_pack_str_with_body(&packer, "line", 4);
    (void)msgpack_pack_str_with_body(&packer, plan->line, strlen(plan->line));
    (void)msgpack_pack_str_with_body(&packer, "changes", 7);
    (void)msgpack_pack_array(&packer, BENCH_CHANGES);
    for (uint64_t i = 0; i < BENCH_CHANGES; i++) {
        (void)msgpack_pack_map(&packer, 1);
        (void)msgpack_pack_str_with_body(&packer, "uid", 3);
        (void)msgpack_pack_uint64(&packer, plan->uid_first + (self->sent + i) % plan->uid_count);
    }
}

static bool notify_more(const notify_t *self) {
    bool wanted = self->plan->changes == 0 || self->sent < self->plan->changes;
    return wanted && (self->until == 0 || wl_mono_now().ms < self->until);
}

static void notifier_fill(notify_t *self, notifier_t *notifier) {
    while (wallet_in_flight(notifier->wallet) < self->plan->window && notify_more(self)) {
        batch_pack(self);
        wallet_status_t status = wallet_send(notifier->wallet, "notify.changed", self->args.data,
                                             self->args.size, ACK_MS, NULL);
        if (status != WALLET_OK) {
            bench_fail("notify.changed: %s", wallet_status_text(status));
        }
        self->sent += BENCH_CHANGES;
    }
}

/* Waits for one acknowledgement, then takes all that are there. */
static void notifier_drain(notify_t *self, notifier_t *notifier) {
    int timeout_ms = ACK_MS;
    while (wallet_in_flight(notifier->wallet) > 0) {
        wallet_reply_t reply;
        wallet_status_t status = wallet_receive(notifier->wallet, timeout_ms, &reply);
        if (status == WALLET_TIMEOUT && timeout_ms == 0) {
            return;
        }
        if (status == WALLET_OK) {
            self->acked += BENCH_CHANGES;
        } else if (status == WALLET_REFUSED && reply.error.retryable) {
            self->sent -= self->plan->changes == 0 ? 0 : BENCH_CHANGES;
            bench_pause(1);
        } else {
            bench_fail("notify.changed: %s %s %s", wallet_status_text(status), reply.error.code,
                       reply.error.message);
        }
        timeout_ms = 0;
    }
}

uint64_t bench_notify(const bench_notify_t *plan, uint64_t *ret_ns) {
    WL_ASSERT(plan->clients > 0 && plan->clients <= BENCH_NOTIFIERS_MAX);
    WL_ASSERT(plan->changes > 0 || plan->ms > 0);
    notify_t self = {.plan = plan};
    msgpack_sbuffer_init(&self.args);
    for (uint32_t i = 0; i < plan->clients; i++) {
        self.at[i].wallet = bench_open(plan->endpoint);
        (void)bench_call(self.at[i].wallet, "admin.queue", NULL, 0); /* connected */
    }
    uint64_t begun = wl_mono_ns();
    self.until = plan->ms == 0 ? 0 : wl_mono_now().ms + plan->ms;
    bool busy = true;
    while (busy) {
        busy = false;
        for (uint32_t i = 0; i < plan->clients; i++) {
            notifier_fill(&self, &self.at[i]);
            busy = busy || wallet_in_flight(self.at[i].wallet) > 0;
            notifier_drain(&self, &self.at[i]);
        }
    }
    *ret_ns = wl_mono_ns() - begun;
    for (uint32_t i = 0; i < plan->clients; i++) {
        wallet_close(&self.at[i].wallet);
    }
    msgpack_sbuffer_destroy(&self.args);
    return self.acked;
}

void bench_populate(const char *endpoint, const char *line, uint64_t uid_first,
                    uint64_t uid_count) {
    bench_notify_t plan = {
        .endpoint = endpoint,
        .line = line,
        .clients = 2,
        .window = 4,
        .uid_first = uid_first,
        .uid_count = uid_count,
        .changes = uid_count,
    };
    uint64_t ns;
    (void)bench_notify(&plan, &ns);
    wallet_t *writer = bench_open(endpoint);
    bench_wait_quiet(writer, QUIET_MS);
    wallet_close(&writer);
}

int bench_notify_role(const char *endpoint, uint64_t rate) {
    notify_t self = {.plan = &(bench_notify_t){.line = "cash",
                                               .window = WALLET_IN_FLIGHT_MAX,
                                               .uid_first = ROLE_UID,
                                               .uid_count = ROLE_USERS,
                                               .changes = UINT64_MAX}};
    msgpack_sbuffer_init(&self.args);
    self.at[0].wallet = bench_open(endpoint);
    int64_t begun = wl_mono_now().ms;
    for (;;) {
        uint64_t due = (uint64_t)(wl_mono_now().ms - begun) * rate / 1000;
        wallet_reply_t reply;
        while (self.sent < due) {
            batch_pack(&self);
            (void)wallet_send(self.at[0].wallet, "notify.changed", self.args.data, self.args.size,
                              ROLE_TICK_MS, NULL);
            self.sent += BENCH_CHANGES;
        }
        while (wallet_receive(self.at[0].wallet, 0, &reply) != WALLET_TIMEOUT &&
               wallet_in_flight(self.at[0].wallet) > 0) {
            continue;
        }
        bench_pause(ROLE_TICK_MS);
    }
}
