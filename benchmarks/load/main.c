/* The load generator: one scenario against one server, one JSON object of what was measured on standard output.
 *
 *     load --dialect native --port 7000 --scenario events --subscribers 100 --window 64 --seconds 3
 *
 * One thread, one epoll. It says how much of its core it used: what is measured at `load_cpu` close to 1 is the generator and not the
 * server, and `saturated` says so. Exit status 0: measured; 2: not, and standard error says why. */
#define _GNU_SOURCE
#include "scenario.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define SATURATED 0.95
#define SECOND 1000000000ull
#define CONNECT_PATIENCE (30 * SECOND)
#define GRACE (SECOND / 5)
#define STALL_PATIENCE (5 * SECOND)

struct options options = {
    .host = "127.0.0.1", .dialect = "native", .scenario = "events", .path = "/", .auth = "{}", .channel = "bench/", .procedure = "bench/echo",
    .wrap = "%s", .port = 7000, .core = -1, .subscribers = 1, .channels = 1, .publishers = 1, .window = 64, .payload = 100, .callers = 1,
    .providers = 1, .connections = 100, .concurrent = 100, .warmup = 1, .seconds = 3,
};
const struct dialect *dialect;
struct histogram latency;
uint64_t operations, deliveries;
int measuring, finished;

static const struct scenario *const known[] = {&events_scenario, &calls_scenario, &idle_scenario, &logins_scenario, &chat_scenario};
static const struct scenario *scenario;
static struct conn **queued;
static size_t queued_len, queued_cap, opened_len, settled_len;
static uint64_t refused, last_settled;

int may_begin(uint64_t number) { return !options.count || number <= (uint64_t)options.count; }

char *text_of(const char *format, ...) {
    char *text;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0) fail("out of memory");
    va_end(arguments);
    return text;
}

const char *make_payload(uint64_t seq, size_t *length) {
    static char *text;
    static size_t whole, at;
    if (!text) {
        /* options.payload bytes of JSON string, quotes included, in whatever `wrap` puts around it. */
        char string[4000];
        int size = options.payload;
        memset(string, 'x', (size_t)size);
        string[0] = string[size - 1] = '"';
        string[1] = string[2] = '@';
        string[size] = 0;
        const char *place = strstr(options.wrap, "%s");
        if (!place) fail("--wrap needs a %%s, where the payload goes");
        text = text_of("%.*s%s%s", (int)(place - options.wrap), options.wrap, string, place + 2);
        whole = strlen(text);
        at = (size_t)(place - options.wrap) + 3;
    }
    seq |= run_tag << 48;
    for (int digit = 15; digit >= 0; digit--, seq >>= 4) text[at + (size_t)digit] = "0123456789abcdef"[seq & 15];
    *length = whole;
    return text;
}

struct conn *open_conn(int role, int index, const char *path) {
    struct conn *c = net_new(path);
    c->role = role, c->index = index;
    if (queued_len == queued_cap) {
        queued_cap = queued_cap ? queued_cap * 2 : 256;
        queued = realloc(queued, queued_cap * sizeof *queued);
    }
    return queued[queued_len++] = c;
}

void must_stay(struct conn *c, const char *why) { fail("connection %d (role %d): %s", c->index, c->role, why); }

static void settle(struct conn *c) {
    c->settled = 1;
    settled_len++;
    last_settled = now;
}

static void become_ready(struct conn *c) {
    c->ready = 1;
    scenario->ready(c);
    if (!c->waiting) settle(c);
}

static void on_opened(struct conn *c) {
    if (dialect->opened(c) == READY) become_ready(c);
}

static void on_message(struct conn *c, char *text, size_t length) {
    struct message m;
    enum kind kind = dialect->read(c, text, length, &m);
    switch (kind) {
    case NOTHING: break;
    case READY: become_ready(c); break;
    case DONE:
        if (c->waiting && !--c->waiting) settle(c);
        break;
    case REFUSED:
        if (!c->settled) fail("refused: %.*s", (int)m.text_len, m.text);
        if (!refused++) fprintf(stderr, "load: the first refusal: %.*s\n", (int)m.text_len, m.text);
        break;
    case ANSWER:
        if (c->waiting && !--c->waiting) settle(c);
        /* fallthrough */
    default: scenario->message(c, kind, &m);
    }
}

