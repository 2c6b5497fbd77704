// SPDX-License-Identifier: GPL-2.0-only
#include "harness.h"

const struct test safety_tests[] = { { 0 } };
