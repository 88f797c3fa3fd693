// raftkv-server: reads the flags, then serves until it is told to stop.
#include <gflags/gflags.h>
#include <glog/logging.h>

#include <csignal>
#include <cstdio>
#include <string>

#include "server/command/command.h"
#include "server/command/version.h"
#include "server/config.h"
#include "server/new_cluster.h"
#include "server/peer/handshake.h"
#include "server/server.h"

DECLARE_string(listen);
DECLARE_string(cluster);
DEFINE_bool(force_new_cluster, false,
            "Offline, when a majority is lost for ever: reports what the data of --node_id in "
            "--data_dir holds, and with --yes_i_accept_data_loss makes it a cluster of its own.");
DEFINE_bool(yes_i_accept_data_loss, false, "Lets --force_new_cluster write.");
DEFINE_bool(print_commands_md, false, "Print docs/commands.md, generated from the command table.");

namespace {

int fail(const std::string& what) {
  std::fprintf(stderr, "raftkv-server: %s\n", what.c_str());
  return 1;
}

// With the addresses that the flags give, if they give any.
int make_new_cluster(const raftkv::server::Config& config) {
  raftkv::server::NewClusterOptions options{.data_dir = config.data_dir,
                                            .node_id = config.node_id,
                                            .addresses = {},
                                            .write = FLAGS_yes_i_accept_data_loss};
  if (!FLAGS_listen.empty() || !FLAGS_cluster.empty()) {
    options.addresses = raftkv::server::Member{
        config.node_id, config.listen_host, config.listen_port, config.peer_host, config.peer_port};
  }
  const auto report = raftkv::server::force_new_cluster(options);
  if (!report) return fail(report.error());
  std::fputs(report->c_str(), stdout);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  gflags::SetUsageMessage(
      "a Redis server whose data is replicated by Raft.\n"
      "  raftkv-server                             one node on 127.0.0.1:7001, data in "
      "./raftkv-data\n"
      "  raftkv-server --node_id 1 --cluster \"1@h1:7001@h1:17001,2@h2:7001@h2:17001,...\"\n"
      "  raftkv-server --flagfile /etc/raftkv.flags");
  gflags::SetVersionString(std::string(raftkv::server::kRaftkvVersion) + ", peer protocol " +
                           std::to_string(raftkv::server::kPeerProtocolVersion));
  FLAGS_logtostderr = true;
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  if (argc > 1) {
    return fail(std::string("unexpected argument '") + argv[1] +
                "'; every setting is a flag, see --help");
  }
  if (FLAGS_print_commands_md) {
    std::fputs(raftkv::server::commands_markdown(raftkv::server::CommandTable::instance()).c_str(),
               stdout);
    return 0;
  }
  google::InitGoogleLogging(argv[0]);
  std::signal(SIGPIPE, SIG_IGN);
  auto config = raftkv::server::config_from_flags();
  if (!config) return fail(config.error());
  if (FLAGS_force_new_cluster) return make_new_cluster(*config);
  raftkv::server::Server server(std::move(*config));
  if (auto started = server.start(); !started) {
    // Nothing is served yet: what is open is closed by the end of the process.
    std::fprintf(stderr, "raftkv-server: %s\n", started.error().c_str());
    std::fflush(stderr);
    _exit(1);
  }
  server.run();
  return 0;
}
