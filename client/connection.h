// One connection to one node: commands out, replies in, never beyond a deadline. Knows nothing of
// clusters.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "client/address.h"
#include "client/io_loop.h"
#include "client/reply.h"
#include "client/task.h"

struct redisContext;

namespace raftkv::client {

// Each wait comes in two forms: one blocks the thread, one lets others in an IoLoop go on.
//
// Not thread-safe. After an error from flush() or receive() only sent_bytes() and the destructor
// have a meaning. Raises no SIGPIPE.
class Connection {
 public:
  // A name is resolved by the system's resolver, which keeps to its own time limit, and holds the
  // thread meanwhile (also that of an IoLoop). The error says in a few words why ("Connection
  // refused", "timed out").
  [[nodiscard]] static std::expected<Connection, std::string> connect(const Address& address,
                                                                      Deadline deadline);
  [[nodiscard]] static Task<std::expected<Connection, std::string>> connect(IoLoop& loop,
                                                                            Address address,
                                                                            Deadline deadline);

  // Queues a command; nothing is sent before flush() or receive().
  void append(std::span<const std::string> args);
  // Sends what is queued. Also reads meanwhile: a server that waits for us to take replies would
  // otherwise never take the rest.
  [[nodiscard]] std::expected<void, std::string> flush(Deadline deadline);
  // The next reply in order; sends what is still queued first or meanwhile.
  [[nodiscard]] std::expected<Reply, std::string> receive(Deadline deadline);
  [[nodiscard]] Task<std::expected<Reply, std::string>> receive(IoLoop& loop, Deadline deadline);
  // The next reply if it has been read already, or why there can't be one.
  [[nodiscard]] std::optional<std::expected<Reply, std::string>> received();

  // Bytes ever queued, and handed to the kernel. A command whose last byte (appended_bytes() just
  // after its append) was not handed over surely was not executed.
  uint64_t appended_bytes() const { return appended_bytes_; }
  uint64_t sent_bytes() const { return sent_bytes_; }

  // False if the peer has closed, or sent what nobody asked for: better find out before a command
  // is sent than after.
  [[nodiscard]] bool usable() const;

 private:
  struct Close {
    void operator()(redisContext* context) const;
  };

  explicit Connection(redisContext* context) : context_(context) {}

  [[nodiscard]] Task<std::expected<void, std::string>> exchange(IoLoop& loop, Deadline deadline);
  void append_size(char mark, size_t size);
  void send_some();
  void read_some();

  std::unique_ptr<redisContext, Close> context_;
  std::string out_;  // queued, its first out_sent_ bytes are sent
  size_t out_sent_ = 0;
  uint64_t appended_bytes_ = 0;
  uint64_t sent_bytes_ = 0;
  std::string closed_;  // why nothing more can be read; replies already read are still given
};

}  // namespace raftkv::client
