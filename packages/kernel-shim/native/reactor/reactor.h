/*
 * The reactor: serves all ready channels in one native pass per turn of libuv's loop, and enters JavaScript once
 * for the whole batch. JavaScript answers with commands, which one more native pass carries out; what that brings
 * about is the next batch, until nothing is left.
 *
 * Events and commands are four 32-bit words each, in memory that both sides see:
 *
 *    events    ACCEPTED  fd        cookie low   cookie high
 *              INPUT     channel   start        end           held bytes [start, end) of the pool, not yet consumed
 *              ENDED     channel   start        end           the peer's FIN; what is held stays to be served
 *              SENT      channel   start        end           the answer is in the kernel's hands
 *              FAILED    channel   errno        0             the connection is of no use any more
 *              CLOSED    channel   0            0             after CLOSE: the record may go
 *              IDLE      channel   start        end           nothing went in or out for the asked-for time
 *    commands  ATTACH    channel   fd           0             a record stands for this accepted socket
 *              SEND      channel   0            0             send what the record describes (also after consuming)
 *              CONSUMED  channel   0            0             the record's `consumed` has moved
 *              SHUTDOWN  channel   0            0             no more output; input is still read
 *              CLOSE     channel   0            0
 *
 * At most one command for each event, so a batch of commands never outgrows the buffers.
 */
#ifndef ZLR_REACTOR_H
#define ZLR_REACTOR_H

#include <sys/epoll.h>

#include "outflow.h"

enum zlr_event { ZLR_ACCEPTED = 1, ZLR_INPUT, ZLR_ENDED, ZLR_SENT, ZLR_FAILED, ZLR_CLOSED, ZLR_IDLE };
enum zlr_command { ZLR_ATTACH = 1, ZLR_SEND, ZLR_CONSUMED, ZLR_SHUTDOWN, ZLR_CLOSE };

enum {
  ZLR_BATCH = 512,       /* channels served in one pass */
  ZLR_ACCEPT_BATCH = 256,/* connections accepted in one pass */
  ZLR_EVENTS = ZLR_BATCH + ZLR_ACCEPT_BATCH, /* capacity of either buffer, in entries of four words */
  ZLR_LISTENERS = 16,
};

/* What this generation knows of a channel beside its record. */
struct zlr_local {
  struct zlr_flow flow; /* flow.fd < 0: not attached */
  uint32_t interest;    /* the events epoll now watches for */
  bool ended;           /* the peer's FIN was read */
  bool sending;         /* an answer is on its way */
  bool starved;         /* waits for a free slot */
  uint32_t touched;     /* seconds, of the last byte in or out */
};

struct zlr_reactor {
  int epoll;
  unsigned char *records; /* first record */
  uint32_t stride;        /* bytes from record to record */
  uint32_t capacity;      /* records */
  uint32_t attached;
  uint32_t accepted; /* in this pass: no record stands for them yet */
  uint32_t starving; /* channels that wait for a slot */
  bool accepting;    /* the listeners are watched */
  int listeners[ZLR_LISTENERS];
  uint32_t listener_count;
  struct zlr_pool pool;
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

/* Fills the events with IDLE for each channel that was quiet for so long. */
void zlr_reactor_idle(struct zlr_reactor *reactor, uint32_t seconds);

/* Carries out `count` commands: fills the events with what came of them. */
void zlr_reactor_execute(struct zlr_reactor *reactor, uint32_t count);

#endif
