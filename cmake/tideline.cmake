# SPDX-License-Identifier: Apache-2.0
# The build rules of the project: compiler options, and one function per kind of target.

set(TIDELINE_SANITIZE "" CACHE STRING "what to pass to -fsanitize=, empty for none")

add_library(tideline_options INTERFACE)
target_compile_options(tideline_options INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Werror -fno-omit-frame-pointer
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

# tideline_room(NAME SOURCES ... HEADERS ... DEPENDS ...)
# One static library per room, `tideline::NAME`. Headers are included as <NAME/header.h>, and each is
# compiled alone (target all_verify_interface_header_sets).
function(tideline_room name)
  cmake_parse_arguments(room "" "" "SOURCES;HEADERS;DEPENDS" ${ARGN})
  add_library(tideline_${name} STATIC ${room_SOURCES})
  add_library(tideline::${name} ALIAS tideline_${name})
  target_sources(tideline_${name} PUBLIC
    FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/src FILES ${room_HEADERS})
  set_target_properties(tideline_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  target_compile_options(tideline_${name} PRIVATE ${TIDELINE_ROOM_FLAGS})
  target_link_libraries(tideline_${name}
    PUBLIC ${room_DEPENDS} fmt::fmt Threads::Threads PRIVATE tideline_options)
endfunction()

# The tests that run under ThreadSanitizer: those of code that shares memory between threads.
add_custom_target(tsan_tests)

# tideline_test(NAME SOURCES ... DEPENDS ... [LABELS ...] [TIMEOUT seconds])
# A GoogleTest program; the ctest name is NAME. With the label `tsan`, ./test runs it under ThreadSanitizer too.
function(tideline_test name)
  cmake_parse_arguments(test "" "TIMEOUT" "SOURCES;DEPENDS;LABELS" ${ARGN})
  add_executable(${name} ${test_SOURCES})
  target_link_libraries(${name} PRIVATE ${test_DEPENDS} GTest::gtest_main tideline_options)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  if(NOT test_TIMEOUT)
    set(test_TIMEOUT 120)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  if("tsan" IN_LIST test_LABELS)
    add_dependencies(tsan_tests ${name})
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${test_TIMEOUT} LABELS "${test_LABELS}")
endfunction()

# tideline_program(NAME SOURCES ... DEPENDS ...)
function(tideline_program name)
  cmake_parse_arguments(program "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${program_SOURCES})
  target_link_libraries(${name} PRIVATE ${program_DEPENDS} tideline_options)
endfunction()
