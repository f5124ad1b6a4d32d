/* presence.h (actor): level 1 of the read path: who owns anything at all.
 * Control   $TERM
 * Binds     inproc://presence.<i> (PULL); tier.endpoint, port + i (ROUTER), where it writes
 * Connects  to that of every entry of tier.writers (DEALER), where it reads
 * Takes     READ, ASK from frontends; NOTICE from the dispatcher; STORED from shards; OWNERS;
 *           LEASE from the keeper; REFRESH of a reader's cache and query; FOLLOW, WANT, REFRESH
 *           from readers; FEED, BEAT, CHUNK from writers; REBUILD from the console
 * Sends     REPLY (absent) and TOLD to frontends; READ, NOTICE, STORED, COVER to caches;
 *           TELL_OWNERS; LINE, of a reader, to its frontends, caches, queries and console;
 *           REBUILT to the console
 * Promises  never a wrong "no": users pass as unknown until every shard has told its owners, a user
 *           is marked before a change is stored and not cleared while a newer one is on its way;
 *           where several processes write, only users of whom every birth surely arrives are said
 *           to own nothing (domain/coverage.h);
 *           never waits for the disk while it works (presence_disk.h), one write at the end;
 *           making a snapshot stalls for the copy alone, about 10 ms per 10 MB */
#ifndef WL_ACTORS_PRESENCE_H
#define WL_ACTORS_PRESENCE_H

#include <czmq.h>

void wl_presence_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
