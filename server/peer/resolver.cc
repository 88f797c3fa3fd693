#include "server/peer/resolver.h"

#include <fmt/format.h>
#include <glog/logging.h>
#include <netdb.h>

#include <cstring>
#include <memory>
#include <utility>

namespace raftkv::server {
namespace {

sockaddr_storage pick(const addrinfo* found, uint64_t attempt) {
  uint64_t count = 0;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) ++count;
  for (uint64_t skip = attempt % count; skip > 0; --skip) found = found->ai_next;
  sockaddr_storage address{};
  std::memcpy(&address, found->ai_addr, found->ai_addrlen);
  return address;
}

}  // namespace

struct Resolver::Lookup {
  uv_getaddrinfo_t request{};
  Resolver* resolver = nullptr;  // null: nobody waits for it any more
  std::string host;
  uint64_t attempt = 0;
  Done done;
};

void Resolver::start(const std::string& host, uint16_t port, uint64_t attempt, Done done) {
  CHECK(lookup_ == nullptr) << "one look-up at a time";
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  auto lookup = std::make_unique<Lookup>();
  lookup->request.data = lookup.get();
  lookup->resolver = this;
  lookup->host = host;
  lookup->attempt = attempt;
  lookup->done = std::move(done);
  // RFC 6761, 6.3: localhost is this machine, also where no file or server says so. A look-up
  // without a name finds the loopback addresses.
  const char* const name = host == "localhost" ? nullptr : host.c_str();
  const int error = uv_getaddrinfo(
      loop_, &lookup->request,
      [](uv_getaddrinfo_t* request, int status, addrinfo* found) {
        const std::unique_ptr<Lookup> over(static_cast<Lookup*>(request->data));
        if (over->resolver != nullptr) {
          over->resolver->lookup_ = nullptr;
          // It may destroy the resolver.
          if (status == 0) {
            over->done(pick(found, over->attempt));
          } else {
            over->done(std::unexpected(
                fmt::format("can't resolve {}: {}", over->host, uv_strerror(status))));
          }
        }
        uv_freeaddrinfo(found);
      },
      name, std::to_string(port).c_str(), &hints);
  if (error != 0) return lookup->done(std::unexpected(std::string(uv_strerror(error))));
  lookup_ = lookup.release();
}

void Resolver::cancel() {
  if (lookup_ == nullptr) return;
  uv_cancel(reinterpret_cast<uv_req_t*>(&lookup_->request));
  std::exchange(lookup_, nullptr)->resolver = nullptr;
}

}  // namespace raftkv::server
