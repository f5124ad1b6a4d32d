#include "store/redis_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

enum { PORT_MAX = 65535 };

static bool is_numeric(const char *host) {
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

wl_err_t wl_redis_address_set(wl_redis_address_t *self, const char *host, size_t bytes,
                              long long port) {
    if (bytes == 0 || bytes > WL_REDIS_HOST_MAX || memchr(host, '\0', bytes) != NULL || port < 1 ||
        port > PORT_MAX) {
        return WL_ERR_SETTINGS;
    }
    memset(self, 0, sizeof *self);
    memcpy(self->host, host, bytes);
    self->port = (uint16_t)port;
    if (is_numeric(self->host)) {
        memcpy(self->ip, self->host, bytes); /* a numeric address is never longer than ip */
        return WL_OK;
    }
    return strpbrk(self->host, ":[], ") == NULL ? WL_OK : WL_ERR_SETTINGS;
}

wl_err_t wl_redis_address_read(const char *text, size_t bytes, wl_redis_address_t *ret) {
    const char *colon = memrchr(text, ':', bytes);
    if (colon == NULL) {
        return WL_ERR_SETTINGS;
    }
    long long port = 0;
    const char *end = text + bytes;
    for (const char *at = colon + 1; at < end; at++) {
        if (*at < '0' || *at > '9' || port > PORT_MAX) {
            return WL_ERR_SETTINGS;
        }
        port = port * 10 + (*at - '0');
    }
    size_t host_bytes = (size_t)(colon - text);
    if (host_bytes > 2 && text[0] == '[' && text[host_bytes - 1] == ']') {
        text++;
        host_bytes -= 2;
    }
    return wl_redis_address_set(ret, text, host_bytes, port);
}

bool wl_redis_address_equal(const wl_redis_address_t *self, const wl_redis_address_t *other) {
    bool known = self->ip[0] != '\0' && other->ip[0] != '\0';
    return self->port == other->port &&
           (known ? strcmp(self->ip, other->ip) : strcmp(self->host, other->host)) == 0;
}

wl_err_t wl_redis_address_resolve(wl_redis_address_t *self) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (self->ip[0] != '\0') {
        return WL_OK;
    }
    if (getaddrinfo(self->host, NULL, &hints, &found) != 0) {
        return WL_ERR_UNAVAILABLE;
    }
    int rc = getnameinfo(found->ai_addr, found->ai_addrlen, self->ip, sizeof self->ip, NULL, 0,
                         NI_NUMERICHOST);
    freeaddrinfo(found);
    if (rc != 0) {
        self->ip[0] = '\0';
        return WL_ERR_UNAVAILABLE;
    }
    return WL_OK;
}

socklen_t wl_redis_address_socket(const wl_redis_address_t *self, struct sockaddr_storage *ret) {
    memset(ret, 0, sizeof *ret);
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    if (inet_pton(AF_INET, self->ip, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(self->port);
        return sizeof *v4;
    }
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    if (inet_pton(AF_INET6, self->ip, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(self->port);
        return sizeof *v6;
    }
    return 0;
}
