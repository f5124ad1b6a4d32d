/* config_users.h: a set of users for the whitelist of a rollout, from a file of one id a line. */
#ifndef WL_TOOLS_WALLETCTL_CONFIG_USERS_H
#define WL_TOOLS_WALLETCTL_CONFIG_USERS_H

#include "domain/rollout.h"
#include "tools/walletctl/ask.h"

#include <stddef.h>

/* The set as walletd keeps it. */
typedef struct {
    void *bytes; /* owned */
    size_t count;
    uint64_t members;
    char digest[WL_DIGEST_HEX + 1]; /* the same for the same users, however they are ordered */
} ctl_users_t;

/* Reads the ids of a text, one a line; blanks around them, empty lines, ids more than once, CR
 * before LF and a byte order mark do no harm. 0: fine; else the number of the first line that is no
 * user id. The text must end with a NUL. Release *ret in any case. */
size_t ctl_users_read(const char *text, size_t bytes, ctl_users_t *ret);
void ctl_users_release(ctl_users_t *self);

/* USERS.txt: makes the set and brings it to walletd, goes on where an earlier one stopped. */
ctl_exit_t ctl_config_run_upload(const ctl_options_t *options, int count, char **words);

/* --whitelist: a digest as it is, or a file, which is uploaded first. */
ctl_exit_t ctl_config_whitelist(const ctl_options_t *options, char ret_digest[WL_DIGEST_HEX + 1]);

#endif
