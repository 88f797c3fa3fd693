// `fuzz_x --write_seeds=DIR` writes a starting corpus instead of fuzzing: valid inputs, from which
// the fuzzer gets into the depth of a format at once.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace raftkv::fuzz {

inline void write_seeds_if_asked(int argc, char** argv, const std::vector<std::string>& seeds) {
  constexpr std::string_view kFlag = "--write_seeds=";
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with(kFlag)) continue;
    const std::string folder(argument.substr(kFlag.size()));
    for (size_t n = 0; n < seeds.size(); ++n) {
      const std::string path = folder + "/seed-" + std::to_string(n);
      std::ofstream file(path, std::ios::binary);
      file << seeds[n];
      file.close();
      if (!file) {
        std::fprintf(stderr, "cannot write %s\n", path.c_str());
        std::exit(1);
      }
    }
    std::printf("%zu seeds in %s\n", seeds.size(), folder.c_str());
    std::exit(0);
  }
}

// A broken promise ends the run; libFuzzer then keeps the input that broke it.
inline void require(bool kept, const char* promise) {
  if (kept) return;
  std::fprintf(stderr, "broken: %s\n", promise);
  std::abort();
}

}  // namespace raftkv::fuzz
