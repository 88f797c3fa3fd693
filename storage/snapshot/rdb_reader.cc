#include "storage/snapshot/rdb_reader.h"

#include <fmt/format.h>

#include <cctype>

#include "storage/snapshot/rdb_format.h"

namespace raftkv::storage {
namespace rdb {

const char* type_name(uint8_t type) {
  switch (type) {
    case kTypeString:
      return "string";
    case 1:   // linked list
    case 10:  // ziplist
    case 14:  // quicklist of ziplists
    case 18:  // quicklist of listpacks
      return "list";
    case 2:   // hash table
    case 11:  // intset
    case 20:  // listpack
      return "set";
    case 3:   // scores as text
    case 5:   // scores as binary doubles
    case 12:  // ziplist
    case 17:  // listpack
      return "zset";
    case 4:   // hash table
    case 9:   // zipmap
    case 13:  // ziplist
    case 16:  // listpack
      return "hash";
    case 6:
    case 7:
      return "module value";
    case 15:
    case 19:
    case 21:
      return "stream";
    default:
      return nullptr;
  }
}

}  // namespace rdb

namespace {

constexpr std::string_view kMagic = "REDIS";
constexpr size_t kVersionDigits = 4;

// A module's name is packed into the 54 highest bits of its id, six for each character.
std::string module_name(uint64_t id) {
  constexpr std::string_view kCharacters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string name;
  for (int shift = 58; shift >= 10; shift -= 6) name += kCharacters[id >> shift & 63];
  return name;
}

}  // namespace

std::string printable_key(std::string_view key) {
  constexpr size_t kShownMax = 64;
  std::string text = "'";
  for (const char c : key.substr(0, kShownMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f || c == '\'' || c == '\\') {
      text += fmt::format("\\x{:02x}", byte);
    } else {
      text += c;
    }
  }
  text += "'";
  if (key.size() > kShownMax) text += fmt::format("... ({} bytes)", key.size());
  return text;
}

RdbReader::RdbReader(ByteSource& source, RdbReaderOptions options)
    : input_(source), options_(options) {}

std::expected<RdbReader::Item, std::string> RdbReader::next() {
  if (ended_) return Item::kEnd;
  Item found = Item::kEnd;
  if ((version_ == 0 && !header()) || !item(found)) return std::unexpected(input_.error());
  return found;
}

bool RdbReader::header() {
  std::string_view bytes;
  if (!input_.take(bytes, kMagic.size() + kVersionDigits, "the header")) return false;
  if (!bytes.starts_with(kMagic)) {
    return input_.fail(0, "this is no RDB file: it does not begin with \"REDIS\"");
  }
  unsigned version = 0;
  for (const char c : bytes.substr(kMagic.size())) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) {
      return input_.fail(kMagic.size(), "the version has four digits, not " +
                                            printable_key(bytes.substr(kMagic.size())));
    }
    version = 10 * version + static_cast<unsigned>(c - '0');
  }
  if (version == 0 || version > rdb::kVersionReadMax) {
    return input_.fail(kMagic.size(), fmt::format("version {} of the RDB format is not known, only "
                                                  "1 to {}",
                                                  version, rdb::kVersionReadMax));
  }
  version_ = version;
  return true;
}

bool RdbReader::item(Item& item) {
  if (input_.failed()) return false;
  expiry_ms_ = kNoExpiry;
  std::optional<Item> found;
  while (!found) {
    uint8_t opcode = 0;
    if (!input_.byte(opcode, "the records: the file has no end mark")) return false;
    if (!record(opcode, found)) return false;
  }
  item = *found;
  return true;
}

