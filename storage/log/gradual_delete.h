// RocksDB's large files lose their names at once and their blocks little by little: the table files
// of a part of the log that was cut off, above all. Why: disk/file_remover.h.
//
// RocksDB's own way (SstFileManager) gives a file another name in the same directory meanwhile, and
// a crash leaves it there.
#pragma once

#include <rocksdb/file_system.h>

#include <memory>
#include <string>

#include "storage/disk/file_remover.h"

namespace raftkv::storage {

class GradualDelete : public rocksdb::FileSystemWrapper {
 public:
  explicit GradualDelete(const std::shared_ptr<rocksdb::FileSystem>& base)
      : FileSystemWrapper(base) {}

  const char* Name() const override { return "raftkv.GradualDelete"; }
  // `base` removes the name. A file that is not one of this machine's, or a small one, is left to
  // it altogether.
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

 private:
  FileRemover remover_;
};

}  // namespace raftkv::storage
