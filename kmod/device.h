/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ZLR_DEVICE_H
#define ZLR_DEVICE_H

int zlr_device_init(void);
void zlr_device_exit(void);

#endif
