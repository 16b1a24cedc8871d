/* What a server speaks over WebSocket: how a request is worded and what an answer is.
 *
 * A payload is a JSON string that begins with "@@" and 16 hexadecimal digits: its sequence number. An event is found by them, in
 * every dialect, so that reading one costs the generator the same whatever the server speaks. */
#ifndef DIALECT_H
#define DIALECT_H
#include "net.h"

enum kind {
    NOTHING, /* nothing the scenario needs to know */
    READY,   /* logged in, or nothing to log in to */
    DONE,    /* a subscription or an offer stands */
    EVENT,   /* with `seq` */
    INVOKE,  /* with `call` */
    RESULT,  /* with `id` */
    ANSWER,  /* to a question who is online, with `id` */
    REFUSED, /* with the whole message in `text` */
};

struct message {
    uint64_t seq, id;
    const char *call, *text;
    size_t call_len, text_len;
};

struct dialect {
    const char *name, *subprotocol, *query;
    int path_is_channel; /* one connection is one subscription, made by its path */
    /* Called once the WebSocket is open; gives READY if there is nothing to wait for. */
    enum kind (*opened)(struct conn *);
    enum kind (*read)(struct conn *, char *text, size_t length, struct message *);
    void (*subscribe)(struct conn *, uint64_t id, const char *channel, int is_pattern);
    void (*publish)(struct conn *, const char *channel, const char *payload, size_t length);
    void (*provide)(struct conn *, uint64_t id, const char *procedure);
    void (*call)(struct conn *, uint64_t id, const char *procedure, const char *payload, size_t length);
    void (*result)(struct conn *, const struct message *invoke, const char *payload, size_t length);
};

extern const struct dialect native, plain, socketio, wamp, nchan, deepstream;
extern const char *login_auth; /* JSON; "%d" stands for the connection's number */
/* "<app>.<key>" and its secret, which is proven at each login in place of `login_auth`; NULL: none. Native only. */
extern const char *login_key, *login_secret;

const struct dialect *dialect_named(const char *name);
extern uint64_t run_tag;       /* 16 bits that tell this run's payloads from what a server still delivers of the one before */

/* The sequence number in an event's payload; false if there is none, or none of this run. */
int payload_seq(const char *text, size_t length, uint64_t *seq);
/* What follows `key` in the message, up to `end`; NULL if the key is not there. */
const char *after(const char *text, size_t length, const char *key, char end, size_t *value_length);
uint64_t number(const char *text, size_t length);
/* Appends to a message that is being worded. */
struct words {
    char text[4096];
    size_t length;
};
void say(struct words *, const char *text);
void say_bytes(struct words *, const char *bytes, size_t length);
void say_number(struct words *, uint64_t value);
void say_login(struct words *, const struct conn *);
void say_proof(struct words *, const char *session, size_t session_length);
#endif
