/*
 * The reactor: serves all ready channels in one native pass per turn of libuv's loop, and enters JavaScript once
 * for the whole batch. JavaScript answers with commands, which one more native pass carries out; what that brings
 * about is the next batch, until nothing is left.
 *
 * Events and commands are four 32-bit words each, in memory that both sides see:
 *
 *    events    ACCEPTED  fd        cookie low   cookie high
 *              INPUT     channel                            more is held than before
 *              ENDED     channel                            the peer's FIN; what is held stays to be served
 *              SENT      channel                            all of its output is in the kernel's hands
 *              DRAINED   channel                            there is room for more output, for one that wants to know
 *              FAILED    channel   errno                    nothing can be sent any more; what is held stays to be served
 *              CLOSED    channel                            after CLOSE: the record may go
 *              IDLE      channel                            nothing went in or out for the asked-for time
 *              OVERDUE   channel                            input is held, but none was consumed for the asked-for time
 *              STARVED   channel                            waits for a free extent
 *              CROWDED   reserve                            nobody is accepted until there is room for more descriptors
 *    commands  ATTACH    channel   fd                       a record stands for this accepted socket
 *              SEND      channel                            send what the record describes (also after consuming)
 *              CONSUMED  channel                            the record's `consumed` has moved
 *              SHUTDOWN  channel                            no more output; input is still read
 *              CLOSE     channel
 *
 * A command gives rise to two events at most.
 */
#ifndef ZLR_REACTOR_H
#define ZLR_REACTOR_H

#include <sys/epoll.h>

#include "hold.h"
#include "outflow.h"
#include "queue.h"

enum zlr_event {
  ZLR_ACCEPTED = 1,
  ZLR_INPUT,
  ZLR_ENDED,
  ZLR_SENT,
  ZLR_DRAINED,
  ZLR_FAILED,
  ZLR_CLOSED,
  ZLR_IDLE,
  ZLR_OVERDUE,
  ZLR_STARVED,
  ZLR_CROWDED
};
enum zlr_command { ZLR_ATTACH = 1, ZLR_SEND, ZLR_CONSUMED, ZLR_SHUTDOWN, ZLR_CLOSE };

enum {
  ZLR_BATCH = 512,       /* channels served in one pass */
  ZLR_ACCEPT_BATCH = 256,/* connections accepted in one pass */
  ZLR_COMMANDS = 1280,   /* capacity of the buffer of commands, in entries of four words */
  ZLR_EVENTS = 2 * ZLR_COMMANDS, /* and of that of events */
  ZLR_LISTENERS = 16,
};

_Static_assert(4 * ZLR_BATCH + ZLR_ACCEPT_BATCH + ZLR_LISTENERS <= ZLR_EVENTS, "what is sent and what is read, two events each");

/* What this generation knows of a channel beside its record and its flow. */
struct zlr_local {
  struct zlr_link link; /* in the queue of those that wait for an extent */
  uint32_t interest;    /* the events epoll now watches for */
  uint32_t touched;     /* seconds, of the last byte in or out */
  uint32_t began;       /* seconds, since when there is input and none of it was consumed */
  uint64_t consumed;    /* as it was then */
  bool watched;         /* epoll watches it */
  bool ended;           /* the peer's FIN was read */
  bool failed;          /* nothing can be sent */
  bool starved;         /* waits for a free extent */
  bool promised;        /* one of the free extents is for it */
};

/* What the channels of a reactor have in common. */
struct zlr_limits {
  uint64_t held;   /* bytes of input that one may hold; a large extent at least */
  uint32_t output; /* bytes of extents with output, above which one's input is not read */
  bool in_turn;    /* input is not read while output waits */
};

struct zlr_reactor {
  int epoll;
  unsigned char *records; /* first record */
  uint32_t stride;        /* bytes from record to record */
  uint32_t capacity;      /* records */
  uint32_t attached;
  uint32_t accepted; /* in this pass: no record stands for them yet */
  bool accepting;    /* the listeners are watched */
  bool crowded;      /* there was a time when nobody could be accepted for want of descriptors (room.h) */
  int listeners[ZLR_LISTENERS];
  uint32_t listener_count;
  struct zlr_pool pool;
  struct zlr_limits limits;
  struct zlr_queue starving; /* oldest first */
  struct zlr_flow *flows;
  struct zlr_local *local;
  uint32_t (*events)[4];
  uint32_t (*commands)[4];
  uint32_t event_count;
  uint32_t now; /* seconds */
  uint32_t next_idle; /* the channel that the next look for quiet ones begins with */
};

int zlr_reactor_init(struct zlr_reactor *reactor);
void zlr_reactor_free(struct zlr_reactor *reactor);
int zlr_reactor_listen(struct zlr_reactor *reactor, int fd);
void zlr_reactor_unlisten(struct zlr_reactor *reactor);

/* Attaches a channel that a former generation served, at the positions that the kernel's books tell. */
int zlr_reactor_resume(struct zlr_reactor *reactor, uint32_t channel, int fd, uint64_t read, uint64_t written);

/* One pass: fills the events. */
void zlr_reactor_collect(struct zlr_reactor *reactor);

/* Fills the events with IDLE for each channel that was quiet for `quiet` seconds, and with OVERDUE for each that has
 * held input for `unit` seconds without consuming any; where extents are waited for, for those that have held one longest. */
void zlr_reactor_idle(struct zlr_reactor *reactor, uint32_t quiet, uint32_t unit);

/* Carries out `count` commands: fills the events with what came of them. */
void zlr_reactor_execute(struct zlr_reactor *reactor, uint32_t count);

#endif
