/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The core in a form that writes nothing. Included before the core, it puts
 * itself between the core and the maps: what is looked up is noted and handed
 * out as a copy, which the core may write to; updates and deletions say what
 * they would have said. So the core that explains is the core that forwards,
 * and not a second one. What a packet would have deleted is still found by its
 * later look-ups: at most another source port is drawn.
 */
#ifndef WEIR_BPF_TRACE_H
#define WEIR_BPF_TRACE_H

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct weir_trace);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} weir_trace SEC(".maps");

static __always_inline struct weir_trace *trace_now(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&weir_trace, &zero);
}

/* Starts a new answer. */
static __always_inline struct weir_trace *trace_begin(void)
{
	struct weir_trace *t = trace_now();

	if (t)
		__builtin_memset(t, 0, offsetof(struct weir_trace, step));
	return t;
}

/* Eight characters of a name, as a constant. */
static __always_inline __u64 trace_word(const char *name, __u32 from, __u32 length)
{
	__u64 word = 0;

	for (__u32 i = 0; i < 8; i++)
		if (from + i < length)
			word |= (__u64)(__u8)name[from + i] << 8 * i;
	return word;
}

/*
 * Word by word in this order: left to itself, the compiler loads all first and
 * has no stack for them. size is a multiple of four.
 */
static __always_inline void trace_words(__u8 *one, __u8 *two, const void *from, __u32 size)
{
	for (__u32 i = 0; i + 8 <= size; i += 8) {
		__u64 word = READ_ONCE(*(const __u64 *)(from + i));

		WRITE_ONCE(*(__u64 *)(one + i), word);
		WRITE_ONCE(*(__u64 *)(two + i), word);
	}
	if (size % 8) {
		__u32 word = READ_ONCE(*(const __u32 *)(from + size - 4));

		WRITE_ONCE(*(__u32 *)(one + size - 4), word);
		WRITE_ONCE(*(__u32 *)(two + size - 4), word);
	}
}

/* name1, name2: of the map. What was found, as a copy. */
static __always_inline void *trace_copy(const void *found, const void *key, __u64 name1,
					__u64 name2, __u32 key_size, __u32 value_size)
{
	struct weir_trace *t = trace_now();
	struct weir_trace_step *step;
	__u32 at;

	if (!t)
		return NULL;
	at = t->steps++;
	if (at >= WEIR_TRACE_STEPS)
		at = WEIR_TRACE_STEPS - 1;
	barrier_var(at);
	step = &t->step[at & (WEIR_TRACE_STEPS - 1)];
	((__u64 *)step->map)[0] = name1;
	((__u64 *)step->map)[1] = name2;
	step->found = !!found;
	step->key_size = key_size;
	step->value_size = value_size;
	__builtin_memcpy(step->key, key, key_size);
	if (!found)
		return NULL;
	trace_words(step->value, step->copy, found, value_size);
	return step->copy;
}

struct scratch;

#define TRACE_VALUE_IS(map, value_type) \
	__builtin_types_compatible_p(typeof(*(map)->value), value_type)

#define TRACE_NAME(map, from) trace_word(&(map)[1], from, sizeof(map) - 2)

/*
 * As they are: a program's own scratch space, which is no table, and the
 * configuration, which is const wherever it is read and read all the time.
 */
#define TRACE_AS_IT_IS(map) \
	(TRACE_VALUE_IS(map, struct scratch) || TRACE_VALUE_IS(map, struct weir_config))

/* Nothing is counted: __u64 is a counter. */
#define bpf_map_lookup_elem(map, k)                                                            \
	((typeof((map)->value))(TRACE_AS_IT_IS(map) ? (bpf_map_lookup_elem)(map, k)            \
				: TRACE_VALUE_IS(map, __u64)                                   \
					? NULL                                                 \
					: trace_copy((bpf_map_lookup_elem)(map, k), k,         \
						     TRACE_NAME(#map, 0), TRACE_NAME(#map, 8), \
						     sizeof(*(map)->key), sizeof(*(map)->value))))

enum { TRACE_NO_ENTRY = -2, TRACE_EXISTS = -17 }; /* ENOENT, EEXIST */

#define bpf_map_update_elem(map, k, v, flags) \
	((void)(v), (flags) == BPF_NOEXIST && (bpf_map_lookup_elem)(map, k) ? TRACE_EXISTS : 0)
#define bpf_map_delete_elem(map, k)	 ((bpf_map_lookup_elem)(map, k) ? 0 : TRACE_NO_ENTRY)
#define bpf_map_push_elem(map, v, flags) ((void)(v), 0)

/* Hooks of the core, in choose.h. */
#define NOTE_SERVICE(service)	    trace_service((service)->id, (service)->frontend)
#define NOTE_LIST(chosen, is_local) trace_list(chosen, is_local)
#define NOTE_KEPT(index)	    trace_kept(index)

static __always_inline void trace_service(__u32 id, __u8 frontend)
{
	struct weir_trace *t = trace_now();

	if (!t)
		return;
	t->choice.service = id;
	t->choice.frontend = frontend;
	t->choice.made = true;
}

static __always_inline void trace_list(struct weir_list list, bool local)
{
	struct weir_trace *t = trace_now();

	if (!t)
		return;
	t->choice.list = list;
	t->choice.local = local;
}

static __always_inline void trace_kept(__u32 backend)
{
	struct weir_trace *t = trace_now();

	if (t)
		t->choice.affinity = !!backend;
}

#endif
