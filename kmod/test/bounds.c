// SPDX-License-Identifier: GPL-2.0-only
#include "harness.h"

const struct test bound_tests[] = { { 0 } };
