/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdbool.h>
#include <stddef.h>
#include <sys/cdefs.h>

#include "weir/abi.h"

#include "lib/check.h"

#include "seal.h"

void weir_test_seal(const struct weir_flow_key* key, __u64 seed, struct weir_flow* flow) {
  /* The hash reads words of eight bytes. */
  const struct weir_flow_key copy __attribute__((aligned(8))) = *key;

  flow->check = flow_check(hash_flow(&copy, seed), &flow->saddr);
  flow->way.check = way_check(flow->check, &flow->way);
}
