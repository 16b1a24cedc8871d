/* Logins: `connections` connect and log in, `concurrent` at a time, and stay; what is measured is the whole course, and each one's
 * time from its connect. With `hold` they are then dropped all at once and come back, and that is what is measured.
 * Idle: the same, then nothing for the time of the measurement; what counts is the server's memory. With `hold` it says "settled" when all
 * are there, and they stay until the generator is ended. */
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>

static struct conn **all;
static uint64_t failures;
static int turn;

static void connect_all(void) {
    all = calloc((size_t)options.connections, sizeof *all);
    for (int number = 0; number < options.connections; number++) all[number] = open_conn(0, number, options.path);
    measuring = !options.hold;
}

static void ready(struct conn *c) {
    if (!measuring) return;
    now = clock_ns();
    histogram_add(&latency, now - c->began, 1);
    operations++;
}

static void settled(void) {
    if (turn++ || !options.hold) {
        finished = 1;
        return;
    }
    for (int number = 0; number < options.connections; number++) net_close(all[number], NULL);
    measuring = 1;
    for (int number = 0; number < options.connections; number++) all[number] = open_conn(0, number, options.path);
}

static void message(struct conn *c, enum kind kind, struct message *m) { (void)c, (void)kind, (void)m; }

static void closed(struct conn *c, const char *why) {
    if (!failures++) fprintf(stderr, "load: connection %d: %s\n", c->index, why);
}

static int64_t round_done(void) { return -1; }
static void report(void) { printf("\"failures\": %llu, ", (unsigned long long)failures); }

const struct scenario logins_scenario = {
    .name = "logins", .connect = connect_all, .ready = ready, .settled = settled, .message = message, .closed = closed,
    .round = round_done, .report = report, .own_course = 1,
};

static void idle_connect(void) {
    for (int number = 0; number < options.connections; number++) open_conn(0, number, options.path);
}
static void idle_ready(struct conn *c) { (void)c; }
static void idle_settled(void) {
    if (!options.hold) return;
    options.seconds = 1e9;
    puts("settled");
    fflush(stdout);
}
static void idle_report(void) {}

const struct scenario idle_scenario = {
    .name = "idle", .connect = idle_connect, .ready = idle_ready, .settled = idle_settled, .message = message, .closed = must_stay,
    .round = round_done, .report = idle_report,
};
