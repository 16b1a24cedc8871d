#define _GNU_SOURCE
#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifdef WITH_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
static SSL_CTX *tls_context;
#endif

#define READ_SIZE (1 << 18)

uint64_t now, net_bytes_in;
const char *net_subprotocol, *net_query = "";

static int epoll_fd;
static struct sockaddr_in address;
static char host_header[64];
static int use_tls;
static struct net_events on;
static char *scratch; /* what one read brings, behind what the connection had left over */
static size_t scratch_cap;
static struct conn **dirty;
static size_t dirty_len, dirty_cap;

_Noreturn void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "load: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    exit(2);
}

uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void net_start(const char *host, int port, int tls, struct net_events events) {
    on = events;
    use_tls = tls;
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) fail("%s is no IPv4 address", host);
    snprintf(host_header, sizeof host_header, "%s:%d", host, port);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    scratch_cap = 2 * READ_SIZE;
    scratch = malloc(scratch_cap);
    now = clock_ns();
    if (tls) {
#ifdef WITH_TLS
        tls_context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_mode(tls_context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        SSL_CTX_set_read_ahead(tls_context, 1);
        SSL_CTX_set_default_read_buffer_len(tls_context, READ_SIZE);
#else
        fail("built without TLS: the headers of OpenSSL were not there");
#endif
    }
}

static void interest(struct conn *c, int operation) {
    struct epoll_event event = {.events = EPOLLIN | (c->wants_write ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll_fd, operation, c->fd, &event) < 0) fail("epoll_ctl: %s", strerror(errno));
}

static void want_write(struct conn *c, int wanted) {
    if (c->wants_write == wanted) return;
    c->wants_write = (unsigned char)wanted;
    interest(c, EPOLL_CTL_MOD);
}

struct conn *net_new(const char *path) {
    struct conn *c = calloc(1, sizeof *c);
    c->path = path;
    c->fd = -1;
    return c;
}

void net_open(struct conn *c) {
    c->began = clock_ns();
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) fail("socket: %s", strerror(errno));
    int yes = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        fail("connect: %s", strerror(errno));
    c->state = CONNECTING;
    c->wants_write = 1;
    interest(c, EPOLL_CTL_ADD);
}

void net_close(struct conn *c, const char *why) {
    if (c->state == CLOSED) return;
    c->state = CLOSED;
    if (c->fd >= 0) close(c->fd);
    if (why) on.closed(c, why);
}

void net_free(struct conn *c) {
#ifdef WITH_TLS
    if (c->tls) SSL_free(c->tls);
#endif
    free(c->in);
    free(c->out);
    free(c);
}

static void queue(struct conn *c, size_t more) {
    if (c->out_cap - c->out_len < more) {
        c->out_cap = (c->out_len + more) * 2;
        c->out = realloc(c->out, c->out_cap);
    }
    if (c->dirty) return;
    c->dirty = 1;
    if (dirty_len == dirty_cap) {
        dirty_cap = dirty_cap ? dirty_cap * 2 : 1024;
        dirty = realloc(dirty, dirty_cap * sizeof *dirty);
    }
    dirty[dirty_len++] = c;
}

static uint32_t mask_state = 2463534242u;

static void frame(struct conn *c, unsigned opcode, const char *text, size_t length) {
    queue(c, length + 14);
    unsigned char *p = (unsigned char *)c->out + c->out_len;
    *p++ = (unsigned char)(0x80 | opcode);
    if (length < 126) {
        *p++ = (unsigned char)(0x80 | length);
    } else if (length < 65536) {
        *p++ = 0x80 | 126;
        *p++ = (unsigned char)(length >> 8);
        *p++ = (unsigned char)length;
    } else {
        *p++ = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8) *p++ = (unsigned char)((uint64_t)length >> shift);
    }
    mask_state ^= mask_state << 13, mask_state ^= mask_state >> 17, mask_state ^= mask_state << 5;
    unsigned char key[8];
    memcpy(key, &mask_state, 4), memcpy(key + 4, &mask_state, 4), memcpy(p, key, 4);
    p += 4;
    uint64_t wide, eight;
    memcpy(&wide, key, 8);
    size_t at = 0;
    for (; at + 8 <= length; at += 8) {
        memcpy(&eight, text + at, 8);
        eight ^= wide;
        memcpy(p + at, &eight, 8);
    }
    for (; at < length; at++) p[at] = (unsigned char)text[at] ^ key[at & 3];
    c->out_len = (size_t)(p + length - (unsigned char *)c->out);
}

