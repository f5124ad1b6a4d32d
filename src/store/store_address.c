#include "store/store_address.h"

#include "base/settings.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

enum { ITEM_BYTES = 512 };

static bool host_loopback(const char *host) {
    uint8_t v4[sizeof(struct in_addr)];
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, v4) == 1) {
        return v4[0] == 127;
    }
    if (inet_pton(AF_INET6, host, &v6) == 1) {
        return IN6_IS_ADDR_LOOPBACK(&v6) || (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == 127);
    }
    return strcasecmp(host, "localhost") == 0;
}

/* Cuts "host:port/database" or "[v6]:port" down to its host; what is neither stays and is no
 * loopback. */
static const char *host_of(char *item) {
    char *slash = strchr(item, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    char *colon = strrchr(item, ':');
    if (colon == NULL) {
        return "";
    }
    *colon = '\0';
    if (item[0] == '[' && colon > item + 1 && colon[-1] == ']') {
        colon[-1] = '\0';
        return item + 1;
    }
    return item;
}

bool wl_store_address_loopback(const char *address) {
    char host[ITEM_BYTES];
    size_t bytes = strlen(address);
    if (bytes >= sizeof host) {
        return false;
    }
    memcpy(host, address, bytes + 1);
    return host_loopback(host_of(host));
}

wl_err_t wl_store_address_check(const char *where, const char *list, wl_fault_t *fault) {
    char item[ITEM_BYTES];
    for (uint32_t i = 0; wl_settings_list_item(list, i, item, sizeof item); i++) {
        if (!wl_store_address_loopback(item)) {
            return wl_fault(fault, WL_ERR_SETTINGS, where,
                            "%s is not loopback and stores are spoken to without encryption; put a "
                            "tunnel before it, or set server.allow_plaintext_stores = yes",
                            item);
        }
    }
    return WL_OK;
}
