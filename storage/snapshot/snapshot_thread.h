// The writer of a snapshot file that works in a thread of its own.
#pragma once

#include <memory>

#include "storage/snapshot/snapshot_sink.h"
#include "storage/snapshot/snapshot_store.h"

namespace raftkv::storage {

std::unique_ptr<SnapshotWriter> start_snapshot_thread(std::unique_ptr<SnapshotSink> sink,
                                                      SnapshotWriterOptions options);

}  // namespace raftkv::storage
