/* The deepstream protocol, protobuf over binary WebSocket messages: topic and action as its client 7 writes them. */
#include "dialect.h"

#include <string.h>

enum { CONNECTION = 2, AUTH = 3, EVENTS = 4, RPC = 6 };

static void varint(struct words *words, uint64_t value) {
    char bytes[10];
    size_t length = 0;
    for (; value > 127; value >>= 7) bytes[length++] = (char)(value | 128);
    bytes[length++] = (char)value;
    say_bytes(words, bytes, length);
}

static void field(struct words *words, unsigned number, const char *bytes, size_t length) {
    varint(words, number << 3 | 2);
    varint(words, length);
    say_bytes(words, bytes, length);
}

static void field_text(struct words *words, unsigned number, const char *text) { field(words, number, text, strlen(text)); }

static void action(struct words *words, unsigned value) {
    words->length = 0;
    varint(words, 1 << 3);
    varint(words, value);
}

static void send_topic(struct conn *c, unsigned topic, const struct words *inner) {
    struct words body, whole;
    body.length = whole.length = 0;
    varint(&body, 2 << 3);
    varint(&body, topic);
    field(&body, 3, inner->text, inner->length);
    varint(&whole, body.length);
    say_bytes(&whole, body.text, body.length);
    net_send(c, 1, whole.text, whole.length);
}

static const char *offered; /* every provider offers the same procedure, whose name its answers repeat */

static enum kind opened(struct conn *c) {
    struct words words;
    action(&words, 5); /* CHALLENGE */
    field_text(&words, 5, "ws://127.0.0.1/deepstream");
    field_text(&words, 6, "0.1a");
    field_text(&words, 7, "7.0.5");
    field_text(&words, 8, "javascript");
    send_topic(c, CONNECTION, &words);
    return NOTHING;
}

static uint64_t read_varint(const unsigned char **p, const unsigned char *end) {
    uint64_t value = 0;
    for (unsigned shift = 0; *p < end && shift < 64; shift += 7) {
        unsigned char byte = *(*p)++;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) break;
    }
    return value;
}

struct inner {
    uint64_t action;
    int is_ack, is_error;
    const char *correlation;
    size_t correlation_len;
};

static void read_inner(struct inner *inner, const unsigned char *p, const unsigned char *end) {
    memset(inner, 0, sizeof *inner);
    while (p < end) {
        uint64_t tag = read_varint(&p, end), value = read_varint(&p, end);
        if ((tag & 7) == 2) {
            if (value > (uint64_t)(end - p)) return;
            if (tag >> 3 == 3) inner->correlation = (const char *)p, inner->correlation_len = value;
            p += value;
        } else if (tag >> 3 == 1) {
            inner->action = value;
        } else if (tag >> 3 == 4) {
            inner->is_error = value != 0;
        } else if (tag >> 3 == 5) {
            inner->is_ack = value != 0;
        }
    }
}

static enum kind read_message(struct conn *c, char *text, size_t length, struct message *m) {
    const unsigned char *p = (const unsigned char *)text, *end = p + length;
    read_varint(&p, end); /* the length */
    uint64_t topic = 0, size = 0;
    while (p < end) {
        uint64_t tag = read_varint(&p, end), value = read_varint(&p, end);
        if (tag == (2 << 3)) topic = value;
        if (tag == (3 << 3 | 2)) {
            size = value;
            break;
        }
    }
    if (size > (uint64_t)(end - p)) fail("a message of topic %d is cut short", (int)topic);
    struct inner inner;
    read_inner(&inner, p, p + size);
    if (topic == EVENTS && inner.action == 2) return payload_seq(text, length, &m->seq) ? EVENT : NOTHING;
    if (inner.is_error || inner.action >= 100) {
        m->text = text, m->text_len = length;
        return REFUSED;
    }
    if (inner.is_ack) return DONE;
    if (topic == RPC && inner.action == 2) {
        m->call = inner.correlation, m->call_len = inner.correlation_len;
        return INVOKE;
    }
    if (topic == RPC && inner.action == 5) {
        m->id = number(inner.correlation, inner.correlation_len);
        return RESULT;
    }
    if (topic == CONNECTION && inner.action == 4) {
        struct words login, words;
        login.length = 0;
        say_login(&login, c);
        action(&words, 2);
        field(&words, 2, login.text, login.length);
        send_topic(c, AUTH, &words);
    }
    if (topic == AUTH && inner.action == 3) return READY;
    if (topic == AUTH || (topic == RPC && inner.action >= 6)) {
        m->text = text, m->text_len = length;
        return REFUSED;
    }
    return NOTHING;
}

static void field_number(struct words *words, unsigned number, uint64_t value) {
    struct words digits;
    digits.length = 0;
    say_number(&digits, value);
    field(words, number, digits.text, digits.length);
}

static void subscribe(struct conn *c, uint64_t id, const char *channel, int is_pattern) {
    if (is_pattern) fail("deepstream has no subscriptions to patterns");
    struct words words;
    action(&words, 3);
    field_number(&words, 3, id);
    field_text(&words, 7, channel);
    send_topic(c, EVENTS, &words);
}

static void publish(struct conn *c, const char *channel, const char *payload, size_t length) {
    struct words words;
    action(&words, 2);
    field(&words, 2, payload, length);
    field_text(&words, 6, channel);
    send_topic(c, EVENTS, &words);
}

static void provide(struct conn *c, uint64_t id, const char *procedure) {
    struct words words;
    offered = procedure;
    action(&words, 8);
    field_number(&words, 3, id);
    field_text(&words, 6, procedure);
    send_topic(c, RPC, &words);
}

static void call(struct conn *c, uint64_t id, const char *procedure, const char *payload, size_t length) {
    struct words words;
    action(&words, 2);
    field(&words, 2, payload, length);
    field_number(&words, 3, id);
    field_text(&words, 7, procedure);
    send_topic(c, RPC, &words);
}

static void result(struct conn *c, const struct message *invoke, const char *payload, size_t length) {
    struct words words;
    action(&words, 4); /* ACCEPT, which the official client sends before each answer */
    field(&words, 3, invoke->call, invoke->call_len);
    field_text(&words, 7, offered);
    send_topic(c, RPC, &words);
    action(&words, 5);
    field(&words, 2, payload, length);
    field(&words, 3, invoke->call, invoke->call_len);
    field_text(&words, 7, offered);
    send_topic(c, RPC, &words);
}

const struct dialect deepstream = {
    .name = "deepstream", .opened = opened, .read = read_message, .subscribe = subscribe,
    .publish = publish, .provide = provide, .call = call, .result = result,
};
