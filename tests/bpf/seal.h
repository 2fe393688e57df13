/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Flow records that a test makes up or changes need the check that the programs
 * would have given them: by the programs' own functions. It is no oracle.
 */
#ifndef WEIR_TEST_SEAL_H
#define WEIR_TEST_SEAL_H

#include "weir/abi.h"

#ifdef __cplusplus
extern "C"
#endif
    void
    weir_test_seal(const struct weir_flow_key* key, __u64 seed, struct weir_flow* flow);

#endif
