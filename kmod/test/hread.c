// SPDX-License-Identifier: GPL-2.0-only
#include "harness.h"

const struct test hread_tests[] = { { 0 } };
