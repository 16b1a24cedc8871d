/* "native": the router's own protocol, trio-router.v1+json. "plain": its events and calls without login, for the peers. */
#include "dialect.h"

#include <string.h>

#define IS(word) (length > sizeof word && !memcmp(text + 9, word, sizeof word - 1))

static enum kind native_opened(struct conn *c) { return (void)c, NOTHING; }
static enum kind plain_opened(struct conn *c) { return (void)c, READY; }

static void send_words(struct conn *c, const struct words *words) { net_send(c, 0, words->text, words->length); }

static enum kind read_json(struct conn *c, char *text, size_t length, struct message *m) {
    /* Every message of either begins with {"type":" */
    if (length < 16 || memcmp(text, "{\"type\":\"", 9)) fail("unexpected: %.*s", (int)length, text);
    size_t size;
    const char *value;
    if (IS("event\"")) return payload_seq(text, length, &m->seq) ? EVENT : NOTHING;
    if (IS("result\"")) {
        if (!(value = after(text, length, "\"id\":\"", '"', &size))) return NOTHING;
        m->id = number(value, size);
        return RESULT;
    }
    if (IS("invoke\"")) {
        m->call = after(text, length, "\"call\":\"", '"', &m->call_len);
        return m->call ? INVOKE : NOTHING;
    }
    if (IS("hello\"")) {
        struct words words;
        words.length = 0;
        say(&words, "{\"type\":\"login\",\"id\":\"0\",\"auth\":");
        if (!login_key) {
            say_login(&words, c);
        } else {
            if (!(value = after(text, length, "\"session\":\"", '"', &size))) fail("a greeting without a session");
            say_proof(&words, value, size);
        }
        say(&words, "}");
        send_words(c, &words);
        return NOTHING;
    }
    if (IS("welcome\"")) return READY;
    if (IS("done\"")) return DONE;
    if (IS("presence\"")) {
        if (!(value = after(text, length, "\"id\":\"", '"', &size))) return NOTHING;
        m->id = number(value, size);
        return ANSWER;
    }
    if (IS("error\"") || IS("closing\"") || IS("revoked\"")) {
        m->text = text, m->text_len = length;
        return REFUSED;
    }
    return NOTHING;
}

static void subscribe(struct conn *c, uint64_t id, const char *channel, int is_pattern) {
    (void)is_pattern; /* a pattern is known by its * */
    struct words words;
    words.length = 0;
    say(&words, "{\"type\":\"subscribe\",\"id\":\"");
    say_number(&words, id);
    say(&words, "\",\"channel\":\"");
    say(&words, channel);
    say(&words, "\"}");
    send_words(c, &words);
}

static void publish(struct conn *c, const char *channel, const char *payload, size_t length) {
    struct words words;
    words.length = 0;
    say(&words, "{\"type\":\"publish\",\"channel\":\"");
    say(&words, channel);
    say(&words, "\",\"data\":");
    say_bytes(&words, payload, length);
    say(&words, "}");
    send_words(c, &words);
}

static void provide(struct conn *c, uint64_t id, const char *procedure) {
    struct words words;
    words.length = 0;
    say(&words, "{\"type\":\"provide\",\"id\":\"");
    say_number(&words, id);
    say(&words, "\",\"procedure\":\"");
    say(&words, procedure);
    say(&words, "\"}");
    send_words(c, &words);
}

static void call(struct conn *c, uint64_t id, const char *procedure, const char *payload, size_t length) {
    struct words words;
    words.length = 0;
    say(&words, "{\"type\":\"call\",\"id\":\"");
    say_number(&words, id);
    say(&words, "\",\"procedure\":\"");
    say(&words, procedure);
    say(&words, "\",\"data\":");
    say_bytes(&words, payload, length);
    say(&words, "}");
    send_words(c, &words);
}

static void result(struct conn *c, const struct message *invoke, const char *payload, size_t length) {
    struct words words;
    words.length = 0;
    say(&words, "{\"type\":\"result\",\"call\":\"");
    say_bytes(&words, invoke->call, invoke->call_len);
    say(&words, "\",\"data\":");
    say_bytes(&words, payload, length);
    say(&words, "}");
    send_words(c, &words);
}

const struct dialect native = {
    .name = "native", .subprotocol = "trio-router.v1+json", .opened = native_opened, .read = read_json, .subscribe = subscribe,
    .publish = publish, .provide = provide, .call = call, .result = result,
};
const struct dialect plain = {
    .name = "plain", .opened = plain_opened, .read = read_json, .subscribe = subscribe,
    .publish = publish, .provide = provide, .call = call, .result = result,
};
