/* Sends the answer that a channel's record describes, from wherever the stream stands. */
#ifndef ZLR_OUTFLOW_H
#define ZLR_OUTFLOW_H

#include "hold.h"

/* 1: all of the answer is in the kernel's hands; 0: the socket takes no more now; a negative errno otherwise
 * (-ENODATA: the file is shorter than the record says). May return 0 before the socket is full, so that one fast
 * reader of a large file does not keep the others waiting. */
int zlr_outflow(const struct zlr_pool *pool, const struct zlr_channel *record, struct zlr_flow *flow);

#endif
