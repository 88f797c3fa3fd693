#include "server/net/fd_limit.h"

#include <glog/logging.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace raftkv::server {

size_t provide_descriptors(size_t clients_max) {
  const rlim_t wanted = clients_max + kReservedDescriptors;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    LOG(WARNING) << "can't read the limit on open files: " << std::strerror(errno);
    return clients_max;
  }
  if (limit.rlim_cur < wanted) {
    const rlimit before = limit;
    limit.rlim_cur = wanted;
    limit.rlim_max = std::max(before.rlim_max, wanted);
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      // Without the privilege to raise the hard limit the soft one can still go up to it.
      limit = {.rlim_cur = std::min(before.rlim_max, wanted), .rlim_max = before.rlim_max};
      if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit = before;
    }
  }
  if (limit.rlim_cur >= wanted) return clients_max;
  const size_t open_files = limit.rlim_cur;
  const size_t fit = open_files > kReservedDescriptors ? open_files - kReservedDescriptors : 1;
  LOG(WARNING)
      << "only " << fit << " of " << clients_max << " clients fit: the limit on open files is "
      << open_files << " and can't be raised. Raise it to " << wanted
      << " (ulimit -n, LimitNOFILE= of a systemd unit, --ulimit nofile= of docker), or lower"
      << " --maxclients";
  return std::min(fit, clients_max);
}

}  // namespace raftkv::server
