/* Calls: each of `callers` keeps `window` calls to one procedure in flight, which `providers` connections offer. Each call is answered
 * by a provider of this process, so one call is four messages through the generator and the server. */
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>

#define RING (1u << 20)
enum { CALLER, PROVIDER };

static struct conn **callers;
static uint64_t *called;  /* by id: when, 0 if it is not open */
static uint64_t next_id = 1, due;
static int running, waiting_providers;

static void connect_all(void) {
    if (dialect->path_is_channel) fail("%s has no calls", dialect->name);
    if ((uint64_t)options.callers * (uint64_t)options.window * 2 > RING) fail("the window is too large");
    called = calloc(RING, sizeof *called);
    callers = calloc((size_t)options.callers, sizeof *callers);
    waiting_providers = options.providers;
    for (int number = 0; number < options.providers; number++) open_conn(PROVIDER, number, options.path);
    for (int number = 0; number < options.callers; number++)
        callers[number] = open_conn(CALLER, options.providers + number, options.path);
}

static void ready(struct conn *c) {
    if (c->role != PROVIDER) return;
    dialect->provide(c, 1, options.procedure);
    c->waiting = 1;
}

static void call_one(struct conn *c, uint64_t at) {
    size_t length;
    uint64_t id = next_id++;
    const char *payload = make_payload(id, &length);
    called[id % RING] = at;
    c->inflight++;
    dialect->call(c, id, options.procedure, payload, length);
}

static void settled(void) {
    running = 1;
    due = now = clock_ns();
    if (options.rate > 0) return;
    for (int number = 0; number < options.callers; number++)
        for (int more = 0; more < options.window && may_begin(next_id); more++) call_one(callers[number], now);
}

static void message(struct conn *c, enum kind kind, struct message *m) {
    size_t length;
    if (kind == INVOKE) {
        const char *payload = make_payload(0, &length);
        dialect->result(c, m, payload, length);
        deliveries++;
    } else if (kind == RESULT) {
        uint64_t *at = &called[m->id % RING];
        if (m->id >= next_id || !*at) fail("call %llu was answered, which is not open", (unsigned long long)m->id);
        if (measuring) histogram_add(&latency, now - *at, 1);
        *at = 0;
        operations++, c->inflight--;
        if (options.rate == 0 && may_begin(next_id)) call_one(c, clock_ns());
    }
}

static int64_t round_done(void) {
    if (!running || options.rate == 0) return -1;
    uint64_t step = (uint64_t)(1e9 / options.rate);
    for (; due <= now; due += step)
        if (!called[next_id % RING] && may_begin(next_id)) call_one(callers[next_id % (uint64_t)options.callers], due);
    return (int64_t)(due - now);
}

static void report(void) {
    uint64_t open = 0;
    for (int number = 0; number < options.callers; number++) open += callers[number]->inflight;
    printf("\"in_flight\": %llu, ", (unsigned long long)open);
}

const struct scenario calls_scenario = {
    .name = "calls", .connect = connect_all, .ready = ready, .settled = settled, .message = message, .closed = must_stay,
    .round = round_done, .report = report,
};
