# SPDX-License-Identifier: Apache-2.0
# The build rules of the project: compiler options, and one function per kind of target.

set(TIDELINE_SANITIZE "" CACHE STRING "what to pass to -fsanitize=, empty for none")

add_library(tideline_options INTERFACE)
target_compile_options(tideline_options INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Werror -fno-omit-frame-pointer -fno-semantic-interposition
  # Designated initialisers leave the rest to the member's default on purpose.
  -Wno-missing-field-initializers
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
  # g++ reports the alignment of cache-line types as an ABI note; nothing here crosses that ABI.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-interference-size>)
if(TIDELINE_SANITIZE)
  target_compile_options(tideline_options INTERFACE -fsanitize=${TIDELINE_SANITIZE}
    -fno-sanitize-recover=all
    # Rooms have no RTTI, which the check of virtual calls needs.
    -fno-sanitize=vptr)
  target_link_options(tideline_options INTERFACE -fsanitize=${TIDELINE_SANITIZE})
endif()

# Rooms are built without exceptions and RTTI; programs (apps, tests, benchmarks) with both.
set(TIDELINE_ROOM_FLAGS -fno-exceptions -fno-rtti)

# Headers of others, precompiled once per kind of target: parsing them is most of a build's work. Compiled like
# the targets that use them, executables too: -fPIC for all.
option(TIDELINE_PRECOMPILE "precompile the headers of libraries" ON)
set(CMAKE_CXX_COMPILE_OPTIONS_PIE -fPIC)

# tideline_precompiled(KIND OPTIONS ... DEPENDS ...): precompiles cmake/precompiled/KIND.h.
function(tideline_precompiled kind)
  cmake_parse_arguments(header "" "" "OPTIONS;DEPENDS" ${ARGN})
  add_library(precompiled_${kind} OBJECT ${PROJECT_SOURCE_DIR}/cmake/precompiled/empty.cc)
  target_compile_options(precompiled_${kind} PRIVATE ${header_OPTIONS})
  target_link_libraries(precompiled_${kind} PRIVATE ${header_DEPENDS} fmt::fmt Threads::Threads tideline_options)
  target_precompile_headers(precompiled_${kind} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/precompiled/${kind}.h)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    set_target_properties(precompiled_${kind} PROPERTIES PCH_INSTANTIATE_TEMPLATES ON)
  endif()
endfunction()

# tideline_use_precompiled(TARGET KIND)
function(tideline_use_precompiled target kind)
  if(TIDELINE_PRECOMPILE)
    target_precompile_headers(${target} REUSE_FROM precompiled_${kind})
  endif()
endfunction()

# Several sources of a target compiled as one: most of a build's work is to read the same headers, and to make the
# same of their templates, for every source again. So names in the unnamed namespaces of such a target differ from each
# other. Rooms and shims as they ship, and what measures them, are compiled source by source; clang-tidy sees every
# source alone.
option(TIDELINE_TOGETHER "compile several sources of tests, commands and sanitized rooms as one" ON)
function(tideline_together target)
  if(TIDELINE_TOGETHER)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 8)
  endif()
endfunction()
# tideline_together_if_sanitized(TARGETS...)
function(tideline_together_if_sanitized)
  if(TIDELINE_SANITIZE)
    foreach(target IN LISTS ARGN)
      tideline_together(${target})
    endforeach()
  endif()
endfunction()

# A test's own code is not optimised: compiling it would take longer than it then saves. The rooms that it tests are.
set(TIDELINE_TEST_FLAGS -O0)

# tideline_command_line(NAME SOURCES...): objects of sources that define options with CLI11 and do nothing else; it
# takes long to read, and longer to optimise.
function(tideline_command_line name)
  add_library(${name} OBJECT ${ARGN})
  tideline_together(${name})
  target_compile_options(${name} PRIVATE -O0)
  target_link_libraries(${name} PRIVATE CLI11::CLI11 fmt::fmt tideline_options)
endfunction()

if(TIDELINE_PRECOMPILE)
  tideline_precompiled(room OPTIONS ${TIDELINE_ROOM_FLAGS})
  tideline_precompiled(test OPTIONS ${TIDELINE_TEST_FLAGS} DEPENDS GTest::gtest_main)
  tideline_precompiled(app DEPENDS nlohmann_json::nlohmann_json)
endif()

# tideline_room(NAME SOURCES ... HEADERS ... DEPENDS ...)
# One static library per room, `tideline::NAME`. Headers are included as "NAME/header.h", and each compiles
# alone (tools/check-headers).
function(tideline_room name)
  cmake_parse_arguments(room "" "" "SOURCES;HEADERS;DEPENDS" ${ARGN})
  add_library(tideline_${name} STATIC ${room_SOURCES})
  add_library(tideline::${name} ALIAS tideline_${name})
  target_sources(tideline_${name} PUBLIC
    FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/src FILES ${room_HEADERS})
  target_compile_options(tideline_${name} PRIVATE ${TIDELINE_ROOM_FLAGS})
  tideline_use_precompiled(tideline_${name} room)
  tideline_together_if_sanitized(tideline_${name})
  target_link_libraries(tideline_${name}
    PUBLIC ${room_DEPENDS} fmt::fmt Threads::Threads PRIVATE tideline_options)
endfunction()

# The tests that run under ThreadSanitizer: those of code that shares memory between threads.
add_custom_target(tsan_tests)
# What ./test runs under AddressSanitizer and UBSan: all tests, the fuzzers and the command line, but not the
# proofs, whose subject is this machine (label `proof`).
add_custom_target(sanitized_tests)

# tideline_test(NAME [OPTIMISED] SOURCES ... DEPENDS ... [LABELS ...] [TIMEOUT seconds])
# A GoogleTest program; the ctest name is NAME. OPTIMISED: its sources too, where they, or templates of a room,
# work for seconds. With the label `tsan`, ./test runs it under ThreadSanitizer too.
function(tideline_test name)
  cmake_parse_arguments(test "OPTIMISED" "TIMEOUT" "SOURCES;DEPENDS;LABELS" ${ARGN})
  add_executable(${name} ${test_SOURCES})
  tideline_together(${name})
  target_link_libraries(${name} PRIVATE ${test_DEPENDS} GTest::gtest_main tideline_options)
  if(NOT test_OPTIMISED)
    target_compile_options(${name} PRIVATE ${TIDELINE_TEST_FLAGS})
    tideline_use_precompiled(${name} test)
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(NOT test_TIMEOUT)
    set(test_TIMEOUT 120)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  if("tsan" IN_LIST test_LABELS)
    add_dependencies(tsan_tests ${name})
  endif()
  if(CMAKE_CURRENT_SOURCE_DIR MATCHES "/bench/proofs/")
    list(APPEND test_LABELS proof)
  else()
    add_dependencies(sanitized_tests ${name})
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${test_TIMEOUT} LABELS "${test_LABELS}")
endfunction()

# tideline_program(NAME SOURCES ... DEPENDS ...)
function(tideline_program name)
  cmake_parse_arguments(program "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${program_SOURCES})
  target_link_libraries(${name} PRIVATE ${program_DEPENDS} tideline_options)
endfunction()

# tideline_shim(TARGET SCRIPT OBJECTS...): a library for other people's processes, with the names and versions of a
# linker script.
function(tideline_shim target script)
  add_library(${target} SHARED)
  target_link_libraries(${target} PRIVATE ${ARGN})
  set_target_properties(${target} PROPERTIES LINK_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${script})
  target_link_options(${target} PRIVATE -static-libstdc++ -static-libgcc -Wl,--as-needed -Wl,--gc-sections
    -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/${script})
endfunction()
