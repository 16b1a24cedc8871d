/* WAMP 2 in JSON, for Crossbar: the realm "bench", anonymous. Names use dots where others use slashes. */
#include "dialect.h"

#include <stdlib.h>
#include <string.h>

static enum kind opened(struct conn *c) {
    static const char hello[] =
        "[1,\"bench\",{\"roles\":{\"subscriber\":{\"features\":{\"pattern_based_subscription\":true}},\"publisher\":{},"
        "\"caller\":{},\"callee\":{\"features\":{\"shared_registration\":true}}}}]";
    net_send(c, 0, hello, sizeof hello - 1);
    return NOTHING;
}

static enum kind read_message(struct conn *c, char *text, size_t length, struct message *m) {
    (void)c;
    char *rest;
    if (length < 2 || text[0] != '[') fail("unexpected: %.*s", (int)length, text);
    switch (strtol(text + 1, &rest, 10)) {
    case 2: return READY;                                                /* WELCOME */
    case 33: case 65: return DONE;                                       /* SUBSCRIBED, REGISTERED */
    case 36: return payload_seq(text, length, &m->seq) ? EVENT : NOTHING; /* EVENT */
    case 50:                                                             /* RESULT, call, {}, [..] */
        m->id = strtoull(rest + 1, NULL, 10);
        return RESULT;
    case 68: /* INVOCATION, request, .. */
        m->call = rest + 1 + strspn(rest + 1, " ");
        m->call_len = strspn(m->call, "0123456789");
        return INVOKE;
    case 3: case 8: /* ABORT, ERROR */
        m->text = text, m->text_len = length;
        return REFUSED;
    default: return NOTHING;
    }
}

static void say_name(struct words *words, const char *name) {
    size_t from = words->length;
    say(words, name);
    for (; from < words->length; from++)
        if (words->text[from] == '/') words->text[from] = '.';
}

static void request(struct conn *c, const char *head, uint64_t id, const char *options, const char *name, const char *payload, size_t length) {
    struct words words;
    words.length = 0;
    say(&words, head);
    say_number(&words, id);
    say(&words, options);
    say_name(&words, name);
    say(&words, "\"");
    if (payload) say(&words, ",["), say_bytes(&words, payload, length), say(&words, "]");
    say(&words, "]");
    net_send(c, 0, words.text, words.length);
}

static void subscribe(struct conn *c, uint64_t id, const char *channel, int is_pattern) {
    if (!is_pattern) {
        request(c, "[32,", id, ",{},\"", channel, NULL, 0);
        return;
    }
    char prefix[256]; /* of bench/<star>, what stands before the star */
    size_t length = strcspn(channel, "*");
    if (length >= sizeof prefix) fail("the pattern is too long");
    memcpy(prefix, channel, length);
    prefix[length] = 0;
    request(c, "[32,", id, ",{\"match\":\"prefix\"},\"", prefix, NULL, 0);
}

static void publish(struct conn *c, const char *channel, const char *payload, size_t length) {
    request(c, "[16,", ++c->next, ",{},\"", channel, payload, length);
}

static void provide(struct conn *c, uint64_t id, const char *procedure) {
    request(c, "[64,", id, ",{\"invoke\":\"roundrobin\"},\"", procedure, NULL, 0);
}

static void call(struct conn *c, uint64_t id, const char *procedure, const char *payload, size_t length) {
    request(c, "[48,", id, ",{},\"", procedure, payload, length);
}

static void result(struct conn *c, const struct message *invoke, const char *payload, size_t length) {
    struct words words;
    words.length = 0;
    say(&words, "[70,");
    say_bytes(&words, invoke->call, invoke->call_len);
    say(&words, ",{},[");
    say_bytes(&words, payload, length);
    say(&words, "]]");
    net_send(c, 0, words.text, words.length);
}

const struct dialect wamp = {
    .name = "wamp", .subprotocol = "wamp.2.json", .opened = opened, .read = read_message, .subscribe = subscribe,
    .publish = publish, .provide = provide, .call = call, .result = result,
};
