/* reply_json.h: a MessagePack result as JSON that loses nothing: 64-bit ids and amounts become
 * strings, because most JSON readers keep numbers as doubles. Pure. */
#ifndef WL_TOOLS_WALLETCTL_REPLY_JSON_H
#define WL_TOOLS_WALLETCTL_REPLY_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* money: integers of the keys amount and pending are amounts (wallet.*), not counts (admin.*).
 * NULL when the bytes are not one MessagePack object. The caller owns the result. */
json_t *ctl_reply_json(const void *bytes, size_t count, bool money);

/* Minor units as a decimal: ("1250", 2) -> "12.50". amount is a string of digits with a sign, as
 * ctl_reply_json() writes them, nil or anything else gives "-". Writes at most `room` bytes. */
void ctl_amount_text(const json_t *amount, json_int_t scale, char *into, size_t room);

#endif
