// SPDX-License-Identifier: GPL-2.0-only
#include "harness.h"

const struct test standby_tests[] = { { 0 } };
