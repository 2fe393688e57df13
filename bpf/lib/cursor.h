/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading a packet front to back. Every bounds check in the datapath is the
 * one in cursor_take(); nothing else compares a pointer with `end`.
 */
#ifndef WEIR_BPF_CURSOR_H
#define WEIR_BPF_CURSOR_H

struct cursor {
	void *pos;
	void *end;
};

/* Consumes len bytes and returns their start, or NULL if the packet is shorter. */
static __always_inline void *cursor_take(struct cursor *c, __u32 len)
{
	void *at = c->pos;

	if (at + len > c->end)
		return NULL;
	c->pos = at + len;
	return at;
}

#define cursor_take_hdr(c, type) ((type *)cursor_take(c, sizeof(type)))

/* No header that the datapath writes begins past this offset: see parse_l4(). */
#define CURSOR_REACH 0xff

/* Random access, for the write after the parse: len bytes at off, or NULL. */
static __always_inline void *cursor_peek(struct cursor frame, __u32 off, __u32 len)
{
	/*
	 * The verifier follows a variable packet offset only below a constant
	 * bound. Without the barrier, clang 14 bounds one copy of off and adds
	 * another.
	 */
	off &= CURSOR_REACH;
	barrier_var(off);
	return cursor_take(&frame, off) ? cursor_take(&frame, len) : NULL;
}

#endif
