// SPDX-License-Identifier: GPL-2.0-only
/* The bytes of one hold: a chain of pieces, appended at the end and deleted from the beginning. */
#include <linux/module.h>
#include <linux/skbuff.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "hold.h"

static uint dhr_buffer = 4096;
module_param(dhr_buffer, uint, 0444);
MODULE_PARM_DESC(dhr_buffer, "bytes of one buffer of a hold, 512 to 65536 (4096, as in the thesis)");

static ulong hold_file_max = 1 << 20;
module_param(hold_file_max, ulong, 0644);
MODULE_PARM_DESC(hold_file_max, "bytes of memory that hold one open file (1 MiB)");

static struct kmem_cache *buffers;

/* So many buffers that were emptied are kept for what comes next, as long as anything is held. */
#define SPARES_MAX 4

unsigned int zlr_dhr_buffer(void)
{
	return dhr_buffer;
}

bool zlr_chain_charge(struct zlr_dhr *dhr, u32 memory)
{
	if (dhr->memory + memory > hold_file_max || zlr_user_charge(dhr->user, memory))
		return false;
	dhr->memory += memory;
	return true;
}

void zlr_chain_uncharge(struct zlr_dhr *dhr, u32 memory)
{
	dhr->memory -= memory;
	zlr_user_uncharge(dhr->user, memory);
}

static void free_buffer(struct zlr_dhr *dhr, struct zlr_piece *piece)
{
	zlr_chain_uncharge(dhr, piece->memory);
	kmem_cache_free(buffers, piece);
}

static void free_spares(struct zlr_dhr *dhr)
{
	struct zlr_piece *piece, *next;

	list_for_each_entry_safe(piece, next, &dhr->spares, list)
		free_buffer(dhr, piece);
	INIT_LIST_HEAD(&dhr->spares);
	dhr->spare_count = 0;
}

/* It is in no list. */
static void free_piece(struct zlr_dhr *dhr, struct zlr_piece *piece)
{
	if (piece->skb) {
		zlr_chain_uncharge(dhr, piece->memory);
		consume_skb(piece->skb);
	} else if (dhr->spare_count < SPARES_MAX) {
		list_add(&piece->list, &dhr->spares);
		dhr->spare_count++;
	} else {
		free_buffer(dhr, piece);
	}
}

static struct zlr_piece *new_buffer(struct zlr_dhr *dhr)
{
	struct zlr_piece *piece = list_first_entry_or_null(&dhr->spares, struct zlr_piece, list);

	if (piece) {
		list_del(&piece->list);
		dhr->spare_count--;
		piece->length = 0;
		return piece;
	}
	if (!zlr_chain_charge(dhr, dhr_buffer))
		return NULL;
	piece = kmem_cache_alloc(buffers, GFP_KERNEL_ACCOUNT);
	if (!piece) {
		zlr_chain_uncharge(dhr, dhr_buffer);
		return NULL;
	}
	piece->length = 0;
	piece->size = dhr_buffer;
	piece->memory = dhr_buffer;
	piece->skb = NULL;
	return piece;
}

static void add_part(struct zlr_room *room, struct zlr_piece *piece, u64 wanted)
{
	struct kvec *part = &room->parts[room->count++];

	part->iov_base = piece->bytes + piece->length;
	part->iov_len = min_t(u64, piece->size - piece->length, wanted - room->bytes);
	room->bytes += part->iov_len;
}

/* Room for up to `wanted` bytes behind write_pt, in as many parts as there may be; none: no more may be held. */
void zlr_room_make(struct zlr_dhr *dhr, struct zlr_room *room, u64 wanted)
{
	struct zlr_piece *piece = zlr_chain_last(dhr);

	room->count = 0;
	room->bytes = 0;
	INIT_LIST_HEAD(&room->fresh);
	if (piece && !piece->skb) {
		/* All is deleted: the buffer that is left begins anew. */
		if (dhr->destroy_pt == dhr->write_pt) {
			piece->begin = dhr->write_pt;
			piece->length = 0;
		}
		if (piece->length < piece->size)
			add_part(room, piece, wanted);
	}
	while (room->bytes < wanted && room->count < ZLR_ROOM_PARTS) {
		piece = new_buffer(dhr);
		if (!piece)
			break;
		list_add_tail(&piece->list, &room->fresh);
		add_part(room, piece, wanted);
	}
}

