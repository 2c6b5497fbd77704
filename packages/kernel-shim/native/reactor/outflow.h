/* Sends the output that a channel's record describes, from wherever the stream stands. */
#ifndef ZLR_OUTFLOW_H
#define ZLR_OUTFLOW_H

#include "pool.h"

/* 1: all of the output is in the kernel's hands; 0: the socket takes no more now; a negative errno otherwise
 * (-ENODATA: a file is shorter than its extent says). May return 0 before the socket is full, so that one fast
 * reader of a large file does not keep the others waiting. Extents that are sent are given back, their files closed. */
int zlr_outflow(const struct zlr_pool *pool, struct zlr_channel *record, struct zlr_flow *flow);

/* Gives back what was not sent: nobody will have it. */
void zlr_outflow_drop(const struct zlr_pool *pool, struct zlr_channel *record, struct zlr_flow *flow);

#endif
