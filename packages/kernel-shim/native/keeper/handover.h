/* The channels go from one generation's table to the next one's, a batch a message. */
#ifndef ZLR_HANDOVER_H
#define ZLR_HANDOVER_H

#include "../link/link.h"
#include "page.h"

/* Answers ZLR_NEXT: sends the marked descriptors from `from` on. 0 or -errno. */
int zlr_send_batch(int link, int from);

/* Takes everything over from the keeper at the other end, and with it the charge; calls `visit` for each descriptor, under its new
 * number. 0, or -EPIPE: that keeper is gone, what came was closed, and another one has to be asked; any other -errno. Closes the link. */
int zlr_take_over(int link, struct zlr_page *page, void (*visit)(int fd, struct zlr_entry was, void *context), void *context);

#endif
