// SPDX-License-Identifier: Apache-2.0
// Owners of libcurl's handles.
#pragma once

#include <curl/curl.h>

#include <memory>

namespace weir::kubernetes {

template <auto Function>
struct Free {
  template <class T>
  void operator()(T* handle) const {
    Function(handle);
  }
};

using EasyHandle = std::unique_ptr<CURL, Free<curl_easy_cleanup>>;
using MultiHandle = std::unique_ptr<CURLM, Free<curl_multi_cleanup>>;
using HeaderList = std::unique_ptr<curl_slist, Free<curl_slist_free_all>>;

}  // namespace weir::kubernetes
