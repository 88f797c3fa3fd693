# The dataset's micro benchmark, beside a plain hash map. Linked with jemalloc, as the server is.
add_executable(data_bench ${CMAKE_CURRENT_LIST_DIR}/data_bench.cc)
target_link_libraries(data_bench PRIVATE raftkv_data absl::flat_hash_map PkgConfig::jemalloc)
