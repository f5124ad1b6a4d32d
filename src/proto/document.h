/* document.h: prints the tables of docs/PROTOCOL.md from what the code is made of, as markdown.
 * Used by wl_docgen. Writes to the FILE it is given and does nothing else. */
#ifndef WL_PROTO_DOCUMENT_H
#define WL_PROTO_DOCUMENT_H

#include <stdio.h>

void wl_messages_document(FILE *out); /* every message between actors: id, route, fields */
void wl_methods_document(FILE *out);  /* every method of clients: port, args, result */
void wl_errors_document(FILE *out);   /* error codes of replies, and whether to retry */
void wl_counters_document(FILE *out); /* every counter: kind, unit, help */
void wl_limits_document(FILE *out);   /* limits that others can run into */

#endif
