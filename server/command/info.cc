#include "server/command/info.h"

#include <algorithm>
#include <array>

#include "server/command/local_text.h"

namespace raftkv::server {
namespace {

bool asks_for(Args sections, const InfoSection& section) {
  return std::ranges::any_of(sections, [&](std::string_view name) {
    if (same_word(name, "all") || same_word(name, "everything")) return true;
    if (same_word(name, "default")) return section.by_default;
    return same_word(name, section.title);
  });
}

}  // namespace

std::span<const InfoSection> info_sections() {
  static constexpr InfoSection kSections[] = {
      {"Server", true, write_info_server},
      {"Clients", true, write_info_clients},
      {"Memory", true, write_info_memory},
      {"Persistence", true, write_info_persistence},
      {"Stats", true, write_info_stats},
      {"Replication", true, write_info_replication},
      {"CPU", true, write_info_cpu},
      {"Commandstats", false, write_info_commandstats},
      {"Errorstats", true, write_info_errorstats},
      {"Latencystats", false, write_info_latencystats},
      {"Cluster", true, write_info_cluster},
      {"Keyspace", true, write_info_keyspace},
      {"Raft", true, write_info_raft},
  };
  return kSections;
}

std::string info_text(const InfoSource& source, Args sections) {
  static constexpr std::array<std::string_view, 1> kDefault = {"default"};
  if (sections.empty()) sections = kDefault;
  InfoText text;
  for (const InfoSection& section : info_sections()) {
    if (!asks_for(sections, section)) continue;
    text.title(section.title);
    section.write(source, text);
  }
  return text.text();
}

void info(LocalContext& context) {
  const InfoSource source{context.host, context.client};
  context.reply.verbatim("txt", info_text(source, context.args.subspan(1)));
}

std::string human_bytes(uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{}B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  std::string_view units = "KMGTP";
  while (value >= 1024 && units.size() > 1) {
    value /= 1024;
    units.remove_prefix(1);
  }
  return fmt::format("{:.2f}{}", value, units.front());
}

void InfoText::bytes(std::string_view name, uint64_t value) {
  field(name, value);
  field(fmt::format("{}_human", name), human_bytes(value));
}

}  // namespace raftkv::server
