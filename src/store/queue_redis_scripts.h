/* queue_redis_scripts.h: the Lua that runs inside Redis for the queue. Every script is one step
 * that happens as a whole or, when Redis refuses to write (no memory, no disk, a replica), not at
 * all: the writes that can be refused come first. For src/store only.
 *
 * Keys of partition p, all in one hash slot: PREFIX is queue.prefix followed by {p}:
 *     PREFIXchanges  stream: entries; fields head = "kind at line", body, maybe history
 *     PREFIXstate    hash: last = newest entry number, letter = newest letter number, epoch,
 *                    dead.CLASS = letters of that class
 *     PREFIXretries  hash: line/uid = "attempts due_at notified_at reason", maybe a NUL and the
 *                    history of attempts (domain/attempts.h)
 *     PREFIXdead     stream: dead letters; uid, line, attempts, at, reason, class, maybe body
 *                    and history
 *     PREFIXaudit    list: what operators did, newest first
 *     PREFIXjobs     hash: name = record, see store/queue_job.h
 *
 * Entry numbers are the u64 ids of store/queue.h; in the stream they are "<number>-0". The next one
 * is the last one + 1, or the time since 2020 in units of 2^-22 s when that is more: so they grow
 * even when all keys were deleted or a failover lost the newest, and stay exact in Lua's doubles
 * (2^53) up to the year 2088. Letters likewise in units of 2^-18 s; a letter's id is its number *
 * 16 + partition.
 *
 * The answer STALE: another process has claimed the partition under a newer epoch. */
#ifndef WL_STORE_QUEUE_REDIS_SCRIPTS_H
#define WL_STORE_QUEUE_REDIS_SCRIPTS_H

#define WL_QUEUE_GROUP "dispatcher" /* the consumer group of every partition */
#define WL_QUEUE_DEAD "dead."       /* what the fields of classes begin with */

/* changes, state | head, body, ... -> number of the first one */
extern const char wl_queue_script_append[];
/* changes, state | epoch, consumer, cursor ("" = only claim), count -> next cursor, "0-0" = all */
extern const char wl_queue_script_claim[];
/* changes, state | epoch, consumer: the claim is complete, everything is to be read again */
extern const char wl_queue_script_claimed[];
/* changes, state | epoch, consumer, count, newest number that was read, "again" = an answer was
 * lost -> entries as of XRANGE. Entries that are not newer than that, or bear numbers that are not
 * ours, are appended once more. */
extern const char wl_queue_script_read[];
/* changes, state, retries, dead | epoch, how many retries, ends, letters, acks; then of retries
 * field, value; of letters uid, line, attempts, at, reason, "b"/"", body, class, history; of ends
 * field; of acks number */
extern const char wl_queue_script_settle[];
/* changes, retries, dead -> entries, of these in hand, retries, letters, head of the oldest */
extern const char wl_queue_script_stats[];
/* changes, state, dead, audit | audit text, note, audit lines kept; then number, head, body,
 * history ... -> letters moved */
extern const char wl_queue_script_redrive[];
/* dead, audit, state | audit text, note, audit lines kept; then number ... -> letters removed */
extern const char wl_queue_script_discard[];
/* dead, state | uid, line, start of the range as of XRANGE, letters looked at -> newest looked at
 * ("" = there are no more), letters removed */
extern const char wl_queue_script_forget[];
/* dead, state | class ... -> letters, of these of each class */
extern const char wl_queue_script_classes[];
/* jobs, state | epoch ("" = whatever it is), name, record ("" = remove it) -> fields written */
extern const char wl_queue_script_job[];
/* changes | section -> INFO of the server that holds the partition */
extern const char wl_queue_script_info[];

#endif
