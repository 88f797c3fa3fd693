// put, get, del, incr.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "client/commands.h"
#include "client/failure.h"

namespace raftkv::client {
namespace {

using Json = nlohmann::json;

std::string dump(const Json& object) {
  // Keys and values are bytes; what is not UTF-8 is replaced, since JSON has no place for it.
  return object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result send_to_leader(const std::vector<Address>& nodes, const CommonFlags& common,
                      Command command) {
  const std::chrono::milliseconds timeout(common.timeout_ms);
  // Should the session not be closed at the end, it shall not be remembered for long.
  const auto ttl = std::chrono::ceil<std::chrono::seconds>(timeout) + std::chrono::seconds(60);
  ClusterClient client(nodes, {.command_timeout = timeout, .session_ttl = ttl});
  return client.command(std::move(command));
}

class PutCommand : public CliCommand {
 public:
  void declare(Flags& flags) override {
    flags.required_text("key", &key_, "the key to write");
    flags.required_text("value", &value_, "its new value");
    flags.number("ttl_ms", &ttl_ms_, 0, INT64_MAX / 2,
                 "delete the key after this many milliseconds; 0: never");
  }

  int run(const Console& console, const std::vector<Address>& nodes,
          const CommonFlags& common) override {
    std::vector<std::string> args = {"SET", key_, value_};
    if (ttl_ms_ > 0) args.insert(args.end(), {"PX", std::to_string(ttl_ms_)});
    const Result result = send_to_leader(
        nodes, common, {.args = std::move(args), .retry = Retry::kSafe, .once = true});
    if (!result) {
      return report_failure(console, common.json, "put", result.error(),
                            "the value may or may not have been written; putting it again is safe");
    }
    console.out(common.json ? dump({{"ok", true}, {"key", key_}}) : result->text + "\n");
    return kExitOk;
  }

 private:
  std::string key_;
  std::string value_;
  int64_t ttl_ms_ = 0;
};

class GetCommand : public CliCommand {
 public:
  void declare(Flags& flags) override { flags.required_text("key", &key_, "the key to read"); }

  int run(const Console& console, const std::vector<Address>& nodes,
          const CommonFlags& common) override {
    const Result result =
        send_to_leader(nodes, common, {.args = {"GET", key_}, .retry = Retry::kRead});
    if (!result) return report_failure(console, common.json, "get", result.error(), "");
    if (common.json) {
      Json object = {{"ok", true}, {"key", key_}, {"value", nullptr}};
      if (!result->is_nil()) object["value"] = result->text;
      console.out(dump(object));
    } else {
      console.out((result->is_nil() ? "(nil)" : result->text) + "\n");
    }
    return result->is_nil() ? kExitFailed : kExitOk;
  }

 private:
  std::string key_;
};

// A write whose reply is a number and that must not be done twice.
int run_counting(const Console& console, const CommonFlags& common, std::string_view name,
                 const std::string& key, const Result& result, std::string_view doubt) {
  if (!result) return report_failure(console, common.json, name, result.error(), doubt);
  console.out(common.json ? dump({{"ok", true}, {"key", key}, {"value", result->integer}})
                          : fmt::format("{}\n", result->integer));
  return kExitOk;
}

class DelCommand : public CliCommand {
 public:
  void declare(Flags& flags) override { flags.required_text("key", &key_, "the key to delete"); }

  int run(const Console& console, const std::vector<Address>& nodes,
          const CommonFlags& common) override {
    return run_counting(console, common, "del", key_,
                        send_to_leader(nodes, common, {.args = {"DEL", key_}, .once = true}),
                        "the key may or may not have been deleted; deleting it again is safe, but "
                        "the count may then be 0");
  }

 private:
  std::string key_;
};

class IncrCommand : public CliCommand {
 public:
  void declare(Flags& flags) override {
    flags.required_text("key", &key_, "the key that holds the number");
    flags.number("by", &by_, INT64_MIN, INT64_MAX, "how much to add");
  }

  int run(const Console& console, const std::vector<Address>& nodes,
          const CommonFlags& common) override {
    return run_counting(
        console, common, "incr", key_,
        send_to_leader(nodes, common,
                       {.args = {"INCRBY", key_, std::to_string(by_)}, .once = true}),
        "the increment may or may not have been done; read the key before you repeat it");
  }

 private:
  std::string key_;
  int64_t by_ = 1;
};

}  // namespace

std::unique_ptr<CliCommand> make_put_command() {
  return std::make_unique<PutCommand>();
}
std::unique_ptr<CliCommand> make_get_command() {
  return std::make_unique<GetCommand>();
}
std::unique_ptr<CliCommand> make_del_command() {
  return std::make_unique<DelCommand>();
}
std::unique_ptr<CliCommand> make_incr_command() {
  return std::make_unique<IncrCommand>();
}

}  // namespace raftkv::client
