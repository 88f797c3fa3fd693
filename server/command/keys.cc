// Which arguments of a command are keys, and which slot a key belongs to.

#include <algorithm>
#include <array>

#include "server/command/command.h"

namespace raftkv::server {
namespace {

constexpr uint16_t kSlots = 16384;
constexpr uint16_t kPolynomial = 0x1021;  // CRC-16/XMODEM: no reflection, initial value 0

constexpr std::array<uint16_t, 256> make_crc_table() {
  std::array<uint16_t, 256> table{};
  for (unsigned byte = 0; byte < table.size(); ++byte) {
    auto crc = static_cast<uint16_t>(byte << 8);
    for (int bit = 0; bit < 8; ++bit) {
      crc = static_cast<uint16_t>(crc & 0x8000 ? (crc << 1) ^ kPolynomial : crc << 1);
    }
    table[byte] = crc;
  }
  return table;
}

constexpr std::array<uint16_t, 256> kCrcTable = make_crc_table();

uint16_t crc16(std::string_view bytes) {
  uint16_t crc = 0;
  for (const char c : bytes) {
    crc = static_cast<uint16_t>((crc << 8) ^ kCrcTable[(crc >> 8) ^ static_cast<uint8_t>(c)]);
  }
  return crc;
}

// Keys that shall share a slot say so by a common part in braces. Only the first '{' counts, and an
// empty tag is none: "{}x" and "{}y" are spread like any other keys.
std::string_view hashed_part(std::string_view key) {
  const size_t open = key.find('{');
  if (open == std::string_view::npos) return key;
  const size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

}  // namespace

bool arity_fits(const CommandSpec& spec, size_t args) {
  return spec.arity >= 0 ? args == static_cast<size_t>(spec.arity)
                         : args >= static_cast<size_t>(-spec.arity);
}

KeyRange key_range(const CommandSpec& spec, size_t args) {
  if (spec.keys.first <= 0) return {};
  const auto size = static_cast<int64_t>(args);
  const int64_t first = spec.keys.first;
  const int64_t step = spec.keys.step > 0 ? spec.keys.step : 1;
  int64_t last = spec.keys.last >= 0 ? spec.keys.last : size + spec.keys.last;
  if (last >= size) last = size - 1;
  if (first > last) return {};
  return {static_cast<size_t>(first), static_cast<size_t>((last - first) / step + 1),
          static_cast<size_t>(step)};
}

Carried carried_by(const CommandSpec& spec, Args args) {
  if (spec.carries_at == nullptr) [[likely]]
    return {&spec, args};
  const Args inner = args.subspan(std::min(spec.carries_at(args), args.size()));
  return {CommandTable::instance().resolve(inner), inner};
}

void for_each_key(const CommandSpec& spec, Args args,
                  const std::function<void(std::string_view)>& visit) {
  const Carried call = carried_by(spec, args);
  if (call.spec == nullptr) return;
  const KeyRange range = key_range(*call.spec, call.args.size());
  for (size_t i = 0; i < range.count; ++i) visit(call.args[range.first + i * range.step]);
}

uint16_t key_slot(std::string_view key) {
  return crc16(hashed_part(key)) % kSlots;
}

uint16_t command_slot(const CommandSpec& spec, Args args) {
  const Carried call = carried_by(spec, args);
  if (call.spec == nullptr) return 0;
  const KeyRange range = key_range(*call.spec, call.args.size());
  return range.count > 0 ? key_slot(call.args[range.first]) : 0;
}

}  // namespace raftkv::server
