// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/libbpf.h>

#include <memory>

namespace weir::kernel {

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* p) const noexcept {
    static_cast<void>(Free(p));
  }
};

// unique_ptr over a C library's handle: Owned<bpf_object, bpf_object__close>.
template <class T, auto Free>
using Owned = std::unique_ptr<T, FreeWith<Free>>;

// Works for every skeleton bpftool generates (it emits T::destroy for C++).
template <class Skeleton>
using OwnedSkeleton = Owned<Skeleton, &Skeleton::destroy>;

}  // namespace weir::kernel
