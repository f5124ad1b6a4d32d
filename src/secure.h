/* secure.h: what a tcp or ipc socket gets before it is bound or connected: CURVE keys, the domain
 * that the guard judges by, and the guard's eye on its connections. Part of the topology. Each
 * function is called by the thread that owns the socket, before bind or connect; the keys are read
 * from their files each time and wiped at once. */
#ifndef WL_SECURE_H
#define WL_SECURE_H

#include "base/key_file.h"
#include "base/settings.h"
#include "domain/scope.h"
#include "topology.h"

/* The guard's desk (REP, zstr): "WATCH <monitor> <kind> <instance> <door> <type>" -> "OK" or "NO";
 * "PROBE <key in hex>" -> "OK": refuse this key without counting it; "DOORS" -> "<door> <type>
 * <endpoint>\n..." of all sockets that are bound. */
#define WL_GUARD_DESK "inproc://guard.desk"

/* Is curve.key_file set? */
bool wl_secure_wanted(const wl_settings_t *settings);

/* For a socket that will be bound. Without curve.key_file only the guard is told. */
WL_MUST_USE wl_err_t wl_secure_bound(const wl_settings_t *settings, zsock_t *socket,
                                     wl_actor_kind_t kind, uint32_t instance, wl_door_t door,
                                     wl_fault_t *fault);

/* Connects to another process of ours, with the keys of both sides when there are any. */
WL_MUST_USE wl_err_t wl_secure_connect(const wl_settings_t *settings, zsock_t *socket,
                                       const char *where, const char *endpoint, wl_fault_t *fault);

/* Checks curve.key_file, curve.clients and curve.server_key as far as files tell. */
WL_MUST_USE wl_err_t wl_secure_check(const wl_settings_t *settings, wl_fault_t *fault);

/* Reads a key file that a setting names; *fault names the setting, the file and its line. */
WL_MUST_USE wl_err_t wl_secure_key(const char *where, const char *path, wl_key_part_t part,
                                   wl_key_file_t *ret, wl_fault_t *fault);

/* The guard says whether it runs: without it (tests of single actors) nobody is told. Any thread.
 * */
void wl_secure_guarded(bool guarded);

/* Asks the guard's desk and waits; NULL: it does not run or does not answer. The caller frees the
 * text with zstr_free(). */
char *wl_secure_ask(const char *question);

#endif
