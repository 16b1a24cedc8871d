/* The floor: the least a server can do for the "plain" dialect, to be compared with.
 *
 *     floor each|coalesced PORT
 *
 * One thread, one epoll. Channel, procedure and data are found by their quotes; nothing is checked, nobody is asked who they are. "each"
 * sends every delivery by a system call of its own, as a server does that writes when it has something to say; "coalesced" sends once per
 * connection what one turn of its loop made. What it prints once it listens: "listening". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sha1.h"

#define READ_SIZE (1 << 18)

struct conn {
    int fd, index, open, dirty, wants_write, gone;
    char *in, *out;
    size_t in_len, in_cap, out_len, out_off, out_cap;
};

struct topic { /* a channel and who subscribes it, or a procedure and who provides it */
    char *name;
    size_t name_len;
    struct conn **members;
    size_t len, cap, turn;
    struct topic *next;
};

#define BUCKETS 65536
static struct topic *topics[2][BUCKETS];
static struct conn **by_index, **dirty;
static size_t conns, conns_cap, dirty_len, dirty_cap;
static int epoll_fd, coalesced;
static char scratch[4 * READ_SIZE];

static struct topic *topic(int kind, const char *name, size_t length, int create) {
    uint64_t hash = 14695981039346656037u;
    for (size_t at = 0; at < length; at++) hash = (hash ^ (unsigned char)name[at]) * 1099511628211u;
    struct topic **place = &topics[kind][(hash ^ hash >> 32) % BUCKETS];
    for (struct topic *t = *place; t; t = t->next)
        if (t->name_len == length && !memcmp(t->name, name, length)) return t;
    if (!create) return NULL;
    struct topic *t = calloc(1, sizeof *t);
    t->name = memcpy(malloc(length), name, length), t->name_len = length, t->next = *place;
    return *place = t;
}

static void join(struct topic *t, struct conn *c) {
    if (t->len == t->cap) t->members = realloc(t->members, (t->cap = t->cap ? t->cap * 2 : 4) * sizeof *t->members);
    t->members[t->len++] = c;
}

static void leave_all(struct conn *c) {
    for (int kind = 0; kind < 2; kind++)
        for (size_t bucket = 0; bucket < BUCKETS; bucket++)
            for (struct topic *t = topics[kind][bucket]; t; t = t->next)
                for (size_t at = 0; at < t->len; at++)
                    if (t->members[at] == c) t->members[at--] = t->members[--t->len];
}

static void interest(struct conn *c, int wants_write) {
    if (c->wants_write == wants_write) return;
    c->wants_write = wants_write;
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

static void flush(struct conn *c) {
    while (!c->gone && c->out_off < c->out_len) {
        ssize_t sent = send(c->fd, c->out + c->out_off, c->out_len - c->out_off, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN) interest(c, 1);
            return; /* any other error shows when it is read */
        }
        c->out_off += (size_t)sent;
    }
    c->out_off = c->out_len = 0;
    if (!c->gone) interest(c, 0);
}

static void put(struct conn *c, const char *bytes, size_t length) {
    if (c->gone) return;
    if (c->out_cap - c->out_len < length) c->out = realloc(c->out, c->out_cap = (c->out_len + length) * 2);
    memcpy(c->out + c->out_len, bytes, length);
    c->out_len += length;
    if (!coalesced) {
        if (!c->wants_write) flush(c);
    } else if (!c->dirty) {
        c->dirty = 1;
        if (dirty_len == dirty_cap) dirty = realloc(dirty, (dirty_cap = dirty_cap ? dirty_cap * 2 : 1024) * sizeof *dirty);
        dirty[dirty_len++] = c;
    }
}

/* A whole text frame; the text is written from byte 4 on, so that it can be made in one go. Gives the frame's length. */
static size_t frame(char *at, size_t length, char **start) {
    if (length < 126) {
        *start = at + 2;
        at[2] = (char)0x81, at[3] = (char)length;
        return length + 2;
    }
    *start = at;
    at[0] = (char)0x81, at[1] = 126, at[2] = (char)(length >> 8), at[3] = (char)length;
    return length + 4;
}

static const char *value(const char *text, size_t length, const char *key, size_t *size) {
    const char *found = memmem(text, length, key, strlen(key));
    if (!found) return NULL;
    found += strlen(key);
    const char *end = memchr(found, '"', (size_t)(text + length - found));
    if (!end) return NULL;
    *size = (size_t)(end - found);
    return found;
}

__attribute__((format(printf, 2, 3))) static void say(struct conn *c, const char *format, ...) {
    static char text[70000];
    char *start;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text + 4, sizeof text - 4, format, arguments);
    va_end(arguments);
    size_t whole = frame(text, (size_t)length, &start);
    put(c, start, whole);
}

