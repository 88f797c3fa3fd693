// The page: one SVG with a lane a client, and the table below it.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "client/check/report.h"
#include "client/check/words.h"

namespace raftkv::client::check {
namespace {

constexpr int kTickWidth = 84;
constexpr int kLaneHeight = 62;
constexpr int kLeft = 76;
constexpr int kTop = 16;
constexpr size_t kDrawnMax = 200;  // operations; more are unreadable and only listed

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        // What can't stand in a page, such as a zero byte, shows as a dot.
        out += static_cast<unsigned char>(c) < 0x20 ? '.' : c;
    }
  }
  return out;
}

// Cut to what fits beside a bar, between characters.
std::string shortened(std::string text, size_t limit) {
  if (text.size() <= limit) return text;
  while (limit > 0 && (static_cast<unsigned char>(text[limit]) & 0xc0) == 0x80) --limit;
  return text.substr(0, limit) + "...";
}

// Colours by Okabe & Ito, told apart by people who see few colours; shape and dashes say the same.
constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1b1b1b; --faint: #5c5c5c;
  --rule: #d4d4d4; --write: #0072b2; --read: #b35900; --doubt: #9c4a7c; }
@media (prefers-color-scheme: dark) { :root { --ground: #16181c; --ink: #ececec; --faint: #a8a8a8;
  --rule: #3a3e45; --write: #56b4e9; --read: #e69f00; --doubt: #cc79a7; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 16px; max-width: 1100px;
  background: var(--ground); color: var(--ink); }
h1 { font-size: 1.25rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; border: 1px solid var(--rule); border-radius: 6px; margin: 16px 0; }
svg { display: block; font: 13px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .faint { fill: var(--faint); font-size: 11px; }
.lane { stroke: var(--rule); } .tick { stroke: var(--rule); stroke-dasharray: 2 4; }
.bar { stroke-width: 2; fill-opacity: .25; }
.write { fill: var(--write); stroke: var(--write); }
.read { fill: var(--read); stroke: var(--read); }
.doubt { fill: var(--doubt); stroke: var(--doubt); stroke-dasharray: 6 4; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 6px 12px 6px 8px; border-bottom: 1px solid var(--rule);
  overflow-wrap: anywhere; }
td.time { white-space: nowrap; }
.legend { color: var(--faint); }
)";

class Timeline {
 public:
  explicit Timeline(const Violation& violation)
      : history_(*violation.whole.history), violation_(violation) {
    for (const Entry& entry : violation.core) {
      if (entries_.size() == kDrawnMax) break;
      entries_.push_back(&entry);
      ticks_[entry.operation->call];
      if (entry.operation->returned != kNever) ticks_[entry.operation->returned];
    }
    int place = 0;
    for (auto& [time, x] : ticks_) x = kLeft + kTickWidth / 4 + kTickWidth * place++;
    right_ = kLeft + kTickWidth * place + kTickWidth;
    place_in_rows();
  }

  std::string svg() const {
    const int height = kTop + kLaneHeight * rows_ + 24;
    std::string out = fmt::format(
        "<svg width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" role=\"img\" "
        "aria-label=\"Timeline of the operations, a lane for each client\">\n",
        right_, height);
    const int64_t origin = ticks_.empty() ? 0 : ticks_.begin()->first;
    for (const auto& [time, x] : ticks_) {
      out += fmt::format(
          "<line class=\"tick\" x1=\"{0}\" y1=\"{1}\" x2=\"{0}\" y2=\"{2}\"/>"
          "<text class=\"faint\" x=\"{0}\" y=\"{3}\" text-anchor=\"middle\">{4}</text>\n",
          x, kTop, height - 22, height - 7, time_text(time, origin));
    }
    for (const auto& [client, row] : lanes_) {
      const int y = kTop + kLaneHeight * row;
      out += fmt::format(
          "<line class=\"lane\" x1=\"0\" y1=\"{0}\" x2=\"{1}\" y2=\"{0}\"/>"
          "<text x=\"8\" y=\"{2}\">client {3}</text>\n",
          y, right_, y + 36, client);
    }
    for (size_t i = 0; i < entries_.size(); ++i) out += bar(*entries_[i], row_of_[i]);
    return out + "</svg>\n";
  }

 private:
  // Operations of one client that overlap get rows of their own.
  void place_in_rows() {
    std::map<int64_t, std::vector<size_t>> by_client;
    for (size_t i = 0; i < entries_.size(); ++i) {
      by_client[entries_[i]->operation->client].push_back(i);
    }
    row_of_.resize(entries_.size());
    for (const auto& [client, numbers] : by_client) {
      lanes_[client] = rows_;
      std::vector<int64_t> ends;
      for (const size_t i : numbers) {
        const Operation& operation = *entries_[i]->operation;
        size_t row = 0;
        while (row < ends.size() && ends[row] >= operation.call) ++row;
        if (row == ends.size()) ends.push_back(0);
        ends[row] = operation.returned;
        row_of_[i] = rows_ + static_cast<int>(row);
      }
      rows_ += static_cast<int>(ends.size());
    }
  }

  std::string bar(const Entry& entry, int row) const {
    const Operation& operation = *entry.operation;
    const bool open = operation.returned == kNever;
    const int from = ticks_.at(operation.call);
    const int to = open ? right_ - 14 : std::max(ticks_.at(operation.returned), from + 8);
    const int y = kTop + kLaneHeight * row + 28;
    const bool read = is_read(history_, entry);
    const char* look = open ? "doubt" : read ? "read" : "write";
    const std::string command = command_text(history_, operation, violation_.whole.keys.size() > 1);
    const std::string label = command + ": " + reply_text(history_, operation);
    std::string out =
        fmt::format("<g><title>client {}: {}</title>", operation.client, escaped(label));
    if (open) {  // without an end
      out += fmt::format("<path class=\"bar {}\" d=\"M{} {}H{}L{} {}L{} {}H{}Z\"/>", look, from, y,
                         to - 10, to, y + 12, to - 10, y + 24, from);
    } else {
      out += fmt::format(
          "<rect class=\"bar {}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"24\" rx=\"{}\"/>", look,
          from, y, to - from, read ? 12 : 2);
    }
    const size_t fits = static_cast<size_t>(std::max(right_ - from, 80)) / 8;
    return out + fmt::format("<text x=\"{}\" y=\"{}\">{}</text></g>\n", from, y - 6,
                             escaped(shortened(label, fits)));
  }

  const History& history_;
  const Violation& violation_;
  std::vector<const Entry*> entries_;
  std::map<int64_t, int> ticks_;  // each time an event has -> x; only their order is to scale
  std::map<int64_t, int> lanes_;  // client -> first row
  std::vector<int> row_of_;
  int rows_ = 0;
  int right_ = 0;
};

std::string table_of(const Violation& violation) {
  const History& history = *violation.whole.history;
  const int64_t origin = violation.core.empty() ? 0 : violation.core.front().operation->call;
  std::string out =
      "<div class=\"scroll\"><table><thead><tr><th>line<th>client<th>called<th>returned"
      "<th>operation<th>saw</tr></thead><tbody>\n";
  for (const Entry& entry : violation.core) {
    const Operation& operation = *entry.operation;
    out +=
        fmt::format("<tr><td>{}<td>{}<td class=\"time\">{}<td class=\"time\">{}<td>{}<td>{}</tr>\n",
                    operation.line, operation.client, time_text(operation.call, origin),
                    time_text(operation.returned, origin),
                    escaped(command_text(history, operation, violation.whole.keys.size() > 1)),
                    escaped(reply_text(history, operation)));
  }
  return out + "</tbody></table></div>\n";
}

}  // namespace

std::string html_page(const std::string& headline, const Violation* violation) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<title>History check</title><style>{}</style></head><body>\n<h1>{}</h1>\n",
      kStyle, escaped(headline));
  if (violation != nullptr) {
    std::string keys;
    for (const uint32_t key : violation->whole.keys) {
      keys += (keys.empty() ? "" : ", ") + violation->whole.history->keys[key];
    }
    out += fmt::format("<p><b>Key {}:</b> {}.</p>\n", escaped(shortened(keys, 200)),
                       escaped(explain(*violation)));
    out += "<div class=\"scroll\">" + Timeline(*violation).svg() + "</div>\n";
    out +=
        "<p class=\"legend\">Square bars write, round ones read, dashed arrows were never "
        "answered. Events are in their order in time; the space between them is not to "
        "scale.</p>\n";
    out += table_of(*violation);
  }
  return out + "</body></html>\n";
}

}  // namespace raftkv::client::check