void net_send(struct conn *c, int binary, const char *text, size_t length) {
    if (c->state != CLOSED) frame(c, binary ? 2 : 1, text, length);
}

/* As read and write: -1 with EAGAIN if it would block, 0 at the end. */
static ssize_t take(struct conn *c, char *to, size_t size) {
#ifdef WITH_TLS
    if (c->tls) {
        int got = SSL_read(c->tls, to, (int)size);
        if (got > 0) return got;
        int error = SSL_get_error(c->tls, got);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return errno = EAGAIN, -1;
        ERR_clear_error();
        return 0;
    }
#endif
    return recv(c->fd, to, size, 0);
}

static ssize_t give(struct conn *c, const char *from, size_t size) {
#ifdef WITH_TLS
    if (c->tls) {
        int gave = SSL_write(c->tls, from, (int)(size > 1 << 20 ? 1 << 20 : size));
        if (gave > 0) return gave;
        int error = SSL_get_error(c->tls, gave);
        errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
        ERR_clear_error();
        return -1;
    }
#endif
    return send(c->fd, from, size, MSG_NOSIGNAL);
}

static void flush(struct conn *c) {
    while (c->state >= UPGRADING && c->state != CLOSED && c->out_off < c->out_len) {
        ssize_t gave = give(c, c->out + c->out_off, c->out_len - c->out_off);
        if (gave < 0) {
            if (errno == EAGAIN) {
                want_write(c, 1);
                return;
            }
            net_close(c, strerror(errno));
            return;
        }
        c->out_off += (size_t)gave;
    }
    if (c->state == CLOSED) return;
    c->out_off = c->out_len = 0;
    want_write(c, 0);
}

void net_flush(void) {
    for (size_t at = 0; at < dirty_len; at++) {
        dirty[at]->dirty = 0;
        if (dirty[at]->state >= UPGRADING) flush(dirty[at]);
    }
    dirty_len = 0;
}

static void upgrade(struct conn *c) {
    char head[1024];
    int length = snprintf(head, sizeof head,
                          "GET %s%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
                          c->path, net_query, host_header);
    if (net_subprotocol)
        length += snprintf(head + length, sizeof head - (size_t)length, "Sec-WebSocket-Protocol: %s\r\n", net_subprotocol);
    length += snprintf(head + length, sizeof head - (size_t)length, "\r\n");
    c->state = UPGRADING;
    queue(c, (size_t)length);
    memcpy(c->out + c->out_len, head, (size_t)length);
    c->out_len += (size_t)length;
}

static void connected(struct conn *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        net_close(c, strerror(error));
        return;
    }
#ifdef WITH_TLS
    if (use_tls) {
        c->tls = SSL_new(tls_context);
        SSL_set_fd(c->tls, c->fd);
        SSL_set_connect_state(c->tls);
        c->state = TLS_HANDSHAKE;
        return;
    }
#endif
    upgrade(c);
}

static void tls_handshake(struct conn *c) {
#ifdef WITH_TLS
    int done = SSL_do_handshake(c->tls);
    if (done == 1) {
        upgrade(c);
        return;
    }
    int error = SSL_get_error(c->tls, done);
    if (error == SSL_ERROR_WANT_WRITE)
        want_write(c, 1);
    else if (error == SSL_ERROR_WANT_READ)
        want_write(c, 0);
    else
        net_close(c, "the TLS handshake failed");
#else
    (void)c;
#endif
}

