// SPDX-License-Identifier: GPL-2.0-only
/*
 * What TCP has received already is held where it lies: its buffers are cloned, which copies no byte, and stay when the
 * socket lets go of them. The one copy that is left is the user's own.
 *
 * Only what is there is taken so. Whatever is special (waiting, the end of the stream, errors, urgent data, protocols on
 * top of TCP) is left to an ordinary read of the file, which is also what asks the security module: so the first read
 * that anybody's credentials make is an ordinary one, and only who was admitted there takes the short way.
 */
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/skbuff.h>
#include <net/sock.h>
#include <net/tcp.h>
#include <net/transp_v6.h>
#include "hold.h"

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 9, 0)
#include <net/rps.h>
#endif

/* Copying less than this costs no more than a clone. */
#define COPY_BELOW 2048

/* Any protocol on top of it (TLS, sockmaps, MPTCP) puts its own in the place of these. */
static bool is_plain_tcp(struct sock *sk)
{
	struct proto *proto = READ_ONCE(sk->sk_prot);

#if IS_BUILTIN(CONFIG_IPV6)
	if (proto == &tcpv6_prot)
		return true;
#endif
	return proto == &tcp_prot;
}

/*
 * Whether the bytes can change no more. A peer on the same machine may have sent pages of a file or of his own memory
 * (sendfile, vmsplice): whoever reads them again may find others.
 */
static bool is_settled(const struct sk_buff *skb)
{
	const struct skb_shared_info *info = skb_shinfo(skb);
	int i;

	if (info->frag_list || skb_has_shared_frag(skb) || skb_zcopy((struct sk_buff *)skb))
		return false;
	for (i = 0; i < info->nr_frags; i++) {
		struct page *page = skb_frag_page(&info->frags[i]);

		if (!page || compound_head(page)->mapping)
			return false;
	}
	return true;
}

/* A clone keeps the whole buffer, be it ever so empty: at most as much again as what it is kept for. */
static bool is_worth_a_clone(const struct sk_buff *skb, u32 offset)
{
	u32 rest = skb->len - offset;

	return rest >= COPY_BELOW && skb->truesize <= 2 * rest && is_settled(skb);
}

/* If the bytes come next in the last piece, they are held already, and need only be counted. How many there are. */
static u32 go_on(struct zlr_dhr *dhr, const struct sk_buff *skb, u32 offset, u32 length)
{
	struct zlr_piece *piece = zlr_chain_last(dhr);

	/* The clone keeps the memory from becoming that of another one. */
	if (!piece || !piece->skb || piece->skb->head != skb->head || piece->skb->data != skb->data ||
	    piece->skb_offset + piece->length != offset)
		return 0;
	length = min(length, piece->size - piece->length);
	piece->length += length;
	dhr->write_pt += length;
	return length;
}

static bool hold_clone(struct zlr_dhr *dhr, struct sk_buff *skb, u32 offset, u32 length)
{
	struct zlr_piece *piece;
	struct sk_buff *clone;

	BUILD_BUG_ON(sizeof(*piece) > sizeof(clone->cb));
	if (!zlr_chain_charge(dhr, skb->truesize))
		return false;
	clone = skb_clone(skb, GFP_KERNEL);
	if (!clone) {
		zlr_chain_uncharge(dhr, skb->truesize);
		return false;
	}
	piece = (struct zlr_piece *)clone->cb;
	piece->begin = dhr->write_pt;
	piece->length = length;
	piece->size = skb->len - offset;
	piece->memory = skb->truesize;
	piece->skb_offset = offset;
	piece->skb = clone;
	list_add_tail(&piece->list, &dhr->pieces);
	dhr->write_pt += length;
	return true;
}

static u32 copy_in(struct zlr_dhr *dhr, const struct sk_buff *skb, u32 offset, u32 length)
{
	struct zlr_room room;
	unsigned int i;
	u32 copied = 0;

	zlr_room_make(dhr, &room, length);
	for (i = 0; i < room.count; i++) {
		if (skb_copy_bits(skb, offset + copied, room.parts[i].iov_base, room.parts[i].iov_len))
			break;
		copied += room.parts[i].iov_len;
	}
	zlr_room_use(dhr, &room, copied);
	return copied;
}

/* Called by tcp_read_sock() for each buffer; how many of its bytes were taken. */
static int take(read_descriptor_t *call, struct sk_buff *skb, unsigned int offset, size_t length)
{
	struct zlr_dhr *dhr = call->arg.data;
	u32 wanted = min(length, call->count), taken;

	if (!wanted)
		return 0;
	taken = go_on(dhr, skb, offset, wanted);
	if (!taken && is_worth_a_clone(skb, offset) && hold_clone(dhr, skb, offset, wanted))
		taken = wanted;
	if (!taken)
		taken = copy_in(dhr, skb, offset, wanted);
	call->count -= taken;
	return taken;
}

/* Holds up to `wanted` more bytes and returns how many were there. The caller holds `lock`. */
int zlr_tcp_take(struct zlr_dhr *dhr, u64 wanted)
{
	read_descriptor_t call = { .count = wanted, .arg.data = dhr };
	struct socket *socket;
	struct sock *sk;
	int taken = 0;

	if (dhr->filling || dhr->admitted != current_cred())
		return 0;
	socket = sock_from_file(dhr->file);
	if (!socket || !is_plain_tcp(socket->sk))
		return 0;
	sk = socket->sk;
	lock_sock(sk);
	/* Only now it stays what it is. */
	if (is_plain_tcp(sk)) {
		sock_rps_record_flow(sk);
		taken = tcp_read_sock(sk, &call, take);
		if (taken > 0)
			sk_peek_offset_bwd(sk, taken);
	}
	release_sock(sk);
	return max(taken, 0);
}
