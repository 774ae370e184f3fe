// The border that no exception passes. Our own code throws none; the standard library does when the system
// has no more memory or threads.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <system_error>

#include "backend/interface/status.h"

namespace lorikeet {

// What `function` returns (a Result or a Status), or an Error for what it throws.
template <class Function>
auto guarded(Function&& function) -> decltype(function()) {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    return Error{"out of memory", ErrorKind::out_of_memory};  // short enough to need no memory itself
  } catch (const std::system_error& error) {                  // no more threads
    return Error{std::string("out of resources: ") + error.what(), ErrorKind::out_of_memory};
  } catch (const std::exception& error) {
    return Error{std::string("a fault of the engine: ") + error.what(), ErrorKind::device};
  }
}

}  // namespace lorikeet
