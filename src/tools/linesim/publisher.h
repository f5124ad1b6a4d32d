/* publisher.h: changes assets at a rate and tells walletd, by acknowledged requests, by PUB, or by
 * both in turn. One thread; others talk to it through the functions below.
 *
 * An unanswered or refused request is sent again until it is acknowledged. Each acknowledged
 * change is written to the journal before it is counted, so a test can compare after a crash. */
#ifndef WL_TOOLS_LINESIM_PUBLISHER_H
#define WL_TOOLS_LINESIM_PUBLISHER_H

#include "sim.h"

#include <stdio.h>

typedef enum { PUBLISH_REQ, PUBLISH_PUB, PUBLISH_BOTH } publish_mode_t;

typedef struct {
    sim_t *sim;                  /* borrowed */
    const char *writer;          /* endpoints of the acknowledged path, comma-separated: the next
                          * one is told when one is silent; NULL = none */
    const char *publish;         /* endpoints of the PUB path, all of them are told; NULL = none */
    const char *journal;         /* file, NULL = none */
    const char *key_file;        /* our keys, NULL = no CURVE */
    const char *server_key_file; /* walletd's public key, NULL = no CURVE */
    double duplicates;           /* share of messages sent twice */
    double reorder;              /* share of messages sent after their successor */
    uint32_t batch_max;          /* changes of one message, 1.. */
} publisher_options_t;

typedef struct publisher publisher_t;

/* NULL: the keys cannot be used, or no line is told; *fault says why. */
publisher_t *publisher_start(const publisher_options_t *options, wl_fault_t *fault);
void publisher_stop(publisher_t **self);

bool publish_mode_parse(const char *text, publish_mode_t *ret);

/* Adds `changes` changes to what is to do, at `rate` a second (0 = as fast as it goes). 0 changes
 * forgets what is left to do. */
void publisher_burst(publisher_t *self, uint64_t changes, publish_mode_t mode, uint32_t rate);

typedef struct {
    uint64_t changes; /* assets changed and told at least once */
    uint64_t messages;
    uint64_t acked;   /* changes */
    uint64_t resent;  /* messages */
    uint64_t refused; /* error replies */
    bool idle;        /* nothing to do and nothing unanswered */
} publisher_stats_t;
publisher_stats_t publisher_stats(publisher_t *self);

#endif
