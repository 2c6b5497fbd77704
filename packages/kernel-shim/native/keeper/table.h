/* The process' file table: which descriptors live on in the next generation. */
#ifndef ZLR_TABLE_H
#define ZLR_TABLE_H

#include <stdbool.h>
#include <stdint.h>

enum zlr_mark { ZLR_UNMARKED, ZLR_CHANNEL, ZLR_FILE };

/*
 * Which descriptors live on is written on the open files themselves, so it is known from their first instant and
 * needs no list that could be a step behind:
 * - a channel is a socket with SO_OOBINLINE. The option is set on the listening socket, and accept() copies it. (It
 *   is needed anyway: without it urgent data would be missing from the stream and from the kernel's count.)
 * - a file that a half-sent answer needs is open for reading with O_APPEND, which means nothing for a reader.
 */
enum zlr_mark zlr_mark_of(int fd);

/* Calls visit for every open descriptor above 2, until it returns false. Without /proc, or without a free
 * descriptor to read it with, every number that there can be is tried.
 * Only system calls and the stack: the keeper uses it when its heap is gone. */
void zlr_each_fd(bool (*visit)(int fd, void *context), void *context);

#endif
