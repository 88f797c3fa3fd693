// INFO: its sections, and how they are written.
#pragma once

#include <fmt/format.h>

#include <iterator>
#include <span>
#include <string>
#include <string_view>

#include "server/command/host.h"

namespace raftkv::server {

// The text of one or more sections: "# Title", then "name:value" lines; blank lines between
// sections.
class InfoText {
 public:
  void title(std::string_view name) {
    if (!text_.empty()) text_ += "\r\n";
    fmt::format_to(std::back_inserter(text_), "# {}\r\n", name);
  }
  template <typename Value>
  void field(std::string_view name, const Value& value) {
    fmt::format_to(std::back_inserter(text_), "{}:{}\r\n", name, value);
  }
  // With two digits, as Redis prints ratios.
  void ratio(std::string_view name, double value) {
    fmt::format_to(std::back_inserter(text_), "{}:{:.2f}\r\n", name, value);
  }
  // A number of bytes, and a second line that people can read ("1.50M").
  void bytes(std::string_view name, uint64_t value);

  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// "1.50M", as Redis writes sizes for people.
std::string human_bytes(uint64_t bytes);

struct InfoSource {
  Host& host;
  const ClientState& client;
};

struct InfoSection {
  std::string_view title;
  bool by_default;  // part of INFO without arguments
  void (*write)(const InfoSource& source, InfoText& text);
};

// In the order in which INFO prints them.
std::span<const InfoSection> info_sections();

void write_info_server(const InfoSource& source, InfoText& text);  // info_process.cc
void write_info_memory(const InfoSource& source, InfoText& text);
void write_info_cpu(const InfoSource& source, InfoText& text);
void write_info_clients(const InfoSource& source, InfoText& text);  // info_activity.cc
void write_info_persistence(const InfoSource& source, InfoText& text);
void write_info_stats(const InfoSource& source, InfoText& text);
void write_info_commandstats(const InfoSource& source, InfoText& text);
void write_info_latencystats(const InfoSource& source, InfoText& text);
void write_info_errorstats(const InfoSource& source, InfoText& text);
void write_info_keyspace(const InfoSource& source, InfoText& text);
void write_info_replication(const InfoSource& source, InfoText& text);  // info_cluster.cc
void write_info_cluster(const InfoSource& source, InfoText& text);
void write_info_raft(const InfoSource& source, InfoText& text);

// 32 hexadecimal digits.
std::string digest_text(const data::Keyspace::Digest& digest);

// When the newest snapshot was finished or, before the first one, when the process started: Unix
// seconds, as LASTSAVE tells it.
uint64_t last_save_s(const Host& host);

// The text for INFO with these section names, in any case; none means the default ones. "all" and
// "everything" mean all of them; a name that does not exist adds nothing.
std::string info_text(const InfoSource& source, Args sections);

void info(LocalContext& context);

}  // namespace raftkv::server