/* So many bytes have been put into the room, which is given back. */
void zlr_room_use(struct zlr_dhr *dhr, struct zlr_room *room, size_t bytes)
{
	struct zlr_piece *piece = zlr_chain_last(dhr), *next;
	u32 part;

	if (bytes && room->count && piece && !piece->skb && piece->length < piece->size) {
		part = min_t(size_t, bytes, piece->size - piece->length);
		piece->length += part;
		dhr->write_pt += part;
		bytes -= part;
	}
	list_for_each_entry_safe(piece, next, &room->fresh, list) {
		list_del(&piece->list);
		if (!bytes) {
			free_piece(dhr, piece);
			continue;
		}
		part = min_t(size_t, bytes, piece->size);
		piece->begin = dhr->write_pt;
		piece->length = part;
		list_add_tail(&piece->list, &dhr->pieces);
		dhr->write_pt += part;
		bytes -= part;
	}
}

/* The piece in which position `at` lies; mostly it is the last. */
static struct zlr_piece *piece_at(struct zlr_dhr *dhr, u64 at)
{
	struct zlr_piece *piece = list_last_entry(&dhr->pieces, struct zlr_piece, list);

	while (piece->begin > at)
		piece = list_prev_entry(piece, list);
	return piece;
}

static int copy_piece(struct zlr_piece *piece, u32 offset, void __user *to, u32 length)
{
	struct iov_iter iter;

	if (!piece->skb)
		return copy_to_user(to, piece->bytes + offset, length) ? -EFAULT : 0;
	/* What copies to it checks the address. */
	iov_iter_ubuf(&iter, ITER_DEST, to, length);
	return skb_copy_datagram_iter(piece->skb, piece->skb_offset + offset, &iter, length);
}

/* Copies held bytes to the user. */
int zlr_chain_copy(struct zlr_dhr *dhr, u64 from, void __user *to, u64 length)
{
	struct zlr_piece *piece;
	u32 offset, part;
	int error;

	if (!length)
		return 0;
	piece = piece_at(dhr, from);
	offset = from - piece->begin;
	for (;; piece = list_next_entry(piece, list)) {
		part = min_t(u64, length, piece->length - offset);
		error = copy_piece(piece, offset, to, part);
		length -= part;
		if (error || !length)
			return error;
		to += part;
		offset = 0;
	}
}

/*
 * Deletes held bytes, of which there are enough, and frees the pieces they filled. The last buffer stays: somebody may
 * just be filling it. So does what TCP has still to give, that it need not be cloned again.
 */
void zlr_chain_delete(struct zlr_dhr *dhr, u64 length)
{
	struct zlr_piece *piece, *next;

	dhr->destroy_pt += length;
	list_for_each_entry_safe(piece, next, &dhr->pieces, list) {
		if (piece->begin + piece->length > dhr->destroy_pt)
			break;
		if (list_is_last(&piece->list, &dhr->pieces) && (!piece->skb || piece->length < piece->size))
			break;
		list_del(&piece->list);
		free_piece(dhr, piece);
	}
	if (dhr->destroy_pt == dhr->write_pt)
		free_spares(dhr);
}

void zlr_chain_free(struct zlr_dhr *dhr)
{
	struct zlr_piece *piece, *next;

	list_for_each_entry_safe(piece, next, &dhr->pieces, list)
		free_piece(dhr, piece);
	free_spares(dhr);
}

int zlr_chain_init(void)
{
	if (dhr_buffer < 512 || dhr_buffer > 65536 || dhr_buffer % 8) {
		pr_err("dhr_buffer is %u; it must be a multiple of 8 from 512 to 65536\n", dhr_buffer);
		return -EINVAL;
	}
	buffers = kmem_cache_create_usercopy("zlr_dhr_buf", struct_size_t(struct zlr_piece, bytes, dhr_buffer), 0, 0,
					     offsetof(struct zlr_piece, bytes), dhr_buffer, NULL);
	return buffers ? 0 : -ENOMEM;
}

void zlr_chain_exit(void)
{
	kmem_cache_destroy(buffers);
}
