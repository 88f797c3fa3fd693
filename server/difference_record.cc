#include "server/difference_record.h"

#include <fmt/format.h>
#include <glog/logging.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "storage/snapshot/snapshot_sink.h"

namespace raftkv::server {
namespace {

constexpr std::string_view kTitle = "raftkv differences 1\n";
constexpr size_t kStepBytes = 1 << 16;

std::string path_of(const std::string& data_dir) {
  return data_dir + "/" + DifferenceRecord::kFile;
}

// The checksum line covers all before it.
std::string encode(const DifferenceRecord& record) {
  std::string last = record.last;
  std::ranges::replace(last, '\n', ' ');
  std::string text = fmt::format("{}discard {}\ncount {}\nlast {}\n", kTitle,
                                 record.discard ? "yes" : "no", record.count, last);
  text += fmt::format("checksum {:016x}\n", XXH3_64bits(text.data(), text.size()));
  return text;
}

std::optional<std::string_view> take_line(std::string_view& text, std::string_view name) {
  const size_t end = text.find('\n');
  if (end == std::string_view::npos || !text.starts_with(name)) return std::nullopt;
  const std::string_view value = text.substr(name.size(), end - name.size());
  text.remove_prefix(end + 1);
  return value;
}

// Nothing if `text` is not exactly what encode() makes.
std::optional<DifferenceRecord> decode(std::string_view text) {
  std::string_view rest = text;
  if (!rest.starts_with(kTitle)) return std::nullopt;
  rest.remove_prefix(kTitle.size());
  const auto discard = take_line(rest, "discard ");
  const auto count = take_line(rest, "count ");
  const auto last = take_line(rest, "last ");
  if (!discard || !count || !last) return std::nullopt;
  DifferenceRecord record{.discard = *discard == "yes", .last = std::string(*last)};
  std::from_chars(count->data(), count->data() + count->size(), record.count);
  if (encode(record) != text) return std::nullopt;
  return record;
}

}  // namespace

std::expected<DifferenceRecord, std::string> read_differences(const std::string& data_dir) {
  const std::string path = path_of(data_dir);
  std::error_code error;
  const bool there = std::filesystem::exists(path, error);
  if (!there && !error) return DifferenceRecord{};
  std::ifstream file(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  if (!file.is_open() || file.bad()) {
    return std::unexpected(
        path +
        " can't be read; give its rights to the user that runs this server, or mend the disk");
  }
  auto record = decode(text);
  if (!record) {
    return std::unexpected(
        path +
        " is damaged or of another release. It says whether the data of this directory were found "
        "to differ from the other members': if this node's log speaks of that, remove the node "
        "from "
        "the cluster (raftkv-cli members replace) and add it with an empty directory; if not, "
        "delete the file");
  }
  return *std::move(record);
}

std::expected<void, std::string> write_differences(const std::string& data_dir,
                                                   const DifferenceRecord& record) {
  storage::SnapshotSink sink(data_dir, path_of(data_dir), kStepBytes);
  auto done = sink.open();
  if (done) done = sink.append(encode(record));
  if (done) done = sink.commit();
  return done;
}

std::expected<DifferenceRecord, std::string> discard_what_differs(const std::string& data_dir,
                                                                  storage::LogStore& log,
                                                                  raft::Restored& restored) {
  auto record = read_differences(data_dir);
  if (!record || !record->discard) return record;
  LOG(ERROR) << record->last << ": log and snapshots of " << data_dir
             << " are discarded now. This node does not vote until it has again from the others "
                "what it may have acknowledged";
  if (auto discarded = log.discard_log(); !discarded) return std::unexpected(discarded.error());
  auto recovered = log.recover();
  if (!recovered) return std::unexpected(recovered.error());
  restored = *std::move(recovered);
  record->discard = false;
  if (auto written = write_differences(data_dir, *record); !written) {
    return std::unexpected(written.error());
  }
  return record;
}

}  // namespace raftkv::server
