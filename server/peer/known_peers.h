// The incarnations of the members that this node has met, kept in its data directory: a member
// whose own directory was wiped is noticed also after this node has restarted.
#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <string>

namespace raftkv::server {

// The file is written aside, synced and renamed: at any moment it is whole. Changes are rare (a
// member is met for the first time, or removed) and short, so they are made where they come up, in
// the loop's thread.
class KnownPeers {
 public:
  static constexpr char kFile[] = "peers";

  // Reads `<data_dir>/peers`; nobody is known if there is none. The directory exists and is locked
  // by this process. The error is one line for the operator.
  static std::expected<KnownPeers, std::string> open(const std::string& data_dir);

  const std::map<uint64_t, uint64_t>& incarnations() const { return incarnations_; }  // by node id

  // Each ends with the file on disk. After an error (a full disk) the change holds in memory, and
  // the next change writes it, too. The error is one line for the operator.
  std::expected<void, std::string> learn(uint64_t id, uint64_t incarnation);
  std::expected<void, std::string> forget(uint64_t id);

 private:
  explicit KnownPeers(std::string data_dir) : data_dir_(std::move(data_dir)) {}
  std::expected<void, std::string> write();

  std::string data_dir_;
  std::map<uint64_t, uint64_t> incarnations_;
  bool unwritten_ = false;  // an earlier write failed
};

}  // namespace raftkv::server
