/* What a server program logs in with: the proof that it has the secret of an app key, for one session and with a nonce of its own. The
 * fields under the MAC are those of trio_router/protocols/keyproof.py. */
#include "dialect.h"
#include "sha256.h"

#include <stdio.h>
#include <time.h>

const char *login_key, *login_secret = "";

static size_t field(unsigned char *to, const void *bytes, size_t length) {
    to[0] = to[1] = 0, to[2] = (unsigned char)(length >> 8), to[3] = (unsigned char)length;
    memcpy(to + 4, bytes, length);
    return length + 4;
}

void say_proof(struct words *words, const char *session, size_t session_length) {
    static uint64_t count;
    unsigned char fields[512], mac[32], stamp[8];
    char nonce[33], hex[65];
    size_t length = 0;
    uint64_t seconds = (uint64_t)time(NULL);
    if (strlen(login_key) + session_length > 300 || strlen(login_secret) > 64) fail("--key or --secret is too long");
    for (int i = 0; i < 8; i++) stamp[i] = (unsigned char)(seconds >> (56 - 8 * i));
    snprintf(nonce, sizeof nonce, "%016llx%016llx", (unsigned long long)clock_ns(), (unsigned long long)++count);
    length += field(fields + length, "trio-router key login 1", 23);
    length += field(fields + length, login_key, strlen(login_key));
    length += field(fields + length, stamp, sizeof stamp);
    length += field(fields + length, nonce, 32);
    length += field(fields + length, session, session_length);
    hmac_sha256(login_secret, strlen(login_secret), fields, length, mac);
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", mac[i]);
    say(words, "{\"key\":\"");
    say(words, login_key);
    say(words, "\",\"timestamp\":");
    say_number(words, seconds);
    say(words, ",\"nonce\":\"");
    say(words, nonce);
    say(words, "\",\"proof\":\"");
    say(words, hex);
    say(words, "\"}");
}
