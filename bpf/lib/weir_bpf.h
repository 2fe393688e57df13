/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one prelude of every .bpf.c: UAPI headers only, so no vmlinux.h and no re-#defines. */
#ifndef WEIR_BPF_H
#define WEIR_BPF_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* A map key is hashed byte by byte: padding that nobody wrote makes equal keys differ. */
#pragma clang diagnostic push
#pragma clang diagnostic error "-Wpadded"
#include "weir/abi.h"
#pragma clang diagnostic pop

/* Not in UAPI headers, but fixed by the ABI of every Linux. */
enum { FAMILY_INET = 2, FAMILY_INET6 = 10 };

/* A load that the compiler may neither repeat nor leave out. */
#define READ_ONCE(x)	 (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))

/* A value the compiler knows nothing of, so that a bound put on it stays where it was put. */
#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif

#endif
