#include "lines/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

static bool v4_allowed(const uint8_t at[4]) {
    bool unspecified = at[0] == 0;
    bool link_local = at[0] == 169 && at[1] == 254;
    bool multicast = at[0] >= 224 && at[0] <= 239;
    bool broadcast = at[0] == 255 && at[1] == 255 && at[2] == 255 && at[3] == 255;
    return !unspecified && !link_local && !multicast && !broadcast;
}

static bool v6_allowed(const uint8_t at[16]) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    static const uint8_t translated[12] = {0, 0x64, 0xff, 0x9b};
    static const uint8_t zeros[16] = {0};
    if (memcmp(at, mapped, sizeof mapped) == 0 || memcmp(at, translated, sizeof translated) == 0) {
        return v4_allowed(at + 12);
    }
    bool unspecified = memcmp(at, zeros, sizeof zeros) == 0;
    bool link_local = at[0] == 0xfe && (at[1] & 0xc0) == 0x80;
    bool multicast = at[0] == 0xff;
    return !unspecified && !link_local && !multicast;
}

bool wl_address_allowed(const struct sockaddr *address) {
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        return v4_allowed((const uint8_t *)&v4.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        return v6_allowed(v6.sin6_addr.s6_addr);
    }
    return false;
}

bool wl_address_endpoint_allowed(const char *endpoint) {
    if (strncmp(endpoint, "tcp://", 6) != 0) {
        return false;
    }
    const char *host = endpoint + 6;
    const char *colon = strrchr(host, ':');
    char text[128];
    size_t bytes = colon == NULL ? 0 : (size_t)(colon - host);
    if (bytes == 0 || bytes >= sizeof text) {
        return false;
    }
    memcpy(text, host, bytes);
    text[bytes] = '\0';
    if (text[0] == '[' && text[bytes - 1] == ']') {
        text[bytes - 1] = '\0';
        memmove(text, text + 1, bytes - 1);
    }
    text[strcspn(text, "%")] = '\0'; /* the zone of an IPv6 address */
    struct in_addr v4;
    if (inet_aton(text, &v4) != 0) { /* 0xa9fe0101 and 169.254.257 too, as the resolver does */
        return v4_allowed((const uint8_t *)&v4);
    }
    uint8_t at[16];
    if (inet_pton(AF_INET6, text, at) == 1) {
        return v6_allowed(at);
    }
    return true;
}
