#include "storage/log/rocks_replace.h"

#include <fmt/format.h>
#include <rocksdb/env.h>

#include <filesystem>
#include <memory>
#include <vector>

namespace raftkv::storage {
namespace {

std::string fresh_path(const std::string& path) {
  return path + ".rebuilt";
}
std::string damaged_path(const std::string& path) {
  return path + ".damaged";
}

bool exists(rocksdb::Env* env, const std::string& path) {
  return env->FileExists(path).ok();
}

rocksdb::Status sync_parent(const std::string& path, rocksdb::Env* env) {
  std::unique_ptr<rocksdb::Directory> parent;
  rocksdb::Status status =
      env->NewDirectory(std::filesystem::path(path).parent_path().string(), &parent);
  if (status.ok()) status = parent->Fsync();
  return status;
}

rocksdb::Status remove_directory(const std::string& path, rocksdb::Env* env) {
  std::vector<std::string> names;
  rocksdb::Status status = env->GetChildren(path, &names);
  for (const std::string& name : names) {
    if (name == "." || name == "..") continue;
    if (status.ok()) status = env->DeleteFile(path + "/" + name);
  }
  if (status.ok()) status = env->DeleteDir(path);
  return status;
}

// The damaged one out of the way, the fresh one in its place.
rocksdb::Status move_into_place(const std::string& path, rocksdb::Env* env) {
  rocksdb::Status status;
  if (exists(env, path)) status = env->RenameFile(path, damaged_path(path));
  if (status.ok()) status = env->RenameFile(fresh_path(path), path);
  if (status.ok()) status = sync_parent(path, env);
  if (status.ok()) status = remove_directory(damaged_path(path), env);
  return status;
}

rocksdb::Status make_fresh(const std::string& path, const LogFacts& facts, size_t memtable_bytes,
                           rocksdb::Env* env) {
  const auto database = RocksDatabase::open(fresh_path(path), RocksDatabase::Mode::kReadWrite,
                                            {.memtable_bytes = memtable_bytes, .env = env});
  if (!database) return database.error();
  return (*database)->write_facts(facts);
}

std::expected<void, std::string> told(const std::string& path, const rocksdb::Status& status) {
  if (status.ok()) return {};
  return std::unexpected(fmt::format("the damaged log in {} can't be replaced by an empty one: {}",
                                     path, status.ToString()));
}

}  // namespace

std::expected<void, std::string> replace_database(const std::string& path, const LogFacts& facts,
                                                  size_t memtable_bytes, rocksdb::Env* env) {
  rocksdb::Status status = make_fresh(path, facts, memtable_bytes, env);
  if (status.ok()) status = sync_parent(path, env);
  if (status.ok()) status = move_into_place(path, env);
  return told(path, status);
}

std::expected<void, std::string> finish_replacement(const std::string& path, rocksdb::Env* env) {
  rocksdb::Status status;
  if (exists(env, fresh_path(path))) {
    // The damaged one is moved away only when the fresh one is complete.
    if (!exists(env, path) && exists(env, damaged_path(path))) {
      return told(path, move_into_place(path, env));
    }
    if (!exists(env, path)) {
      return std::unexpected(fmt::format(
          "{} is missing, but {} is there: somebody moved files; put the log back, or remove this "
          "node from the cluster (raftkv-cli members replace) and add it with an empty directory",
          path, fresh_path(path)));
    }
    status = remove_directory(fresh_path(path), env);
  }
  if (status.ok() && exists(env, damaged_path(path))) {
    if (!exists(env, path)) {
      return std::unexpected(fmt::format("{} is missing, but {} is there: somebody moved files",
                                         path, damaged_path(path)));
    }
    status = remove_directory(damaged_path(path), env);
  }
  return told(path, status);
}

}  // namespace raftkv::storage
