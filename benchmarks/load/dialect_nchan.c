/* nginx with nchan: the path is the channel, /sub/... to receive and /pub/... to publish; what is published is what arrives. */
#include "dialect.h"

static enum kind opened(struct conn *c) { return (void)c, READY; }

static enum kind read_message(struct conn *c, char *text, size_t length, struct message *m) {
    (void)c; /* a publisher is told how many subscribers there are: no payload in that */
    return payload_seq(text, length, &m->seq) ? EVENT : NOTHING;
}

static void publish(struct conn *c, const char *channel, const char *payload, size_t length) {
    (void)channel; /* it is in the path */
    net_send(c, 0, payload, length);
}

const struct dialect nchan = {
    .name = "nchan", .path_is_channel = 1, .opened = opened, .read = read_message, .publish = publish,
};
