# How every target of the project is compiled: warnings, sanitizers, ccache, linker.

# A room is compiled once and linked by whoever may include it. raftkv_room(raft DIRS a b) makes the
# static library raftkv_raft from the *.cc files of those folders.
function(raftkv_room name)
  cmake_parse_arguments(ROOM "" "" "DIRS;LINK;EXCLUDE" ${ARGN})
  set(sources "")
  foreach(dir IN LISTS ROOM_DIRS)
    file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/*.cc)
    list(APPEND sources ${found})
  endforeach()
  foreach(pattern IN LISTS ROOM_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX ${pattern})
  endforeach()
  if(NOT sources)
    add_library(raftkv_${name} INTERFACE)
    target_link_libraries(raftkv_${name} INTERFACE raftkv_options ${ROOM_LINK})
    return()
  endif()
  add_library(raftkv_${name} STATIC ${sources})
  target_link_libraries(raftkv_${name} PUBLIC raftkv_options ${ROOM_LINK})
  set_target_properties(raftkv_${name} PROPERTIES LINKER_LANGUAGE CXX)
endfunction()

# What every test is told.
set(RAFTKV_TEST_ENVIRONMENT "")
if(RAFTKV_SANITIZE STREQUAL "thread")
  set(RAFTKV_TEST_ENVIRONMENT "TSAN_OPTIONS=suppressions=${CMAKE_SOURCE_DIR}/tests/tsan.supp")
endif()

# raftkv_test(raft_test DIRS unit/raft LINK raftkv_raft): one GoogleTest program from a folder.
function(raftkv_test name)
  cmake_parse_arguments(T "" "" "DIRS;LINK;LABELS" ${ARGN})
  set(sources "")
  foreach(dir IN LISTS T_DIRS)
    file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/*.cc)
    list(APPEND sources ${found})
  endforeach()
  if(NOT sources)
    return()
  endif()
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE ${T_LINK} GTest::gtest GTest::gmock GTest::gtest_main)
  target_precompile_headers(${name} PRIVATE <gtest/gtest.h> <gmock/gmock.h> <string> <vector>)
  add_test(NAME ${name} COMMAND ${name})
  set(timeout 600)
  if(RAFTKV_SANITIZE)
    set(timeout 1800)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${timeout} LABELS "${T_LABELS}"
    ENVIRONMENT "${RAFTKV_TEST_ENVIRONMENT}")
endfunction()

# ccache takes a precompiled header only when told that its macros and times do not matter; paths
# below the source folder count as relative, so that several checkouts share what one has built.
find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
    CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
    CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE} CACHE STRING "" FORCE)
endif()

add_library(raftkv_options INTERFACE)
target_include_directories(raftkv_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(raftkv_options INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-qual
  -Wimplicit-fallthrough -Wextra-semi -fno-omit-frame-pointer)
# GCC 12 reports overlaps and bounds inside its own std::string when it inlines at -O2
# (bugs 105329, 105651); clang's and the sanitizers' checks stay on.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(raftkv_options INTERFACE -Wno-restrict -Wno-stringop-overflow
    -Wno-array-bounds -Wno-maybe-uninitialized -fpch-preprocess)
endif()
if(RAFTKV_SANITIZE STREQUAL "address")
  set(flags -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(RAFTKV_SANITIZE STREQUAL "thread")
  set(flags -fsanitize=thread)
elseif(RAFTKV_SANITIZE)
  message(FATAL_ERROR "RAFTKV_SANITIZE is address, thread or empty, not '${RAFTKV_SANITIZE}'")
endif()
if(RAFTKV_SANITIZE)
  # -O1 compiles in half the time of -O2, and -g1 has the lines that a report shows.
  target_compile_options(raftkv_options INTERFACE ${flags} -O1 -g1)
  target_link_options(raftkv_options INTERFACE ${flags})
endif()

find_program(MOLD mold)
if(MOLD)
  target_link_options(raftkv_options INTERFACE -fuse-ld=mold)
endif()

find_package(Threads REQUIRED)
find_package(GTest REQUIRED)
find_package(gflags REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(glog REQUIRED IMPORTED_TARGET libglog)
pkg_check_modules(libuv REQUIRED IMPORTED_TARGET libuv)
pkg_check_modules(hiredis REQUIRED IMPORTED_TARGET hiredis)
pkg_check_modules(rocksdb REQUIRED IMPORTED_TARGET rocksdb)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(isal REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(lzf REQUIRED IMPORTED_TARGET liblzf)
pkg_check_modules(jemalloc REQUIRED IMPORTED_TARGET jemalloc)
find_package(fmt REQUIRED)
find_package(absl REQUIRED)
find_package(nlohmann_json REQUIRED)
