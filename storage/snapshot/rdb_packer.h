// Packs the blocks of one file, one after the other: their long strings are compressed (LZF) where
// that makes them shorter.
//
// A try costs as much whether it helps or not: LZF's table of half a MiB is never in the cache when
// a short string begins, and takes the cache from whoever shares it. A snapshot of random values
// spent a third of its processor time so, and the walk of the dataset beside it took nearly twice
// as long. So strings of a length that hardly ever become shorter are tried now and then only.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "storage/snapshot/rdb_encoder.h"

namespace raftkv::storage {

class RdbPacker {
 public:
  // Without `compress`, blocks stay as they are.
  explicit RdbPacker(bool compress) : compress_(compress) {}

  // Appends the block's bytes to `out`.
  void pack(const RdbBlock& block, std::string& out);

 private:
  // What is known of the strings of a length: those of about that length, up to twice as long.
  class Prospect {
   public:
    // Whether the next string should be tried.
    bool next() { return score_ != 0 || ++left_out_ % kTriedOfHopeless == 0; }
    void tried(bool shorter) {
      if (shorter) {
        score_ = std::min(score_ + kSuccess, kScoreMost);
      } else if (score_ != 0) {
        --score_;
      }
    }

   private:
    // One success for so many failures keeps the hope up: as long as one string in five becomes
    // shorter, all are tried.
    static constexpr unsigned kSuccess = 4;
    static constexpr unsigned kScoreMost = 64;  // so many failures in a row end it
    static constexpr unsigned kTriedOfHopeless = 16;

    unsigned score_ = kScoreMost;
    unsigned left_out_ = 0;
  };

  // The compressed bytes, until the next call; empty if they would not be fewer.
  std::string_view compressed(std::string_view text);

  const bool compress_;
  std::array<Prospect, 32> prospects_;  // by the length's number of bits
  std::string buffer_;
};

}  // namespace raftkv::storage
