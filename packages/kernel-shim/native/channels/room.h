/* Room in the table of descriptors: connections leave some of it to what keeps them alive. */
#ifndef ZLR_ROOM_H
#define ZLR_ROOM_H

#include <stdbool.h>

/*
 * With a full table nothing can be started, opened or handed over, and one fault would end everything. So the last numbers
 * of the table are not for connections, nor for files that are sent:
 *
 *    0 ............................. limit - 64 .......... limit - 32 ..... limit (RLIMIT_NOFILE)
 *    connections, files, all else    | no connection        | no file        |
 *
 * and at most a quarter and an eighth of a table that is small.
 */
enum { ZLR_RESERVE = 64 };

/* The first number that is not for connections. */
int zlr_first_reserved(void);

/* A file that was just opened got one of the last numbers. */
bool zlr_is_last_room(int fd);

/* Whether a connection that is accepted now would get a number below `first`. */
bool zlr_has_room(int first);

#endif
