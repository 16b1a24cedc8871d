/* What is measured, and how one measurement runs: connect, prepare, warm up, measure, report. */
#ifndef SCENARIO_H
#define SCENARIO_H
#include "dialect.h"
#include "histogram.h"

struct options {
    const char *host, *dialect, *scenario, *path, *auth, *key, *secret, *channel, *procedure, *wrap;
    int port, tls, core, subscribers, channels, per_channel, publishers, window, payload, pattern;
    int callers, providers, connections, concurrent, hold;
    int count; /* so many operations and no more, without warm-up; 0: for a time */
    double rate, warmup, seconds;
    int watch[32], watched; /* processes of the server, whose CPU and memory are reported */
};

/* A scenario's own part. `settled` is called once all its connections are ready and acknowledged. */
struct scenario {
    const char *name;
    void (*connect)(void);
    void (*ready)(struct conn *);
    void (*settled)(void);
    void (*message)(struct conn *, enum kind, struct message *);
    void (*closed)(struct conn *, const char *why);
    /* Called after each round; gives how many ns the next one may wait, -1 for as long as it takes. */
    int64_t (*round)(void);
    void (*report)(void); /* further fields of the JSON object, each ended by a comma */
    int own_course;       /* runs to its own end; no warm-up, no fixed time */
};

extern struct options options;
extern const struct dialect *dialect;
extern struct histogram latency;
extern uint64_t operations, deliveries; /* since the beginning */
extern int measuring, finished;
int may_begin(uint64_t number); /* whether the operation of this number, from 1 on, is still to be begun */
extern const struct scenario events_scenario, calls_scenario, idle_scenario, logins_scenario, chat_scenario;

struct conn *open_conn(int role, int index, const char *path);
const char *make_payload(uint64_t seq, size_t *length);
char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
void must_stay(struct conn *, const char *why); /* ends the run: a connection was lost that is needed */
#endif
