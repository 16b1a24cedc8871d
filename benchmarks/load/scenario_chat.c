/* Chat: `subscribers` members in `channels` rooms, each of whom subscribes to its room and to presence, and keeps one thing in flight: 80
 * of 100 times an event to its room, which is finished when everybody there has it; 15 times a call, which another member answers; 5
 * times a question who is online. Native dialect only. */
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RING (1u << 20)

struct task { /* by number */
    uint64_t began;
    struct conn *member;
    uint32_t left;
};

static struct conn **members;
static char **rooms;
static struct task *tasks;
static uint64_t next_task = 1, events, calls, questions;
static uint32_t *size; /* of each room */
static int running;

static void connect_all(void) {
    if (strcmp(dialect->name, "native")) fail("%s: chat is measured over the native dialect", dialect->name);
    if (options.subscribers < options.channels) fail("chat: fewer members than rooms");
    members = calloc((size_t)options.subscribers, sizeof *members);
    rooms = calloc((size_t)options.channels, sizeof *rooms);
    size = calloc((size_t)options.channels, sizeof *size);
    tasks = calloc(RING, sizeof *tasks);
    for (int number = 0; number < options.channels; number++) rooms[number] = text_of("%s%05d", options.channel, number);
    for (int number = 0; number < options.subscribers; number++) {
        members[number] = open_conn(0, number, options.path);
        size[number % options.channels]++;
    }
}

static void ready(struct conn *c) {
    dialect->subscribe(c, 1, rooms[c->index % options.channels], 0);
    dialect->provide(c, 2, options.procedure);
    static const char presence[] = "{\"type\":\"presence_subscribe\",\"id\":\"3\"}";
    net_send(c, 0, presence, sizeof presence - 1);
    c->waiting = 3;
}

static void begin(struct conn *c) {
    size_t length;
    uint64_t number = next_task++;
    struct task *task = &tasks[number % RING];
    *task = (struct task){now, c, 1};
    const char *payload = make_payload(number, &length);
    unsigned kind = (unsigned)(number * 2654435761u >> 7) % 100;
    if (kind < 80) {
        task->left = size[c->index % options.channels];
        dialect->publish(c, rooms[c->index % options.channels], payload, length);
        events++;
    } else if (kind < 95) {
        dialect->call(c, number, options.procedure, payload, length);
        calls++;
    } else {
        char question[80];
        int words = snprintf(question, sizeof question, "{\"type\":\"presence_query\",\"id\":\"%llu\"}", (unsigned long long)number);
        net_send(c, 0, question, (size_t)words);
        questions++;
    }
}

static void settled(void) {
    running = 1;
    now = clock_ns();
    for (int number = 0; number < options.subscribers; number++)
        if (may_begin(next_task)) begin(members[number]);
}

static void finish(uint64_t number) {
    struct task *task = &tasks[number % RING];
    if (!number || number >= next_task || !task->left) fail("an answer to %llu, which is not open", (unsigned long long)number);
    if (--task->left) return;
    if (measuring) histogram_add(&latency, now - task->began, 1);
    operations++;
    if (may_begin(next_task)) begin(task->member);
}

static void message(struct conn *c, enum kind kind, struct message *m) {
    size_t length;
    if (!running) return;
    if (kind == EVENT) {
        deliveries++;
        finish(m->seq);
    } else if (kind == RESULT) {
        finish(m->id);
    } else if (kind == ANSWER) {
        finish(m->id);
    } else if (kind == INVOKE) {
        const char *payload = make_payload(0, &length);
        dialect->result(c, m, payload, length);
    }
}

static int64_t round_done(void) { return -1; }

static void report(void) {
    printf("\"events\": %llu, \"calls\": %llu, \"questions\": %llu, ", (unsigned long long)events, (unsigned long long)calls,
           (unsigned long long)questions);
}

const struct scenario chat_scenario = {
    .name = "chat", .connect = connect_all, .ready = ready, .settled = settled, .message = message, .closed = must_stay,
    .round = round_done, .report = report,
};