static void message(struct conn *c, char *text, size_t length) {
    size_t name_len, id_len = 0, data_len = 0;
    const char *id = value(text, length, "\"id\":\"", &id_len), *data = memmem(text, length, "\"data\":", 7), *name;
    if (data) data += 7, data_len = (size_t)(text + length - 1 - data);
    if (length < 14 || memcmp(text, "{\"type\":\"", 9)) return;
    switch (text[9]) {
    case 's': /* subscribe */
        if (!(name = value(text, length, "\"channel\":\"", &name_len))) return;
        join(topic(0, name, name_len, 1), c);
        say(c, "{\"type\":\"done\",\"id\":\"%.*s\"}", (int)id_len, id);
        return;
    case 'p':
        if (text[10] == 'r') { /* provide */
            if (!(name = value(text, length, "\"procedure\":\"", &name_len))) return;
            join(topic(1, name, name_len, 1), c);
            say(c, "{\"type\":\"done\",\"id\":\"%.*s\"}", (int)id_len, id);
        } else if ((name = value(text, length, "\"channel\":\"", &name_len)) && data) { /* publish */
            struct topic *t = topic(0, name, name_len, 0);
            static char made[70000];
            char *start;
            static const char head[] = "{\"type\":\"event\",\"channel\":\"", middle[] = "\",\"data\":";
            char *p = mempcpy(made + 4, head, sizeof head - 1);
            p = mempcpy(mempcpy(mempcpy(p, name, name_len), middle, sizeof middle - 1), data, data_len);
            *p++ = '}';
            size_t whole = frame(made, (size_t)(p - made - 4), &start);
            for (size_t at = 0; t && at < t->len; at++) put(t->members[at], start, whole);
        }
        return;
    case 'c': /* call: the provider is told who asked, and under which id, in the call's own */
        if (!(name = value(text, length, "\"procedure\":\"", &name_len)) || !data) return;
        struct topic *t = topic(1, name, name_len, 0);
        if (!t || !t->len) return;
        say(t->members[t->turn++ % t->len], "{\"type\":\"invoke\",\"call\":\"%d:%.*s\",\"procedure\":\"%.*s\",\"data\":%.*s}", c->index,
            (int)id_len, id, (int)name_len, name, (int)data_len, data);
        return;
    case 'r': { /* result */
        size_t call_len;
        const char *call = value(text, length, "\"call\":\"", &call_len), *colon = call ? memchr(call, ':', call_len) : NULL;
        if (!colon || !data) return;
        size_t index = (size_t)atol(call);
        if (index < conns)
            say(by_index[index], "{\"type\":\"result\",\"id\":\"%.*s\",\"data\":%.*s}", (int)(call + call_len - colon - 1), colon + 1,
                (int)data_len, data);
    }
    }
}

static size_t handshake(struct conn *c, char *data, size_t length) {
    char *end = memmem(data, length, "\r\n\r\n", 4), *key = memmem(data, length, "Sec-WebSocket-Key: ", 19);
    if (!end || !key) return 0;
    char accept[32], answer[256];
    websocket_accept(key + 19, accept);
    int size = snprintf(answer, sizeof answer,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", accept);
    c->open = 1;
    put(c, answer, (size_t)size);
    return (size_t)(end - data) + 4;
}

static size_t frames(struct conn *c, char *data, size_t length) {
    size_t at = 0;
    while (length - at >= 2) {
        unsigned char *p = (unsigned char *)data + at;
        size_t head = 2, size = p[1] & 127;
        if (size == 126) {
            if (length - at < 4) break;
            size = (size_t)p[2] << 8 | p[3], head = 4;
        } else if (size == 127) {
            c->gone = 1; /* nobody here sends that much */
            break;
        }
        if (length - at < head + 4 + size) break;
        unsigned char *key = p + head, *text = key + 4;
        uint64_t wide, eight;
        memcpy(&wide, key, 4), memcpy((char *)&wide + 4, key, 4);
        size_t byte = 0;
        for (; byte + 8 <= size; byte += 8) memcpy(&eight, text + byte, 8), eight ^= wide, memcpy(text + byte, &eight, 8);
        for (; byte < size; byte++) text[byte] ^= key[byte & 3];
        if ((p[0] & 15) == 8) c->gone = 1;
        if ((p[0] & 15) == 1) message(c, (char *)text, size);
        at += head + 4 + size;
    }
    return at;
}

static void readable(struct conn *c) {
    memcpy(scratch, c->in, c->in_len);
    ssize_t got = recv(c->fd, scratch + c->in_len, READ_SIZE, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) {
        size_t length = c->in_len + (size_t)got, used = 0;
        if (!c->open) used = handshake(c, scratch, length);
        if (c->open) used += frames(c, scratch + used, length - used);
        c->in_len = length - used;
        if (c->in_len > c->in_cap) c->in = realloc(c->in, c->in_cap = c->in_len * 2);
        memcpy(c->in, scratch + used, c->in_len);
        if (!c->gone) return;
    }
    c->gone = 1;
    leave_all(c);
    close(c->fd);
}

int main(int argc, char **argv) {
    if (argc != 3 || (strcmp(argv[1], "each") && strcmp(argv[1], "coalesced"))) {
        fprintf(stderr, "usage: floor each|coalesced PORT\n");
        return 2;
    }
    coalesced = !strcmp(argv[1], "coalesced");
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2])), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 4096) < 0) {
        perror("floor");
        return 2;
    }
    epoll_fd = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    puts("listening");
    fflush(stdout);
    static struct epoll_event events[1024];
    for (;;) {
        int count = epoll_wait(epoll_fd, events, 1024, -1);
        for (int at = 0; at < count; at++) {
            struct conn *c = events[at].data.ptr;
            if (c) {
                if (!c->gone && events[at].events & EPOLLOUT) flush(c);
                if (!c->gone && events[at].events & ~(uint32_t)EPOLLOUT) readable(c);
                continue;
            }
            int fd;
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
                c = calloc(1, sizeof *c);
                c->fd = fd, c->index = (int)conns;
                if (conns == conns_cap) by_index = realloc(by_index, (conns_cap = conns_cap ? conns_cap * 2 : 1024) * sizeof *by_index);
                by_index[conns++] = c;
                event = (struct epoll_event){.events = EPOLLIN, .data.ptr = c};
                epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event);
            }
        }
        for (size_t at = 0; at < dirty_len; at++) dirty[at]->dirty = 0, flush(dirty[at]);
        dirty_len = 0;
    }
}
