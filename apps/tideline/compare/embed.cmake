# SPDX-License-Identifier: Apache-2.0
# Writes the texts of files into a C++ source: cmake -DOUT=FILE -DFILES=A;B -P embed.cmake
set(text "// Made of compare/workloads by the build.\n#include \"compare/builtin_workloads.h\"\n\n#include <array>\n\nnamespace tideline::app::compare {\n")
set(list "")
set(count 0)
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  file(READ ${file} content)
  string(APPEND list "    {\"${name}\", R\"toml(${content})toml\"},\n")
  math(EXPR count "${count} + 1")
endforeach()
string(APPEND text "namespace {\nconstexpr std::array<BuiltinWorkload, ${count}> kAll{{\n${list}}};\n}  // namespace\n")
string(APPEND text "const std::span<const BuiltinWorkload> kBuiltinWorkloads(kAll);\n}  // namespace tideline::app::compare\n")
file(WRITE ${OUT} "${text}")
