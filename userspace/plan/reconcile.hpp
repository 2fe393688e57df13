// SPDX-License-Identifier: Apache-2.0
// From what the tables hold to what they should hold, as a list of single writes in an order
// that is safe for packets in flight.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "plan/tables.hpp"

namespace weir {

// A value that is long, and apart for that: of the others there are many more.
template <class T>
class Apart {
 public:
  Apart() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): it is that value
  Apart(T value) : value_{std::make_shared<const T>(std::move(value))} {}
  const T& operator*() const { return *value_; }
  const T* operator->() const { return value_.get(); }

 private:
  std::shared_ptr<const T> value_;
};

// What is written of a weir_backend: the rest is zero.
struct BackendEntry {
  weir_addr addr;
  __be16 port;
  __u8 proto;
  __u8 state;
  __u32 generation;
  __u32 service;
  __u32 flags;
  // NOLINTNEXTLINE(google-explicit-constructor)
  operator weir_backend() const {
    weir_backend entry{};
    entry.addr = addr;
    entry.port = port;
    entry.proto = proto;
    entry.state = state;
    entry.generation = generation;
    entry.service = service;
    entry.flags = flags;
    return entry;
  }
};

// clang-format off: one line an operation.
// Single writes, or some that nobody sees yet. Index and key name the element; the value is complete.
struct PutBackend { std::uint32_t index; BackendEntry value; };       // index is not in use
struct SetBackendState { std::uint32_t index; weir_backend_state state; };  // one byte
struct SetBackendFlags { std::uint32_t index; std::uint32_t flags; };       // one word
struct PutSlots { std::uint32_t first = 0; Apart<std::vector<std::uint32_t>> backends; };  // none is in use
struct PutVersion { std::uint32_t index = 0; Apart<weir_version> value; };  // index is not in use
struct Publish { std::uint32_t service; std::uint32_t version; };     // one word of weir_current
struct PutName { std::uint32_t service = 0; Apart<weir_name> value; };
struct DeleteName { std::uint32_t service; };
struct PutAddress { weir_addr key; weir_address value; };
struct DeleteAddress { weir_addr key; };
struct PutFrontend { weir_service_key key; weir_service value; };
struct DeleteFrontend { weir_service_key key; };
struct PutRange { weir_range_key key; };                              // of a set not in use
struct DeleteRange { weir_range_key key; };                           // of a set not in use
struct SetEpoch { std::uint32_t epoch; };
struct ClearStat { std::uint32_t service; };                          // before an id is given out
struct Grace {};  // wait until no program runs that may have read what came before
// clang-format on

using Operation = std::variant<PutBackend, SetBackendState, SetBackendFlags, PutSlots, PutVersion,
                               Publish, PutName, DeleteName, PutAddress, DeleteAddress, PutFrontend,
                               DeleteFrontend, PutRange, DeleteRange, SetEpoch, ClearStat, Grace>;

// A service that could not be given what it wants: it keeps what it had.
struct Refused {
  ServiceIdentity service;
  std::string reason;  // "backends: table of 1024 is full (--max-backends)"
};

struct Reconciled {
  std::vector<Operation> operations;  // empty: nothing to do
  ProgrammedTables tables;            // what the tables hold once all operations are done
  std::vector<Refused> refused;
};

// Flows that backend `index` still has; a GONE backend is freed once this is zero.
using LiveFlows = std::function<std::uint64_t(std::uint32_t index)>;

// Pure. Ids, versions, slots and backend indexes of what did not change stay as they are, and
// nothing that `current` mentions is given out again: it may be, in the next call, once the caller
// has carried out Grace. Operations come in an order in which a packet sees each service entirely
// before or entirely after its change, and which can be broken off anywhere:
//   1. names of new ids, so that whatever follows belongs to somebody; new backends, and old ones
//      that come back or change; addresses of backends and of the node; slots; source ranges;
//      versions; names
//   2. Publish
//   3. new frontends, then their addresses: a service address without a frontend answers "port
//      unreachable", so an address is known to be a service's only while its frontends are there
//   4. addresses that are no service's any more, then frontends that end, then Publish of version 0
//   5. backends taken away, then the epoch; backends freed; names whose last backend is freed
//   6. Grace, if something was published, taken away or freed
//   7. sets of source ranges that no version names any more
Reconciled reconcile(const ProgrammedTables& current, const WantedTables& wanted,
                     const Limits& limits, const LiveFlows& live);

}  // namespace weir