/* Handles every whole frame of `data`; gives how many bytes were used. */
static size_t frames(struct conn *c, char *data, size_t length) {
    size_t at = 0;
    while (c->state == OPEN && length - at >= 2) {
        unsigned char *p = (unsigned char *)data + at;
        size_t head = 2;
        uint64_t size = p[1] & 127;
        if (p[1] & 128) fail("the server masks its frames");
        if (size == 126) {
            if (length - at < 4) break;
            size = (uint64_t)p[2] << 8 | p[3];
            head = 4;
        } else if (size == 127) {
            if (length - at < 10) break;
            size = 0;
            for (int byte = 2; byte < 10; byte++) size = size << 8 | p[byte];
            head = 10;
        }
        if (length - at - head < size) break;
        char *text = data + at + head;
        unsigned opcode = p[0] & 15;
        at += head + size;
        if (!(p[0] & 128) || opcode == 0) fail("the server sends fragments, which are not measured here");
        if (opcode == 1 || opcode == 2) {
            on.message(c, text, size);
        } else if (opcode == 9) {
            frame(c, 10, text, size);
        } else if (opcode == 8) {
            static char why[160];
            unsigned code = size >= 2 ? (unsigned)(unsigned char)text[0] << 8 | (unsigned char)text[1] : 1005;
            snprintf(why, sizeof why, "closed by the server with %u %.*s", code, size > 2 ? (int)(size - 2) : 0, text + 2);
            net_close(c, why);
        }
    }
    return at;
}

static size_t answered(struct conn *c, char *data, size_t length) {
    char *end = memmem(data, length, "\r\n\r\n", 4);
    if (!end) return 0;
    if (length < 12 || memcmp(data + 8, " 101", 4)) {
        static char why[120];
        snprintf(why, sizeof why, "the upgrade was answered with: %.*s", (int)strcspn(data, "\r\n"), data);
        net_close(c, why);
        return 0;
    }
    c->state = OPEN;
    on.opened(c);
    return (size_t)(end - data) + 4;
}

static void readable(struct conn *c) {
    for (;;) {
        size_t kept = c->in_len;
        if (scratch_cap - kept < READ_SIZE) {
            scratch_cap = kept + 2 * READ_SIZE;
            scratch = realloc(scratch, scratch_cap);
        }
        ssize_t got = take(c, scratch + kept, scratch_cap - kept);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) {
            net_close(c, got ? strerror(errno) : "the connection ended");
            return;
        }
        net_bytes_in += (uint64_t)got;
        now = clock_ns();
        if (kept) memcpy(scratch, c->in, kept);
        size_t length = kept + (size_t)got, used = 0;
        if (c->state == UPGRADING) used = answered(c, scratch, length);
        if (c->state == OPEN) used += frames(c, scratch + used, length - used);
        if (c->state == CLOSED) return;
        c->in_len = length - used;
        if (c->in_len > c->in_cap) {
            c->in_cap = c->in_len * 2;
            c->in = realloc(c->in, c->in_cap);
        }
        if (c->in_len) memcpy(c->in, scratch + used, c->in_len);
        /* Without TLS epoll tells of the rest; a TLS library may hold what epoll does not see. */
        if (!c->tls) return;
    }
}

void net_round(int64_t timeout) {
    static struct epoll_event events[1024];
    struct timespec wait = {.tv_sec = timeout / 1000000000, .tv_nsec = timeout % 1000000000};
    net_flush();
    int count = epoll_pwait2(epoll_fd, events, 1024, timeout < 0 ? NULL : &wait, NULL);
    now = clock_ns();
    for (int at = 0; at < count; at++) {
        struct conn *c = events[at].data.ptr;
        if (c->state == CONNECTING) connected(c);
        if (c->state == TLS_HANDSHAKE) {
            tls_handshake(c);
            continue;
        }
        if (c->state == CLOSED) continue;
        if (events[at].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
        if (c->state != CLOSED && events[at].events & EPOLLOUT && !c->dirty) flush(c);
    }
    net_flush();
}
