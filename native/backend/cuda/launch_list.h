// The launches of a step as they will be given to the driver: written down first, so that what they read goes
// up in one copy before them, and so that a list that came before can be replayed as a graph.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace lorikeet::cuda {

class LaunchList {
 public:
  struct Launch {
    int32_t kernel = 0;
    uint32_t grid[3] = {};
    uint32_t threads = 0;
    uint32_t arguments = 0;
    uint32_t next = 0;  // the byte after the last argument
    uint32_t unused = 0;
  };

  void clear() {
    bytes_.clear();
    launches_ = 0;
  }
  int64_t launches() const { return launches_; }
  size_t capacity_bytes() const { return bytes_.capacity(); }

  template <class... Arguments>
  void add(Launch launch, const Arguments&... arguments) {
    launch.arguments = sizeof...(Arguments);
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof launch);
    (add_argument(arguments), ...);
    launch.next = static_cast<uint32_t>(bytes_.size());
    std::memcpy(bytes_.data() + at, &launch, sizeof launch);
    ++launches_;
  }

  // Calls body(launch, pointers to its arguments) until one gives a code other than 0, and gives that.
  template <class Body>
  int for_each(Body&& body) {
    void* pointers[kMostArguments];
    for (size_t at = 0; at < bytes_.size();) {
      Launch launch;
      std::memcpy(&launch, bytes_.data() + at, sizeof launch);
      size_t argument = at + sizeof launch;
      for (uint32_t i = 0; i < launch.arguments; ++i) {
        uint64_t size = 0;
        std::memcpy(&size, bytes_.data() + argument, sizeof size);
        pointers[i] = bytes_.data() + argument + sizeof size;
        argument += sizeof size + filled(size);
      }
      if (const int code = body(launch, static_cast<void**>(pointers)); code != 0) return code;
      at = launch.next;
    }
    return 0;
  }

  // All that the driver would be told: lists with the same bytes do the same.
  std::string_view content() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }

 private:
  static constexpr size_t kMostArguments = 16;
  static constexpr size_t filled(size_t bytes) { return (bytes + 7) / 8 * 8; }

  template <class T>
  void add_argument(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    T copy = value;
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
    __builtin_clear_padding(&copy);  // else lists that do the same would differ
#endif
#endif
    const uint64_t size = sizeof copy;
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof size + filled(size));
    std::memcpy(bytes_.data() + at, &size, sizeof size);
    std::memcpy(bytes_.data() + at + sizeof size, &copy, sizeof copy);
  }

  std::vector<std::byte> bytes_;
  int64_t launches_ = 0;
};

}  // namespace lorikeet::cuda
