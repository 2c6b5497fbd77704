/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is held of one open file: the thesis' dhr and dhr_buf (its figures 3.5 and 3.6) as built.
 *
 *    struct zlr_dhr, found by the address of its open file
 *      base            destroy_pt         read_pt            write_pt
 *        |                 |                 |                  |
 *        v                 v                 v                  v
 *        +-----------------+-----------------+------------------+---------+
 *        | deleted, freed  |  held: the user | held: the user   | free    |
 *        | with its buffer |  has read it    | has not (yet, or |         |
 *        |                 |                 | again) read it   |         |
 *        +-----------------+-----------------+------------------+---------+
 *        |<--- buffer 0 --->|<--- buffer 1 --->|<--- buffer 2 --->|
 *
 *    destroy_pt <= read_pt <= write_pt, in bytes since the first hread. A restart sets read_pt to destroy_pt. When all is
 *    deleted, base moves up to write_pt and the last buffer is filled anew from its start.
 *
 * Locks: `reading` is held by the one who takes bytes out of the file, which may wait for them; `lock` protects
 * the positions and the chain and is never held while waiting for a peer. Only who holds both appends. `reading` is
 * waited for without `lock`.
 */
#ifndef ZLR_HOLD_H
#define ZLR_HOLD_H

#include <linux/mutex.h>
#include <linux/uio.h>
#include "zlr.h"

struct zlr_dhr_buf {
	struct list_head list;
	char bytes[];
};

struct zlr_dhr {
	struct hlist_node node;
	struct file *file; /* names it only: the hold goes when the file is closed, see hold.c */
	struct zlr_user *user;
	struct rcu_head rcu;
	struct mutex reading;
	struct mutex lock;
	u64 base, destroy_pt, read_pt, write_pt;
	struct list_head buffers;
	unsigned int count; /* of buffers */
};

struct zlr_dhr *zlr_dhr_find(struct file *file);
struct zlr_dhr *zlr_dhr_get(struct file *file);
u64 zlr_dhr_reserve(struct zlr_dhr *dhr, u64 wanted);
unsigned int zlr_dhr_room(struct zlr_dhr *dhr, u64 length, struct kvec *parts, unsigned int parts_max, u64 *covered);
int zlr_dhr_copy(struct zlr_dhr *dhr, u64 from, void __user *to, u64 length);
void zlr_dhr_delete(struct zlr_dhr *dhr, u64 length);

#endif
