/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is held of one open file: the thesis' dhr and dhr_buf (its figures 3.5 and 3.6) as built.
 *
 *    struct zlr_dhr, found by the address of its open file
 *                      destroy_pt         read_pt            write_pt
 *                          |                 |                  |
 *                          v                 v                  v
 *        +-----------------+-----------------+------------------+---------+
 *        | deleted, freed  |  held: the user | held: the user   | free    |
 *        | with its piece  |  has read it    | has not (yet, or |         |
 *        |                 |                 | again) read it   |         |
 *        +-----------------+-----------------+------------------+---------+
 *        |<---- piece ---->|<----- piece ---->|<---- piece ---->
 *
 *    destroy_pt <= read_pt <= write_pt, in bytes since the first hread. A restart sets read_pt to destroy_pt.
 *
 * Locks: `lock` protects the positions and the chain, and is never held while waiting for a peer. Who reads the file
 * lets it go meanwhile: `filling` says so, and that what is behind write_pt is his. `reading` is held by the one who may
 * wait for input, and is waited for without `lock`.
 */
#ifndef ZLR_HOLD_H
#define ZLR_HOLD_H

#include <linux/mutex.h>
#include <linux/uio.h>
#include "zlr.h"

#ifndef ITER_DEST
#define ITER_DEST READ
#endif

struct sk_buff;

/*
 * A piece of the stream, in a buffer of our own or where TCP received it. The one stands before its bytes, the other in
 * the control block of its skb:
 *
 *    begin            begin + length     begin + size          bytes[] or skb (from skb_offset on)
 *      |                     |                |
 *      v                     v                v
 *      +---------------------+----------------+
 *      | read from the file  | room, or what  |
 *      |                     | comes next     |
 *      +---------------------+----------------+
 */
struct zlr_piece {
	struct list_head list;
	u64 begin;
	u32 length;
	u32 size;
	u32 memory; /* what it is charged with */
	u32 skb_offset;
	struct sk_buff *skb; /* NULL: the bytes stand behind */
	char bytes[];
};

struct zlr_dhr {
	struct hlist_node node;
	struct file *file; /* names it only: the hold goes when the file is closed, see hold.c */
	struct zlr_user *user;
	struct rcu_head rcu;
	struct mutex reading;
	struct mutex lock;
	bool filling;
	const struct cred *admitted; /* whom the file let read the ordinary way, see tcp.c */
	u64 destroy_pt, read_pt, write_pt;
	struct list_head pieces; /* none is missing between the first and the last, which ends at write_pt */
	struct list_head spares; /* buffers that were emptied */
	unsigned int spare_count;
	u64 memory; /* of all pieces, spare ones too */
};

static inline u64 zlr_dhr_unread(const struct zlr_dhr *dhr)
{
	return dhr->write_pt - dhr->read_pt;
}

/* NULL: nothing was read yet. */
static inline struct zlr_piece *zlr_chain_last(const struct zlr_dhr *dhr)
{
	return list_empty(&dhr->pieces) ? NULL : list_last_entry(&dhr->pieces, struct zlr_piece, list);
}

/* hold.c */
struct zlr_dhr *zlr_dhr_find(struct file *file);
struct zlr_dhr *zlr_dhr_get(struct file *file);

/* chain.c: the caller holds `lock`. Room is where the bytes that come next may be put. */
#define ZLR_ROOM_PARTS 17

struct zlr_room {
	struct kvec parts[ZLR_ROOM_PARTS];
	unsigned int count;
	size_t bytes;
	struct list_head fresh; /* pieces that are not in the chain yet */
};

void zlr_room_make(struct zlr_dhr *dhr, struct zlr_room *room, u64 wanted);
void zlr_room_use(struct zlr_dhr *dhr, struct zlr_room *room, size_t bytes);
bool zlr_chain_charge(struct zlr_dhr *dhr, u32 memory);
void zlr_chain_uncharge(struct zlr_dhr *dhr, u32 memory);
int zlr_chain_copy(struct zlr_dhr *dhr, u64 from, void __user *to, u64 length);
void zlr_chain_delete(struct zlr_dhr *dhr, u64 length);
void zlr_chain_free(struct zlr_dhr *dhr);
int zlr_chain_init(void);
void zlr_chain_exit(void);

/* tcp.c */
int zlr_tcp_take(struct zlr_dhr *dhr, u64 wanted);

#endif