bool RdbReader::record(uint8_t opcode, std::optional<Item>& found) {
  uint64_t ignored = 0;
  uint64_t time = 0;
  switch (opcode) {
    case rdb::kAux:
      found = Item::kAux;
      return aux();
    case rdb::kSelectDb:
      return select_database();
    case rdb::kResizeDb:
      return resize(found);
    case rdb::kExpireTime:
      if (!input_.integer(time, 4, "a deadline")) return false;
      expiry_ms_ = int64_t{static_cast<int32_t>(time)} * 1000;
      return true;
    case rdb::kExpireTimeMs:
      if (!input_.integer(time, 8, "a deadline")) return false;
      expiry_ms_ = static_cast<int64_t>(time);
      return true;
    case rdb::kIdle:
      return input_.length(ignored, "an idle time");
    case rdb::kFreq:
      return input_.integer(ignored, 1, "a frequency of use");
    case rdb::kFunction2:
    case rdb::kFunctionPreGa:
      return refuse_functions();
    case rdb::kModuleAux:
      return refuse_module_data();
    case rdb::kEof:
      found = Item::kEnd;
      return end();
    default:
      found = Item::kKey;
      return key_of_type(opcode);
  }
}

bool RdbReader::aux() {
  std::string_view name;
  if (!input_.string(name, key_, "the name of an AUX field")) return false;
  if (name.data() != key_.data()) key_.assign(name);
  return input_.string(value_, value_memory_, "an AUX field");
}

bool RdbReader::select_database() {
  keys_in_database_.reset();
  return input_.length(database_, "the number of a database");
}

bool RdbReader::resize(std::optional<Item>& found) {
  uint64_t keys = 0;
  uint64_t with_expiry = 0;
  if (!input_.length(keys, "the number of keys")) return false;
  if (!input_.length(with_expiry, "the number of keys with a deadline")) return false;
  keys_in_database_ = keys;
  if (database_ != 0) return true;
  keys_announced_ = keys;
  keys_with_expiry_announced_ = with_expiry;
  found = Item::kResize;
  return true;
}

bool RdbReader::key_of_type(uint8_t type) {
  const uint64_t at = input_.offset() - 1;
  const char* type_name = rdb::type_name(type);
  if (type_name == nullptr) {
    return input_.fail(at, fmt::format("{:#04x} is neither a type nor a record that any Redis with "
                                       "this version of the format writes",
                                       type));
  }
  std::string_view key;
  if (!input_.string(key, key_, "a key")) return false;
  if (key.data() != key_.data()) key_.assign(key);
  if (database_ != 0) {
    const std::string count = keys_in_database_ ? fmt::format(" (of {})", *keys_in_database_) : "";
    return input_.fail(at, fmt::format("key {}{} is in database {}, but there is only database 0 "
                                       "here",
                                       printable_key(key_), count, database_));
  }
  if (type != rdb::kTypeString) {
    return input_.fail(at, fmt::format("key {} is a {}, a type that does not exist here",
                                       printable_key(key_), type_name));
  }
  return input_.string(value_, value_memory_, "a value");
}

bool RdbReader::refuse_functions() {
  const uint64_t at = input_.offset() - 1;
  std::string_view code;
  if (!input_.string(code, value_memory_, "a library of functions")) return false;
  return input_.fail(at, fmt::format("the file holds a library of functions ({}), which don't "
                                     "exist here",
                                     printable_key(code.substr(0, code.find('\n')))));
}

bool RdbReader::refuse_module_data() {
  const uint64_t at = input_.offset() - 1;
  uint64_t id = 0;
  if (!input_.length(id, "the id of a module")) return false;
  return input_.fail(at, fmt::format("the file holds data of the module '{}', which does not exist "
                                     "here",
                                     module_name(id)));
}

bool RdbReader::end() {
  const uint64_t at = input_.offset();
  if (version_ >= rdb::kVersionWithChecksum) {
    const uint64_t computed = input_.checksum();
    uint64_t stored = 0;
    if (!input_.integer(stored, 8, "the checksum")) return false;
    checksum_missing_ = stored == 0 && computed != 0;
    if (stored != computed && !checksum_missing_) {
      return input_.fail(at, fmt::format("the file is damaged: its checksum is {:016x}, but its "
                                         "bytes have {:016x}",
                                         stored, computed));
    }
  } else {
    checksum_missing_ = true;
  }
  if (checksum_missing_ && options_.checksum_required) {
    return input_.fail(at, "the file has no checksum, but must have one");
  }
  if (!input_.at_end()) return input_.fail(input_.offset(), "bytes follow behind the end mark");
  ended_ = true;
  return true;
}

}  // namespace raftkv::storage
