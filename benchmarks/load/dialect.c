#define _GNU_SOURCE
#include "dialect.h"

#include <stdio.h>
#include <string.h>

const char *login_auth = "{}";
uint64_t run_tag;

static const struct dialect *const known[] = {&native, &plain, &socketio, &wamp, &nchan, &deepstream};

const struct dialect *dialect_named(const char *name) {
    for (size_t at = 0; at < sizeof known / sizeof *known; at++)
        if (!strcmp(known[at]->name, name)) return known[at];
    fail("there is no dialect %s", name);
}

int payload_seq(const char *text, size_t length, uint64_t *seq) {
    static size_t hint; /* the payload is nearly always where it was the last time */
    if (hint + 18 > length || text[hint] != '@' || text[hint + 1] != '@') {
        const char *found = memmem(text, length, "@@", 2);
        if (!found || (size_t)(found - text) + 18 > length) return 0;
        hint = (size_t)(found - text);
    }
    uint64_t value = 0;
    for (const char *p = text + hint + 2; p < text + hint + 18; p++)
        value = value << 4 | (uint64_t)(*p <= '9' ? *p - '0' : *p - 'a' + 10);
    *seq = value & 0xffffffffffff;
    return value >> 48 == run_tag;
}

const char *after(const char *text, size_t length, const char *key, char end, size_t *value_length) {
    size_t key_length = strlen(key);
    const char *found = memmem(text, length, key, key_length);
    if (!found) return NULL;
    found += key_length;
    const char *stop = memchr(found, end, (size_t)(text + length - found));
    if (!stop) return NULL;
    *value_length = (size_t)(stop - found);
    return found;
}

uint64_t number(const char *text, size_t length) {
    uint64_t value = 0;
    for (size_t at = 0; at < length && text[at] >= '0' && text[at] <= '9'; at++) value = value * 10 + (uint64_t)(text[at] - '0');
    return value;
}

void say_bytes(struct words *words, const char *bytes, size_t length) {
    if (words->length + length > sizeof words->text) fail("a message is longer than the generator can word");
    memcpy(words->text + words->length, bytes, length);
    words->length += length;
}

void say(struct words *words, const char *text) { say_bytes(words, text, strlen(text)); }

void say_number(struct words *words, uint64_t value) {
    char digits[24], *p = digits + sizeof digits;
    do *--p = (char)('0' + value % 10);
    while (value /= 10);
    say_bytes(words, p, (size_t)(digits + sizeof digits - p));
}

void say_login(struct words *words, const struct conn *c) {
    const char *place = strstr(login_auth, "%d");
    if (!place) {
        say(words, login_auth);
        return;
    }
    say_bytes(words, login_auth, (size_t)(place - login_auth));
    say_number(words, (uint64_t)c->index);
    say(words, place + 2);
}
