#include "tests/sim/own_keys.h"

#include <fmt/format.h>

namespace raftkv::sim {

std::string OwnKeys::saw(const std::string& value) {
  if (possible_.contains(value)) return {};
  return fmt::format("{} shows '{}', but its only writer expects '{}'", key_, value,
                     fmt::join(possible_, "' or '"));
}

Step OwnKeys::set() {
  const std::string value = std::to_string(++next_value_);
  return {.args = {"SET", key_, value},
          .replied =
              [this, value](const Reply&) {
                possible_ = {value};
                return std::string();
              },
          .lost =
              [this, value](bool maybe) {
                if (maybe) possible_.insert(value);
              }};
}

Step OwnKeys::get() {
  return {.args = {"GET", key_}, .replied = [this](const Reply& reply) { return saw(reply.text); }};
}

void OwnKeys::add_transaction(Pipeline& pipeline) {
  const std::string value = std::to_string(++next_value_);
  pipeline.push_back(plain({"MULTI"}));
  pipeline.push_back(plain({"GET", key_}));
  pipeline.push_back(plain({"PING"}));
  pipeline.push_back(plain({"SET", key_, value}));
  pipeline.push_back(plain({"GET", key_}));
  pipeline.push_back({.args = {"EXEC"},
                      .replied =
                          [this, value](const Reply& reply) {
                            // A WATCH from before leadership moved aborts it.
                            if (reply.is_nil()) return std::string();
                            std::string wrong = saw(reply.items.at(0).text);
                            if (reply.items.at(3).text != value) {
                              wrong = "a transaction does not see its own write";
                            }
                            possible_ = {value};
                            return wrong;
                          },
                      .lost =
                          [this, value](bool maybe) {
                            if (maybe) possible_.insert(value);
                          }});
}

Pipeline OwnKeys::next(Random& random) {
  Pipeline pipeline;
  for (size_t count = random.between(1, 8); count > 0; --count) {
    switch (random.below(12)) {
      case 0:
        add_transaction(pipeline);
        break;
      case 1:
        pipeline.push_back(plain({"PING"}));
        break;
      case 2:
        pipeline.push_back(plain({"WAIT", std::to_string(random.below(3)), "20"}));
        break;
      case 3:
      case 4:
      case 5:
      case 6:
        pipeline.push_back(set());
        break;
      default:
        pipeline.push_back(get());
    }
  }
  return pipeline;
}

}  // namespace raftkv::sim
