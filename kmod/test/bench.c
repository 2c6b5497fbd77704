// SPDX-License-Identifier: GPL-2.0-only
#include "harness.h"

int bench_main(void)
{
	return 0;
}
