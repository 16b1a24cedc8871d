/* Client connections: non-blocking sockets under one epoll, the WebSocket handshake, masked frames out, whole messages in.
 *
 * Knows nothing of what a message means. What is queued for a connection leaves in one write at the end of a round, so that the
 * generator spends its core on the server's work and not on system calls of its own. */
#ifndef NET_H
#define NET_H
#include <stddef.h>
#include <stdint.h>

enum state { NEW, CONNECTING, TLS_HANDSHAKE, UPGRADING, OPEN, CLOSED };

struct conn {
    int fd;
    enum state state;
    unsigned char wants_write, dirty, ready, settled;
    int index;                  /* its number within its scenario */
    int role;                   /* the scenario's own */
    int waiting;                /* acknowledgements that are still to come */
    uint64_t began;             /* ns, when it was opened */
    uint64_t next;              /* the scenario's own: the next sequence number expected */
    uint64_t inflight;
    char *in, *out;
    size_t in_len, in_cap, out_len, out_off, out_cap;
    void *tls;
    const char *path;           /* of the upgrade; not owned */
};

/* What the scenario is told. `message` gets one whole message, which it may not keep. */
struct net_events {
    void (*opened)(struct conn *);
    void (*message)(struct conn *, char *text, size_t length);
    void (*closed)(struct conn *, const char *why);
};

extern uint64_t now;                    /* ns, monotonic: taken once after each wait and each read */
extern uint64_t net_bytes_in;
extern const char *net_subprotocol;     /* offered in the handshake, or NULL */
extern const char *net_query;           /* appended to each path, "" for none */

uint64_t clock_ns(void);
void net_start(const char *host, int port, int tls, struct net_events events);
struct conn *net_new(const char *path);
void net_open(struct conn *);
void net_send(struct conn *, int binary, const char *text, size_t length);
/* One round: waits at most `timeout` ns (-1: for ever), handles what arrived, then writes what was queued. */
void net_round(int64_t timeout);
void net_flush(void);
void net_close(struct conn *, const char *why);
void net_free(struct conn *);
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#endif
