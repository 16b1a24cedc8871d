/* socket.io 4 over its WebSocket transport: Engine.IO packets, events of the names the peer server knows. */
#include "dialect.h"

#include <string.h>

static enum kind opened(struct conn *c) { return (void)c, NOTHING; }

static enum kind read_packet(struct conn *c, char *text, size_t length, struct message *m) {
    size_t size;
    const char *value;
    if (length < 1) return NOTHING;
    if (text[0] == '0') return net_send(c, 0, "40", 2), NOTHING; /* open: join the namespace */
    if (text[0] == '2') return net_send(c, 0, "3", 1), NOTHING;  /* ping */
    if (length >= 2 && text[0] == '4' && text[1] == '0') return READY;
    if (length < 6 || memcmp(text, "42[\"", 4)) return NOTHING;
    switch (text[4]) {
    case 'e': return payload_seq(text, length, &m->seq) ? EVENT : NOTHING;
    case 'd': return DONE;
    case 'i': /* 42["invoke","<call>",data] */
        m->call = after(text, length, "42[\"invoke\",\"", '"', &m->call_len);
        return m->call ? INVOKE : NOTHING;
    case 'r': /* 42["result","<id>",data] */
        if (!(value = after(text, length, "42[\"result\",\"", '"', &size))) return NOTHING;
        m->id = number(value, size);
        return RESULT;
    default: return NOTHING;
    }
}

static void emit(struct conn *c, const char *event, const char *first, size_t first_length, const char *payload, size_t length) {
    struct words words;
    words.length = 0;
    say(&words, "42[\"");
    say(&words, event);
    say(&words, "\",\"");
    say_bytes(&words, first, first_length);
    say(&words, "\"");
    if (payload) say(&words, ","), say_bytes(&words, payload, length);
    say(&words, "]");
    net_send(c, 0, words.text, words.length);
}

static void subscribe(struct conn *c, uint64_t id, const char *channel, int is_pattern) {
    (void)id;
    if (is_pattern) fail("socket.io has no patterns");
    emit(c, "subscribe", channel, strlen(channel), NULL, 0);
}

static void publish(struct conn *c, const char *channel, const char *payload, size_t length) {
    emit(c, "publish", channel, strlen(channel), payload, length);
}

static void provide(struct conn *c, uint64_t id, const char *procedure) {
    (void)id;
    emit(c, "provide", procedure, strlen(procedure), NULL, 0);
}

static void call(struct conn *c, uint64_t id, const char *procedure, const char *payload, size_t length) {
    struct words words;
    words.length = 0;
    say(&words, "42[\"call\",\"");
    say_number(&words, id);
    say(&words, "\",\"");
    say(&words, procedure);
    say(&words, "\",");
    say_bytes(&words, payload, length);
    say(&words, "]");
    net_send(c, 0, words.text, words.length);
}

static void result(struct conn *c, const struct message *invoke, const char *payload, size_t length) {
    emit(c, "result", invoke->call, invoke->call_len, payload, length);
}

const struct dialect socketio = {
    .name = "socketio", .query = "?EIO=4&transport=websocket", .opened = opened, .read = read_packet, .subscribe = subscribe,
    .publish = publish, .provide = provide, .call = call, .result = result,
};
