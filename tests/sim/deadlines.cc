#include "tests/sim/deadlines.h"

#include <fmt/format.h>

namespace raftkv::sim {

namespace {

constexpr uint64_t kLongestLifeMs = 300;
// The log's clock may run slower than the world's: steered by a tenth, drifting by a fiftieth.
constexpr uint64_t kSlowestPercent = 87;
// A new leader's clock may stand at the last entry it got, which left the old leader a while ago.
constexpr uint64_t kSlackUs = 1'000'000;

}  // namespace

void DeadlineHistory::acknowledged(const std::string& key, const std::string& value,
                                   uint64_t lives_ms) {
  Value& known = values_[key][value];
  if (known.there_since == 0) known.there_since = tick();
  known.ends_us = world_.now_us() + lives_ms * 1000 * 100 / kSlowestPercent + kSlackUs;
}

std::string DeadlineHistory::read(const std::string& key, const Reply& reply, uint64_t began,
                                  uint64_t began_us) {
  auto& values = values_[key];
  const uint64_t now = tick();
  for (auto& [text, value] : values) {
    if (text == reply.text || value.gone_since != 0) continue;
    if (value.there_since != 0 && value.there_since < began) value.gone_since = now;
  }
  if (reply.is_nil()) return {};
  Value& seen = values[reply.text];
  if (seen.gone_since != 0 && seen.gone_since < began) {
    return fmt::format("the value {} of {} came back after it was seen gone", reply.text, key);
  }
  if (strict_ && began_us > seen.ends_us) {
    return fmt::format("the value {} of {} is shown {} us after its time", reply.text, key,
                       began_us - seen.ends_us);
  }
  if (seen.there_since == 0) seen.there_since = now;
  return {};
}

Pipeline Deadlines::next(Random& random) {
  Pipeline pipeline;
  for (size_t count = random.between(1, 5); count > 0; --count) {
    const std::string key = fmt::format("mortal:{}", random.below(keys_));
    if (random.chance(0.3)) {
      const std::string value = history_.new_value();
      const uint64_t lives_ms = random.between(1, kLongestLifeMs);
      pipeline.push_back({.args = {"SET", key, value, "PX", std::to_string(lives_ms)},
                          .replied = [this, key, value, lives_ms](const Reply&) {
                            history_.acknowledged(key, value, lives_ms);
                            return std::string();
                          }});
      continue;
    }
    // A write reads too, by the time of its entry. (It would prolong what `strict` measures.)
    std::vector<std::string> args{"GET", key};
    if (!history_.strict() && random.chance(0.2)) {
      args = {"GETEX", key, "PX", std::to_string(kLongestLifeMs)};
    }
    pipeline.push_back({.args = std::move(args),
                        .replied = [this, key, began = history_.tick(),
                                    began_us = history_.world_us()](const Reply& reply) {
                          return history_.read(key, reply, began, began_us);
                        }});
  }
  return pipeline;
}

}  // namespace raftkv::sim