static void on_closed(struct conn *c, const char *why) {
    scenario->closed(c, why);
    if (!c->settled) settle(c);
}

static void open_some(void) {
    while (opened_len < queued_len && opened_len - settled_len < (size_t)options.concurrent) net_open(queued[opened_len++]);
}

/* ---- what is read of processes, this one and the server's ------------------------------------------------ */

static double own_cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double watched_cpu(void) {
    double ticks = 0;
    for (int number = 0; number < options.watched; number++) {
        char path[64], line[1024];
        snprintf(path, sizeof path, "/proc/%d/stat", options.watch[number]);
        FILE *file = fopen(path, "r");
        if (!file) fail("process %d, which was to be watched, is gone", options.watch[number]);
        size_t got = fread(line, 1, sizeof line - 1, file);
        line[got] = 0;
        fclose(file);
        unsigned long user, system;
        char *rest = strrchr(line, ')');
        if (rest && sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2)
            ticks += (double)(user + system);
    }
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

static double watched_rss(void) {
    double pages = 0;
    for (int number = 0; number < options.watched; number++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/statm", options.watch[number]);
        FILE *file = fopen(path, "r");
        unsigned long resident = 0;
        if (file && fscanf(file, "%*u %lu", &resident) == 1) pages += (double)resident;
        if (file) fclose(file);
    }
    return pages * (double)sysconf(_SC_PAGESIZE);
}

struct marks {
    uint64_t at, operations, deliveries, bytes;
    double own, watched;
};

static struct marks mark(void) {
    return (struct marks){clock_ns(), operations, deliveries, net_bytes_in, own_cpu(), watched_cpu()};
}

/* ---- the course of one measurement ----------------------------------------------------------------------- */

static void course(void) {
    double rss_before = watched_rss();
    struct marks first = mark(), last;
    scenario->connect();
    last_settled = now;
    int settled = 0, stalled = 0;
    uint64_t warm = 0, end = 0, seen = 0, moved = 0;
    while (!finished) {
        int64_t wait = (int64_t)SECOND / 20;
        if (opened_len < queued_len || settled_len < queued_len) {
            open_some();
            if (now > last_settled + CONNECT_PATIENCE)
                fail("%zu of %zu connections are ready, and no further one for 30 seconds", settled_len, queued_len);
            settled = 0;
        } else if (!settled) {
            settled = 1;
            /* A server may answer before the subscription is where its publisher looks. */
            for (uint64_t until = clock_ns() + GRACE; !scenario->own_course && now < until;) net_round((int64_t)(until - now));
            now = clock_ns();
            warm = now + (uint64_t)(options.warmup * 1e9);
            moved = now;
            if (options.count) measuring = 1, first = mark();
            scenario->settled();
        } else if (!scenario->own_course) {
            if (!measuring && now >= warm) {
                measuring = 1;
                first = mark();
                end = first.at + (uint64_t)(options.seconds * 1e9);
            } else if (measuring && (options.count ? operations >= (uint64_t)options.count : now >= end)) {
                break;
            }
            if (operations != seen) {
                seen = operations, moved = now;
            } else if (scenario != &idle_scenario && now > moved + STALL_PATIENCE) {
                stalled = 1;
                break;
            }
        }
        int64_t asked = scenario->round();
        if (asked >= 0 && asked < wait) wait = asked;
        net_round(wait);
    }
    last = mark();
    measuring = 0;
    double seconds = (double)(last.at - first.at) / 1e9;
    double own = (last.own - first.own) / seconds;
    printf("{\"dialect\": \"%s\", \"scenario\": \"%s\", ", dialect->name, scenario->name);
    printf("\"seconds\": %.3f, \"operations\": %llu, \"deliveries\": %llu, ", seconds,
           (unsigned long long)(last.operations - first.operations), (unsigned long long)(last.deliveries - first.deliveries));
    printf("\"operations_per_second\": %.1f, \"deliveries_per_second\": %.1f, \"bytes_per_second\": %.0f, ",
           (double)(last.operations - first.operations) / seconds, (double)(last.deliveries - first.deliveries) / seconds,
           (double)(last.bytes - first.bytes) / seconds);
    if (latency.count)
        printf("\"latency_us\": {\"mean\": %.1f, \"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}, ",
               (double)latency.sum / (double)latency.count / 1e3, (double)histogram_at(&latency, 0.5) / 1e3,
               (double)histogram_at(&latency, 0.9) / 1e3, (double)histogram_at(&latency, 0.99) / 1e3,
               (double)histogram_at(&latency, 0.999) / 1e3, (double)latency.max / 1e3);
    if (options.watched)
        printf("\"server_cpu\": %.3f, \"server_rss\": %.0f, \"server_rss_before\": %.0f, ", (last.watched - first.watched) / seconds,
               watched_rss(), rss_before);
    scenario->report();
    printf("\"connections\": %zu, \"refused\": %llu, \"stalled\": %s, \"load_cpu\": %.3f, \"saturated\": %s}\n", queued_len,
           (unsigned long long)refused, stalled ? "true" : "false", own, own >= SATURATED ? "true" : "false");
}

/* ---- the command line ------------------------------------------------------------------------------------ */

#define TEXTS(X) X(host) X(dialect) X(scenario) X(path) X(auth) X(key) X(secret) X(channel) X(procedure) X(wrap)
#define COUNTS(X)                                                                                                                        \
    X(port) X(tls) X(core) X(subscribers) X(channels) X(per_channel) X(publishers) X(window) X(payload) X(pattern) X(callers) X(providers) \
        X(connections) X(concurrent) X(hold) X(count)
#define REALS(X) X(rate) X(warmup) X(seconds)

static void parse(int argc, char **argv) {
    for (int at = 1; at < argc; at += 2) {
        const char *name = argv[at], *value = at + 1 < argc ? argv[at + 1] : NULL;
        if (strncmp(name, "--", 2) || !value) fail("expected --name value pairs, got %s", name);
        char *rest = "";
        name += 2;
        if (!strcmp(name, "watch")) {
            if (options.watched == 32) fail("at most 32 processes are watched");
            options.watch[options.watched++] = (int)strtol(value, &rest, 10);
        }
#define TEXT(field) else if (!strcmp(name, #field)) options.field = value;
#define COUNT(field) else if (!strcmp(name, #field)) options.field = (int)strtol(value, &rest, 10);
#define REAL(field) else if (!strcmp(name, #field)) options.field = strtod(value, &rest);
        TEXTS(TEXT) COUNTS(COUNT) REALS(REAL)
        else fail("there is no option --%s", name);
        if (*rest) fail("--%s: %s is no number", name, value);
    }
    if (options.payload < 24 || options.payload >= 4000) fail("--payload: 24 to 3999 bytes");
    if (options.channels < 1 || options.subscribers < 1 || options.publishers < 1 || options.window < 1 || options.callers < 1 ||
        options.providers < 1 || options.connections < 1 || options.concurrent < 1)
        fail("counts are at least 1");
}

int main(int argc, char **argv) {
    parse(argc, argv);
    dialect = dialect_named(options.dialect);
    for (size_t at = 0; at < sizeof known / sizeof *known; at++)
        if (!strcmp(known[at]->name, options.scenario)) scenario = known[at];
    if (!scenario) fail("there is no scenario %s", options.scenario);
    if (options.core >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET(options.core, &cores);
        if (sched_setaffinity(0, sizeof cores, &cores) < 0) fail("core %d: not to be had", options.core);
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_TIMERSLACK, 1000);
    run_tag = (uint64_t)getpid() & 0xffff;
    login_auth = options.auth;
    login_key = options.key;
    if (options.secret) login_secret = options.secret;
    net_subprotocol = dialect->subprotocol;
    if (dialect->query) net_query = dialect->query;
    net_start(options.host, options.port, options.tls, (struct net_events){on_opened, on_message, on_closed});
    course();
    return 0;
}
