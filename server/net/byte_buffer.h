// Bytes that arrive at one end and are taken at the other: the input of a connection. Memory is not
// initialised before bytes are read into it, and grows with what has arrived, not with what
// somebody announced.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

namespace raftkv::server {

class ByteBuffer {
 public:
  std::string_view view() const { return {memory_.get() + head_, size_}; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  size_t capacity() const { return capacity_; }

  // How much room to ask for when `needed` more bytes are announced: at least `least`, and
  // otherwise no more than a multiple of what is there already. Memory that is not touched yet
  // costs nothing, and each step to a larger buffer costs a copy, so the multiple is large.
  size_t room_for(size_t needed, size_t least) const {
    return std::clamp(needed, least, std::max(least, kGrowth * size_));
  }
  // Room for at least `bytes` (more than 0) behind the content. Invalidates views.
  std::span<char> prepare(size_t bytes) {
    if (capacity_ - head_ - size_ < bytes) make_room(bytes);
    return {memory_.get() + head_ + size_, capacity_ - head_ - size_};
  }
  // `bytes` of what prepare() returned are now content.
  void commit(size_t bytes) { size_ += bytes; }
  void append(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(prepare(bytes.size()).data(), bytes.data(), bytes.size());
    commit(bytes.size());
  }
  // Drops the first `bytes` of the content; the views of the others stay valid.
  void consume(size_t bytes) {
    size_ -= bytes;
    head_ = size_ == 0 ? 0 : head_ + bytes;
  }
  // Gives the memory back.
  void reset() { *this = ByteBuffer(); }

 private:
  static constexpr size_t kGrowth = 8;

  void make_room(size_t bytes) {
    // Moving is worth it only if it frees much: otherwise each small read would move a large tail.
    if (capacity_ - size_ >= bytes && head_ >= size_) {
      std::memmove(memory_.get(), memory_.get() + head_, size_);
      head_ = 0;
      return;
    }
    const size_t capacity = size_ + std::max(bytes, size_);
    auto memory = std::make_unique_for_overwrite<char[]>(capacity);
    if (size_ != 0) std::memcpy(memory.get(), memory_.get() + head_, size_);
    memory_ = std::move(memory);
    capacity_ = capacity;
    head_ = 0;
  }

  std::unique_ptr<char[]> memory_;
  size_t capacity_ = 0;
  size_t head_ = 0;  // where the content begins
  size_t size_ = 0;
};

}  // namespace raftkv::server
