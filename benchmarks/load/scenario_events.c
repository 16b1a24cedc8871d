/* Events: `publishers` keep `window` events in flight (or publish `rate` a second), to `channels` channels with `per_channel` of the
 * `subscribers` each; with `pattern`, every subscriber has all of them by one pattern. An event is in flight until the last subscriber
 * has it. That every subscriber gets every event, in order, is checked all along. */
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING (1u << 20)
enum { PUBLISHER, SUBSCRIBER };

static struct conn **publishers;
static char **channels;
static uint32_t *left;      /* by sequence number: deliveries that are still to come */
static uint16_t *owner;     /* by sequence number: its publisher */
static uint64_t *published; /* by sequence number: when, or when it was due */
static uint64_t next_seq = 1, in_flight, disordered, due;
static uint64_t want;       /* deliveries of one event */
static int running;

static void connect_all(void) {
    if (options.per_channel == 0 || options.per_channel > options.subscribers) options.per_channel = options.subscribers;
    want = options.pattern ? (uint64_t)options.subscribers : (uint64_t)options.per_channel;
    if ((uint64_t)options.window * (uint64_t)options.publishers * 4 > RING) fail("the window is too large");
    channels = calloc((size_t)options.channels, sizeof *channels);
    for (int number = 0; number < options.channels; number++) channels[number] = text_of("%s%05d", options.channel, number);
    publishers = calloc((size_t)options.publishers, sizeof *publishers);
    left = calloc(RING, sizeof *left);
    owner = calloc(RING, sizeof *owner);
    published = calloc(RING, sizeof *published);
    if (dialect->path_is_channel && (options.channels != 1 || options.pattern)) fail("%s: one channel is what it can do", dialect->name);
    char *sub = dialect->path_is_channel ? text_of("%ssub/%s", options.path, channels[0]) : (char *)options.path;
    char *pub = dialect->path_is_channel ? text_of("%spub/%s", options.path, channels[0]) : (char *)options.path;
    for (int number = 0; number < options.subscribers; number++) open_conn(SUBSCRIBER, number, sub);
    for (int number = 0; number < options.publishers; number++)
        publishers[number] = open_conn(PUBLISHER, options.subscribers + number, pub);
}

static void ready(struct conn *c) {
    if (c->role == PUBLISHER || dialect->path_is_channel) return;
    if (options.pattern) {
        dialect->subscribe(c, 1, text_of("%s*", options.channel), 1);
        c->waiting = 1;
        return;
    }
    /* Channel k is of the subscribers k*per_channel, k*per_channel + 1, ... around the circle. */
    uint64_t id = 0;
    for (int channel = 0; channel < options.channels; channel++) {
        int first = (int)((int64_t)channel * options.per_channel % options.subscribers);
        int distance = (c->index - first + options.subscribers) % options.subscribers;
        if (distance >= options.per_channel) continue;
        dialect->subscribe(c, ++id, channels[channel], 0);
        c->waiting++;
    }
}

static void publish_one(int publisher, uint64_t at) {
    struct conn *c = publishers[publisher];
    size_t length;
    uint64_t seq = next_seq++;
    const char *payload = make_payload(seq, &length);
    left[seq % RING] = (uint32_t)want;
    published[seq % RING] = at;
    owner[seq % RING] = (uint16_t)publisher;
    c->inflight++, in_flight++;
    dialect->publish(c, channels[seq % (uint64_t)options.channels], payload, length);
}

static void refill(void) {
    now = clock_ns();
    for (int number = 0; number < options.publishers; number++)
        while (publishers[number]->inflight < (uint64_t)options.window && may_begin(next_seq)) publish_one(number, now);
}

static void settled(void) {
    running = 1;
    due = now;
    if (options.rate == 0) refill();
}

static void message(struct conn *c, enum kind kind, struct message *m) {
    if (kind != EVENT) return;
    uint64_t slot = m->seq % RING;
    if (m->seq >= next_seq || !left[slot]) fail("event %llu arrived that nobody expects", (unsigned long long)m->seq);
    /* One publisher: what a connection gets only grows; with one channel, or a pattern, without a hole. */
    if (options.publishers == 1) {
        int dense = options.pattern || options.channels == 1;
        if (dense ? c->next && m->seq != c->next : m->seq < c->next) disordered++;
        c->next = m->seq + 1;
    }
    deliveries++;
    if (measuring) histogram_add(&latency, now - published[slot], 1);
    if (--left[slot]) return;
    operations++, in_flight--;
    publishers[owner[slot]]->inflight--;
}

static int64_t round_done(void) {
    if (!running) return -1;
    if (options.rate == 0) {
        refill();
        return -1;
    }
    /* Open: an event that is late counts from when it was due, so that a server that stalls is not spared. */
    uint64_t step = (uint64_t)(1e9 / options.rate);
    for (; due <= now; due += step)
        if (in_flight < RING / 4 && may_begin(next_seq)) publish_one((int)(next_seq % (uint64_t)options.publishers), due);
    return (int64_t)(due - now);
}

static void report(void) {
    printf("\"in_flight\": %llu, \"disordered\": %llu, ", (unsigned long long)in_flight, (unsigned long long)disordered);
}

const struct scenario events_scenario = {
    .name = "events", .connect = connect_all, .ready = ready, .settled = settled, .message = message, .closed = must_stay,
    .round = round_done, .report = report,
};
